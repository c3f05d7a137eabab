"""Export weights to one ONNX file, put it behind an address, ask it about a picture, and stop it again.

python examples/4_export_and_serve.py photo.jpg
python examples/4_export_and_serve.py photo.jpg runs/first/best.safetensors
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

from centermask.export.run import export_model


def main(picture: Path, weights: str = "plus-nano") -> None:
    """Write ``model.onnx`` into the current folder, and print what its service finds."""
    model = Path("model.onnx")
    if not model.exists():
        export_model(weights, model)
    with serving(model) as address:
        question = Request(f"{address}/predict", picture.read_bytes(), {"Content-Type": "application/octet-stream"})
        with urlopen(question, timeout=60) as answer:
            found = json.load(answer)
    for each in found["instances"]:
        print(f"{each['category_name']} {each['score']:.2f} {each['bbox']}")
    print(f"serve it again: centermask serve {model}")


@contextmanager
def serving(model: Path) -> Iterator[str]:
    """A service at a free port of this machine, ended with the block; gives its address."""
    command = [sys.executable, "-m", "centermask", "serve", str(model), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as service:
        assert service.stdout is not None
        try:
            yield service.stdout.readline().split()[2]  # "model.onnx at http://127.0.0.1:40123 (Ctrl+C stops it)"
        finally:
            service.terminate()


if __name__ == "__main__":
    if not all(map(Path.is_file, map(Path, sys.argv[1:2] or [""]))):
        sys.exit(__doc__)
    main(Path(sys.argv[1]), *sys.argv[2:3])
