"""One file, any engine: each gives what the network gives in PyTorch."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from centermask.export.graph import Answer
from centermask.export.header import make_header
from centermask.export.onnx_file import set_header
from centermask.export.plan import Plan
from centermask.files import EXPORTED
from centermask.images import Fitted
from centermask.ops.mask_warp import paste
from centermask.runtimes.exported import HEADER
from centermask.runtimes.open import open_exported
from centermask.runtimes.openvino import import_openvino
from centermask.size import Size
from tests.export.conftest import PLANE
from tests.export.files import Exported, ask, assert_same, in_torch, noise, objects, write

ENGINES = ("onnx", "openvino", "torch-export")
PLACES = 8
sides = st.integers(1, 200)
some_sizes = st.lists(st.tuples(sides, sides), min_size=1, max_size=3)


def between(expected: list[Any], kept: int) -> float:
    """A threshold that about ``kept`` of all objects pass."""
    scores = np.sort(np.concatenate([[1.0], *(one.scores for one in expected), [0.0]]))[::-1]
    kept = min(kept, len(scores) - 2)
    return float((scores[kept] + scores[kept + 1]) / 2)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=20, deadline=None, derandomize=True)
@given(sizes=some_sizes, kept=st.integers(0, 3 * PLACES), seed=st.integers(0, 9))
def test_pictures_of_any_size_and_number_give_what_pytorch_gives(
    small: Exported, engine: str, sizes: list[tuple[int, int]], kept: int, seed: int
) -> None:
    pixels = noise(sizes, seed)
    expected = in_torch(small.model, pixels, sizes)
    threshold = between(expected, kept)
    assert_same(ask(small.engines[engine], pixels, sizes, threshold), expected, threshold, PLACES)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", ["other", "timm"])
@settings(max_examples=6, deadline=None, derandomize=True)
@given(sizes=some_sizes, kept=st.integers(0, 3 * PLACES))
def test_every_kind_of_network_gives_what_pytorch_gives(
    request: pytest.FixtureRequest, kind: str, engine: str, sizes: list[tuple[int, int]], kept: int
) -> None:
    made: Exported = request.getfixturevalue(kind)
    pixels = noise(sizes).astype("float32" if kind == "other" else "uint8")
    expected = in_torch(made.model, pixels, sizes)
    threshold = between(expected, kept)
    assert_same(ask(made.engines[engine], pixels, sizes, threshold), expected, threshold, PLACES)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_a_file_of_fixed_shapes_gives_what_pytorch_gives(fixed: Exported, engine: str) -> None:
    for size in (PLANE, Size(1, 1), Size(40, 101)):
        pixels = noise([size], plane=PLANE)
        expected = in_torch(fixed.model, pixels, [size])
        assert_same(ask(fixed.engines[engine], pixels, [size]), expected, 0.0, PLACES)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_nothing_one_and_all_places_are_ordinary(small: Exported, engine: str) -> None:
    sizes = [(90, 120), (64, 50)]
    pixels = noise(sizes)
    expected = in_torch(small.model, pixels, sizes)
    none = ask(small.engines[engine], pixels, sizes, 1.5)
    assert none["counts"].tolist() == [0, 0]
    assert not any(values.any() for values in none.values())
    one = ask(small.engines[engine], pixels, sizes, between(expected, 1))
    assert one["counts"].sum() == 1
    assert ask(small.engines[engine], pixels, sizes)["counts"].tolist() == [PLACES, PLACES]


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_pictures_of_one_run_do_not_see_each_other(small: Exported, engine: str) -> None:
    sizes = [(90, 120), (64, 50), (128, 128)]
    pixels = noise(sizes)
    together = ask(small.engines[engine], pixels, sizes)
    for image, size in enumerate(sizes):
        alone = ask(small.engines[engine], pixels[image : image + 1], [size])
        assert_same(alone, [objects(together, image)], 0.0, PLACES)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_full_masks_are_the_masks_pasted(other: Exported, engine: str) -> None:
    sizes = [(90, 120), (64, 50)]
    found = ask(other.engines[engine], noise(sizes).astype(np.float32), sizes)
    assert found["full_masks"].dtype == np.uint8
    assert found["full_masks"].shape == (2, PLACES, 90, 120)
    assert found["full_masks"].any()
    for image in range(2):
        for place in range(found["counts"][image]):
            plane = found["full_masks"][image, place].astype(bool)
            mask, box = found["masks"][image, place], found["boxes"][image, place].astype(float)
            pasted = paste(mask, box, Size(90, 120), fills_box=other.model.config.masks_fill_boxes)
            (top, left), (height, width) = (pasted.top, pasted.left), pasted.pixels.shape
            differing = plane[top : top + height, left : left + width] != pasted.pixels
            assert differing.sum() <= 2  # a pixel at exactly one half may round to either side
            assert plane.sum() == plane[top : top + height, left : left + width].sum()


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(EXPORTED))
def test_a_runtime_gives_the_full_masks_of_its_objects(other: Exported, kind: str, tmp_path: Path) -> None:
    plan = Plan(format="onnx", precision="fp32", plane=None, pixel_kind="float32", full_masks=True)
    path = write(other, make_header(plan, other.model.config, {}), tmp_path / f"a{kind}")
    runtime = open_exported(path)
    sizes = [(90, 120), (64, 50)]
    fitted = Fitted(noise(sizes), np.array(sizes))
    given, expected = runtime.with_full_masks(fitted, 0.0), runtime(fitted, 0.0)
    assert [one.full_masks.shape for one in given] == [(len(one.scores), 90, 120) for one in expected]
    assert all(one.full_masks.any() for one in given)
    for (found, full_masks), alone in zip(given, expected, strict=True):
        for field, other_field in zip(found, alone, strict=True):
            np.testing.assert_array_equal(field, other_field)
        for mask, box, plane in zip(found.masks, found.boxes.astype(float), full_masks, strict=True):
            pixels, left, top = paste(mask, box, Size(90, 120), fills_box=other.model.config.masks_fill_boxes)
            assert (plane[top : top + pixels.shape[0], left : left + pixels.shape[1]] != pixels).sum() <= 2


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["small", "other", "timm", "fixed"])
def test_an_onnx_file_holds_standard_operators_only(request: pytest.FixtureRequest, kind: str) -> None:
    made: Exported = request.getfixturevalue(kind)
    onnx.checker.check_model(made.onnx, full_check=True)
    assert {node.domain for node in made.onnx.graph.node} == {""}
    assert {one.domain for one in made.onnx.opset_import} == {""}
    assert not made.onnx.functions
    assert "GridSample" not in {node.op_type for node in made.onnx.graph.node}


@pytest.mark.slow
def test_the_names_and_kinds_are_the_same_everywhere(other: Exported) -> None:
    names = ["pixels", "sizes", "score_threshold"]
    assert [value.name for value in other.onnx.graph.input] == names
    assert [value.name for value in other.onnx.graph.output] == list(Answer._fields)
    network = import_openvino().Core().read_model(other.xml)
    assert [value.any_name for value in network.inputs] == names
    assert [value.any_name for value in network.outputs] == list(Answer._fields)
    assert [value.element_type.get_type_name() for value in network.inputs] == ["f32", "i64", "f32"]
    for engine in other.engines.values():
        kinds = {
            name: values.dtype.name for name, values in ask(engine, noise([(9, 9)]) / np.float32(1), [(9, 9)]).items()
        }
        assert kinds == dict.fromkeys(("boxes", "scores", "box_scores", "masks"), "float32") | {
            "labels": "int64", "counts": "int64", "full_masks": "uint8"
        }  # fmt: skip


@pytest.mark.slow
def test_dimensions_are_free_or_fixed_as_asked(small: Exported, fixed: Exported) -> None:
    def shape(model: onnx.ModelProto) -> list[Any]:
        return [one.dim_param or one.dim_value for one in model.graph.input[0].type.tensor_type.shape.dim]

    assert shape(small.onnx) == ["images", 3, "height", "width"]
    assert shape(fixed.onnx) == [1, 3, *PLANE]


@pytest.mark.slow
def test_a_saved_program_loads_back_and_agrees(small: Exported, tmp_path: Any) -> None:
    torch.export.save(small.program, tmp_path / "small.pt2")
    module = torch.export.load(tmp_path / "small.pt2").module(check_guards=False)
    pixels, sizes = torch.from_numpy(noise([(70, 50)])), torch.tensor([[70, 50]])
    again = module(pixels, sizes, torch.tensor(0.0))
    before = small.program.module(check_guards=False)(pixels, sizes, torch.tensor(0.0))
    assert all(torch.equal(one, other) for one, other in zip(again, before, strict=True))


def test_a_second_header_takes_the_place_of_the_first() -> None:
    model = onnx.ModelProto()
    set_header(model, "one")
    set_header(model, "two")
    assert [(entry.key, entry.value) for entry in model.metadata_props] == [(HEADER, "two")]
