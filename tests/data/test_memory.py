"""What a large set weighs once it is read."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ANNOTATIONS = 200_000
CEILING = 400
"""Bytes for each annotation, of which half are run-length coded in some 30 characters and half have 12 vertices."""

MEASURE = """
import gc, json, pickle, sys
from pathlib import Path
import numpy as np
from PIL import Image
from centermask.data.coco import check_coco
from centermask.ops.mask_warp import Polygons, to_rle
from centermask.size import Size

count, folder = int(sys.argv[1]), Path(sys.argv[2])
Image.new("RGB", (640, 480)).save(folder / "a.png")
turn = np.linspace(0, 2 * np.pi, 12, endpoint=False)
outline = np.stack([300 + 9 * np.cos(turn), 200 + 5 * np.sin(turn)], axis=1)
shapes = [[outline.ravel().tolist()], to_rle(Polygons((outline,)), Size(480, 640))]
usual = {"category_id": 1, "iscrowd": 0, "area": 140.5, "bbox": [291.0, 195.0, 18.0, 10.0]}
content = {
    "images": [{"id": i, "file_name": "a.png", "width": 640, "height": 480} for i in range(count // 8)],
    "annotations": [
        {"id": i, "image_id": i % (count // 8), "segmentation": shapes[i % 2], **usual} for i in range(count)
    ],
    "categories": [{"id": 1, "name": "a"}],
}
def resident():
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
before = resident()
found = check_coco(content, folder / "set.json", folder)
held = resident() - before
sent = len(pickle.dumps(found))
print(json.dumps({"held": held / count, "sent": sent / count, "last": found.objects[-1][-1].id}))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux tells a process its memory")
def test_two_hundred_thousand_annotations_weigh_less_than_the_ceiling(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MEASURE, str(ANNOTATIONS), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    measured = json.loads(done.stdout)
    assert measured["held"] < CEILING
    assert measured["sent"] < CEILING, "what a worker process is sent"
    assert measured["last"] == ANNOTATIONS - 1
