"""Makes the README's strip of a video: a few frames of what ``centermask demo --video`` writes, side by side.

centermask demo --video && python benchmarks/video_strip.py centermask-demo/overlays/clip.mp4 docs/images/video.jpg
"""

import sys
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from centermask.video import read_video

FRAMES = (6, 30, 48, 70)
HEIGHT, GAP = 240, 6


def main(video: Path, out: Path) -> None:
    frames = [frame.pixels for frame in islice(read_video(video), FRAMES[-1] + 1)]
    shown = [Image.fromarray(frames[number]) for number in FRAMES]
    small = [np.asarray(one.resize((round(one.width * HEIGHT / one.height), HEIGHT))) for one in shown]
    gap = np.full((HEIGHT, GAP, 3), 255, dtype=np.uint8)
    strip = np.concatenate([part for one in small for part in (one, gap)][:-1], axis=1)
    Image.fromarray(strip).save(out, quality=85, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
