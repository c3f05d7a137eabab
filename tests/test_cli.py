"""The command line: what each command writes, and one line for whatever a user can mend."""

import json
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as oracle

import centermask.files
from centermask.checkpoint import load_model, load_tensors, save_backbone, save_model, save_tensors
from centermask.cli import main, parse, read_settings
from centermask.config import TrainConfig
from centermask.data.gems import GEM_KINDS
from centermask.errors import UserError
from centermask.images import read_image
from centermask.model.presets import PRESETS, build, preset
from centermask.predict import Predictor
from centermask.train import RunFolder
from tests.golden.weights import ruled_weights

COMMANDS = ("train", "evaluate", "compare", "data", "predict", "demo", "gems", "import-published", "import-backbone",
            "presets", "doctor")  # fmt: skip
QUICK = ("--device", "cpu", "--workers", "0", "--short-side", "64", "--batch", "2")


class Said(NamedTuple):
    """What a command left."""

    code: int
    out: str
    errors: list[str]


Command = Callable[..., Said]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command in this process."""

    def run(*arguments: object) -> Said:
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Said(int(end.value.code or 0), captured.out, captured.err.splitlines())

    return run


def succeed(arguments: Sequence[object]) -> None:
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    assert not end.value.code


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def gems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data") / "gems"
    succeed(["gems", out, "--images", 5, "--size", 96, "--stones", 2, 4])
    return out


@pytest.fixture(scope="module")
def trained(gems: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of two epochs."""
    out = tmp_path_factory.mktemp("runs") / "a"
    succeed(["train", gems, "--out", out, "--epochs", 2, "--log-every", 1, *QUICK])
    return out


@pytest.fixture(scope="module")
def eager(trained: Path) -> Path:
    """Weights that find something everywhere."""
    model = load_model(trained / "last.safetensors")
    for conv, bias in ((model.detection_head.class_logits, 0.5), (model.detection_head.ltrb, 3.0)):
        torch.nn.init.zeros_(conv.weight)
        torch.nn.init.constant_(conv.bias, bias)
    save_model(model, trained / "eager.safetensors")
    return trained / "eager.safetensors"


@pytest.fixture(scope="module")
def photo(gems: Path) -> Path:
    return gems / "val" / "000001.jpg"


# --- help and lightness ---


def test_help_of_every_command_works_without_torch() -> None:
    code = """
import sys
from centermask.cli import main
for arguments in ([], *([name] for name in sys.argv[1:])):
    try:
        main([*arguments, "--help"])
    except SystemExit as end:
        assert not end.code, (arguments, end.code)
heavy = {"torch", "torchvision", "timm", "accelerate"} & sys.modules.keys()
assert not heavy, heavy
"""
    done = python(code, *COMMANDS)
    assert done.returncode == 0, done.stderr
    assert all(done.stdout.count(name) for name in COMMANDS)
    assert "--backbone-weights" in done.stdout
    assert "--no-resize" in done.stdout


def test_the_package_and_its_light_half_work_without_torch() -> None:
    code = """
import sys
sys.modules["torch"] = None  # importing it now fails
import centermask, centermask.images, centermask.instances, centermask.visualize, centermask.ops.mask_warp
import centermask.config, centermask.cli
print(centermask.__version__, centermask.Instances.__name__, centermask.TrainConfig().preset)
"""
    done = python(code)
    assert done.returncode == 0, done.stderr
    assert "Instances centermask-plus-nano" in done.stdout


def test_public_names_are_found_and_others_are_not() -> None:
    import centermask

    assert all(getattr(centermask, name) is not None for name in centermask.__all__)
    assert set(centermask.__all__) <= set(dir(centermask))
    with pytest.raises(AttributeError, match="no attribute 'Segmentr'"):
        _ = centermask.Segmentr


def test_the_installed_command_tells_a_mistake_in_one_line(tmp_path: Path) -> None:
    code = "from centermask.cli import main; main()"
    done = python(code, "predict", str(tmp_path / "none.jpg"))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("centermask: ")


@pytest.mark.parametrize(
    "arguments", [["fly"], ["predict"], ["train", "gems:"], ["gems", "out", "--images", "many"], []]
)
def test_arguments_that_do_not_fit_exit_with_2(command: Command, arguments: list[str]) -> None:
    assert command(*arguments).code == 2


def test_presets_are_listed_with_their_sizes(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in set(PRESETS) - {"centermask-nano"}:
        monkeypatch.delitem(PRESETS, name)  # the large ones take long to build
    said = command("presets")
    assert said.code == 0
    assert "centermask-nano" in said.out
    count = sum(value.numel() for value in build(PRESETS["centermask-nano"]).parameters())
    assert f"{count:,}" in said.out


# --- gems, train, evaluate, predict ---


def test_gems_writes_a_coco_set(gems: Path) -> None:
    for split, count in (("train", 4), ("val", 1)):
        content = json.loads((gems / "annotations" / f"gems_{split}.json").read_text())
        assert len(content["images"]) == len(list((gems / split).iterdir())) == count
        assert [one["name"] for one in content["categories"]] == list(GEM_KINDS)
        for one in content["images"]:
            assert read_image(gems / split / one["file_name"]).shape == (96, 96, 3)


def test_train_leaves_weights_with_class_names(trained: Path) -> None:
    for name in ("last", "best"):
        header, _ = load_tensors(trained / f"{name}.safetensors")
        assert header["config"]["class_names"] == list(GEM_KINDS)
    assert yaml.safe_load((trained / "config.yaml").read_text())["short_side"] == 64


def test_train_resumes_to_more_epochs(trained: Path, gems: Path, command: Command, tmp_path: Path) -> None:
    arguments = ("train", gems, "--out", tmp_path / "b", *QUICK)
    assert command(*arguments, "--epochs", 1).code == 0
    again = command(*arguments, "--epochs", 2)
    assert again.code == 2
    assert "--resume" in again.errors[0]
    resumed = command(*arguments, "--epochs", 2, "--resume")
    assert resumed.code == 0
    assert RunFolder(path=tmp_path / "b").load_state()["step"] == 4
    assert resumed.out.splitlines()[-1].startswith("weights: ")


def test_data_check_says_that_drawn_pictures_are_sound(gems: Path, command: Command, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in gems.rglob("*") if path.is_file()}
    said = command("data", "check", gems, "--out", tmp_path / "check")
    assert said.code == 0
    assert (tmp_path / "check" / "issues.json").is_file()
    assert "<html" in (tmp_path / "check" / "check.html").read_text()
    assert {path: path.read_bytes() for path in gems.rglob("*") if path.is_file()} == before


def test_data_check_ends_with_one_if_training_would_be_harmed(gems: Path, command: Command, tmp_path: Path) -> None:
    shutil.copytree(gems, tmp_path / "broken")
    picture = next((tmp_path / "broken" / "train").iterdir())
    picture.write_bytes(picture.read_bytes()[:200])
    said = command("data", "check", tmp_path / "broken", "--out", tmp_path / "check")
    assert said.code == 1
    assert picture.name in (tmp_path / "check" / "issues.json").read_text()


@pytest.mark.parametrize("form", ["coco", "yolo", "labelme", "png"])
def test_converted_data_can_be_evaluated_on(
    form: str, gems: Path, trained: Path, command: Command, tmp_path: Path
) -> None:
    said = command("data", "convert", gems, tmp_path / "out", "--format", form)
    assert said.code == 0
    assert said.out.splitlines()[0].startswith(f"{tmp_path / 'out'}: 5 pictures, ")
    assert command("evaluate", trained / "last.safetensors", tmp_path / "out", "--device", "cpu").code == 0
    again = command("data", "convert", gems, tmp_path / "out", "--format", form)
    assert again.code == 2  # nothing is overwritten
    assert str(tmp_path / "out") in again.errors[0]


def test_evaluate_writes_a_page(gems: Path, trained: Path, command: Command, tmp_path: Path) -> None:
    page = tmp_path / "scores.html"
    assert command("evaluate", trained / "last.safetensors", gems, "--html", page, "--device", "cpu").code == 0
    assert "last.safetensors" in page.read_text()


def test_compare_says_that_a_network_equals_itself(gems: Path, trained: Path, command: Command, tmp_path: Path) -> None:
    weights, page = trained / "last.safetensors", tmp_path / "compare.html"
    said = command("compare", weights, weights, "--data", gems, "--html", page, "--resamples", 9, "--device", "cpu")
    assert said.code == 0
    assert "mask AP" in said.out
    assert page.is_file()
    one_line(command("compare", weights, weights, "--data", gems, "--resamples", 0), "resamples must be at least 1")


def test_an_evaluation_is_printed_though_the_disk_is_full(
    command: Command, trained: Path, gems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, _: bytes) -> None:
        raise UserError(f"{path}: cannot be written (No space left on device)")

    monkeypatch.setattr(centermask.files, "write_whole", full)
    said = command("evaluate", trained / "last.safetensors", gems, "--json", tmp_path / "a.json", "--device", "cpu")
    one_line(said, "a.json: cannot be written")
    assert said.out.startswith("1 images, ")
    assert "mask" in said.out


def test_what_will_not_do_is_told_before_any_picture_is_predicted(
    command: Command, trained: Path, gems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Predictor, "__call__", lambda *_: pytest.fail("a picture was predicted"))
    weights, taken = trained / "last.safetensors", tmp_path / "folder"
    taken.mkdir()
    one_line(command("compare", weights, "nope", "--data", gems, "--device", "cpu"), "nope: no such weights file")
    one_line(command("compare", weights, "nano", "--data", gems, "--device", "cpu"), "nano: ", "share no class name")
    one_line(command("compare", weights, weights, "--data", gems, "--html", taken), "no file that can be replaced")
    for flag in ("--json", "--predictions", "--html"):
        one_line(command("evaluate", weights, gems, flag, taken), "no file that can be replaced")
        assert not list(tmp_path.glob(".*"))


def test_train_starts_from_weights_with_other_classes(
    gems: Path, trained: Path, command: Command, tmp_path: Path
) -> None:
    said = command("train", gems, "--out", tmp_path / "a", "--epochs", 1, "--init", trained / "last.safetensors",
                   "--freeze", 32, *QUICK)  # fmt: skip
    assert said.code == 0
    assert "all else kept" in said.out
    assert "do not learn" in said.out
    before, after = (load_tensors(folder / "last.safetensors")[1] for folder in (trained, tmp_path / "a"))
    backbone = [key for key in before if key.startswith("backbone.")]
    assert backbone
    assert all(torch.equal(before[key], after[key]) for key in backbone)


def test_settings_of_any_length_in_a_file_leave_the_data_alone(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("log_to: [wandb]\nscale_jitter: [0.5, 1.5]\n")
    found = parse(["train", "DATA", "--out", "r", "--file", str(tmp_path / "s.yaml"), "--seed", "5"])
    assert found.data == ("DATA",)
    assert (found.config.log_to, found.config.seed) == (("wandb",), 5)
    (tmp_path / "t.yaml").write_text("log_to: [wandb, mlflow]\n")
    assert parse(["train", "--file", str(tmp_path / "t.yaml"), "--out", "r", "DATA"]).data == ("DATA",)


def test_the_doctor_speaks(command: Command) -> None:
    said = command("doctor")
    assert said.code == 0
    assert "| torch |" in said.out


def test_train_takes_settings_from_a_file_and_flags_win(command: Command, gems: Path, tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("epochs: 1\nbatch: 3\nflip: 0\nlr: 2e-4\nshort_side: 96\nscale_jitter: [0.8, 1.2]\nnorm: group\n")
    said = command("train", gems, "--file", file, "--out", tmp_path / "run", *QUICK, "--seed", 7)
    assert said.code == 0, said.errors
    written = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    expected = {"epochs": 1, "flip": 0.0, "lr": 2e-4, "scale_jitter": [0.8, 1.2], "norm": "group"}  # the file's
    expected |= {"batch": 2, "short_side": 64, "workers": 0, "device": "cpu", "seed": 7}  # the flags'
    assert {key: written[key] for key in expected} == expected
    assert written["optimizer"] == TrainConfig().optimizer


def test_a_runs_own_settings_file_starts_the_same_run(trained: Path, gems: Path) -> None:
    again = parse(["train", str(gems), "--out", "elsewhere", "--file", str(trained / "config.yaml")])
    written = yaml.safe_load((trained / "config.yaml").read_text())
    assert written.pop("data") == [str(gems)]
    assert again.config == TrainConfig.from_dict(written)
    assert again.data == (str(gems),)
    equal = parse(["train", str(gems), "--out", "elsewhere", f"--file={trained / 'config.yaml'}"])
    assert equal.config == again.config


def test_evaluate_writes_figures_and_predictions(command: Command, eager: Path, gems: Path, tmp_path: Path) -> None:
    said = command("evaluate", eager, gems, "--device", "cpu", "--json", tmp_path / "deep" / "e.json",
                   "--predictions", tmp_path / "p.json")  # fmt: skip
    assert said.code == 0, said.errors
    record = json.loads((tmp_path / "deep" / "e.json").read_text())
    assert record["images"] == 1
    assert record["data"] == str(gems)
    assert {"box", "mask", "instances", "max_detections"} <= record.keys()
    assert {"ap", "ap50", "ap75", "ap_small", "ar_max", "per_class"} <= record["mask"].keys()
    assert list(record["mask"]["per_class"]) == list(GEM_KINDS)
    rows = json.loads((tmp_path / "p.json").read_text())
    assert rows
    assert {"image_id", "category_id", "bbox", "score", "segmentation"} <= rows[0].keys()
    assert "AP" in said.out


def test_evaluate_takes_other_annotations_and_gems_on_the_fly(
    command: Command, trained: Path, gems: Path, tmp_path: Path
) -> None:
    said = command("evaluate", trained / "last.safetensors", gems, "--device", "cpu", "--annotations",
                   gems / "annotations" / "gems_train.json", "--images", gems / "train",
                   "--json", tmp_path / "e.json")  # fmt: skip
    assert said.code == 0, said.errors
    assert json.loads((tmp_path / "e.json").read_text())["images"] == 4
    assert (
        command("evaluate", trained / "last.safetensors", "gems:images=2,size=64,stones=0-0", "--device", "cpu").code
        == 0
    )


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools
def test_predict_writes_the_records_that_others_rely_on(
    command: Command, eager: Path, gems: Path, tmp_path: Path
) -> None:
    said = command("predict", gems / "val", "--weights", eager, "--device", "cpu", "--json", tmp_path / "p.json",
                   "--out", tmp_path / "overlays", "--score-threshold", 0, "--max-detections", 5)  # fmt: skip
    assert (said.code, said.errors) == (0, [])
    (record,) = json.loads((tmp_path / "p.json").read_text())
    assert record.keys() == {"file_name", "height", "width", "instances"}
    assert (record["file_name"], record["height"], record["width"]) == ("000001.jpg", 96, 96)
    assert len(record["instances"]) == 5
    for one in record["instances"]:
        assert one.keys() == {"category_id", "category_name", "bbox", "score", "box_score", "segmentation"}
        assert GEM_KINDS[one["category_id"] - 1] == one["category_name"]
        assert 0 <= one["score"] <= one["box_score"] <= 1
        x, y, width, height = one["bbox"]
        assert min(x, y, width, height) >= 0
        assert max(x + width, y + height) <= 96 + 1e-3
        assert one["segmentation"]["size"] == [96, 96]
        assert isinstance(one["segmentation"]["counts"], str)
        assert oracle.decode(one["segmentation"]).shape == (96, 96)
    scores = [one["score"] for one in record["instances"]]
    assert scores == sorted(scores, reverse=True)
    assert read_image(tmp_path / "overlays" / "000001.png").shape == (96, 96, 3)
    assert "5 found" in said.out


@pytest.mark.parametrize(
    ("switches", "finds"),
    [
        (["--score-threshold", "0", "--no-resize"], True),
        (["--score-threshold", "0", "--short-side", "48"], True),
        (["--score-threshold", "1"], False),
    ],
)
def test_predict_has_its_switches(
    command: Command, eager: Path, photo: Path, switches: list[str], finds: bool, tmp_path: Path
) -> None:
    said = command("predict", photo, "--weights", eager, "--device", "cpu", "--json", tmp_path / "p.json", *switches)
    assert said.code == 0, said.errors
    (record,) = json.loads((tmp_path / "p.json").read_text())
    assert bool(record["instances"]) == finds


def test_a_picture_named_twice_is_done_once(command: Command, trained: Path, photo: Path, tmp_path: Path) -> None:
    command("predict", photo, photo.parent, photo.parent / "*.jpg", "--weights", trained / "last.safetensors",
            "--json", tmp_path / "p.json", "--device", "cpu")  # fmt: skip
    assert len(json.loads((tmp_path / "p.json").read_text())) == 1


def test_predict_goes_on_with_its_lines(command: Command, trained: Path, photo: Path, tmp_path: Path) -> None:
    lines = tmp_path / "p.jsonl"
    asked = ("predict", photo, "--weights", trained / "last.safetensors", "--device", "cpu", "--json", lines)
    assert command(*asked).out == f"{lines}: 1 picture predicted\n"
    before = lines.read_bytes()
    one_line(command(*asked), str(lines), "is there already", "--resume")
    said = command(*asked, "--resume")
    assert (said.code, said.out) == (0, f"{lines}: 0 pictures predicted, 1 were there already\n")
    assert lines.read_bytes() == before


@pytest.mark.skipif(sys.platform == "win32", reason="there, SIGTERM ends a process at once")
def test_predict_that_is_asked_to_end_leaves_nothing_aside(trained: Path, tmp_path: Path) -> None:
    for i in range(500):
        Image.new("RGB", (64, 48), (i % 256, 0, 0)).save(tmp_path / f"{i}.png")
    out = tmp_path / "out"
    words = ["predict", str(tmp_path), "--weights", str(trained / "last.safetensors"), "--device", "cpu",
             "--json", str(out / "p.json")]  # fmt: skip
    with subprocess.Popen([sys.executable, "-u", "-m", "centermask", *words], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it has begun
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 130
    assert not list(out.iterdir())


# --- what a user can mend ---


def huge_png() -> bytes:
    """A small file that claims to hold four thousand million pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 65_000, 65_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


@pytest.fixture(scope="module")
def broken(photo: Path, trained: Path, gems: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one of each broken thing."""
    folder = tmp_path_factory.mktemp("broken")
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "cut.jpg").write_bytes(photo.read_bytes()[:1000])
    (folder / "text.jpg").write_text("this is no picture")
    (folder / "huge.png").write_bytes(huge_png())
    (folder / "none").mkdir()
    (folder / "none" / "notes.txt").write_text("nothing here")
    whole = (trained / "last.safetensors").read_bytes()
    (folder / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    (folder / "text.safetensors").write_text("these are no weights")
    torch.save({"a": torch.ones(1)}, folder / "pickle.pth")
    model = load_model(trained / "last.safetensors")
    save_backbone(model.backbone.state_dict(), folder / "backbone.safetensors", model.config.backbone)
    save_model(build(replace(model.config, class_names=("cow", "hen"), category_ids=())), folder / "cows.safetensors")
    annotations = (gems / "annotations" / "gems_val.json").read_text()
    (folder / "cut_val.json").write_text(annotations[: len(annotations) // 2])
    (folder / "list_val.json").write_text("[1, 2]")
    (folder / "unknown.yaml").write_text("epoch: 3\n")
    (folder / "kind.yaml").write_text("optimizer: adam\n")
    (folder / "range.yaml").write_text("epochs: 0\n")
    (folder / "list.yaml").write_text("- 1\n")
    (folder / "cut.yaml").write_text("epochs: [1,")
    (folder / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    return folder


@contextmanager
def refusals_naming(path: Path) -> Iterator[None]:
    """What is refused inside is refused in one line that names the file."""
    try:
        yield
    except UserError as error:
        if path.name not in str(error) or "\n" in str(error):
            raise AssertionError(str(error)) from error
        raise


def one_line(said: Said, *told: str) -> None:
    assert said.code == 2
    assert len(said.errors) == 1, said.errors
    assert said.errors[0].startswith("centermask: ")
    for part in told:
        assert part in said.errors[0]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("missing.jpg", "no such file"),
        ("none", "no picture"),
        ("*.gif", "no picture matches"),
    ],
)
def test_predict_with_nothing_to_do_says_why(
    command: Command, trained: Path, broken: Path, name: str, told: str
) -> None:
    one_line(command("predict", broken / name, "--weights", trained / "last.safetensors"), name, told)


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        (["--resume"], ".jsonl"),
        (["--processes", "2", "--json", "{}/p.json"], ".jsonl"),
        (["--processes", "0", "--json", "{}/p.jsonl"], "at least 1"),
        (["--labels", "{}/d", "--json", "{}/p.jsonl"], "--labels"),
        (["--labels", "{}/d", "--json", "{}/d/p.json"], "must be empty"),
        (["--labels", "{}/d", "--out", "{}/d"], "must be empty"),
        (["--overlap", "0.4"], "--tile"),
        (["--no-overview"], "--tile"),
    ],
)
def test_switches_that_do_not_go_together_are_told(
    command: Command, trained: Path, photo: Path, tmp_path: Path, extra: list[str], told: str
) -> None:
    given = [each.format(tmp_path) for each in extra]
    one_line(command("predict", photo, "--weights", trained / "last.safetensors", *given), told)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("what", ["photo", "weights"])
def test_predict_does_not_write_over_what_it_reads(
    command: Command, trained: Path, photo: Path, tmp_path: Path, what: str
) -> None:
    kept = {"photo": tmp_path / "p.jpg", "weights": tmp_path / "w.safetensors"}
    shutil.copy(photo, kept["photo"])
    shutil.copy(trained / "last.safetensors", kept["weights"])
    before = kept[what].read_bytes()
    said = command("predict", kept["photo"], "--weights", kept["weights"], "--json", kept[what])
    one_line(said, kept[what].name, "this is what is read")
    assert kept[what].read_bytes() == before


@pytest.mark.parametrize(
    ("name", "told"),
    [("empty.jpg", "empty"), ("cut.jpg", "cut off"), ("text.jpg", "no picture"), ("huge.png", "pixels")],
)
def test_a_bad_picture_is_told_and_the_others_are_done_and_counted(
    command: Command, trained: Path, broken: Path, photo: Path, tmp_path: Path, name: str, told: str
) -> None:
    Image.fromarray(np.zeros((40, 50, 3), dtype=np.uint8)).save(tmp_path / "z.png")
    said = command("predict", photo, broken / name, tmp_path / "z.png", "--weights", trained / "last.safetensors",
                   "--json", tmp_path / "p.json", "--out", tmp_path / "o", "--device", "cpu")  # fmt: skip
    assert said.code == 2
    assert len(said.errors) == 2
    assert name in said.errors[0]
    assert told in said.errors[0]
    assert said.errors[1] == "centermask: 1 of 3 pictures could not be used"
    records = json.loads((tmp_path / "p.json").read_text())
    assert [record["file_name"] for record in records] == ["000001.jpg", "z.png"]
    assert sorted(path.name for path in (tmp_path / "o").iterdir()) == ["000001.png", "z.png"]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("missing.safetensors", "no such weights"),
        ("cut.safetensors", "copy it again"),
        ("text.safetensors", "copy it again"),
        ("pickle.pth", "import-published"),
        ("backbone.safetensors", "not a network"),
    ],
)
def test_weights_that_cannot_be_used_are_told(
    command: Command, broken: Path, photo: Path, gems: Path, name: str, told: str
) -> None:
    one_line(command("predict", photo, "--weights", broken / name), name, told)
    one_line(command("evaluate", broken / name, gems), name, told)


def test_weights_of_other_classes_are_told_by_name(command: Command, broken: Path, gems: Path) -> None:
    said = command("evaluate", broken / "cows.safetensors", gems, "--device", "cpu")
    one_line(said, "no class name", "cow, hen", "emerald")


def test_weights_of_another_shape_are_told(command: Command, trained: Path, photo: Path, tmp_path: Path) -> None:
    header, tensors = load_tensors(trained / "last.safetensors")
    header["config"]["class_names"], header["config"]["category_ids"] = ["a", "b"], [1, 2]
    save_tensors(tensors, tmp_path / "w.safetensors", header)
    one_line(command("predict", photo, "--weights", tmp_path / "w.safetensors"), "w.safetensors", "expected [2")


@pytest.mark.parametrize(
    ("name", "told"), [("cut_val.json", "JSON"), ("list_val.json", ""), ("none_val.json", "no such file")]
)
def test_annotations_that_cannot_be_used_are_told(
    command: Command, trained: Path, broken: Path, gems: Path, tmp_path: Path, name: str, told: str
) -> None:
    one_line(command("evaluate", trained / "last.safetensors", gems, "--annotations", broken / name), name, told)
    one_line(command("train", gems, "--train-annotations", broken / name, "--out", tmp_path / "r"), name, told)
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("unknown.yaml", "did you mean 'epochs'"),
        ("kind.yaml", "'adamw' or 'sgd'"),
        ("range.yaml", "epochs must be at least 1"),
        ("list.yaml", "'name: value' lines"),
        ("cut.yaml", "cannot be read as YAML"),
        ("bytes.yaml", "cannot be read as YAML"),
        ("missing.yaml", "cannot be read"),
    ],
)
def test_settings_that_cannot_be_used_are_told(
    command: Command, broken: Path, tmp_path: Path, name: str, told: str
) -> None:
    one_line(command("train", "gems:", "--out", tmp_path / "r", "--file", broken / name), name, told)


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        (["--preset", "centermask-nan"], "did you mean 'centermask-nano'"),
        (["--epochs", "0"], "epochs must be at least 1"),
        (["--backbone-weights", "nowhere.safetensors"], "nowhere.safetensors: no such file"),
        (["--min-short-side", "900"], "min_short_side"),
        (["--pretrained", "--backbone-weights", "a"], "only one of pretrained and backbone_weights"),
        (["--pretrained", "--init", "a"], "only one of pretrained and init"),
        (["--freeze", "3"], "freeze must be 0, 2, 4, 8, 16 or 32"),
        (["--init", "nowhere.safetensors"], "nowhere.safetensors: no such weights file"),
    ],
)
def test_training_that_cannot_begin_is_told(command: Command, tmp_path: Path, extra: list[str], told: str) -> None:
    one_line(command("train", "gems:images=2,size=64", "--out", tmp_path / "r", "--device", "cpu", *extra), told)


def test_data_that_is_none_is_told(command: Command, trained: Path, broken: Path, gems: Path, tmp_path: Path) -> None:
    one_line(command("train", broken, "--out", tmp_path / "r"), str(broken), "annotations/NAME_train.json")
    one_line(command("train", "nowhere", "--out", tmp_path / "r"), "nowhere", "no such folder")
    one_line(command("evaluate", trained / "last.safetensors", "gems:stone=1"), "did you mean stones")
    one_line(command("train", "gems:", "--out", broken / "empty.jpg" / "r"), "cannot be written")
    for data in (broken, f"coco:{broken}", f"coco:{broken}:some"):
        one_line(command("train", data, "--out", broken), "folder of the data")
    one_line(command("train", "gems:", "--train-annotations", "x.json", "--out", tmp_path / "r"), "gems: are drawn")
    one_line(command("evaluate", trained / "last.safetensors", "gems:", "--annotations", "x.json"), "gems: are drawn")
    one_line(command("data", "check", broken, "--workers", "-1"), "must not be negative")
    one_line(command("data", "convert", gems, tmp_path / ("x" * 300)), "cannot be")


def test_other_wrong_wishes_are_told(command: Command, trained: Path, photo: Path, gems: Path) -> None:
    weights = ("--weights", trained / "last.safetensors")
    one_line(command("predict", photo, *weights, "--no-resize", "--short-side", "9"), "--no-resize")
    one_line(command("predict", photo, *weights, "--score-threshold", "2"), "score_threshold")
    one_line(command("predict", photo, *weights, "--device", "warp"), "warp", "cpu")
    one_line(command("predict", photo, *weights, "--json", photo / "x.json"), "cannot be written")
    one_line(command("gems", gems), str(gems), "not an empty folder")
    one_line(command("gems", gems / "new", "--overlap", "2"), "overlap")


@settings(deadline=None, max_examples=60)
@given(
    st.text(max_size=60)
    | st.dictionaries(
        st.sampled_from([*TrainConfig.__dataclass_fields__, "data", "epoch"]) | st.integers(),
        st.none()
        | st.booleans()
        | st.integers(-5, 5)
        | st.floats()
        | st.text(max_size=5)
        | st.lists(st.integers(0, 3), max_size=3),
        max_size=4,
    ).map(yaml.safe_dump)
)
def test_any_settings_file_is_read_or_refused_by_name(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("yaml") / "s.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    with suppress(UserError), refusals_naming(path):
        assert isinstance(read_settings(path), TrainConfig)


# --- third-party weights ---


def test_import_published_converts_and_states_the_licence(command: Command, photo: Path, tmp_path: Path) -> None:
    torch.save({"model": ruled_weights("centermask_lite_V_19_slim_dw_eSE_FPN_ms_4x")}, tmp_path / "p.pth")
    said = command(
        "import-published", tmp_path / "p.pth", tmp_path / "o.safetensors", "--preset", "centermask-lite-v19-slim-dw"
    )
    assert said.code == 0, said.errors
    assert "non-commercial" in said.out
    header, _ = load_tensors(tmp_path / "o.safetensors")
    assert "non-commercial" in header["notes"]["licence"]
    assert load_model(tmp_path / "o.safetensors").config == preset("centermask-lite-v19-slim-dw")
    done = command("predict", photo, "--weights", tmp_path / "o.safetensors", "--short-side", 64, "--device", "cpu")
    assert done.code == 0, done.errors
    wrong = command(
        "import-published", tmp_path / "p.pth", tmp_path / "x.safetensors", "--preset", "centermask-lite-v19-slim"
    )
    assert wrong.code == 2
    assert sum("missing: " in line for line in wrong.errors) > 10
    assert sum("unexpected: " in line for line in wrong.errors) > 10
    assert not (tmp_path / "x.safetensors").exists()


def test_import_backbone_serves_training(command: Command, tmp_path: Path) -> None:
    prefix = "backbone.bottom_up."
    published = ruled_weights("centermask_lite_Mv2_FPN_ms_4x")
    torch.save(
        {key.removeprefix(prefix): value for key, value in published.items() if key.startswith(prefix)},
        tmp_path / "b.pth",
    )
    said = command(
        "import-backbone", tmp_path / "b.pth", tmp_path / "b.safetensors", "--backbone", "timm:mobilenetv2_100"
    )
    assert said.code == 0, said.errors
    run = command("train", "gems:images=2,size=64,stones=1-2", "--out", tmp_path / "r", "--epochs", 1, *QUICK,
                  "--backbone-weights", tmp_path / "b.safetensors")  # fmt: skip
    assert run.code == 0, run.errors
    trained = load_tensors(tmp_path / "r" / "last.safetensors")[1]["backbone.network.bn1.running_mean"]
    assert torch.equal(trained, published[f"{prefix}features.0.1.running_mean"]), "frozen statistics are the file's"
    one_line(
        command("import-backbone", tmp_path / "b.pth", tmp_path / "c.safetensors", "--backbone", "vovnet39"),
        "is no vovnet39",
    )
    one_line(
        command("import-backbone", tmp_path / "no.pth", tmp_path / "c.safetensors", "--backbone", "vovnet39"),
        "no such file",
    )


def test_demo_without_its_weights_or_pictures_says_what_to_do(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "skimage", None)
    said = command("demo", "--out", tmp_path / "d")
    assert said.code == 2
    assert "pip install" in said.errors[0] or "weights" in said.errors[0]
