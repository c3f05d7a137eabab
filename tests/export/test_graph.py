"""The graph itself, before any file is made of it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from centermask.export.graph import Answer, ExportGraph
from centermask.images import SoftInstances
from centermask.ops.mask_warp import paste
from centermask.size import Size
from tests.export.files import assert_same, in_torch, lively_model, noise


def run(graph: ExportGraph, pixels: np.ndarray, sizes: list[tuple[int, int]], threshold: float = 0.0) -> Answer:
    with torch.inference_mode():
        return Answer(*graph(torch.from_numpy(pixels), torch.tensor(sizes), torch.tensor(threshold)))


def arrays(answer: Answer) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in answer._asdict().items() if value is not None}


@pytest.mark.parametrize("sizes", [[(1, 1)], [(20, 24)], [(33, 65), (64, 40)], [(96, 128), (7, 128), (96, 1)]])
def test_the_graph_gives_what_the_network_gives(sizes: list[tuple[int, int]]) -> None:
    model = lively_model()
    expected = in_torch(model, noise(sizes), sizes)
    threshold = float(np.median(np.concatenate([one.scores for one in expected])))
    for value in (0.0, threshold):
        assert_same(arrays(run(ExportGraph(model), noise(sizes), sizes, value)), expected, value, 8)


@pytest.mark.parametrize("places", [1, 3])
def test_fewer_places_than_the_network_keeps_are_filled_with_the_best_by_score(places: int) -> None:
    model, sizes = lively_model(), [(160, 160), (64, 90)]
    expected = in_torch(model, noise(sizes), sizes)
    assert expected[0].scores.argmax() != expected[0].box_scores.argmax()
    model.config = replace(model.config, max_detections=places)
    found = arrays(run(ExportGraph(model), noise(sizes), sizes))
    assert found["boxes"].shape == (2, places, 4)
    best = [SoftInstances(*(values[:places] for values in one)) for one in expected]
    assert_same(found, best, 0.0, places)


def test_places_without_an_object_are_zero() -> None:
    answer = run(ExportGraph(lively_model()), noise([(64, 64)]), [(64, 64)], threshold=1.1)
    assert answer.counts.tolist() == [0]
    assert answer.boxes.shape == (1, 8, 4)
    assert not any(value.any() for value in arrays(answer).values())


def test_a_score_at_the_threshold_passes() -> None:
    graph = ExportGraph(lively_model())
    answer = run(graph, noise([(64, 64)]), [(64, 64)])
    third = float(answer.scores[0, 2])
    assert run(graph, noise([(64, 64)]), [(64, 64)], threshold=third).counts.tolist() == [3]


def test_objects_stand_best_first_by_score_and_not_by_box_score() -> None:
    answer = run(ExportGraph(lively_model()), noise([(160, 160)]), [(160, 160)])
    assert (answer.scores.diff(dim=1) <= 0).all()
    assert (answer.box_scores.diff(dim=1) > 0).any()


@pytest.mark.parametrize("margin", [0.0, 0.1])
def test_full_masks_are_the_masks_pasted(margin: float) -> None:
    model = lively_model(mask_margin=margin)
    answer = run(ExportGraph(model, full_masks=True), noise([(70, 90)]), [(70, 90)])
    assert answer.full_masks is not None
    for place in range(int(answer.counts[0])):
        mask, box = answer.masks[0, place].numpy(), answer.boxes[0, place].double().numpy()
        pasted = paste(mask, box, Size(70, 90), fills_box=margin > 0)
        plane = np.zeros((70, 90), dtype=np.uint8)
        (top, left), (height, width) = (pasted.top, pasted.left), pasted.pixels.shape
        plane[top : top + height, left : left + width] = pasted.pixels
        assert (answer.full_masks[0, place].numpy() != plane).sum() <= 2  # at exactly one half either side will do


def test_pixels_may_be_floats() -> None:
    graph = ExportGraph(lively_model())
    pixels = noise([(50, 60)])
    whole, floats = run(graph, pixels, [(50, 60)]), run(graph, pixels.astype(np.float32), [(50, 60)])
    assert torch.equal(whole.boxes, floats.boxes)


def test_what_lies_in_the_padding_does_not_matter() -> None:
    graph = ExportGraph(lively_model())
    clean, dirty = noise([(40, 50)], plane=Size(64, 64)), noise([(40, 50)], plane=Size(64, 64))
    dirty[:, :, 40:], dirty[:, :, :, 50:] = 255, 0
    assert torch.equal(run(graph, clean, [(40, 50)]).boxes, run(graph, dirty, [(40, 50)]).boxes)
