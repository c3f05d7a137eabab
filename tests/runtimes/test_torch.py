"""PyTorch as a runtime: what is done to a network that was given, and what to one that was opened."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from centermask.bundled import BUNDLED
from centermask.errors import UserError
from centermask.images import Fitted, SoftInstances
from centermask.model.centermask import CenterMask
from centermask.predict import Predictor
from centermask.runtimes.open import open_runtime
from centermask.runtimes.precision import has_bf16
from centermask.runtimes.runtime import Runtime, memory_in_words
from centermask.runtimes.torch import TorchRuntime
from centermask.structures import ImageBatch
from tests.export.files import lively_model
from tests.model.small import small_model
from tests.test_predict import Quadrants


def noise(images: int = 2) -> Fitted:
    """The second picture is smaller than its plane."""
    pixels = np.random.default_rng(0).integers(0, 256, (images, 3, 96, 128), dtype=np.uint8)
    return Fitted(pixels, np.array([[96, 128], [70, 100]])[:images])


def by_box(found: SoftInstances) -> SoftInstances:
    order = np.lexsort(found.boxes.T)
    return SoftInstances(*(field[order] for field in found))


def test_answers_are_those_of_the_network() -> None:
    network = small_model()
    runtime = TorchRuntime(network)
    assert isinstance(runtime, Runtime)
    assert (runtime.device, runtime.plane) == ("cpu", None)
    found = runtime(noise(), 0.0)
    with torch.inference_mode():
        wanted = network(ImageBatch(*map(torch.from_numpy, noise())))
    assert len(found) == 2
    for one, other in zip(found, wanted, strict=True):
        assert len(one.scores) > 0
        for field, tensor in zip(one, other, strict=True):
            np.testing.assert_array_equal(field, tensor.numpy())


def test_no_object_in_any_picture_is_ordinary() -> None:
    found = TorchRuntime(small_model())(noise(), 1.0)
    assert [len(one.scores) for one in found] == [0, 0]
    assert found[0].masks.shape == (0, 28, 28)


def test_a_network_that_was_given_keeps_its_weights_as_they_are() -> None:
    network = small_model().train()
    before = {name: (value.dtype, value.stride(), value.data_ptr()) for name, value in network.named_parameters()}
    runtime = TorchRuntime(network)
    runtime(noise(), 0.0)
    assert {
        name: (value.dtype, value.stride(), value.data_ptr()) for name, value in network.named_parameters()
    } == before
    assert runtime.network is network
    assert not network.training


def test_fewer_objects_are_the_best_by_score_and_not_by_box_score() -> None:
    network = lively_model()
    picture = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    every = Predictor(network, score_threshold=0.0)(picture)
    assert every.scores.argmax() != every.box_scores.argmax()  # else this would prove nothing
    for count in (1, 3, 2):  # and a smaller number does not stick
        few = Predictor(network, score_threshold=0.0, max_detections=count)(picture)
        np.testing.assert_array_equal(few.scores, np.sort(every.scores)[::-1][:count])


def test_more_objects_than_the_network_was_made_for_can_be_had() -> None:
    network = small_model()
    assert len(Predictor(network, score_threshold=0.0, max_detections=20)(np.zeros((96, 128, 3), np.uint8))) > 8


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    small_model().save(path)
    return path


def test_weights_that_were_opened_lie_as_convolutions_read_them(weights: Path) -> None:
    runtime = TorchRuntime.load(weights, "cpu")
    kernels = [value for value in runtime.network.parameters() if value.ndim == 4]
    assert all(kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels)
    for found, wanted in zip(runtime(noise(), 0.0), TorchRuntime(small_model())(noise(), 0.0), strict=True):
        for one, other in zip(by_box(found), by_box(wanted), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-3)


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", "float32"), ("bf16", "bfloat16"), ("fp16", "float16")])
def test_weights_compute_in_the_precision_asked_for_and_answer_in_float32(
    precision: str, dtype: str, weights: Path
) -> None:
    predictor = Predictor(weights, device="cpu", precision=precision, score_threshold=0.0, short_side=64)
    assert next(predictor.model.network.backbone.parameters()).dtype == getattr(torch, dtype)
    found = predictor(np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8))
    assert found.scores.dtype == np.float32
    assert len(found) > 0


def test_auto_is_bf16_where_the_processor_computes_in_it(weights: Path) -> None:
    network = open_runtime(weights, "cpu", precision="auto").network
    wanted = torch.bfloat16 if has_bf16(gpu=False) else torch.float32
    assert next(network.backbone.parameters()).dtype == wanted


def test_without_a_word_precision_is_fp32(weights: Path) -> None:
    assert next(open_runtime(weights, "cpu").network.backbone.parameters()).dtype == torch.float32


def test_bf16_finds_what_fp32_finds_in_a_photo() -> None:
    import skimage.data

    fp32, bf16 = (Predictor("nano", device="cpu", precision=precision)(skimage.data.chelsea())
                  for precision in ("fp32", "bf16"))  # fmt: skip
    assert fp32.class_names == bf16.class_names == ("cat",)
    np.testing.assert_allclose(bf16.boxes, fp32.boxes, atol=5)
    assert (bf16.masks & fp32.masks).sum() > 0.95 * (bf16.masks | fp32.masks).sum()


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(UserError, match="auto, fp32, bf16, fp16"):
        Predictor(Quadrants(), precision="fp64")


@pytest.mark.parametrize("asked", [{"precision": "bf16"}, {"compile": True}])
def test_only_our_own_network_can_be_converted(asked: dict[str, object]) -> None:
    with pytest.raises(UserError, match="not for Quadrants"):
        Predictor(Quadrants(), **asked)


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_weights_have_a_name(name: str) -> None:
    runtime = open_runtime(name, "cpu")
    assert runtime.config == CenterMask.load(BUNDLED[name]).config


def test_other_files_are_told_apart_as_before(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(b"x")
    (tmp_path / "a.safetensors").write_bytes(b"x")
    with pytest.raises(UserError, match="import-published"):
        open_runtime(tmp_path / "a.pth")
    with pytest.raises(UserError, match="not a readable safetensors file"):
        open_runtime(tmp_path / "a.safetensors")


def test_compiling_without_a_compiler_is_refused_in_words(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(UserError, match=r"C\+\+ compiler"):
        Predictor(weights, device="cpu", compile=True)


COMPILED = """
import sys
from pathlib import Path

import numpy as np
import torch

from centermask.images import Fitted
from centermask.runtimes.torch import TorchRuntime

path = Path(sys.argv[1])
plain, compiled = TorchRuntime.load(path, "cpu"), TorchRuntime.load(path, "cpu", compile=True)
pixels = np.random.default_rng(0).integers(0, 256, (1, 3, 320, 448), dtype=np.uint8)
for height, width in ((256, 320), (288, 448), (320, 256)):
    fitted = Fitted(pixels[:, :, :height, :width], np.array([[height, width]]))
    (found,), (wanted,) = (runtime(fitted, 0.0) for runtime in (compiled, plain))
    assert len(wanted.scores) > 0
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-2)
counters = torch._dynamo.utils.counters
print(counters["stats"]["unique_graphs"], sum(counters["graph_break"].values()))
"""


@pytest.mark.slow
def test_a_compiled_network_gives_the_same_answers_at_any_size(tmp_path: Path) -> None:
    weights = tmp_path / "few_layers.safetensors"
    small_model(backbone="timm:test_resnet").save(weights)
    # In a process of its own: the checks of shapes that run in the tests cannot be compiled.
    done = subprocess.run([sys.executable, "-c", COMPILED, weights], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    graphs, breaks = map(int, done.stdout.split())
    assert breaks == 0
    assert 3 <= graphs < 9  # backbone, pyramid and head, each in one piece, and not anew for each of the three sizes


@pytest.mark.parametrize(
    "error",
    [MemoryError(), torch.OutOfMemoryError("x"), RuntimeError("DefaultCPUAllocator: can't allocate memory: 9"),
     ValueError("std::bad_alloc")],
)  # fmt: skip
def test_lack_of_memory_is_told_in_words(error: Exception) -> None:
    with pytest.raises(UserError, match="2 × 96 × 128 pixels are too many for warp; make short_side smaller"), \
            memory_in_words(noise(), "warp"):  # fmt: skip
        raise error


def test_other_errors_are_not_taken_for_lack_of_memory() -> None:
    with pytest.raises(RuntimeError, match="odd"), memory_in_words(noise(), "cpu"):
        raise RuntimeError("odd")
