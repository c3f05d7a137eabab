"""Exported files of every kind, through one door: the same network by hand gives the same answers everywhere."""

import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from centermask.errors import UserError
from centermask.images import Fitted, SoftInstances, fit
from centermask.predict import Predictor
from centermask.runtimes.exported import ExportedRuntime, read_header
from centermask.runtimes.open import open_exported, open_runtime
from centermask.runtimes.openvino import OpenVinoRuntime, to_hint
from centermask.runtimes.runtime import Runtime
from centermask.size import Size
from tests.runtimes.made import CONFIG, KINDS, LABELS, QUARTERS, SCORES, header, write

every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network in every form, for any size and for one plane."""
    out = tmp_path_factory.mktemp("exported")
    for kind in KINDS:
        write(out / f"any{kind}")
        write(out / f"plane{kind}", plane=Size(40, 72), pixels="float32")
    return out


def red(height: int, width: int, value: int) -> np.ndarray:
    return np.full((height, width, 3), [value, 0, 0], dtype=np.uint8)


def expected(size: tuple[int, int], value: int, count: int = 4) -> SoftInstances:
    height, width = size
    boxes = np.array(QUARTERS)[:count] * [width, height, width, height]
    return SoftInstances(boxes, np.array(SCORES)[:count], np.full(count, value / 255), np.array(LABELS)[:count],
                         np.ones((count, 28, 28)))  # fmt: skip


def agree(found: SoftInstances, wanted: SoftInstances) -> None:
    for one, other in zip(found, wanted, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, atol=1e-5)


@every_kind
@pytest.mark.parametrize("form", ["any", "plane"])
def test_each_picture_of_a_batch_gets_its_own_objects(kind: str, form: str, folder: Path) -> None:
    runtime = open_runtime(folder / f"{form}{kind}")
    assert isinstance(runtime, Runtime)
    assert runtime.config == CONFIG
    assert runtime.device == "cpu"
    assert runtime.plane == (None if form == "any" else (40, 72))
    sizes = [Size(40, 20), Size(16, 72)]
    found = runtime(fit([red(40, 20, 51), red(16, 72, 102)], sizes), 0.0)
    assert len(found) == 2
    agree(found[0], expected((40, 20), 51))
    agree(found[1], expected((16, 72), 102))


@every_kind
def test_objects_below_the_threshold_are_left_out(kind: str, folder: Path) -> None:
    runtime = open_runtime(folder / f"any{kind}")
    fitted = fit([red(32, 32, 255)], [Size(32, 32)])
    assert [len(runtime(fitted, threshold)[0].scores) for threshold in (0.0, 0.3, 0.7, 1.0)] == [4, 3, 1, 0]
    agree(runtime(fitted, 1.0)[0], expected((32, 32), 255, count=0))


@every_kind
def test_no_picture_gives_no_answer(kind: str, folder: Path) -> None:
    assert (
        open_runtime(folder / f"plane{kind}")(
            Fitted(np.zeros((0, 3, 32, 32), np.uint8), np.zeros((0, 2), np.int64)), 0.5
        )
        == []
    )


@every_kind
def test_fewer_objects_can_be_asked_for_but_not_more_than_were_exported(kind: str, folder: Path) -> None:
    runtime = open_runtime(folder / f"any{kind}")
    runtime.keep_detections(4)
    runtime.keep_detections(2)
    agree(runtime(fit([red(32, 64, 0)], [Size(32, 64)]), 0.0)[0], expected((32, 64), 0, count=2))
    with pytest.raises(UserError, match=r"at most 4 objects.*--max-detections 5"):
        Predictor(folder / f"any{kind}", max_detections=5)


@every_kind
def test_answers_of_a_predictor_are_in_pixels_of_the_original(kind: str, folder: Path) -> None:
    found = Predictor(folder / f"any{kind}")(red(200, 100, 51))
    np.testing.assert_allclose(found.boxes, [[50, 100, 100, 200], [0, 100, 50, 200], [50, 0, 100, 100]], atol=1e-4)
    assert found.class_names == ("bright", "dark", "bright")
    assert found.category_ids == (3, 9)
    assert found.masks[0, 105:195, 55:95].all()


@every_kind
@settings(max_examples=15, deadline=None)
@given(sizes=st.lists(st.tuples(st.integers(1, 300), st.integers(1, 300)), min_size=1, max_size=3))
def test_pictures_of_any_size_fit_into_a_plane(kind: str, folder: Path, sizes: list[tuple[int, int]]) -> None:
    predict = Predictor(folder / f"plane{kind}", score_threshold=0.0)
    for size, found in zip(sizes, predict.batch([red(*size, 51) for size in sizes]), strict=True):
        assert found.size == size
        # A quarter of a picture one pixel thin is half a pixel, and still reported.
        np.testing.assert_allclose(found.boxes, expected(size, 51).boxes, atol=1e-3)


@pytest.mark.parametrize(
    ("size", "wanted"),
    [
        ((10, 20), (36, 72)),  # enlarged, but by no more than the plane lets it
        ((100, 50), (40, 20)),
        ((40, 72), (40, 72)),
        ((1, 500), (1, 72)),
    ],
)
def test_a_plane_bounds_what_the_network_sees(size: tuple[int, int], wanted: tuple[int, int], folder: Path) -> None:
    runtime = Watched(open_runtime(folder / "plane.onnx"))
    Predictor(runtime)(red(*size, 51))
    assert runtime.seen == [list(wanted)]


class Watched:
    """Keeps the sizes that a runtime is shown."""

    def __init__(self, runtime: Runtime) -> None:
        self.config, self.device, self.plane = runtime.config, runtime.device, runtime.plane
        self.keep_detections = runtime.keep_detections
        self.runtime = runtime

    def __call__(self, fitted: Fitted, score_threshold: float) -> list[SoftInstances]:
        self.seen = fitted.sizes.tolist()
        return self.runtime(fitted, score_threshold)


def test_a_picture_that_must_not_be_resized_must_fit_into_the_plane(folder: Path) -> None:
    predict = Predictor(folder / "plane.onnx", resize=False)
    assert predict(red(40, 72, 51)).size == (40, 72)
    with pytest.raises(UserError, match=r"41 × 72 pixels does not fit into the 40 × 72"):
        predict(red(41, 72, 51))


def test_a_runtime_has_its_device_already(folder: Path) -> None:
    with pytest.raises(UserError, match="leave them out"):
        Predictor(open_runtime(folder / "any.onnx"), device="cpu")


@every_kind
def test_full_masks_are_given_only_by_a_file_that_was_exported_with_them(kind: str, folder: Path) -> None:
    runtime = open_exported(folder / f"any{kind}")
    assert isinstance(runtime, ExportedRuntime)
    assert runtime.precision == "fp32"
    with pytest.raises(UserError, match=f"any{kind}: gives no full masks; export it again with --full-masks"):
        runtime.with_full_masks(fit([red(32, 64, 0)], [Size(32, 64)]), 0.0)


# --- what cannot be opened ---


@every_kind
def test_an_ending_in_capitals_opens_without_a_word(
    kind: str, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for source in folder.glob("any.*"):
        name = source.name.upper() if source.suffix == kind else f"ANY{source.suffix}"
        (tmp_path / name).write_bytes(source.read_bytes())
    assert open_runtime(tmp_path / f"ANY{kind.upper()}").config == CONFIG
    assert not caplog.records


@pytest.mark.parametrize("kept", [0.1, 0.99])
def test_a_file_that_was_cut_off_is_refused_without_torchs_log(
    kept: float, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = (folder / "any.pt2").read_bytes()
    (tmp_path / "a.pt2").write_bytes(content[: int(kept * len(content))])
    with pytest.raises(UserError, match=r"a\.pt2: cannot be opened by torch.export"):
        open_runtime(tmp_path / "a.pt2")
    assert not caplog.records


def test_another_archive_is_refused_with_the_reason_that_torch_only_logs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with zipfile.ZipFile(tmp_path / "a.pt2", "w") as archive:
        archive.writestr("a/readme.txt", "nothing")
    with pytest.raises(UserError, match=r"cannot be opened by torch.export \(Expected hasRecord\(.version.\)"):
        open_runtime(tmp_path / "a.pt2")
    assert not caplog.records


@every_kind
@pytest.mark.parametrize("asked", [{"precision": "bf16"}, {"precision": "auto"}, {"compile": True}])
def test_precision_and_compile_are_fixed_at_export(kind: str, asked: dict[str, object], folder: Path) -> None:
    with pytest.raises(UserError, match=f"any{kind}.*leave this out"):
        Predictor(folder / f"any{kind}", **asked)


@every_kind
def test_a_file_that_we_did_not_export_is_refused(kind: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"a{kind}: was not exported by centermask"):
        open_runtime(write(tmp_path / f"a{kind}", ""))


@every_kind
def test_a_broken_file_is_refused_by_name(kind: str, folder: Path, tmp_path: Path) -> None:
    content = (folder / f"any{kind}").read_bytes()
    (tmp_path / "a.bin").write_bytes(b"")
    for broken in (b"", b"\x00nonsense", content[: len(content) // 2]):
        (tmp_path / f"a{kind}").write_bytes(broken)
        with pytest.raises(UserError, match=f"a{kind}: cannot be opened.*export it again"):
            open_runtime(tmp_path / f"a{kind}")


@every_kind
def test_a_missing_file_is_named(kind: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="an exported file"):
        Predictor(tmp_path / f"a{kind}")


@every_kind
@pytest.mark.parametrize("device", ["warp", "cuda:99", "cuda:x"])
def test_a_device_that_cannot_be_used_is_named(kind: str, device: str, folder: Path) -> None:
    with pytest.raises(UserError, match=f"device '{device}' cannot be used"):
        Predictor(folder / f"any{kind}", device=device)


@every_kind
def test_a_device_is_known_by_its_name(kind: str, folder: Path) -> None:
    assert Predictor(folder / f"any{kind}", device="cpu").device == "cpu"


def test_both_files_of_openvino_are_needed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "any.xml").write_bytes((folder / "any.xml").read_bytes())
    with pytest.raises(UserError, match=r"any\.bin: no such file.*beside"):
        open_runtime(tmp_path / "any.xml")
    with pytest.raises(UserError, match=r"give .*any\.xml"):
        open_runtime(folder / "any.bin")


@pytest.mark.parametrize("text", ["", "[", "[]", "7", '{"kind": "model"}', '{"kind": "exported"}'])
def test_a_header_that_is_not_ours_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"a\.onnx: was not exported by centermask"):
        read_header(text, Path("a.onnx"))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"config": CONFIG.to_dict() | {"anchors": 9}}, "unknown key 'anchors'"),
        ({"config": CONFIG.to_dict() | {"max_detections": 0}}, "max_detections"),
        ({"precision": "fp4"}, "fp4"),
        ({"plane": [0, 32]}, r"\[0, 32\]"),
    ],
)
def test_a_header_of_another_version_is_refused(changes: dict[str, object], complaint: str) -> None:
    with pytest.raises(UserError, match=rf"a\.onnx: .*{complaint}.*export it again"):
        read_header(header(**changes), Path("a.onnx"))


def test_a_header_is_read_as_it_was_written() -> None:
    read = read_header(header(plane=Size(40, 72), pixels="float32", precision="int8"), Path("a.onnx"))
    assert (read.config, read.precision, read.float_pixels, read.plane) == (CONFIG, "int8", True, Size(40, 72))


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16", "int8"])
def test_openvino_computes_a_file_of_any_precision(precision: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.xml", header(precision=precision))
    fitted = fit([red(32, 64, 255)], [Size(32, 64)])
    for compute_in in (None, "fp32", "bf16"):
        with warnings.catch_warnings():  # a processor without bf16 says so, and computes all the same
            warnings.filterwarnings("ignore", message=".*does not compute in bf16")
            found = OpenVinoRuntime(path, threads=1, compute_in=compute_in)(fitted, 0.0)
        np.testing.assert_allclose(found[0].boxes, expected((32, 64), 255).boxes, rtol=0.01)


class Capable:
    """A stand-in for OpenVINO's core, for processors and cards that this machine is not."""

    def __init__(self, *precisions: str) -> None:
        self.precisions = precisions

    def get_property(self, device: str, name: str) -> list[str]:
        assert name == "OPTIMIZATION_CAPABILITIES"
        return [*self.precisions]


@pytest.mark.parametrize(
    ("device", "can", "precision", "hint"),
    [
        ("CPU", ("FP32", "FP16", "BF16"), "fp16", "f32"),  # in f16 OpenVINO would never end preparing it
        ("CPU", ("FP32", "FP16", "BF16"), "bf16", "bf16"),
        ("CPU", ("FP32",), "fp16", "f32"),
        ("GPU", ("FP32", "FP16"), "fp16", "f16"),
        ("GPU", ("FP32",), "fp16", "f32"),
        ("CPU", ("FP32", "FP16", "BF16"), "int8", "f32"),
    ],
)
def test_openvino_is_told_in_what_to_compute(device: str, can: tuple[str, ...], precision: str, hint: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert to_hint(Capable(*can), device, precision, Path("a.xml")) == hint


def test_a_device_without_bf16_computes_in_fp32_and_says_so() -> None:
    with pytest.warns(UserWarning, match=r"a\.xml: this device does not compute in bf16; computing in fp32 instead"):
        assert to_hint(Capable("FP32"), "CPU", "bf16", Path("a.xml")) == "f32"
