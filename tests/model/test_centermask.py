"""STORY ONE: image to instances; and the table of presets that it is built from."""

import pytest
import torch
from torch import Tensor, nn

from centermask.config import ModelConfig
from centermask.errors import UserError
from centermask.model.centermask import CenterMask
from centermask.model.layers import batch_norms
from centermask.model.presets import PLUS, PRESETS, build, preset
from centermask.ops.boxes import widen
from centermask.structures import ImageBatch, RoIInstances, RoIs
from tests.model.small import SMALL, small_batch, small_model

PARAMETERS = {
    "centermask-v39": 52_629_388,
    "centermask-v57": 68_900_172,
    "centermask-v99": 96_968_780,
    "centermask-lite-v39": 35_129_356,
    "centermask-lite-v19": 20_125_644,
    "centermask-lite-v19-slim": 12_450_908,
    "centermask-lite-v19-slim-dw": 11_182_524,
}


def without_memory(config: ModelConfig) -> CenterMask:
    with torch.device("meta"):
        return build(config)


def parameters(model: nn.Module) -> int:
    return sum(value.numel() for value in model.parameters())


def assert_same(found: list[RoIInstances], wanted: list[RoIInstances]) -> None:
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert len(one.boxes) == len(other.boxes) > 0
        torch.testing.assert_close(tuple(one), tuple(other), atol=1e-3, rtol=1e-4)


class Strided(nn.Module):
    """A backbone from outside: means of patches."""

    channels = (3, 3, 3)

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)

    def forward(self, pixels: Tensor) -> list[Tensor]:
        return [nn.functional.avg_pool2d(self.norm(pixels), stride) for stride in (8, 16, 32)]


# presets


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameter_totals_equal_the_published_ones(name: str) -> None:
    assert parameters(without_memory(preset(name))) == PARAMETERS[name]


def test_the_nano_network_has_at_most_five_million_parameters() -> None:
    assert parameters(without_memory(preset("centermask-nano"))) <= 5_000_000


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_can_be_built_for_other_classes(name: str) -> None:
    config = preset(name, class_names=("a", "b", "c"))
    assert config.preset == name
    assert config.category_ids == (1, 2, 3)
    model = without_memory(config)
    assert model.detection_head.class_logits.out_channels == 3
    assert model.mask_iou_head.predictor.out_features == 3
    assert model.mask_head.predictor.out_channels == (1 if config.class_agnostic_masks else 3)


@pytest.mark.parametrize(("plus", "base"), [("plus-nano", "nano"), ("plus-small", "lite-v19"),
                                            ("plus-medium", "lite-v39"), ("plus-large", "v57")])  # fmt: skip
def test_a_plus_preset_is_a_faithful_one_with_what_pays(plus: str, base: str) -> None:
    ours, theirs = (PRESETS[f"centermask-{name}"].to_dict() for name in (plus, base))
    assert {key for key in ours if ours[key] != theirs[key]} - {"preset"} <= set(PLUS)
    wanted = PLUS | ({"detection_stride": 8} if plus == "plus-large" else {})
    assert {key: ours[key] for key in PLUS} == wanted


def test_presets_know_the_classes_of_coco() -> None:
    config = preset("centermask-lite-v39")
    assert config.num_classes == 80
    assert (config.class_names[0], config.category_ids[0]) == ("person", 1)
    assert (config.class_names[-1], config.category_ids[-1]) == ("toothbrush", 90)


def test_an_unknown_preset_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(UserError, match="did you mean 'centermask-nano'"):
        preset("centermask-nan")


def test_an_unknown_backbone_is_refused() -> None:
    with pytest.raises(UserError, match=r"no backbone 'vovnet40'.*vovnet39"):
        build(ModelConfig(backbone="vovnet40"))


def test_a_backbone_without_weights_on_a_hub_cannot_be_had_pretrained() -> None:
    with pytest.raises(UserError, match="vovnet39"):
        build(ModelConfig(backbone="vovnet39"), pretrained=True)


# image to instances


@torch.no_grad()
def test_every_image_gets_its_instances_best_box_first() -> None:
    found = small_model()(small_batch())
    assert len(found) == 2
    for one in found:
        assert [len(field) for field in one] == [8] * 5
        assert one.masks.shape == (8, 28, 28)
        assert (one.box_scores.diff() <= 0).all()
        assert set(one.labels.tolist()) <= {0, 1}
        assert all(field.isfinite().all() for field in one)
        assert ((one.masks >= 0) & (one.masks <= 1)).all()
        assert ((one.scores >= 0) & (one.scores <= one.box_scores)).all()


@torch.no_grad()
@pytest.mark.parametrize("norm", ["frozen", "batch", "group"])
def test_a_batch_of_two_equals_two_batches(norm: str) -> None:
    model, batch = small_model(norm=norm), small_batch()
    alone = [model(ImageBatch(batch.pixels[i : i + 1], batch.sizes[i : i + 1]))[0] for i in range(2)]
    assert_same(model(batch), alone)


@torch.no_grad()
@pytest.mark.parametrize("filling", [255.0, -1e6, float("nan"), float("inf")])
def test_what_the_padding_holds_changes_nothing(filling: float) -> None:
    model, batch = small_model(), small_batch()
    pixels = batch.pixels.clone()
    height, width = batch.sizes[1].tolist()
    pixels[1, :, height:] = filling
    pixels[1, :, :, width:] = filling
    for one, other in zip(model(ImageBatch(pixels, batch.sizes)), model(batch), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@torch.no_grad()
def test_whole_numbers_and_floats_are_seen_alike() -> None:
    model, batch = small_model(), small_batch()
    whole = batch.pixels.to(torch.uint8)
    assert_same(model(ImageBatch(whole, batch.sizes)), model(ImageBatch(whole.float(), batch.sizes)))


@torch.no_grad()
def test_nothing_found_is_an_empty_answer_for_every_image() -> None:
    found = small_model(class_threshold=1.0)(small_batch())
    assert [[tuple(field.shape) for field in one] for one in found] == [[(0, 4), (0,), (0,), (0,), (0, 28, 28)]] * 2


@torch.no_grad()
@pytest.mark.parametrize(
    "changes",
    [
        {"mask_iou_head": "light"},
        {"mask_iou_head": "coarse"},
        {"detection_stride": 4},
        {"detection_stride": 4, "mask_stride": 4, "mask_margin": 0.2},
        {"class_agnostic_masks": True},
        {"attention_fusion": "concatenate"},
        {"attention_fusion": "none"},
        {"mask_levels": 1},
        {"mask_levels": 5},
        {"level_rule": "area"},
    ],
    ids=lambda changes: "-".join(f"{key}={value}" for key, value in changes.items()),
)
def test_every_variant_finds_instances(changes: dict) -> None:
    for one in small_model(**changes)(small_batch()):
        assert one.masks.shape == (8, 28, 28)
        assert one.masks.isfinite().all()


@torch.no_grad()
def test_without_a_mask_iou_head_the_score_is_the_boxes() -> None:
    for one in small_model(mask_iou_head="none")(small_batch()):
        assert torch.equal(one.scores, one.box_scores)


def test_pixels_are_normalised_and_padding_is_zero() -> None:
    model = build(ModelConfig(**(SMALL | {"pixel_mean": (1.0, 2.0, 3.0), "pixel_std": (2.0, 4.0, 8.0)})))
    normal = model.normalise(ImageBatch(torch.full((1, 3, 4, 4), 5.0), torch.tensor([[2, 3]])))
    assert normal[0, :, :2, :3].flatten(1).unique(dim=1).flatten().tolist() == [2, 0.75, 0.25]
    assert not normal[0, :, 2:].any()
    assert not normal[0, :, :, 3:].any()


def test_mean_and_deviation_move_with_the_model_but_are_not_weights() -> None:
    model = small_model()
    assert {name for name, _ in model.named_buffers()} >= {"pixel_mean", "pixel_std"}
    assert not {"pixel_mean", "pixel_std"} & set(model.state_dict())


@torch.no_grad()
def test_the_batch_is_left_untouched() -> None:
    batch, same = small_batch(), small_batch()
    small_model()(batch)
    assert all(torch.equal(one, other) for one, other in zip(batch, same, strict=True))


# norms and training mode


def statistics(model: CenterMask) -> list[Tensor]:
    return [value.clone() for norm in batch_norms(model.backbone) for value in (norm.running_mean, norm.running_var)]


def test_training_mode_can_be_chained() -> None:
    model = small_model()
    assert model.train() is model
    assert model.training
    assert model.eval() is model
    assert not model.training


def test_masks_that_see_stride_4_change_no_box() -> None:
    finer, plain = small_model(mask_stride=4), small_model()
    plain.load_state_dict({key: value for key, value in finer.state_dict().items() if key != "pyramid.p2.weight"
                           and key != "pyramid.p2.bias"})  # fmt: skip
    features = finer.features(small_batch())
    assert [level.shape[3] for level in features.masks] == [48, 24, 12]
    assert [level.shape[3] for level in features.detection] == [24, 12, 6, 3, 2]
    for ours, theirs in zip(finer(small_batch()), plain(small_batch()), strict=True):
        assert len(ours.boxes)
        assert torch.equal(ours.boxes, theirs.boxes)
        assert not torch.equal(ours.masks, theirs.masks)


@torch.no_grad()
def test_with_a_margin_masks_are_made_in_wider_regions() -> None:
    # of one level only: the level is chosen by the box, not by the region
    plain, wide = small_model(mask_levels=1), small_model(mask_levels=1, mask_margin=0.25)
    features, sizes = plain.features(small_batch()), small_batch().sizes
    boxes = torch.tensor([[40.0, 20.0, 80.0, 60.0], [8.0, 8.0, 24.0, 40.0]])
    images, labels = torch.tensor([0, 1]), torch.tensor([0, 1])
    seen = wide.masks(features.masks, RoIs(boxes, images, labels), sizes)
    wanted = plain.masks(features.masks, RoIs(widen(boxes, 0.25), images, labels), sizes)
    assert torch.equal(seen.logits, wanted.logits)
    assert not torch.equal(seen.logits, plain.masks(features.masks, RoIs(boxes, images, labels), sizes).logits)


def test_boxes_that_see_stride_4_change_what_no_mask_sees() -> None:
    for mask_stride, widths in ((8, [24, 12, 6]), (4, [48, 24, 12])):
        features = (model := small_model(detection_stride=4, mask_stride=mask_stride)).features(small_batch())
        assert [level.shape[3] for level in features.masks] == widths
        assert [level.shape[3] for level in features.detection] == [48, 24, 12, 6, 3, 2]
        locations = model.locations(features)
        assert locations.strides.unique().tolist() == [4, 8, 16, 32, 64, 128]
        assert model.detection_head(features.detection).class_logits.shape[1] == len(locations.points)


def test_each_level_gives_no_more_candidates_than_it_may() -> None:
    # six levels: with one candidate each, an image has six boxes at most
    model = small_model(detection_stride=4, nms_iou=1.0)
    model.decoding = model.decoding._replace(candidates_per_level=1)
    assert [len(one.boxes) for one in model(small_batch())] == [6, 6]


def test_who_keeps_more_objects_has_candidates_enough_for_them() -> None:
    assert small_model(max_detections=50).decoding.candidates_per_level == 1000
    assert small_model(max_detections=400).decoding.candidates_per_level == 4000
    model = small_model(max_detections=50)
    for count, candidates in ((100, 1000), (101, 1010), (400, 4000), (20, 1000)):
        model.keep_detections(count)
        assert (model.decoding.max_detections, model.decoding.candidates_per_level) == (count, candidates)


def test_frozen_norms_stay_in_evaluation_mode_and_learn_nothing() -> None:
    model = small_model().train()
    before = statistics(model)
    model.features(small_batch())
    assert before
    assert all(torch.equal(one, other) for one, other in zip(statistics(model), before, strict=True))
    for norm in batch_norms(model.backbone):
        assert not norm.training
        assert not norm.weight.requires_grad
        assert not norm.bias.requires_grad


def test_batch_norms_learn_and_gather_statistics() -> None:
    model = small_model(norm="batch").train()
    before = statistics(model)
    model.features(small_batch())
    assert not any(torch.equal(one, other) for one, other in zip(statistics(model), before, strict=True))
    assert all(norm.training and norm.weight.requires_grad for norm in batch_norms(model.backbone))


def test_group_norms_leave_no_batch_norm_and_learn() -> None:
    model = small_model(norm="group").train()
    assert batch_norms(model) == []
    assert all(value.requires_grad for value in model.parameters())


@torch.no_grad()
def test_a_backbone_from_outside_may_be_used() -> None:
    backbone = Strided()
    model = build(ModelConfig(**SMALL), backbone=backbone).train()
    assert model.backbone is backbone
    assert not backbone.norm.training
    assert not backbone.norm.weight.requires_grad
    found = model.eval()(small_batch())
    assert [len(one.boxes) for one in found] == [8, 8]
