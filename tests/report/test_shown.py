"""What the network is shown: which objects are learned, on which level, and how that is drawn."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from centermask.model.detection.locations import make_locations
from centermask.ops.mask_warp import Bitmap
from centermask.report.learned import LEVELS, assigned, levels_at, levels_of, save_training_picture
from centermask.report.shown import load_training_picture
from centermask.structures import GroundTruth, ImageBatch, Locations
from tests.pictures import outlined, rectangle


def locations(side: int = 256) -> Locations:
    return make_locations([torch.zeros(1, 1, max(1, side // s), max(1, side // s)) for s in (8, 16, 32, 64, 128)])


def truth(*masks: Bitmap) -> GroundTruth:
    boxes = [[m.left, m.top, m.left + m.pixels.shape[1], m.top + m.pixels.shape[0]] for m in masks]
    return GroundTruth(
        boxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        labels=torch.zeros(len(masks), dtype=torch.int64),
        masks=masks,
        annotated=torch.ones(1, dtype=torch.bool),
    )


SMALL, LARGE, TINY = rectangle(8, 8, 24, 24), rectangle(40, 40, 200, 200), rectangle(97, 1, 2, 2)


def test_objects_are_learned_on_the_level_of_their_size() -> None:
    owners, positives = assigned(locations(), truth(SMALL, LARGE, TINY))
    # sides up to 24 belong to P3; 100 from the centre of the large one is P4's range; no location lies in the tiny one
    assert levels_of(owners, levels_at(locations(), positives), 3) == [3, 4, None]


def test_objects_are_shown_where_the_run_learns_them() -> None:
    # a rule that leaves none out takes a location beside the tiny one, or of a level whose location it does cover
    owners, positives = assigned(locations(), truth(SMALL, LARGE, TINY), "atss")
    assert levels_of(owners, levels_at(locations(), positives), 3)[2] == 3
    assert locations().points[positives[owners == 2]].tolist() == [[100, 4]]


def test_no_object_is_learned_nowhere() -> None:
    owners, positives = assigned(locations(), truth())
    assert len(owners) == len(positives) == 0
    assert levels_of(owners, positives, 0) == []


@pytest.fixture
def shown(tmp_path: Path) -> Path:
    batch = ImageBatch(torch.full((2, 3, 256, 256), 90, dtype=torch.uint8), torch.tensor([[256, 256], [100, 160]]))
    polygon = truth(LARGE)._replace(masks=(outlined(LARGE),))
    save_training_picture(tmp_path, batch, [truth(SMALL, LARGE, TINY), polygon], ["<b>"], locations())
    return tmp_path


def test_a_batch_is_drawn_in_the_colours_of_the_levels(shown: Path) -> None:
    first, second = load_training_picture(shown)
    assert (first.levels, first.unlearned, first.classes) == ((0, 1, 1, 0, 0, 0), 1, "3 × <b>")
    assert (first.size, second.size) == ((256, 256), (100, 160))
    layer = np.array(Image.open(shown / "report" / "shown0.png").convert("RGBA"))
    assert tuple(layer[9, 9, :3]) == LEVELS[1]
    assert tuple(layer[41, 41, :3]) == LEVELS[2]
    assert layer[250, 10, 3] == 0
    assert np.array(Image.open(shown / "report" / "shown0.jpg")).mean() == pytest.approx(90, abs=1)


def test_a_picture_of_floats_and_one_without_objects_are_drawn_too(tmp_path: Path) -> None:
    batch = ImageBatch(torch.rand(1, 3, 64, 64) * 255, torch.tensor([[64, 64]]))
    save_training_picture(tmp_path, batch, [truth()], ["cat"], locations(64))
    assert load_training_picture(tmp_path)[0].classes == "no object"


@pytest.mark.parametrize("content", ["", "{}", "[1]", json.dumps([{"image": "../../x", "layer": "y"}])])
def test_a_broken_store_shows_nothing(shown: Path, content: str) -> None:
    (shown / "report" / "shown.json").write_text(content)
    assert load_training_picture(shown) == []


def test_a_run_without_a_batch_shows_nothing(tmp_path: Path) -> None:
    assert load_training_picture(tmp_path) == []
