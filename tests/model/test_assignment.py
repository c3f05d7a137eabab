"""Which locations learn an object by ATSS and by task alignment, and that none is left out."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from centermask.config import Assignment
from centermask.model.detection import ltrb as distances
from centermask.model.detection.assignment import (
    ALIGNED,
    rank_by_alignment,
    rank_by_atss,
    strain,
    with_one_each,
)
from centermask.model.detection.locations import STRIDES, make_locations
from centermask.model.detection.targets import assign_targets
from centermask.structures import DensePredictions, DenseTargets, GroundTruth, Locations

NEW: tuple[Assignment, ...] = ("atss", "task-aligned")
BOTH = pytest.mark.parametrize("assignment", NEW)
CLASSES = 12
"""As many as a test has objects at most, so that labels may tell them apart."""
SEEDS = st.integers(0, 10_000)


def all_locations(side: int = 128) -> Locations:
    return make_locations([torch.zeros(1, 1, -(-side // stride), -(-side // stride)) for stride in STRIDES[1:]])


def fine_locations(side: int) -> Locations:
    return make_locations([torch.zeros(1, 1, side // 8, side // 8)])


def truth(*boxes: list[float]) -> GroundTruth:
    """Objects of classes 0, 1, ..."""
    return GroundTruth(
        torch.tensor(boxes).view(-1, 4).float(), torch.arange(len(boxes)), (), torch.ones(CLASSES).bool()
    )


def random_truth(seed: int, most: int = 8, least_side: float = 16, side: float = 128) -> GroundTruth:
    generator = torch.Generator().manual_seed(seed)
    count = int(torch.randint(1, most + 1, (), generator=generator))
    sides = least_side + torch.rand(count, 2, generator=generator) * (side / 2 - least_side)
    corners = torch.rand(count, 2, generator=generator) * (side - sides)
    return truth(*torch.cat([corners, corners + sides], dim=1).tolist())


def random_predictions(seed: int, locations: Locations) -> DensePredictions:
    generator, count = torch.Generator().manual_seed(seed), len(locations.points)
    return DensePredictions(
        torch.randn(1, count, CLASSES, generator=generator),
        torch.rand(1, count, 4, generator=generator) * 5,
        torch.randn(1, count, generator=generator),
    )


def learning(found: DenseTargets, label: int, locations: Locations) -> list[tuple[float, ...]]:
    """Where an object is learned."""
    return [tuple(point) for point in locations.points[found.labels == label].tolist()]


def sides_of(locations: Locations, objects: GroundTruth) -> Tensor:
    points = locations.points[:, None].expand(-1, len(objects.boxes), -1)
    return distances.encode(points, objects.boxes.expand(len(points), -1, -1))


# By hand: ATSS


def test_atss_gives_an_object_the_nine_nearest_if_all_overlap_it_alike() -> None:
    # Every square of 64 round these contains the box of 24: no deviation, so all reach the mean.
    locations = fine_locations(32)
    found = assign_targets(locations, truth([0, 0, 24, 24]), "atss")
    assert learning(found, 0, locations) == [(x, y) for y in (4, 12, 20) for x in (4, 12, 20)]


def test_atss_finds_the_level_by_overlap_alone() -> None:
    # Nine squares of P3 overlap the box by 1, 0.78 (four) and 0.62 (four); nine of P4 by 0.25; nine of P5 by 0.06; the
    # other five by almost nothing. Mean 0.30 and deviation 0.29 make 0.59.
    locations = all_locations(128)
    found = assign_targets(locations, truth([28, 28, 92, 92]), "atss")
    assert learning(found, 0, locations) == [(x, y) for y in (52, 60, 68) for x in (52, 60, 68)]
    assert locations.levels[found.labels == 0].unique().tolist() == [0]


def test_atss_gives_a_location_to_the_object_that_overlaps_its_square_most() -> None:
    # Around (36, 36), the square is [4, 4, 68, 68]: 0.88 of it are the second object, 0.14 the first.
    locations = fine_locations(72)
    found = assign_targets(locations, truth([24, 24, 48, 48], [6, 6, 66, 66]), "atss")
    assert found.labels[locations.points.eq(36).all(dim=1)].tolist() == [1]


# By hand: task alignment


def predictions(locations: Locations, box: list[float], good: list[int], label: int, logit: float) -> DensePredictions:
    """Nothing, but at some locations a box and a class."""
    count = len(locations.points)
    logits, ltrb = torch.full((1, count, CLASSES), -9.0), torch.zeros(1, count, 4)
    logits[0, good, label] = logit
    boxes = torch.tensor(box).float().expand(count, 4)
    ltrb[0, good] = (distances.encode(locations.points, boxes) / locations.strides[:, None])[good]
    return DensePredictions(logits, ltrb, torch.zeros(1, count))


def test_those_that_find_an_object_learn_it() -> None:
    locations = fine_locations(64)
    good = list(range(3, 3 + 4 * ALIGNED, 4))
    said = predictions(locations, [0, 0, 64, 64], good, label=0, logit=2)
    found = assign_targets(locations, truth([0, 0, 64, 64]), "task-aligned", said)
    assert (found.labels == 0).nonzero()[:, 0].tolist() == good


def test_a_good_box_of_another_class_counts_for_less() -> None:
    # IoU 1 everywhere in the box; twenty are sure of class 1, the others of nothing.
    locations = fine_locations(64)
    said = predictions(locations, [0, 0, 64, 64], list(range(64)), label=1, logit=-9)
    said.class_logits[0, 20:40, 1] = 3
    first = assign_targets(locations, truth([0, 0, 64, 64])._replace(labels=torch.tensor([1])), "task-aligned", said)
    assert set((first.labels == 1).nonzero()[:, 0].tolist()) <= set(range(20, 40))
    second = assign_targets(locations, truth([0, 0, 64, 64]), "task-aligned", said)
    assert not set((second.labels == 0).nonzero()[:, 0].tolist()) <= set(range(20, 40))


def test_what_finds_an_object_from_outside_does_not_learn_it() -> None:
    locations = fine_locations(64)
    said = predictions(locations, [0, 0, 24, 24], list(range(64)), label=0, logit=2)
    found = assign_targets(locations, truth([0, 0, 24, 24]), "task-aligned", said)
    assert learning(found, 0, locations) == [(x, y) for y in (4, 12, 20) for x in (4, 12, 20)]


def test_a_location_in_two_boxes_learns_the_one_it_finds() -> None:
    locations = fine_locations(32)
    objects = truth([0, 0, 24, 24], [1, 1, 31, 31])
    said = predictions(locations, [1, 1, 31, 31], [0, 1], label=0, logit=0)
    said.ltrb[0, 0] = distances.encode(locations.points[:1], objects.boxes[:1])[0] / 8
    found = assign_targets(locations, objects, "task-aligned", said)
    assert found.labels[:2].tolist() == [0, 1]


def test_before_predictions_mean_anything_the_central_ones_of_the_right_level_learn() -> None:
    # Boxes of 64 suit P3: 5 locations not more than a stride from the centre, 4 at 1.41 and 4 at 2 are 13; of P4,
    # which costs a stride, the four nearest are 0.71 of its strides away: they come before those at 2.
    locations = all_locations(128)
    objects = truth([28, 28, 92, 92])
    blank = DensePredictions(
        torch.full((1, len(locations.points), CLASSES), -4.6), torch.zeros(1, len(locations.points), 4),
        torch.zeros(1, len(locations.points)),
    )  # fmt: skip
    for said in (None, blank):
        found = assign_targets(locations, objects, "task-aligned", said)
        least = strain(locations, objects.boxes)[:, 0].topk(ALIGNED, largest=False).indices
        assert (found.labels == 0).nonzero()[:, 0].tolist() == sorted(least.tolist())
        assert set(locations.levels[least].tolist()) == {0, 1}


def test_strain_is_strides_from_the_centre_and_levels_from_the_right_one() -> None:
    # (40, 48) is 3 strides right of the centre and 4 below it, which makes 5; a side of 32 suits a stride of 4.
    locations = Locations(torch.tensor([[40.0, 48.0]]), torch.tensor([8.0]), torch.zeros(1, 2), torch.tensor([0]))
    assert strain(locations, torch.tensor([[0.0, 0.0, 32.0, 32.0]])).item() == pytest.approx(5 + 1)
    assert strain(locations, torch.tensor([[9.0, 0.0, 9.0, 32.0]])).item() == math.inf


# None is left out


@BOTH
def test_an_object_between_the_locations_learns_at_the_nearest(assignment: Assignment) -> None:
    # Locations of P3 stand at 4, 12, 20: none in the box, and none of a coarser level. From (12, 4) it lies 1 to the
    # right and half a pixel below: it is taught as far as there.
    locations, objects = all_locations(64), truth([13, 4.5, 18, 10.5])
    assert (assign_targets(locations, objects).labels == CLASSES).all()
    found = assign_targets(locations, objects, assignment)
    assert learning(found, 0, locations) == [(12, 4)]
    assert found.ltrb[found.labels == 0].tolist() == [[0, 0, 6 / 8, 6.5 / 8]]
    assert found.centerness[found.labels == 0].tolist() == [1]


@BOTH
def test_an_object_that_loses_its_only_location_gets_the_next(assignment: Assignment) -> None:
    # Both cover (4, 4) only; the larger one overlaps the square there more, and fits the hint better.
    locations, objects = all_locations(64), truth([1, 1, 7, 7], [0.5, 0.5, 7.5, 7.5])
    found = assign_targets(locations, objects, assignment)
    assert learning(found, 1, locations) == [(4, 4)]
    assert learning(found, 0, locations) == [(12, 4)]


def test_an_object_gets_no_location_far_from_it() -> None:
    # Of six specks in one corner only two can be had within a stride: (4, 4), and (8, 8) of P4.
    locations = all_locations(64)
    found = assign_targets(locations, truth(*[[1, 1, 1.5 + i / 10, 1.5 + i / 10] for i in range(6)]), "atss")
    assert learning(found, CLASSES, locations) == [
        tuple(point) for point in locations.points.tolist() if point not in ([4, 4], [8, 8])
    ]
    assert (found.labels < CLASSES).sum() == 2


def test_an_object_that_is_lacking_takes_none_that_another_needs() -> None:
    # Three in a row: the first two lack one and want the first place, which the third one keeps as its best.
    owners = torch.tensor([2, 2, 3])
    strains = torch.tensor([[0.0, 0.0, 0.0], [1.0, 2.0, 1.0], [2.0, 3.0, 3.0]])
    assert with_one_each(owners, strains, torch.ones(3, 3, 4), reach=8.0).tolist() == [2, 0, 1]


@BOTH
def test_a_box_without_area_is_never_learned(assignment: Assignment) -> None:
    found = assign_targets(all_locations(64), truth([20, 10, 20, 30], [20, 20, 20, 20], [30, 30, 10, 10]), assignment)
    assert (found.labels == CLASSES).all()


@BOTH
def test_without_objects_or_locations_nothing_is_learned(assignment: Assignment) -> None:
    locations = all_locations(64)
    assert (assign_targets(locations, truth(), assignment).labels == CLASSES).all()
    nowhere = Locations(torch.zeros(0, 2), torch.zeros(0), torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64))
    assert [len(field) for field in assign_targets(nowhere, truth([0, 0, 9, 9]), assignment)] == [0, 0, 0]


# Laws


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.sampled_from(NEW))
def test_every_object_is_learned_in_its_box(seed: int, assignment: Assignment) -> None:
    # A side of 16 has, with a stride beside it, nine locations of P3: more than there are objects.
    locations, objects = all_locations(), random_truth(seed)
    found = assign_targets(locations, objects, assignment, random_predictions(seed, locations))
    room = sides_of(locations, objects).amin(dim=2)
    for label in range(len(objects.boxes)):
        own = room[found.labels == label, label]
        assert len(own) >= 1
        assert (own > 0).all() or (len(own) == 1 and own > -8)


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.sampled_from(NEW))
def test_one_speck_is_always_learned(seed: int, assignment: Assignment) -> None:
    locations, objects = all_locations(), random_truth(seed, most=1, least_side=0.5, side=8)
    moved = objects._replace(boxes=objects.boxes + float(seed % 120))
    found = assign_targets(locations, moved, assignment, random_predictions(seed, locations))
    assert (found.labels == 0).any()


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.sampled_from(NEW))
def test_the_order_of_the_objects_does_not_matter(seed: int, assignment: Assignment) -> None:
    locations, objects = all_locations(), random_truth(seed)
    said = random_predictions(seed, locations)
    order = torch.randperm(len(objects.boxes), generator=torch.Generator().manual_seed(seed))
    shuffled = objects._replace(boxes=objects.boxes[order], labels=objects.labels[order])
    found, wanted = (assign_targets(locations, one, assignment, said) for one in (shuffled, objects))
    positive = wanted.labels < CLASSES
    assert torch.equal(found.labels, wanted.labels)
    torch.testing.assert_close(found.ltrb[positive], wanted.ltrb[positive])
    torch.testing.assert_close(found.centerness[positive], wanted.centerness[positive])


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.sampled_from(NEW))
def test_targets_lead_to_the_object(seed: int, assignment: Assignment) -> None:
    locations, objects = all_locations(), random_truth(seed)
    found = assign_targets(locations, objects, assignment, random_predictions(seed, locations))
    positive = found.labels < CLASSES
    room = sides_of(locations, objects)[torch.arange(len(locations.points))[positive], found.labels[positive]]
    torch.testing.assert_close(found.ltrb[positive] * locations.strides[positive, None], room.clamp(min=0))


def test_targets_have_no_gradient() -> None:
    locations = all_locations()
    said = DensePredictions(*(field.requires_grad_() for field in random_predictions(0, locations)))
    assert not any(field.requires_grad for field in assign_targets(locations, random_truth(0), "task-aligned", said))


# Slow loops


def area(box: list[float]) -> float:
    return max(box[2] - box[0], 0) * max(box[3] - box[1], 0)


def slow_iou(one: list[float], other: list[float]) -> float:
    inner = area([max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3])])
    return inner / (area(one) + area(other) - inner)


def inside(point: list[float], box: list[float]) -> bool:
    return box[0] < point[0] < box[2] and box[1] < point[1] < box[3]


def slow_atss(locations: Locations, box: list[float]) -> dict[int, float]:
    """Locations that may predict a box, and the overlaps of their squares."""
    center, points = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2), locations.points.tolist()
    looked_at = []
    for level in range(len(STRIDES[1:])):
        own = [i for i in range(len(points)) if locations.levels[i] == level]
        looked_at += sorted(own, key=lambda i: math.dist(points[i], center))[:9]
    overlaps = {}
    for i in looked_at:
        (x, y), half = points[i], 4 * locations.strides[i].item()
        overlaps[i] = slow_iou([x - half, y - half, x + half, y + half], box)
    mean = sum(overlaps.values()) / len(overlaps)
    deviation = math.sqrt(sum((one - mean) ** 2 for one in overlaps.values()) / len(overlaps))
    return {i: one for i, one in overlaps.items() if one >= mean + deviation and inside(points[i], box)}


@settings(max_examples=15, deadline=None)
@given(SEEDS)
def test_atss_equals_the_slow_loop(seed: int) -> None:
    locations, objects = all_locations(), random_truth(seed)
    ranks = rank_by_atss(locations, objects.boxes, sides_of(locations, objects))
    for own, box in zip(ranks.T, objects.boxes.tolist(), strict=True):
        wanted = slow_atss(locations, box)
        assert (own > -math.inf).nonzero()[:, 0].tolist() == sorted(wanted)
        assert own[sorted(wanted)].tolist() == pytest.approx([wanted[i] for i in sorted(wanted)], rel=1e-4)


def slow_alignment(locations: Locations, box: list[float], label: int, said: DensePredictions) -> dict[int, float]:
    """Locations that may predict a box, and how well theirs fits."""
    points, scores, overlaps = locations.points.tolist(), {}, {}
    center, side = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2), math.sqrt(area(box))
    for i in range(len(points)):
        if not inside(points[i], box):
            continue
        (x, y), stride = points[i], locations.strides[i].item()
        left, top, right, bottom = (stride * one for one in said.ltrb[0, i].tolist())
        hint = 1e-6 / 2 ** (math.dist((x, y), center) / stride + abs(math.log2(side / (8 * stride))))
        overlap = slow_iou([x - left, y - top, x + right, y + bottom], box)
        overlaps[i] = overlap + hint
        scores[i] = said.class_logits[0, i, label].sigmoid().item() * overlap**6 + hint
    return {i: overlaps[i] for i in sorted(scores, key=lambda i: -scores[i])[:13]}


@settings(max_examples=15, deadline=None)
@given(SEEDS)
def test_alignment_equals_the_slow_loop(seed: int) -> None:
    locations, objects = all_locations(), random_truth(seed)
    said = random_predictions(seed, locations)
    strains = strain(locations, objects.boxes)
    ranks = rank_by_alignment(locations, objects, sides_of(locations, objects), strains, said)
    for label, box in enumerate(objects.boxes.tolist()):
        wanted, own = slow_alignment(locations, box, label, said), ranks[:, label]
        assert (own > -math.inf).nonzero()[:, 0].tolist() == sorted(wanted)
        assert own[sorted(wanted)].tolist() == pytest.approx([wanted[i] for i in sorted(wanted)], rel=1e-4)
