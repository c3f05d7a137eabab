"""Published checkpoints: every key finds its place, nothing is guessed, no code is run."""

import json
import os
import pickle
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from centermask.checkpoint import load_model, save_model
from centermask.config import ModelConfig
from centermask.errors import UserError
from centermask.model.centermask import CenterMask
from centermask.model.presets import PRESETS, build, preset
from centermask.published import (
    LEVEL_SCALES,
    backbone_key,
    from_published,
    import_backbone,
    import_published,
    published_names,
    read_pickle,
)
from tests.golden.weights import GOLDEN, ruled_weights

NAMES = sorted(path.name.removesuffix(".keys.json") for path in GOLDEN.glob("*.keys.json"))
SMALL = "centermask_lite_V_19_slim_dw_eSE_FPN_ms_4x"
MOBILE = "centermask_lite_Mv2_FPN_ms_4x"
IGNORED = ("num_batches_tracked", "pixel_mean", "pixel_std")


def preset_of(name: str) -> str:
    """The published name of a model to ours."""
    bare = re.sub(r"_eSE|_FPN_ms_\dx", "", name).lower().replace("_", "-")
    return re.sub(r"-v-(\d)", r"-v\1", bare)


def backbone_part(name: str) -> dict[str, Tensor]:
    prefix = "backbone.bottom_up."
    return {key.removeprefix(prefix): value for key, value in ruled_weights(name).items() if key.startswith(prefix)}


@pytest.fixture(scope="module")
def published() -> dict[str, Tensor]:
    return ruled_weights(SMALL)


@pytest.fixture(scope="module")
def config() -> ModelConfig:
    return preset(preset_of(SMALL))


@pytest.fixture(scope="module")
def model(published: dict[str, Tensor], config: ModelConfig) -> CenterMask:
    return from_published(published, config)


@pytest.mark.parametrize("name", NAMES)
def test_keys_and_shapes_are_the_published_ones_exactly(name: str) -> None:
    with torch.device("meta"):
        made = build(preset(preset_of(name)))
    state, asked = made.state_dict(), {}
    for ours, names in published_names(made).items():
        asked |= {theirs: list(state[ours].shape) if ours != LEVEL_SCALES else [1] for theirs in names}
    there = json.loads((GOLDEN / f"{name}.keys.json").read_text())
    assert asked == {key: shape for key, shape in there.items() if not key.endswith(IGNORED)}


def test_every_published_model_has_its_preset() -> None:
    assert {preset_of(name) for name in NAMES} <= PRESETS.keys()
    assert len(NAMES) == 11


def test_every_tensor_of_ours_is_the_published_one(published: dict[str, Tensor], model: CenterMask) -> None:
    state = model.state_dict()
    first = "backbone.stem.0.conv.weight"
    for ours, (theirs, *others) in published_names(model).items():
        if not others:
            source = published[theirs]
            assert torch.equal(state[ours], source.flip(1) if ours == first else source), ours
    scales = [published[f"proposal_generator.fcos_head.scales.{i}.scale"] for i in range(5)]
    assert torch.equal(state[LEVEL_SCALES], torch.cat(scales))


def test_the_first_convolution_is_turned_from_bgr_to_rgb(published: dict[str, Tensor], model: CenterMask) -> None:
    theirs = published["backbone.bottom_up.stem.stem_1/conv.weight"]
    ours = model.state_dict()["backbone.stem.0.conv.weight"]
    picture = torch.rand(1, 3, 8, 8)
    torch.testing.assert_close(
        torch.nn.functional.conv2d(picture, ours), torch.nn.functional.conv2d(picture.flip(1), theirs)
    )


def test_an_imported_network_survives_our_own_file(model: CenterMask, tmp_path: Path) -> None:
    save_model(model, tmp_path / "a.safetensors")
    loaded = load_model(tmp_path / "a.safetensors")
    assert loaded.config == model.config
    assert all(torch.equal(value, loaded.state_dict()[key]) for key, value in model.state_dict().items())


def test_bare_and_wrapped_files_give_the_same_network(
    published: dict[str, Tensor], config: ModelConfig, model: CenterMask, tmp_path: Path
) -> None:
    extra = {
        "pixel_mean": torch.zeros(3, 1, 1),
        "pixel_std": torch.ones(3, 1, 1),
        "backbone.bottom_up.stem.stem_1/norm.num_batches_tracked": torch.tensor(7),
    }
    for content in (published, {"model": published | extra, "iteration": 5}):
        torch.save(content, tmp_path / "w.pth")
        loaded = import_published(tmp_path / "w.pth", config).state_dict()
        assert all(torch.equal(value, loaded[key]) for key, value in model.state_dict().items())


def test_every_missing_unexpected_and_misshapen_key_is_named(published: dict[str, Tensor], config: ModelConfig) -> None:
    missing = [
        "backbone.fpn_lateral3.bias",
        "proposal_generator.fcos_head.scales.2.scale",
        "roi_heads.mask_head.deconv.bias",
    ]
    unexpected = [f"roi_heads.box_head.fc{i}.weight" for i in range(6)]
    broken = {key: value for key, value in published.items() if key not in missing}
    broken |= {key: torch.ones(1) for key in unexpected}
    broken |= {
        "backbone.fpn_lateral4.bias": torch.ones(3),
        "proposal_generator.fcos_head.scales.0.scale": torch.ones(2),
    }
    with pytest.raises(UserError) as told:
        from_published(broken, config, "w.pth")
    lines = str(told.value).splitlines()
    assert lines[0].startswith("w.pth does not hold a centermask-lite-v19-slim-dw of 80 classes")
    assert [line.strip() for line in lines if "missing" in line] == [f"missing: {key}" for key in sorted(missing)]
    assert [line.strip() for line in lines if "unexpected" in line] == [f"unexpected: {key}" for key in unexpected]
    assert sum("another shape" in line for line in lines) == 2
    assert any("fpn_lateral4.bias [3], expected [128]" in line for line in lines)
    assert any("scales.0.scale [2], expected [1]" in line for line in lines)


def test_another_class_count_is_refused_by_its_shapes(published: dict[str, Tensor], config: ModelConfig) -> None:
    with pytest.raises(UserError, match=r"cls_logits\.weight \[80, .*expected \[2, "):
        from_published(published, replace(config, class_names=("a", "b"), category_ids=()))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"backbone": "timm:resnet50"}, "no published weights fit the backbone timm:resnet50"),
        ({"mask_iou_head": "light"}, "no such part|does not hold"),
    ],
)
def test_what_was_never_published_is_refused_in_words(
    published: dict[str, Tensor], config: ModelConfig, change: dict, told: str
) -> None:
    with pytest.raises(UserError, match=told):
        from_published(published, replace(config, **change))


class Attack:
    """Asks whoever unpickles it to make a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.marker),)


def test_a_pickle_that_runs_code_is_refused_and_not_run(tmp_path: Path, config: ModelConfig) -> None:
    marker = tmp_path / "ran"
    torch.save({"model": {"a": torch.ones(1), "b": Attack(marker)}}, tmp_path / "zip.pth")
    torch.save({"model": Attack(marker)}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps(Attack(marker)))
    for name in ("zip.pth", "old.pth", "plain.pkl"):
        with pytest.raises(UserError, match=rf"{name}: not a checkpoint of plain tensors .* can run code"):
            import_published(tmp_path / name, config)
        with pytest.raises(UserError, match=name):
            import_backbone(tmp_path / name, config.backbone)
    assert not marker.exists()
    pickle.loads((tmp_path / "plain.pkl").read_bytes())
    assert marker.exists(), "the attack was real"


@pytest.mark.parametrize("content", [[torch.ones(1)], {"model": [1]}, {"a": 1}, {"model": {"a": "b"}}, torch.ones(1)])
def test_a_file_without_a_table_of_tensors_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"w\.pth: holds no table"):
        read_pickle(tmp_path / "w.pth")


@settings(deadline=None, max_examples=50)
@given(st.binary(max_size=100) | st.binary(max_size=60).map(lambda tail: b"\x80\x02" + tail))
def test_random_bytes_are_refused_by_name(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("random") / "r.pth"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"r\.pth"):
        read_pickle(path)


def test_a_cut_file_and_none_at_all_are_refused_by_name(tmp_path: Path) -> None:
    torch.save({"a": torch.arange(100.0)}, tmp_path / "w.pth")
    content = (tmp_path / "w.pth").read_bytes()
    for length in (0, 1, 50, len(content) // 2, len(content) - 1):
        (tmp_path / "cut.pth").write_bytes(content[:length])
        with pytest.raises(UserError, match=r"cut\.pth"):
            read_pickle(tmp_path / "cut.pth")
    with pytest.raises(UserError, match=r"none\.pth: no such file"):
        read_pickle(tmp_path / "none.pth")


# --- backbones alone ---


@pytest.mark.parametrize("prefix", ["", "backbone.bottom_up.", "module.", "module.backbone.bottom_up."])
@pytest.mark.parametrize(("name", "backbone"), [(SMALL, "vovnet19-slim-dw"), (MOBILE, "timm:mobilenetv2_100")])
def test_a_backbone_is_found_under_its_published_names(tmp_path: Path, name: str, backbone: str, prefix: str) -> None:
    theirs = backbone_part(name)
    torch.save({f"{prefix}{key}": value for key, value in theirs.items()}, tmp_path / "b.pth")
    for bgr in (False, True):
        ours = import_backbone(tmp_path / "b.pth", backbone, bgr=bgr)
        first = next(iter(ours))
        for key, value in ours.items():
            if not key.endswith("num_batches_tracked"):
                source = theirs[backbone_key(key, backbone)]
                assert torch.equal(value, source.flip(1) if bgr and key == first else source), key
        assert ours[first].shape[1] == 3, "the convolution that is turned takes the picture"


def test_a_backbone_alone_is_the_one_of_the_whole_network(
    published: dict[str, Tensor], model: CenterMask, tmp_path: Path
) -> None:
    torch.save({"model": published}, tmp_path / "w.pth")
    ours = import_backbone(tmp_path / "w.pth", model.config.backbone, bgr=True)
    own = model.backbone.state_dict()
    assert own.keys() == ours.keys()
    assert all(torch.equal(own[key], ours[key]) for key in own if not key.endswith("num_batches_tracked"))


@pytest.mark.parametrize("backbone", ["timm:mobilenetv2_100", "vovnet19-slim-dw", "timm:resnet18"])
def test_our_own_and_timms_names_are_understood(tmp_path: Path, backbone: str) -> None:
    own = build(ModelConfig(backbone=backbone)).backbone.state_dict()
    spelled = {key.removeprefix("network."): value for key, value in own.items()}
    for content in (own, {**spelled, "classifier.weight": torch.ones(3)}):
        torch.save(content, tmp_path / "b.pth")
        ours = import_backbone(tmp_path / "b.pth", backbone)
        assert ours.keys() == own.keys()
        assert all(torch.equal(own[key], ours[key]) for key in own if not key.endswith("num_batches_tracked"))


NORM = ("weight", "bias", "running_mean", "running_var")


def test_efficientnets_blocks_are_found_though_counted_through_all_stages(tmp_path: Path) -> None:
    backbone = "timm:tf_efficientnet_lite0"
    own = build(ModelConfig(backbone=backbone)).backbone.state_dict()
    own = {key: torch.rand(value.shape) if value.is_floating_point() else value for key, value in own.items()}
    theirs = {"_conv_stem.weight": own["network.conv_stem.weight"], "_fc.weight": torch.ones(3)}
    theirs |= {f"_bn0.{part}": own[f"network.bn1.{part}"] for part in NORM}
    depths = enumerate((1, 2, 2, 3, 3, 4, 1))
    for index, place in enumerate(f"{stage}.{block}" for stage, depth in depths for block in range(depth)):
        spelled = {"conv_pw": "_expand_conv", "bn1": "_bn0", "conv_dw": "_depthwise_conv", "bn2": "_bn1",
                   "conv_pwl": "_project_conv", "bn3": "_bn2"}  # fmt: skip
        if index == 0:  # does not expand
            spelled = {"conv_dw": "_depthwise_conv", "bn1": "_bn1", "conv_pw": "_project_conv", "bn2": "_bn2"}
        for name, name_there in spelled.items():
            for part in ["weight"] if name.startswith("conv") else NORM:
                theirs[f"_blocks.{index}.{name_there}.{part}"] = own[f"network.blocks.{place}.{name}.{part}"]
    torch.save(theirs, tmp_path / "lite0.pth")
    ours = import_backbone(tmp_path / "lite0.pth", backbone)
    assert ours.keys() == own.keys()
    assert all(torch.equal(own[key], ours[key]) for key in own if not key.endswith("num_batches_tracked"))
    del theirs["_blocks.15._bn2.bias"]
    torch.save(theirs, tmp_path / "lite0.pth")
    with pytest.raises(UserError, match=r"1 of \d+ tensors .*_blocks\.15\._bn2\.bias"):
        import_backbone(tmp_path / "lite0.pth", backbone)


def test_weights_in_16_bits_are_widened(tmp_path: Path) -> None:
    torch.save({key: value.half() for key, value in backbone_part(SMALL).items()}, tmp_path / "b.pth")
    ours = import_backbone(tmp_path / "b.pth", "vovnet19-slim-dw")
    assert {value.dtype for key, value in ours.items() if not key.endswith("tracked")} == {torch.float32}


def test_another_backbones_file_is_refused_and_what_it_lacks_is_named(tmp_path: Path) -> None:
    torch.save(backbone_part(MOBILE), tmp_path / "b.pth")
    with pytest.raises(UserError, match=r"b\.pth is no vovnet19-slim-dw: .* missing .*stem\.stem_1/conv\.weight"):
        import_backbone(tmp_path / "b.pth", "vovnet19-slim-dw")
    with pytest.raises(UserError, match=r"b\.pth is no timm:resnet18"):
        import_backbone(tmp_path / "b.pth", "timm:resnet18")
    cut = backbone_part(SMALL)
    cut["stem.stem_1/conv.weight"] = torch.ones(1)
    torch.save(cut, tmp_path / "c.pth")
    with pytest.raises(UserError, match=r"1 of \d+ tensors .*stem\.stem_1/conv\.weight"):
        import_backbone(tmp_path / "c.pth", "vovnet19-slim-dw")
