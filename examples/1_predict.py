"""Find the objects of a picture and save an overlay.

python examples/1_predict.py photo.jpg
python examples/1_predict.py photo.jpg runs/first/best.safetensors
"""

import sys
from pathlib import Path

from PIL import Image

from centermask import Predictor
from centermask.images import read_image


def main(picture: Path, weights: str = "plus-nano") -> None:
    """Print what is found, and write ``STEM_overlay.png`` into the current folder."""
    image = read_image(picture)
    found = Predictor(weights)(image)
    print(found)
    overlay = Path(f"{picture.stem}_overlay.png")
    Image.fromarray(found.overlay(image)).save(overlay)
    print(f"overlay: {overlay}")


if __name__ == "__main__":
    if not all(map(Path.is_file, map(Path, sys.argv[1:2] or [""]))):
        sys.exit(__doc__)
    main(Path(sys.argv[1]), *sys.argv[2:3])
