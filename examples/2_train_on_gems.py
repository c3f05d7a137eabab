"""Train for a few steps on drawn stones, from Python: enough to see every part run, too little to learn much.

python examples/2_train_on_gems.py runs/gems
"""

import sys
from pathlib import Path

from centermask import Predictor, TrainConfig
from centermask.data.gems import gem_sets
from centermask.train import RunFolder, train


def main(out: Path) -> None:
    """Train, score, and predict with what was trained."""
    data = "gems:images=20,size=160,stones=3-6"
    train_set, val_set = gem_sets(data)
    # Without pretrained weights frozen batch norms make no sense; group norms need no statistics.
    config = TrainConfig(preset="centermask-nano", norm="group", epochs=2, batch=4, short_side=160, workers=0)
    folder = RunFolder(path=out)
    folder.open(config, [data], resume=False)
    evaluations = train(config, [train_set], {"gems": val_set}, folder)
    print(f"mask AP {evaluations['gems'].mask.ap:.3f}")
    print(Predictor(folder.weights("last"), score_threshold=0.0, max_detections=3)(val_set[0].image))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
