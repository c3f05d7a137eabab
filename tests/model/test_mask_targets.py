"""Which object each training box shows, and the mask it should have."""

import numpy as np
import pytest
import torch

from centermask.model.masks.targets import match_rois
from centermask.ops.mask_crop import crop_masks
from centermask.ops.mask_warp import Bitmap, Polygons
from centermask.structures import Detections, GroundTruth, RoITargets
from tests.model.small import squares

NO_TRUTH = squares()


def found(*boxes: tuple[float, float, float, float], label: int = 0) -> Detections:
    count = len(boxes)
    return Detections(
        torch.tensor(boxes).view(count, 4).float(),
        torch.ones(count),
        torch.full((count,), label),
        torch.zeros(count, dtype=torch.int64),
        torch.zeros(count, dtype=torch.int64),
    )


def matched(detections: Detections, truth: GroundTruth, limit: int = 128) -> RoITargets:
    return match_rois([detections], [truth], limit)


def test_the_true_boxes_are_trained_too() -> None:
    targets = matched(found(), squares((10, 10, 20, 0), (50, 10, 20, 1)))
    assert targets.rois.boxes.tolist() == [[10, 10, 30, 30], [50, 10, 70, 30]]
    assert targets.rois.labels.tolist() == [0, 1]
    assert targets.rois.images.tolist() == [0, 0]
    assert (targets.masks == 1).all()
    assert targets.shares.tolist() == [1, 1]


def test_a_box_is_trained_as_the_class_of_the_object_it_lies_on() -> None:
    targets = matched(found((10, 10, 30, 28), label=0), squares((10, 10, 20, 1)))
    assert targets.rois.labels.tolist() == [1, 1]


def test_an_iou_of_one_half_is_enough() -> None:
    # Halves of a square of 20, and a little less than a half.
    targets = matched(found((10, 10, 30, 20), (10, 10, 30, 19.9)), squares((10, 10, 20, 0)))
    assert targets.rois.boxes.tolist() == [[10, 10, 30, 20], [10, 10, 30, 30]]


def test_a_box_lies_on_the_object_of_highest_iou() -> None:
    # Squares of 20 at x = 10 and x = 14; the box is nearer the second one.
    targets = matched(found((13, 10, 33, 30)), squares((10, 10, 20, 0), (14, 10, 20, 1)))
    assert targets.rois.labels.tolist() == [1, 0, 1]


def test_what_the_box_cuts_off_lessens_the_share() -> None:
    targets = matched(found((10, 10, 30, 20), (10, 10, 25, 30)), squares((10, 10, 20, 0)))
    assert targets.shares.tolist() == pytest.approx([0.5, 0.75, 1])
    assert (targets.masks == 1).all()


def test_with_a_margin_masks_are_seen_through_a_region_beyond_the_box() -> None:
    # The box of 20 × 10 shows half of a square of 20; half its height more above and below shows all of it.
    truth = squares((10, 10, 20, 0))
    targets = match_rois([found((10, 15, 30, 25))], [truth], 128, margin=0.5)
    assert targets.rois.boxes.tolist() == [[10, 15, 30, 25], [10, 10, 30, 30]]
    assert targets.shares.tolist() == [1, 1]
    set_columns = (torch.arange(28) >= 7) & (torch.arange(28) < 21)
    assert torch.equal(targets.masks[0], set_columns.float().expand(28, 28))
    assert torch.equal(targets.masks[1], (set_columns[:, None] & set_columns).float())


@pytest.mark.parametrize("as_polygons", [True, False])
def test_the_mask_is_seen_through_the_box(as_polygons: bool) -> None:
    # The object fills the left half of its box; a detection of twice the width sees it in its left quarter.
    left = np.zeros((20, 20), dtype=bool)
    left[:, :10] = True
    outline = np.array([[10, 10], [20, 10], [20, 30], [10, 30]], dtype=float)
    mask = Polygons((outline,)) if as_polygons else Bitmap(left, 10, 10)
    truth = squares((10, 10, 20, 0))._replace(masks=(mask,))
    targets = matched(found((10, 10, 50, 30)), truth)
    wide, exact = targets.masks
    assert torch.equal(wide, (torch.arange(28) < 7).float().expand(28, 28))
    assert torch.equal(exact, (torch.arange(28) < 14).float().expand(28, 28))


def test_no_image_has_more_rois_than_the_limit() -> None:
    crowd = squares(*((10 * i, 10 * j, 9, 0) for i in range(5) for j in range(4)))
    targets = match_rois([found(), found()], [crowd, squares((99, 99, 9, 1))], limit=7)
    assert targets.rois.images.tolist() == [0] * 7 + [1]
    assert len(targets.rois.boxes.unique(dim=0)) == 8  # none is drawn twice
    assert len(targets.masks) == len(targets.shares) == 8


def test_each_image_is_matched_with_its_own_truth() -> None:
    here, there = squares((10, 10, 20, 0)), squares((50, 50, 20, 1))
    boxes = found((10, 10, 30, 28), (50, 50, 70, 68))
    targets = match_rois([boxes, boxes], [here, there], 128)
    assert targets.rois.images.tolist() == [0, 0, 1, 1]
    assert targets.rois.labels.tolist() == [0, 0, 1, 1]
    alone = [matched(boxes, truth) for truth in (here, there)]
    assert torch.equal(targets.masks, torch.cat([one.masks for one in alone]))
    assert torch.equal(targets.shares, torch.cat([one.shares for one in alone]))


@pytest.mark.parametrize("detections", [found(), found((10, 10, 30, 30))], ids=["nothing found", "found"])
def test_without_truth_there_is_nothing_to_train(detections: Detections) -> None:
    targets = match_rois([detections, detections], [NO_TRUTH, NO_TRUTH], 128)
    assert [field.shape for field in targets.rois] == [(0, 4), (0,), (0,)]
    assert targets.masks.shape == (0, 28, 28)
    assert targets.shares.shape == (0,)


def test_an_image_without_truth_may_stand_beside_another() -> None:
    targets = match_rois([found((0, 0, 9, 9)), found()], [NO_TRUTH, squares((10, 10, 20, 1))], 128)
    assert targets.rois.images.tolist() == [1]
    assert targets.rois.labels.tolist() == [1]


def test_a_box_without_area_is_not_trained() -> None:
    truth = squares((10, 10, 20, 0))
    flat = truth._replace(boxes=torch.tensor([[10.0, 10, 10, 30]]))
    assert matched(found((10, 10, 10, 30)), truth).rois.boxes.tolist() == [[10, 10, 30, 30]]
    assert len(matched(found((10, 10, 30, 30)), flat).rois.boxes) == 0


def test_a_polygon_without_area_has_an_empty_mask_and_a_positive_share() -> None:
    line = Polygons((np.array([[10.0, 10], [20, 20], [30, 30]]),))
    targets = matched(found(), squares((10, 10, 20, 0))._replace(masks=(line,)))
    assert targets.masks.isfinite().all()
    assert 0 < targets.shares.item() <= 1


def test_targets_carry_no_gradient() -> None:
    detections = found((10, 10, 30, 28))
    detections = detections._replace(boxes=detections.boxes.requires_grad_())
    assert not matched(detections, squares((10, 10, 20, 0))).rois.boxes.requires_grad


def test_what_a_box_shows_of_other_objects_is_told() -> None:
    # The second square covers the right half of the first one's box, the third lies elsewhere.
    truth = squares((0, 0, 28, 0), (14, 0, 28, 1), (100, 100, 28, 1))
    others = match_rois([found()], [truth], 128, others=True).others
    assert torch.equal(others[0], (torch.arange(14) >= 7).expand(14, 14))
    assert torch.equal(others[1], (torch.arange(14) < 7).expand(14, 14))
    assert not others[2].any()


def test_the_neighbours_are_the_union_of_all_other_masks() -> None:
    crowd = squares(*((20 * i, 12 * j, 28, 0) for i in range(3) for j in range(3)))
    targets = match_rois([found((5, 5, 45, 40)), found()], [crowd, NO_TRUTH], 128, others=True)
    for box, own, others in zip(targets.rois.boxes, targets.masks, targets.others, strict=True):
        every = [crop_masks([mask], np.zeros(1, dtype=np.int64), box[None].double().numpy(), 14).grids[0]
                 for mask in crowd.masks]  # fmt: skip
        mine = [np.array_equal(crop_masks([mask], np.zeros(1, dtype=np.int64), box[None].double().numpy(), 28).grids[0],
                               own.numpy() > 0.5) for mask in crowd.masks]  # fmt: skip
        union = np.zeros((14, 14), dtype=bool)
        for grid in (grid for grid, is_mine in zip(every, mine, strict=True) if not is_mine):
            union |= grid
        assert np.array_equal(others.numpy(), union)


def test_without_rois_there_are_no_neighbours() -> None:
    assert match_rois([found()], [NO_TRUTH], 128, others=True).others.shape == (0, 14, 14)
