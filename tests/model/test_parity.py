"""What the published implementation computes, ours computes: the recorded numbers of three models.

Golden values last: every part also has its tests by hand and by law.
"""

import json
from functools import cache

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco_mask
from torch import Tensor

from centermask.images import SoftInstances, restore
from centermask.model.centermask import CenterMask
from centermask.model.detection.decode import decode_boxes
from centermask.model.detection.locations import make_locations
from centermask.model.objective import Objective
from centermask.model.presets import preset
from centermask.ops.mask_warp import Bitmap, Polygons, draw
from centermask.published import from_published, published_names
from centermask.size import Size
from centermask.structures import Detections, GroundTruth, ImageBatch, Locations, Losses, RoIs
from tests.golden.weights import GOLDEN, ruled_weights

MODELS = {
    "centermask-lite-v19-slim-dw": "centermask_lite_V_19_slim_dw_eSE_FPN_ms_4x",
    "centermask-lite-mv2": "centermask_lite_Mv2_FPN_ms_4x",
    "centermask-v39": "centermask_V_39_eSE_FPN_ms_3x",
}
every_model = pytest.mark.parametrize("name", MODELS)


@cache
def expected(name: str) -> dict:
    return json.loads((GOLDEN / f"{MODELS[name]}.expected.json").read_text())


@cache
def model(name: str) -> CenterMask:
    return from_published(ruled_weights(MODELS[name]), preset(name)).eval()


@cache
def batch() -> ImageBatch:
    images = [np.array(Image.open(GOLDEN / f"scene{i}.png").convert("RGB")) for i in range(2)]
    pixels = torch.zeros(2, 3, 256, 320)
    for i, image in enumerate(images):
        pixels[i, :, : image.shape[0], : image.shape[1]] = torch.from_numpy(image).permute(2, 0, 1)
    return ImageBatch(pixels, torch.tensor([image.shape[:2] for image in images]))


def truths(as_bitmaps: bool) -> list[GroundTruth]:
    found = []
    for scene, size in zip(json.loads((GOLDEN / "scenes.json").read_text()), batch().sizes, strict=True):
        masks = [Polygons(tuple(np.array(part).reshape(-1, 2) for part in parts)) for parts in scene["polygons"]]
        if as_bitmaps:
            masks = [Bitmap(draw(mask.parts, Size(*size.tolist())), 0, 0) for mask in masks]
        boxes = torch.tensor(scene["boxes_xyxy"])
        labels = torch.tensor(scene["classes"])
        found.append(GroundTruth(boxes, labels, tuple(masks), torch.ones(80, dtype=torch.bool)))
    return found


@cache
def losses(name: str, as_bitmaps: bool) -> tuple[Losses, dict[str, float]]:
    ours = model(name).train()
    ours.zero_grad()
    found = Objective(ours)(batch(), truths(as_bitmaps))
    found.total().backward()
    norms = {key: value.grad for key, value in ours.named_parameters() if value.requires_grad}
    ours.eval()
    return found, norms


def assert_sampled(found: Tensor, wanted: dict) -> None:
    flat = found.detach().flatten()
    assert flat.numel() == wanted["numel"]
    at = torch.from_numpy(np.linspace(0, flat.numel() - 1, 128).astype(np.int64))
    values = torch.tensor(wanted["values"])
    assert flat.abs().mean().item() == pytest.approx(wanted["mean_abs"], rel=1e-4)
    torch.testing.assert_close(flat[at], values, rtol=1e-4, atol=1e-4 * wanted["mean_abs"])


@every_model
@torch.no_grad()
def test_features_equal_the_published_ones(name: str) -> None:
    pyramid = model(name).features(batch()).detection
    for level, features in enumerate(pyramid, start=3):
        assert_sampled(features, expected(name)["features"][f"p{level}"])


@every_model
@torch.no_grad()
def test_head_outputs_equal_the_published_ones(name: str) -> None:
    pyramid = model(name).features(batch()).detection
    dense = model(name).detection_head(pyramid)
    counts = [level.shape[2] * level.shape[3] for level in pyramid]
    for key, value in (("class_logits", dense.class_logits), ("ltrb_over_stride", dense.ltrb),
                       ("centerness_logits", dense.centerness_logits[..., None])):  # fmt: skip
        for level, part in enumerate(value.split(counts, dim=1)):
            assert_sampled(part.transpose(1, 2), expected(name)[key][level])


def pairing(locations: Locations, found: Detections, wanted: dict) -> list[int]:
    """For each recorded detection the index of ours, by place and class: order may differ where scores are tied."""
    points = locations.points[found.locations].tolist()
    ours = {(*point, label): i for i, (point, label) in enumerate(zip(points, found.labels.tolist(), strict=True))}
    return [ours[*point, label] for point, label in zip(wanted["locations"], wanted["classes"], strict=True)]


@every_model
@torch.no_grad()
def test_detections_equal_the_published_ones(name: str) -> None:
    pyramid = model(name).features(batch()).detection
    locations = make_locations(pyramid)
    found = decode_boxes(model(name).detection_head(pyramid), locations, model(name).decoding)
    for ours, wanted in zip(found.of_each(len(batch().sizes)), expected(name)["detections"], strict=True):
        order = pairing(locations, ours, wanted)
        assert len(ours.boxes) == len(wanted["boxes"])
        torch.testing.assert_close(ours.boxes[order], torch.tensor(wanted["boxes"]), atol=0.01, rtol=0)
        torch.testing.assert_close(ours.scores[order], torch.tensor(wanted["scores"]), atol=1e-4, rtol=0)


@every_model
@torch.no_grad()
def test_masks_and_their_scores_equal_the_published_ones(name: str) -> None:
    features = model(name).features(batch())
    locations = make_locations(features.detection)
    detections = decode_boxes(model(name).detection_head(features.detection), locations, model(name).decoding)
    rois = RoIs(detections.boxes, detections.images, detections.labels)
    logits, ious, _ = model(name).masks(features.masks, rois, batch().sizes)
    each = detections.of_each(len(batch().sizes))
    counts = [len(one.boxes) for one in each]
    for ours, masks, iou, wanted in zip(
        each, logits.sigmoid().split(counts), ious.split(counts), expected(name)["detections"], strict=True
    ):
        order = pairing(locations, ours, wanted)
        scores = (ours.scores * iou)[order]
        torch.testing.assert_close(scores, torch.tensor(wanted["mask_scores"]), atol=1e-4, rtol=0)
        first = torch.tensor(wanted["mask_probability_first5"]).view(-1, 28, 28)
        torch.testing.assert_close(masks[order[:5]], first, atol=1e-4, rtol=0)


@every_model
@torch.no_grad()
def test_pasted_masks_equal_the_published_ones_where_the_box_is_not_clipped(name: str) -> None:
    compared = 0
    for found, size, wanted in zip(model(name)(batch()), batch().sizes, expected(name)["detections"], strict=True):
        size = Size(*size.tolist())
        config = model(name).config
        arrays = SoftInstances(*(value.numpy() for value in found))
        frames = {"fitted": size, "original": size, "class_names": config.class_names}
        instances = restore(arrays, **frames, category_ids=config.category_ids)
        rows = zip(
            wanted["boxes"], wanted["clipped_boxes"], wanted["classes"], wanted["mask_rle_first20"], strict=False
        )
        for box, clipped, label, code in rows:
            if box == clipped and coco_mask.area(code):
                apart = abs(instances.boxes - np.array(box)).max(axis=1) + 1e3 * (instances.labels != label)
                assert coco_mask.iou([instances.rle[apart.argmin()]], [code], [0])[0, 0] >= 0.99
                compared += 1
    assert compared > 0


@every_model
@pytest.mark.parametrize(("as_bitmaps", "tolerance"), [(False, 1e-3), (True, 2e-2)])
def test_losses_equal_the_published_ones(name: str, as_bitmaps: bool, tolerance: float) -> None:
    found, _ = losses(name, as_bitmaps)
    wanted = expected(name)["losses"]
    assert found.classification.item() == pytest.approx(wanted["loss_fcos_cls"], rel=tolerance)
    assert found.box.item() == pytest.approx(wanted["loss_fcos_loc"], rel=tolerance)
    assert found.centerness.item() == pytest.approx(wanted["loss_fcos_ctr"], rel=tolerance)
    assert found.mask.item() == pytest.approx(wanted["loss_mask"], rel=tolerance)
    assert found.mask_iou.item() == pytest.approx(wanted["loss_maskiou"], rel=tolerance)


@every_model
def test_every_gradient_norm_equals_the_published_one(name: str) -> None:
    _, gradients = losses(name, as_bitmaps=False)
    wanted = dict(expected(name)["grad_norms"])
    for ours, theirs in published_names(model(name)).items():
        if ours not in gradients:
            continue
        norms = gradients[ours].abs().tolist() if len(theirs) > 1 else [gradients[ours].norm().item()]
        for key, norm in zip(theirs, norms, strict=True):
            assert norm == pytest.approx(wanted.pop(key), rel=1e-2, abs=1e-7), key
    assert not wanted, "some recorded gradient has no parameter of ours"
