"""Score, select, suppress: dense predictions to detections."""

import math
from collections import defaultdict

import pytest
import torch
from torch import Tensor
from torchvision.ops import nms

from centermask.model.detection.decode import Decoding, decode_boxes
from centermask.model.detection.locations import make_locations
from centermask.structures import DensePredictions, Detections, Locations

ALL = Decoding(class_threshold=0.05, candidates_per_level=1000, nms_iou=1.0, max_detections=10_000)
"""Suppresses nothing: no IoU is greater than 1."""
USUAL = Decoding(class_threshold=0.05, candidates_per_level=1000, nms_iou=0.6, max_detections=50)

DECAYING = USUAL._replace(nms_iou=0.8, nms_decay=1.5)


def at(*points: tuple[float, float], stride: float = 1.0) -> Locations:
    count = len(points)
    return Locations(
        torch.tensor(points), torch.full((count,), stride), torch.zeros(count, 2), torch.zeros(count).long()
    )


def predictions(probabilities: Tensor, ltrb: Tensor, centerness: Tensor | None = None) -> DensePredictions:
    """Of one image, from probabilities; centerness 1 if not given."""
    centerness = torch.ones(len(probabilities)) if centerness is None else centerness
    return DensePredictions(probabilities.logit()[None], ltrb[None].float(), centerness.logit().clamp(max=50)[None])


def decode_each(predicted: DensePredictions, locations: Locations, decoding: Decoding) -> list[Detections]:
    return decode_boxes(predicted, locations, decoding).of_each(len(predicted.ltrb))


def decoded_boxes(boxes: list[list[float]], classes: list[list[float]], decoding: Decoding = USUAL) -> Detections:
    """Detections of boxes, each seen from its own centre, with the given class probabilities."""
    corners = torch.tensor(boxes)
    points = (corners[:, :2] + corners[:, 2:]) / 2
    ltrb = torch.cat([points - corners[:, :2], corners[:, 2:] - points], dim=1)
    return decode_each(predictions(torch.tensor(classes), ltrb), at(*map(tuple, points.tolist())), decoding)[0]


def noisy(images: int = 2, classes: int = 3, seed: int = 0) -> tuple[DensePredictions, Locations]:
    generator = torch.Generator().manual_seed(seed)
    locations = make_locations([torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 2, 2)])
    count = len(locations.points)
    return (
        DensePredictions(
            torch.randn(images, count, classes, generator=generator) * 2 - 2,
            torch.rand(images, count, 4, generator=generator) * 4,
            torch.randn(images, count, generator=generator),
        ),
        locations,
    )


def test_the_score_is_the_root_of_class_probability_times_centerness() -> None:
    predicted = predictions(torch.tensor([[0.81]]), torch.ones(1, 4), torch.tensor([0.36]))
    found = decode_each(predicted, at((5.0, 5.0)), USUAL)[0]
    assert found.scores.item() == pytest.approx(0.9 * 0.6)


def test_distances_are_in_strides_and_boxes_are_not_clipped() -> None:
    # (4 − 2·8, 4 − 1·8, 4 + 3·8, 4 + 0)
    predicted = predictions(torch.tensor([[0.9]]), torch.tensor([[2, 1, 3, 0]]))
    found = decode_each(predicted, at((4.0, 4.0), stride=8.0), USUAL)[0]
    assert found.boxes.tolist() == [[-12, -4, 28, 4]]


def test_a_candidate_must_be_above_the_threshold() -> None:
    # sigmoid(0) is exactly 1/2.
    predicted = DensePredictions(torch.tensor([[[0.0, 0.1]]]), torch.ones(1, 1, 4), torch.full((1, 1), -9.0))
    found = decode_each(predicted, at((5.0, 5.0)), USUAL._replace(class_threshold=0.5))[0]
    assert found.labels.tolist() == [1]  # however low its centerness


def test_one_location_may_find_several_classes() -> None:
    found = decoded_boxes([[0.0, 0, 10, 10]], [[0.3, 0.01, 0.8]])
    assert found.labels.tolist() == [2, 0]
    assert found.locations.tolist() == [0, 0]


def test_of_boxes_of_one_class_the_best_stays() -> None:
    # IoU of the first two: 90 / 110.
    boxes = [[0.0, 0, 10, 10], [1.0, 0, 11, 10], [20.0, 0, 30, 10]]
    found = decoded_boxes(boxes, [[0.5], [0.6], [0.4]])
    assert found.locations.tolist() == [1, 2]


def test_an_overlap_up_to_the_limit_is_left_alone() -> None:
    boxes = [[0.0, 0, 10, 10], [0.0, 0, 10, 5]]  # IoU 0.5
    assert len(decoded_boxes(boxes, [[0.5], [0.6]], USUAL._replace(nms_iou=0.5)).boxes) == 2
    assert len(decoded_boxes(boxes, [[0.5], [0.6]], USUAL._replace(nms_iou=0.49)).boxes) == 1


def test_a_box_beside_a_better_one_stays_with_a_lower_score() -> None:
    # IoU 60 / 100 = 0.6: the score falls by exp(-1.5 · 0.36).
    found = decoded_boxes([[0.0, 0, 10, 10], [0, 0, 10, 6]], [[0.81], [0.64]], DECAYING)
    assert found.scores.tolist() == pytest.approx([0.9, 0.8 * math.exp(-1.5 * 0.36)])
    assert found.boxes.tolist() == [[0, 0, 10, 10], [0, 0, 10, 6]]


def test_a_second_box_of_an_object_gives_its_place_to_another_object() -> None:
    boxes = [[0.0, 0, 10, 10], [0, 0, 10, 7], [50, 50, 60, 60]]
    two = DECAYING._replace(max_detections=2)
    assert decoded_boxes(boxes, [[0.81], [0.64], [0.49]], two).boxes.tolist() == [boxes[0], boxes[2]]
    assert decoded_boxes(boxes, [[0.81], [0.64], [0.49]], two._replace(nms_decay=0.0)).boxes.tolist() == boxes[:2]


def test_a_box_whose_score_falls_below_the_threshold_is_left_out() -> None:
    predicted = predictions(torch.tensor([[0.81], [0.64]]), torch.tensor([[5.0, 5, 5, 5], [5, 5, 5, 4]]))
    assert len(decode_boxes(predicted, at((5.0, 5.0), (5.0, 5.0)), DECAYING, 0.75).boxes) == 1
    assert len(decode_boxes(predicted, at((5.0, 5.0), (5.0, 5.0)), DECAYING._replace(nms_iou=1.0), 0.1).boxes) == 2


def test_boxes_of_different_classes_do_not_suppress_each_other() -> None:
    found = decoded_boxes([[0.0, 0, 10, 10], [0.0, 0, 10, 10]], [[0.9, 0.01], [0.01, 0.8]])
    assert found.labels.tolist() == [0, 1]


def test_classes_are_kept_apart_where_boxes_reach_far_over_the_corner_of_the_picture() -> None:
    # Set apart by an offset of the largest coordinate + 1 = 51, the second box would lie on the first.
    found = decoded_boxes([[1.0, 1, 50, 50], [-50.0, -50, -1, -1]], [[0.9, 0.01], [0.01, 0.8]])
    assert found.labels.tolist() == [0, 1]


def test_detections_come_best_first_and_the_last_are_left_out() -> None:
    boxes = [[20.0 * i, 0, 20.0 * i + 10, 10] for i in range(5)]
    found = decoded_boxes(boxes, [[0.2], [0.9], [0.5], [0.7], [0.3]], USUAL._replace(max_detections=3))
    assert found.locations.tolist() == [1, 3, 2]


def test_nothing_above_the_threshold_is_no_detection() -> None:
    predicted, locations = noisy()
    for found in decode_each(predicted._replace(class_logits=predicted.class_logits * 0 - 20), locations, USUAL):
        assert [field.shape for field in found] == [(0, 4), (0,), (0,), (0,), (0,)]


def test_an_image_may_be_empty_beside_a_full_one() -> None:
    predicted, locations = noisy()
    predicted.class_logits[0] = -20
    empty, full = decode_each(predicted, locations, USUAL)
    assert len(empty.boxes) == 0
    assert len(full.boxes) > 0


@pytest.mark.parametrize("decoding", [USUAL, DECAYING])
def test_no_image_has_no_list(decoding: Decoding) -> None:
    predicted, locations = noisy(images=0)
    assert decode_each(predicted, locations, decoding) == []


def slowly_selected(predicted: DensePredictions, locations: Locations, decoding: Decoding) -> list[set]:
    """Per image: (location, label) of the best candidates of each level."""
    found = []
    for logits, centerness in zip(predicted.class_logits, predicted.centerness_logits.sigmoid(), strict=True):
        levels = defaultdict(list)
        for location, row in enumerate(logits.sigmoid()):
            for label, probability in enumerate(row):
                if probability > decoding.class_threshold:
                    quality = (probability * centerness[location]).item()
                    levels[locations.levels[location].item()].append((quality, location, label))
        best = [sorted(level, reverse=True)[: decoding.candidates_per_level] for level in levels.values()]
        found.append({(location, label) for level in best for _, location, label in level})
    return found


@pytest.mark.parametrize("count", [1, 5, 20, 1000])
def test_the_best_of_each_level_of_each_image_are_candidates(count: int) -> None:
    predicted, locations = noisy(images=3)
    decoding = ALL._replace(candidates_per_level=count)
    found = [
        set(zip(one.locations.tolist(), one.labels.tolist(), strict=True))
        for one in decode_each(predicted, locations, decoding)
    ]
    assert found == slowly_selected(predicted, locations, decoding)


def test_of_many_objects_none_is_lost_among_the_locations_of_the_others() -> None:
    # 120 objects in a line, each seen from nine places; the places of each are surer than those of the next.
    places = [(20.0 * number + column - 1, 10.0 + row - 1) for number in range(120)
              for row in range(3) for column in range(3)]  # fmt: skip
    reach = torch.full((1080, 4), 8.0)
    said = predictions(torch.linspace(0.9, 0.3, 1080)[:, None], reach)
    few, enough = (
        decode_each(said, at(*places), one)[0]
        for one in (USUAL._replace(max_detections=120), USUAL.keeping(120, least=1000))
    )
    assert (len(few.boxes), len(enough.boxes)) == (112, 120)


@pytest.mark.parametrize("decoding", [USUAL, DECAYING])
def test_a_batch_equals_its_images_one_by_one(decoding: Decoding) -> None:
    predicted, locations = noisy(images=3)
    together = decode_each(predicted, locations, decoding)
    for image, found in enumerate(together):
        alone = decode_each(DensePredictions(*(x[image : image + 1] for x in predicted)), locations, decoding)[0]
        assert len(found.boxes) > 0
        assert all(torch.equal(one, other) for one, other in zip(found[:4], alone[:4], strict=True))
        assert found.images.unique().tolist() == [image]


def test_every_detection_is_what_its_location_predicts() -> None:
    predicted, locations = noisy(images=1)
    found = decode_each(predicted, locations, USUAL)[0]
    own = found.locations
    ltrb = predicted.ltrb[0, own] * locations.strides[own, None]
    boxes = torch.cat([locations.points[own] - ltrb[:, :2], locations.points[own] + ltrb[:, 2:]], dim=1)
    torch.testing.assert_close(found.boxes, boxes)
    product = predicted.class_logits[0, own, found.labels].sigmoid() * predicted.centerness_logits[0, own].sigmoid()
    torch.testing.assert_close(found.scores, product.sqrt())
    assert (found.scores.diff() <= 0).all()


def test_detections_carry_no_gradient() -> None:
    predicted, locations = noisy()
    predicted = DensePredictions(*(field.requires_grad_() for field in predicted))
    assert not any(field.requires_grad for found in decode_each(predicted, locations, USUAL) for field in found)


def test_detections_are_float32_in_mixed_precision() -> None:
    predicted, locations = noisy()
    found = decode_each(DensePredictions(*(field.bfloat16() for field in predicted)), locations, USUAL)[0]
    assert found.boxes.dtype == found.scores.dtype == torch.float32


@pytest.mark.parametrize("decay", [0.0, 1.5])
@pytest.mark.parametrize("threshold", [0.1, 0.4, 2.0])
def test_a_threshold_leaves_out_the_lowest_and_changes_no_other(threshold: float, decay: float) -> None:
    predicted, locations = noisy(images=3)
    decoding = USUAL._replace(candidates_per_level=20, max_detections=30, nms_decay=decay)
    everything = decode_boxes(predicted, locations, decoding)
    kept = everything.scores >= threshold
    found = decode_boxes(predicted, locations, decoding, threshold)
    assert kept.any() == (threshold < 1)
    assert all(torch.equal(one, other[kept]) for one, other in zip(found, everything, strict=True))


def test_boxes_of_many_classes_and_images_are_suppressed_as_if_alone() -> None:
    predicted, locations = noisy(images=8, classes=80)
    predicted = predicted._replace(ltrb=predicted.ltrb / 2)
    found = decode_boxes(predicted, locations, USUAL._replace(max_detections=10_000))
    exact = [
        (image, label, location)
        for image, one in enumerate(decode_each(predicted, locations, ALL))
        for label in range(80)
        for own in [one.labels == label]
        for location in one.locations[own][nms(one.boxes[own].double(), one.scores[own].double(), 0.6)].tolist()
    ]
    kept = zip(found.images.tolist(), found.labels.tolist(), found.locations.tolist(), strict=True)
    assert sorted(kept) == sorted(exact)


@pytest.mark.parametrize("decoding", [USUAL, DECAYING])
@pytest.mark.parametrize("side", [1e7, float("inf"), float("nan")])
def test_a_box_beyond_all_bounds_does_not_disturb_another_image(side: float, decoding: Decoding) -> None:
    predicted, locations = noisy(images=2)
    alone = decode_each(predicted, locations, decoding)[1]
    predicted.ltrb[0, 0] = side
    predicted.class_logits[0, 0] = 9.0
    beside = decode_each(predicted, locations, decoding)[1]
    assert len(alone.boxes) > 0
    assert all(torch.equal(one, other) for one, other in zip(alone, beside, strict=True))
