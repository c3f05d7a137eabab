"""Times, stages and memory of predictions; ``export/test_stages.py`` looks into exported networks."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

import centermask.files
from centermask.bench import bench, format_bench
from centermask.bench.case import Case, Pass, Timing
from centermask.bench.clock import turns
from centermask.bench.memory import measure_memory, peak_memory
from centermask.bench.pictures import drawn_pictures, given_pictures
from centermask.bench.run import Bench, Row
from centermask.bench.stages import Node, Shares, stages_of, to_shares
from centermask.bench.variant import Variant
from centermask.cli import main
from centermask.errors import UserError
from centermask.images import Fitted, SoftInstances
from tests.model.small import small_model
from tests.runtimes.made import header, write


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny network as weights, and one made by hand in exported formats."""
    folder = tmp_path_factory.mktemp("tiny")
    small_model(test_short_side=64, test_long_side=128, score_threshold=0.0).save(folder / "tiny.safetensors")
    write(folder / "quarters.onnx")
    write(folder / "quarters.xml")
    return folder


# rounds


def test_every_name_has_a_turn_in_every_round_and_not_always_the_same() -> None:
    found = list(turns(["a", "b", "c"], rounds=20))
    orders = ["".join(name for round_, name in found if round_ == number) for number in range(20)]
    assert all(sorted(order) == ["a", "b", "c"] for order in orders)
    assert len(set(orders)) > 1
    assert list(turns(["a"], rounds=0)) == []


# stages


def test_a_node_of_the_dense_part_stays_dense_though_masks_use_it() -> None:
    nodes = [
        Node("conv", "Conv", ["pixels"], ["features"]),
        Node("compare", "Greater", ["features", "score_threshold"], ["wanted"]),
        Node("box", "Conv", ["features"], ["ltrb"]),
        Node("nms", "NonMaxSuppression", ["ltrb", "wanted"], ["kept"]),
        Node("pool", "torchvision.roi_align.default", ["features", "kept"], ["crops"]),
        Node("masks", "ConvTranspose", ["crops"], ["masks"]),
        Node("count", "ReduceSum", ["kept"], ["counts"]),
    ]
    assert list(stages_of(nodes).values()) == ["dense", "decode", "dense", "decode", "masks", "masks", "decode"]
    assert stages_of([]) == {}


def test_a_network_in_pytorch_tells_where_its_time_goes(files: Path) -> None:
    timing = bench([files / "tiny.safetensors"], rounds=2, threads=1, memory=False).rows[0].timing
    assert timing.shares is not None
    assert sum(timing.shares) == pytest.approx(1)
    assert min(timing.shares) > 0
    assert timing.middle.objects > 0


def test_shares_add_up_to_one() -> None:
    shares = to_shares({"dense": 6.0, "decode": 1.0, "masks": 1.0})
    assert shares == Shares(dense=0.75, decode=0.125, masks=0.125)


# a case


class Known:
    """A runtime that finds nothing, and counts."""

    plane = None
    device = "cpu"

    def __init__(self) -> None:
        self.config = small_model().config
        self.seen: list[int] = []

    def __call__(self, fitted: Fitted, score_threshold: float) -> list:
        self.seen.append(int(fitted.pixels[0, 0, 0, 0]))
        none = SoftInstances(
            np.zeros((0, 4)), np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.int64), np.zeros((0, 28, 28))
        )
        return [none] * len(fitted.sizes)

    def keep_detections(self, count: int) -> None:
        raise AssertionError("nobody asked")


def test_a_case_predicts_its_batches_in_turn_and_does_not_count_the_warm_up() -> None:
    runtime = Known()
    case = Case(runtime, None, [[np.full((8, 8, 3), i, dtype=np.uint8)] for i in (1, 2, 3)], resize=False)
    case.warm_up()
    for round_ in range(4):
        assert [len(found) for found in case.go(round_)] == [0]
    assert runtime.seen == [1, 2, 3, 1, 2, 3, 1]
    timing = case.timing()
    assert len(timing.passes) == 4
    assert timing.shares is None
    assert min(min(one[:3]) for one in timing.passes) > 0


def test_the_median_is_of_whole_passes_and_the_middle_of_each_part() -> None:
    timing = Timing((Pass(1.0, 2.0, 3.0, 5), Pass(2.0, 9.0, 1.0, 6), Pass(3.0, 4.0, 2.0, 7)), None)
    assert timing.median == 9.0  # of 6, 12, 9
    assert timing.middle == Pass(2.0, 4.0, 2.0, 6)
    assert timing.p95 == pytest.approx(11.7)  # nine tenths of the way from 9 to 12


# pictures


def test_given_pictures_are_spread_over_the_folder(tmp_path: Path) -> None:
    for i in range(10):
        Image.new("RGB", (4, 4), (i, 0, 0)).save(tmp_path / f"{i}.png")
    assert [int(one[0, 0, 0]) for one in given_pictures(tmp_path, 5)] == [0, 2, 4, 6, 8]
    assert len(given_pictures(tmp_path, 50)) == 10


@pytest.mark.parametrize(("short_side", "size"), [(None, (64, 85)), (32, (32, 43)), (1, (16, 16))])
def test_drawn_pictures_have_the_size_that_the_network_asks_for(short_side: int | None, size: tuple) -> None:
    config = small_model(test_short_side=64, test_long_side=100).config
    drawn = drawn_pictures(config, short_side, 2)
    assert [one.shape for one in drawn] == [(*size, 3)] * 2


# the whole


def test_files_are_measured_side_by_side(files: Path) -> None:
    steps: list[tuple[int, int]] = []
    found = bench(
        [files / "quarters.onnx", files / "tiny.safetensors"],
        rounds=3, batch=2, threads=1, precisions=["fp32", "bf16"], on_progress=lambda *step: steps.append(step),
    )  # fmt: skip
    assert [row.name for row in found.rows] == ["quarters.onnx", "tiny.safetensors, fp32", "tiny.safetensors, bf16"]
    assert steps == [(i, 15) for i in range(1, 16)]
    assert [len(row.timing.passes) for row in found.rows] == [3, 3, 3]
    memories = [row.memory for row in found.rows]
    assert all(memory.peak >= memory.ready > 20 for memory in memories)
    assert memories[0].peak < memories[1].peak  # needs no torch
    values = json.loads(json.dumps(found.to_json()))
    assert values["rows"][0]["bytes"] == (files / "quarters.onnx").stat().st_size
    assert [one["precision"] for one in values["rows"]] == ["fp32", "fp32", "bf16"]
    assert values["rows"][1]["pictures_per_second"] == pytest.approx(2000 / values["rows"][1]["median_ms"])


@pytest.mark.parametrize("kind", [".onnx", ".xml", ".pt2"])
def test_the_precision_of_an_exported_file_is_told(kind: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"a{kind}", header(precision="int8"))
    [found] = bench([path], rounds=1, threads=1, memory=False).rows
    assert found.to_json(1)["precision"] == "int8"


def test_where_memory_cannot_be_measured_the_times_are_kept(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "false")  # the process for the memory fails at once
    found = bench([files / "quarters.onnx"], rounds=2, threads=1)
    [one] = found.rows
    assert (len(one.timing.passes), one.memory) == (2, None)
    console = Console(width=300, file=io.StringIO())
    console.print(format_bench(found))
    for said in (one.trouble, one.to_json(1)["memory_trouble"], console.file.getvalue()):
        assert "quarters.onnx: its memory cannot be measured" in said


def test_the_command_prints_its_table_though_the_disk_is_full(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, _: bytes) -> None:
        raise UserError(f"{path}: cannot be written (No space left on device)")

    monkeypatch.setattr(centermask.files, "write_whole", full)
    with pytest.raises(SystemExit):
        main(["bench", str(files / "quarters.onnx"), "--rounds", "1", "--threads", "1", "--no-memory",
              "--json", str(tmp_path / "a.json")])  # fmt: skip
    said = capsys.readouterr()
    assert "pictures/s" in said.out
    assert "a.json: cannot be written" in said.err


def test_both_files_of_openvino_count(files: Path) -> None:
    size = sum((files / name).stat().st_size for name in ("quarters.xml", "quarters.bin"))
    assert Variant(path=files / "quarters.xml").bytes == size


def row(name: str, seconds: float, objects: int = 3, shares: Shares | None = None) -> Row:
    one = Pass(seconds * 0.1, seconds * 0.8, seconds * 0.1, objects)
    return Row(name=name, variant=Variant(path=Path(name)), device="cpu", timing=Timing((one,), shares), memory=None,
               precision="fp32")  # fmt: skip


def shown(*rows: Row) -> str:
    console = Console(width=120, file=io.StringIO())
    console.print(format_bench(Bench(rows=rows, pictures=1, drawn=True, batch=1, rounds=1, threads=2)))
    return console.file.getvalue()


def test_the_table_gives_ratios_to_the_first_file_and_where_the_time_goes() -> None:
    lines = shown(row("a.onnx", 0.1, shares=Shares(0.5, 0.25, 0.25)), row("b.onnx", 0.05)).splitlines()
    cells = [line.split() for line in lines]
    assert ["a.onnx", "100", "100", "1.00", "10.0", "3.0", "–", "0.0"] in cells
    assert ["b.onnx", "50.0", "50.0", "0.50", "20.0", "3.0", "–", "0.0"] in cells
    assert ["a.onnx", "10.0", "40.0", "20.0", "20.0", "10.0", "2.50"] in cells  # 80 ms of network, half of it dense
    assert ["b.onnx", "5.00", "–", "–", "–", "5.00", "–"] in cells


def test_the_table_says_that_masks_cost_nothing_where_nothing_was_found() -> None:
    assert "Nothing was found" in shown(row("a.onnx", 0.1, objects=0))
    assert "Nothing was found" not in shown(row("a.onnx", 0.1, objects=1))


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, files: Path) -> None:
    with pytest.raises(UserError, match="no file given"):
        bench([])
    with pytest.raises(UserError, match="rounds must be at least 1"):
        bench([files / "quarters.onnx"], rounds=0)
    with pytest.raises(UserError, match=r"missing\.onnx"):
        bench([tmp_path / "missing.onnx"])
    with pytest.raises(UserError, match="go with weights"):
        bench([files / "quarters.onnx"], precisions=["bf16"])


def test_two_files_of_one_name_are_told_apart_by_their_folders(tmp_path: Path, files: Path) -> None:
    other = tmp_path / "quarters.onnx"
    other.write_bytes((files / "quarters.onnx").read_bytes())
    found = bench([other, files / "quarters.onnx"], rounds=1, threads=1, memory=False)
    assert [one.name for one in found.rows] == [other.as_posix(), (files / "quarters.onnx").as_posix()]


# memory


def test_the_peak_is_not_less_than_what_is_held() -> None:
    before = peak_memory()
    held = np.ones(64 * 2**20, dtype=np.uint8)
    assert peak_memory() >= before
    assert peak_memory() > held.nbytes / 2**20


def test_what_breaks_a_measurement_of_memory_is_said(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no graph")
    with pytest.raises(UserError, match=r"broken\.onnx: its memory cannot be measured"):
        measure_memory(Variant(path=broken), [[np.zeros((8, 8, 3), dtype=np.uint8)]])
