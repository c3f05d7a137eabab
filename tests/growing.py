"""Predict a thousand pictures of changing sizes, and print the memory that the process holds.

``python -m tests.growing FILE`` prints mebibytes after 200 and after 1,000 predictions.
"""

import gc
import sys

import numpy as np
import psutil

from centermask.predict import Predictor

SHORTEST, LONGEST = 32, 256


def held() -> float:
    gc.collect()
    return psutil.Process().memory_info().rss / 2**20


def main(path: str) -> None:
    predict = Predictor(path, device="cpu", resize=False, score_threshold=0.0)
    rng = np.random.default_rng(0)
    found, marks = 0, []
    for count in range(1, 1001):
        height, width = rng.integers(SHORTEST, LONGEST + 1, 2)
        found += len(predict(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)))
        if count in (200, 1000):
            marks.append(held())
    print(*marks, found, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
