"""What a run starts from: classes by name, layers that do not learn."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor

from centermask.bundled import BUNDLED
from centermask.checkpoint import is_counter, save_model
from centermask.config import Norm, TrainConfig
from centermask.errors import UserError
from centermask.model.centermask import CenterMask
from centermask.model.presets import build, preset
from centermask.train import RunFolder
from centermask.train.initial import Donor, find_donor, freeze, start_from
from centermask.train.run import start
from tests.pictures import squares
from tests.train.conftest import TINY

Configs = Callable[..., TrainConfig]


def network(*classes: str, seed: int = 0, **changes: object) -> CenterMask:
    torch.manual_seed(seed)
    return build(replace(TINY, class_names=classes, category_ids=(), **changes))


def started(given: CenterMask, *classes: str, **changes: object) -> tuple[CenterMask, str]:
    model = network(*classes, seed=1, **changes)
    return model, start_from(model, Donor(name="donor", model=given))


def class_rows(model: CenterMask, layer: str = "detection_head.class_logits") -> dict[str, Tensor]:
    return dict(zip(model.config.class_names, model.state_dict()[f"{layer}.weight"], strict=True))


PER_CLASS = ["detection_head.class_logits", "mask_iou_head.predictor", "mask_head.predictor"]


@pytest.mark.parametrize("layer", PER_CLASS)
def test_classes_are_matched_by_name_whatever_their_place(layer: str) -> None:
    given = network("cat", "dog", "cow", class_agnostic_masks=False)
    model, told = started(given, "hen", "cow", "cat", class_agnostic_masks=False)
    before, after, fresh = (
        class_rows(one, layer)
        for one in (given, model, network("hen", "cow", "cat", seed=1, class_agnostic_masks=False))
    )
    assert torch.equal(after["cat"], before["cat"])
    assert torch.equal(after["cow"], before["cow"])
    assert torch.equal(after["hen"], fresh["hen"])
    assert "kept classes cow, cat" in told
    assert "new classes hen" in told
    assert "dropped classes dog" in told


def test_all_that_does_not_depend_on_classes_is_kept() -> None:
    given = network("cat", "dog")
    model, told = started(given, "stone")
    own = model.state_dict()
    different = {key.rpartition(".")[0] for key, value in given.state_dict().items()
                 if own[key].shape != value.shape or not torch.equal(own[key], value)}  # fmt: skip
    assert different == {"detection_head.class_logits", "mask_iou_head.predictor"}
    assert told.endswith("all else kept")


def test_the_same_classes_in_another_order_find_the_same() -> None:
    given = network("cat", "dog")
    model, _ = started(given, "dog", "cat")
    assert torch.equal(class_rows(model)["dog"], class_rows(given)["dog"])
    assert model.config.class_names == ("dog", "cat")


def test_a_one_class_network_without_masks_per_class_keeps_its_mask() -> None:
    given = network("cat", "dog")  # one mask for all classes
    model, _ = started(given, "stone")
    key = "mask_head.predictor.weight"
    assert torch.equal(model.state_dict()[key], given.state_dict()[key])


def test_other_ways_of_masks_are_new_layers_that_are_named() -> None:
    given = network("cat", "dog", attention_fusion="none")
    _, told = started(given, "cat", "dog", attention_fusion="multiply")
    assert "new layers mask_head.attention.conv" in told


def test_another_backbone_is_refused_by_name() -> None:
    with pytest.raises(UserError, match=r"donor: its backbone does not fit .* same preset"):
        started(network("cat", norm="group"), "cat", norm="frozen")


def test_a_run_starts_from_weights_with_other_classes(config: Configs, out: Path, tmp_path: Path) -> None:
    given = network("other", "square")
    save_model(given, tmp_path / "donor.safetensors")
    run = start(config(init=str(tmp_path / "donor.safetensors"), norm=None), [squares(4, 64)], RunFolder(path=out))
    assert torch.equal(class_rows(run.model)["square"], class_rows(given)["square"])
    assert run.model.config.norm == "frozen"
    assert "kept classes square; dropped classes other" in run.origin


def test_weights_of_another_preset_are_refused_with_the_flag_that_mends_it(config: Configs, tmp_path: Path) -> None:
    save_model(network("square"), tmp_path / "tiny.safetensors")
    with pytest.raises(UserError, match="holds a tiny, the run wants a centermask-nano; add --preset tiny"):
        find_donor(config(preset="centermask-nano", init=str(tmp_path / "tiny.safetensors")))


def test_a_longer_mask_head_makes_the_same_masks_at_first() -> None:
    given = network("cat", mask_convs=1)
    model, told = started(given, "cat", mask_convs=3)
    assert "new layers mask_head.convs.2, mask_head.convs.4" in told
    crops, labels = torch.randn(2, TINY.fpn_channels, 14, 14), torch.zeros(2, dtype=torch.int64)
    assert torch.equal(model.mask_head(crops, labels)[0], given.mask_head(crops, labels)[0])


def test_levels_keep_their_scales_where_a_finer_one_is_added_or_missing() -> None:
    coarse, fine = network("cat"), network("cat", detection_stride=4)
    with torch.no_grad():
        coarse.detection_head.level_scales.copy_(torch.arange(1.0, 6.0))
        fine.detection_head.level_scales.copy_(torch.arange(1.0, 7.0))
    finer, told = started(coarse, "cat", detection_stride=4)
    assert finer.detection_head.level_scales.tolist() == [1, 1, 2, 3, 4, 5]
    assert "new layers pyramid.p2" in told
    assert started(fine, "cat")[0].detection_head.level_scales.tolist() == [2, 3, 4, 5, 6]


def test_plus_nano_keeps_its_shape_and_takes_from_a_nano_what_fits(config: Configs, out: Path) -> None:
    settings = config(preset="centermask-plus-nano", init="nano", norm=None)
    run = start(settings, [squares(4, 64)], RunFolder(path=out))
    own, plus = run.model.config, preset("centermask-plus-nano")
    assert (own.preset, own.mask_convs, own.mask_stride) == (plus.preset, plus.mask_convs, plus.mask_stride)
    assert own.norm == "frozen"
    given = CenterMask.load(BUNDLED["nano"]).state_dict()
    for key, value in run.model.state_dict().items():
        if key.startswith(("backbone.", "detection_head.box_tower", "detection_head.ltrb")) and not is_counter(key):
            assert torch.equal(value, given[key]), key
    assert "starts from nano: " in run.origin


@pytest.mark.parametrize("norm", ["frozen", "group"])
def test_plus_nano_starts_from_any_nano_that_is_named(norm: Norm, config: Configs, out: Path, tmp_path: Path) -> None:
    given = build(replace(preset("centermask-nano", ("square",)), norm=norm))
    save_model(given, tmp_path / "mine.safetensors")
    named = config(preset="centermask-plus-nano", init=str(tmp_path / "mine.safetensors"), norm=None)
    run = start(named, [squares(4, 64)], RunFolder(path=out))
    assert (run.model.config.preset, run.model.config.norm, run.model.config.mask_convs) == (named.preset, norm, 4)
    assert torch.equal(class_rows(run.model)["square"], class_rows(given)["square"])


@pytest.mark.parametrize("name", BUNDLED)
def test_the_nanos_start_from_their_bundled_weights_unless_told_otherwise(name: str, config: Configs) -> None:
    nano = {"preset": f"centermask-{name}", "norm": None}
    donor = find_donor(config(**nano))
    assert donor is not None
    assert (donor.name, donor.model.config.preset) == (f"the bundled '{name}'", nano["preset"])
    assert find_donor(config(**nano, init="none")) is None
    assert find_donor(config(**nano, pretrained=True)) is None
    assert find_donor(config(**nano, backbone_weights="x")) is None
    assert find_donor(config(**nano | {"norm": "group"})) is None
    assert find_donor(config()) is None


@pytest.mark.parametrize("backbone", ["timm:mobilenetv2_100", "vovnet19-slim-dw", "timm:resnet18"])
def test_layers_up_to_a_stride_do_not_learn(backbone: str) -> None:
    def learning(stride: int) -> set[str]:
        model = build(replace(TINY, backbone=backbone, norm="group"))
        freeze(model, stride)
        return {name for name, value in model.backbone.named_parameters() if value.requires_grad}

    by_stride = [learning(stride) for stride in (0, 2, 4, 8, 16, 32)]
    assert all(more > fewer for more, fewer in pairwise(by_stride))
    assert not by_stride[-1]


def test_the_layers_frozen_are_those_whose_features_are_not_coarser() -> None:
    model = build(replace(TINY, norm="group"))
    freeze(model, 4)
    learning = {name for name, value in model.backbone.named_parameters() if value.requires_grad}
    stages = [name for name, _ in model.backbone.named_parameters() if "blocks" in name]
    # MobileNetV2: stem, block 0 and block 1 reach stride 4; block 2 begins with an expansion at stride 4.
    assert not [
        name for name in learning if name.startswith(("network.conv_stem", "network.blocks.0", "network.blocks.1."))
    ]
    assert "network.blocks.2.0.conv_dw.weight" in learning
    assert "network.blocks.2.0.conv_pw.weight" in set(stages) - learning


def test_frozen_layers_stay_as_they_are_while_others_learn(config: Configs, out: Path) -> None:
    run = start(config(freeze=8), [squares(4, 64)], RunFolder(path=out))
    held = {id(value) for group in run.optimizer.param_groups for value in group["params"]}
    frozen = [value for value in run.model.parameters() if not value.requires_grad]
    assert frozen
    assert not held & {id(value) for value in frozen}
    assert "do not learn" in run.origin
