"""Make the 16-bit file that comes with the package from a run's weights.

    python benchmarks/bundle_weights.py runs/nano/last.safetensors nano 0.32

The second argument is a name of ``centermask.bundled``, the last one the score from which objects are shown.
"""

import sys
from dataclasses import replace
from pathlib import Path

from centermask import CenterMask
from centermask.bundled import BUNDLED
from centermask.checkpoint import save_model

NOTES = {
    "licence": "Apache-2.0; trained on freely licensed pictures, see docs/model-card-{name}.md",
    "data": "feral-cat-segmentation-dataset-and-model; freely licensed pictures of a COCO 2017 subset (person)",
}


def bundle(source: Path, name: str, score_threshold: float) -> None:
    """Read, set the threshold, write in 16 bits."""
    model, target = CenterMask.load(source), BUNDLED[name]
    model.config = replace(model.config, score_threshold=score_threshold)
    save_model(model, target, half=True, notes={key: text.format(name=name) for key, text in NOTES.items()})
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    bundle(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
