"""Weights with their configuration: load is the inverse of save, and strict."""

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from centermask.checkpoint import (
    HEADER,
    load_backbone,
    load_model,
    load_strictly,
    load_tensors,
    save_backbone,
    save_model,
    save_tensors,
)
from centermask.config import ModelConfig
from centermask.errors import UserError
from centermask.model.centermask import CenterMask
from centermask.model.presets import build, preset

TINY = replace(
    preset("centermask-nano", ("cat", "person")),
    preset="custom",
    category_ids=(17, 1),
    fpn_channels=32,
    tower_convs=1,
    mask_convs=1,
    test_short_side=64,
    test_long_side=96,
)


@pytest.fixture(scope="module")
def model() -> CenterMask:
    """A small network whose statistics are not those of a fresh one."""
    torch.manual_seed(0)
    made = build(TINY)
    with torch.no_grad():
        for value in made.state_dict().values():
            if value.is_floating_point():
                value.add_(0.01 * torch.rand_like(value))
    return made


@pytest.fixture(scope="module")
def whole(model: CenterMask, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "a.safetensors"
    save_model(model, path, notes={"licence": "CC0", "epoch": 3})
    return path


def weights(model: CenterMask) -> dict[str, torch.Tensor]:
    return {key: value for key, value in model.state_dict().items() if not key.endswith("num_batches_tracked")}


def test_a_network_comes_back_bit_for_bit(model: CenterMask, whole: Path) -> None:
    loaded = load_model(whole)
    assert loaded.config == TINY
    assert loaded.config.class_names == ("cat", "person")
    assert loaded.config.category_ids == (17, 1)
    torch.testing.assert_close(weights(loaded), weights(model), rtol=0, atol=0)


def test_notes_travel_in_the_header(whole: Path) -> None:
    header, _ = load_tensors(whole)
    assert header["notes"] == {"licence": "CC0", "epoch": 3}


def test_saving_what_was_loaded_gives_the_same_file(whole: Path, tmp_path: Path) -> None:
    save_model(load_model(whole), tmp_path / "b.safetensors", notes={"licence": "CC0", "epoch": 3})
    assert (tmp_path / "b.safetensors").read_bytes() == whole.read_bytes()


def test_half_takes_half_and_comes_back_rounded(model: CenterMask, whole: Path, tmp_path: Path) -> None:
    save_model(model, tmp_path / "h.safetensors", half=True)
    assert (tmp_path / "h.safetensors").stat().st_size < 0.52 * whole.stat().st_size
    loaded = weights(load_model(tmp_path / "h.safetensors"))
    rounded = {key: value.half().float() for key, value in weights(model).items()}
    torch.testing.assert_close(loaded, rounded, rtol=0, atol=0)


def test_what_16_bits_cannot_hold_stays_whole(tmp_path: Path) -> None:
    large = build(TINY)
    key = "backbone.network.bn1.running_var"
    large.state_dict()[key].fill_(1e6)
    save_model(large, tmp_path / "h.safetensors", half=True)
    assert (load_model(tmp_path / "h.safetensors").state_dict()[key] == 1e6).all()


def test_a_failed_save_is_told_in_words(model: CenterMask, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(UserError, match="cannot be written"):
        save_model(model, tmp_path / "a" / "b.safetensors")


@pytest.mark.parametrize("share", [0.0, 1e-7, 1e-6, 1e-3, 0.5, 0.999999])
def test_a_cut_network_is_refused_by_name(whole: Path, tmp_path: Path, share: float) -> None:
    content, path = whole.read_bytes(), tmp_path / "cut.safetensors"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match=r"cut\.safetensors: .*copy it again"):
        load_model(path)


def small_file(folder: Path) -> Path:
    save_tensors({"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(1)}, folder / "s.safetensors", {"kind": "x"})
    return folder / "s.safetensors"


def test_a_file_cut_at_any_byte_is_refused(tmp_path: Path) -> None:
    content = small_file(tmp_path).read_bytes()
    for length in range(len(content)):
        (tmp_path / "cut.safetensors").write_bytes(content[:length])
        with pytest.raises(UserError, match=r"cut\.safetensors"):
            load_tensors(tmp_path / "cut.safetensors")


@settings(deadline=None)
@given(place=st.integers(0, 300), byte=st.integers(0, 255))
def test_a_changed_byte_gives_an_answer_or_a_user_error(
    tmp_path_factory: pytest.TempPathFactory, place: int, byte: int
) -> None:
    folder = tmp_path_factory.mktemp("changed")
    path = small_file(folder)
    content = bytearray(path.read_bytes())
    content[place % len(content)] = byte
    path.write_bytes(content)
    with suppress(UserError):
        header, tensors = load_tensors(path)
        assert isinstance(header, dict)
        assert all(isinstance(value, torch.Tensor) for value in tensors.values())


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_are_refused_by_name(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("random") / "r.safetensors"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"r\.safetensors"):
        load_tensors(path)


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        (None, "not one of centermask's"),
        ({"format": "pt"}, "not one of centermask's"),
        ({HEADER: "{"}, "not a readable"),
        ({HEADER: "[1]"}, "not a readable"),
        ({HEADER: "{}"}, "not a network"),
        ({HEADER: '{"kind": "backbone"}'}, "holds backbone, not a network"),
        ({HEADER: '{"kind": "model"}'}, "no configuration"),
        ({HEADER: '{"kind": "model", "config": 5}'}, "no configuration"),
        ({HEADER: '{"kind": "model", "config": {"class_nams": ["a"]}}'}, "did you mean 'class_names'"),
        ({HEADER: '{"kind": "model", "config": {"norm": "layer"}}'}, "norm"),
        ({HEADER: '{"kind": "model", "config": {"backbone": "vovnet20"}}'}, "no backbone 'vovnet20'"),
    ],
)
def test_other_safetensors_are_refused_in_words(tmp_path: Path, metadata: dict[str, str] | None, told: str) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "o.safetensors", metadata=metadata)
    with pytest.raises(UserError, match=told):
        load_model(tmp_path / "o.safetensors")


def test_a_missing_file_a_folder_and_a_pickle_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.safetensors", tmp_path):
        with pytest.raises(UserError, match="no such file"):
            load_model(path)
    torch.save({"a": torch.ones(1)}, tmp_path / "a.pth")
    with pytest.raises(UserError, match=r"a\.pth: .*import-published"):
        load_model(tmp_path / "a.pth")


def saved_with(folder: Path, tensors: dict[str, torch.Tensor], config: ModelConfig = TINY) -> Path:
    path = folder / "w.safetensors"
    save_file(tensors, path, metadata={HEADER: json.dumps({"kind": "model", "config": config.to_dict()})})
    return path


def test_missing_unexpected_and_misshapen_weights_are_named(model: CenterMask, tmp_path: Path) -> None:
    kept = {key: value.contiguous() for key, value in weights(model).items()}
    first = next(iter(kept))
    kept["extra"] = torch.ones(1)
    kept["mask_head.deconv.bias"] = torch.ones(7)
    del kept[first]
    with pytest.raises(UserError, match=r"w\.safetensors") as told:
        load_model(saved_with(tmp_path, kept))
    assert f"{first} is missing" in str(told.value)
    assert "extra is unexpected" in str(told.value)
    assert "mask_head.deconv.bias is [7], expected [32]" in str(told.value)


def test_weights_of_another_class_count_are_refused(model: CenterMask, tmp_path: Path) -> None:
    kept = {key: value.contiguous() for key, value in weights(model).items()}
    with pytest.raises(UserError, match=r"class_logits.*expected \[3"):
        load_model(saved_with(tmp_path, kept, replace(TINY, class_names=("a", "b", "c"), category_ids=())))


def test_refused_weights_leave_the_module_untouched() -> None:
    module = torch.nn.Linear(2, 3)
    before = module.weight.clone()
    with pytest.raises(UserError, match="bias is missing"):
        load_strictly(module, {"weight": torch.zeros(3, 2)}, "here")
    assert torch.equal(module.weight, before)


def test_many_faults_are_counted_not_listed() -> None:
    module = torch.nn.Sequential(*(torch.nn.Linear(1, 1) for _ in range(4)))
    with pytest.raises(UserError, match="and 5 more"):
        load_strictly(module, {}, "here")


def test_a_backbone_comes_from_its_own_file_or_a_whole_network(model: CenterMask, whole: Path, tmp_path: Path) -> None:
    save_backbone(model.backbone.state_dict(), tmp_path / "b.safetensors", TINY.backbone)
    for path in (tmp_path / "b.safetensors", whole):
        fresh = build(replace(TINY, class_names=("stone",), category_ids=(), mask_convs=2))
        head = fresh.pyramid.laterals[0].weight.clone()
        load_backbone(fresh, path)
        own, loaded = model.backbone.state_dict(), fresh.backbone.state_dict()
        assert own.keys() == loaded.keys()
        assert all(torch.equal(own[key], loaded[key]) for key in own)
        assert torch.equal(fresh.pyramid.laterals[0].weight, head)


def test_another_backbone_is_refused(whole: Path, tmp_path: Path) -> None:
    other = build(preset("centermask-lite-v19-slim-dw", ("a",)))
    with pytest.raises(UserError, match=r"holds the backbone timm:mobilenetv2_100, the network has vovnet19-slim-dw"):
        load_backbone(other, whole)
    save_tensors({"a": torch.ones(1)}, tmp_path / "o.safetensors", {"kind": "other"})
    with pytest.raises(UserError, match="holds the backbone None"):
        load_backbone(other, tmp_path / "o.safetensors")
