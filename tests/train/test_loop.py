"""Training runs: they learn, they can be interrupted anywhere, and they never leave broken weights."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path

import pytest
import torch
import yaml
from rich.console import Console

from centermask.checkpoint import load_model, load_tensors, save_backbone, save_model
from centermask.config import TrainConfig
from centermask.data.gems import GemRecipe, GemSet
from centermask.data.sample import Sample
from centermask.errors import UserError
from centermask.evaluate import Evaluation
from centermask.model.layers import batch_norms
from centermask.model.presets import build, preset
from centermask.ops.mask_warp import to_rle
from centermask.report.sets import EvaluatedSet, count_set
from centermask.size import Size
from centermask.structures import Losses
from centermask.train import RunFolder, Stopped, loop, train
from centermask.train.folder import STATE
from centermask.train.initial import find_donor
from centermask.train.run import configure, start
from centermask.train.step import MOST_BAD_STEPS
from tests.pictures import PictureSet, rectangle, squares
from tests.train.conftest import TINY

Configs = Callable[..., TrainConfig]
FOUR = squares(4, side=64)


def run(
    config: TrainConfig, out: Path, sets: list[PictureSet] | None = None, val: bool = False, resume: bool = False
) -> dict[str, Evaluation]:
    sets = [FOUR] if sets is None else sets
    console = Console(file=StringIO())
    val_sets = {"squares": FOUR} if val else {}
    return train(config, sets, val_sets, RunFolder(path=out), data=["squares"], resume=resume, console=console)


def weights(out: Path, name: str = "last") -> dict[str, torch.Tensor]:
    return load_tensors(RunFolder(path=out).weights(name))[1]


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def metrics(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


# --- it learns ---


@dataclass(frozen=True)
class Repeated:
    """The same pictures again and again: an epoch of many steps."""

    pictures: PictureSet
    times: int

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.pictures.class_names

    def __len__(self) -> int:
        return len(self.pictures) * self.times

    def __getitem__(self, index: int) -> Sample:
        return self.pictures[index % len(self.pictures)]

    def size(self, index: int) -> Size:
        return self.pictures.size(index % len(self.pictures))


@pytest.mark.slow
def test_two_pictures_of_gems_are_memorised(out: Path, config: Configs) -> None:
    gems = GemSet(images=2, recipe=GemRecipe(size=Size(96, 96), stones=(4, 6), radius=(40.0, 70.0)))
    drawn = PictureSet([gems[0], gems[1]], gems.class_names)
    settings = config(preset="centermask-nano", epochs=1, init="none", short_side=96, min_short_side=96, flip=0.0,
                      color_jitter=0.0, lr=6e-3, weight_decay=0.0, warmup=0.1, ema=0.9)  # fmt: skip
    folder = RunFolder(path=out)
    found = train(settings, [Repeated(drawn, 90)], {"gems": gems}, folder, console=Console(file=StringIO()))
    assert found["gems"].mask.ap50 > 0.9
    assert found["gems"].box.ap50 > 0.9


# --- every way of training takes steps ---


def test_a_backbone_without_a_share_of_the_learning_rate_stays_as_it_was(config: Configs, out: Path) -> None:
    settings = config(epochs=1, backbone_lr=0.0)
    fresh = start(settings, [FOUR], RunFolder(path=out)).model.state_dict()
    run(settings, out)
    moved = {key.partition(".")[0] for key, value in weights(out).items() if not torch.equal(value, fresh[key])}
    assert moved == {"pyramid", "detection_head", "mask_head", "mask_iou_head"}


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "adamw", "schedule": "cosine", "norm": "frozen", "attention_fusion": "multiply"},
        {"optimizer": "sgd", "schedule": "step", "norm": "batch", "attention_fusion": "concatenate", "ema": 0.0},
        {"norm": "group", "attention_fusion": "none", "class_agnostic_masks": False, "clip": 0.0, "batch": 3},
        {"preset": "tiny", "norm": "batch", "precision": "bf16", "scale_jitter": (0.5, 1.5), "batch": 1},
    ],
    ids=lambda changes: "-".join(str(value) for value in changes.values()),
)
def test_every_way_of_training_moves_the_weights_and_leaves_them_finite(
    changes: dict, config: Configs, out: Path
) -> None:
    settings = config(epochs=1, **changes)
    fresh = start(settings, [FOUR], RunFolder(path=out)).model.state_dict()
    run(settings, out)
    trained = weights(out)
    assert all(value.isfinite().all() for value in trained.values())
    moved = {key for key, value in trained.items() if not torch.equal(value, fresh[key])}
    assert {"detection_head.class_logits.weight", "mask_head.deconv.weight", "pyramid.p6.weight"} <= moved
    assert any(key.startswith("mask_head.attention") for key in moved) == (changes.get("attention_fusion") != "none")
    model = load_model(RunFolder(path=out).weights("last"))
    norms = {name for name, layer in model.named_modules() if layer in batch_norms(model.backbone)}
    held = {key for key in trained if key.rpartition(".")[0] in norms}
    match settings.norm:
        case "frozen":
            assert held
            assert not held & moved
        case "batch":
            assert {key for key in held if key.endswith(("running_mean", "weight"))} & moved
        case _:
            assert not held


def test_the_same_seed_gives_the_same_weights_and_another_one_others(config: Configs, out: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(config(epochs=1, seed=seed), out / name)
    assert same(weights(out / "a"), weights(out / "b"))
    assert not same(weights(out / "a"), weights(out / "c"))


def test_a_run_of_one_epoch_over_one_picture_is_ordinary(config: Configs, out: Path) -> None:
    found = run(config(epochs=1, batch=8), out, [PictureSet(FOUR.samples[:1], FOUR.class_names)], val=True)
    assert found.keys() == {"squares"}


def test_pictures_without_objects_train_too(config: Configs, out: Path) -> None:
    empty = [one._replace(labels=one.labels[:0], masks=()) for one in FOUR.samples]
    run(config(epochs=1), out, [PictureSet(empty, FOUR.class_names)])
    assert all(math.isfinite(line["loss"]) for line in metrics(out))
    assert all(line["mask"] == line["box"] == 0 for line in metrics(out))


# --- what it leaves behind ---


def test_a_run_leaves_weights_metrics_and_its_settings(config: Configs, out: Path) -> None:
    settings = config(epochs=2)
    found = run(settings, out, val=True)
    names = {path.name for path in out.iterdir() if not path.name.startswith("events.")}
    assert names == {"config.yaml", "last.safetensors", "best.safetensors", "resume.pt", "metrics.jsonl", "report.html",
                     "report"}  # fmt: skip
    written = yaml.safe_load((out / "config.yaml").read_text())
    assert written.pop("data") == ["squares"]
    assert TrainConfig.from_dict(written) == settings
    lines = metrics(out)
    steps = [line["step"] for line in lines if line["kind"] == "train"]
    assert steps == [1, 2, 3, 4]
    assert {"epoch", "loss", "lr", "grad_norm", "pictures_per_s", *Losses._fields} <= lines[0].keys()
    assert lines[0]["loss"] == pytest.approx(sum(lines[0][name] for name in Losses._fields), rel=1e-5)
    assert [line["epoch"] for line in lines if line["kind"] == "val/squares"] == [1, 2]
    assert lines[-1]["mask_ap"] == pytest.approx(found["squares"].mask.ap)
    header, _ = load_tensors(out / "best.safetensors")
    assert header["config"]["class_names"] == ["square"]
    assert header["config"]["test_short_side"] == 64


def found_squares(scores: list[float]) -> EvaluatedSet:
    """The squares of the first pictures, one found with each score, and a wrong one of a score of 0.3."""
    truth = FOUR.truth()
    right = [{**one, "score": score} for one, score in zip(truth["annotations"], scores, strict=False)]
    wrong = {**truth["annotations"][0], "segmentation": to_rle(rectangle(0, 0, 2, 2), Size(64, 64)), "score": 0.3}
    rows = [{**one, "box_score": one["score"]} for one in [*right, wrong]]
    return count_set("squares", FOUR, rows, 100)


def test_trained_weights_show_objects_from_the_best_score_on(
    config: Configs, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown_from(name: str) -> float:
        return load_tensors(RunFolder(path=out).weights(name))[0]["config"]["score_threshold"]

    def found(*sets: EvaluatedSet) -> Callable[..., dict[str, EvaluatedSet]]:
        return lambda *_: {str(place): one for place, one in enumerate(sets)}

    monkeypatch.setattr(loop, "evaluate_together", found(found_squares([])))
    run(config(epochs=1), out, val=True)
    assert shown_from("best") == shown_from("last") == TINY.score_threshold  # nothing is right
    monkeypatch.setattr(loop, "evaluate_together", found(found_squares([0.9, 0.67]), found_squares([0.8, 0.42])))
    run(config(epochs=2), out, val=True, resume=True)
    # The wrong one has 0.3, so the sets say (0.67 + 0.3) / 2 and (0.42 + 0.3) / 2.
    assert shown_from("best") == shown_from("last") == pytest.approx(0.42)
    run(config(epochs=3), out, resume=True)
    assert shown_from("last") == pytest.approx(0.42)


def test_without_validation_pictures_there_is_no_best(config: Configs, out: Path) -> None:
    assert run(config(epochs=1), out) == {}
    assert not (out / "best.safetensors").exists()
    assert (out / "last.safetensors").exists()


def test_evaluations_come_when_asked_for_and_at_the_end(config: Configs, out: Path) -> None:
    run(config(epochs=3, evaluate_every=2, batch=4), out / "a", val=True)
    assert [line["epoch"] for line in metrics(out / "a") if line["kind"] != "train"] == [2, 3]
    run(config(epochs=2, evaluate_every=0, batch=4), out / "b", val=True)
    assert [line["epoch"] for line in metrics(out / "b") if line["kind"] != "train"] == [2]


def test_only_each_nth_step_is_written_down(config: Configs, out: Path) -> None:
    run(config(epochs=3, log_every=4), out)
    assert [line["step"] for line in metrics(out)] == [4]


def test_sets_of_different_classes_are_trained_as_one(config: Configs, out: Path) -> None:
    cats, dogs = squares(2, 64, ("cat",), seed=1), squares(3, 64, ("dog", "cat"), seed=2)
    folder = RunFolder(path=out)
    settings = config(epochs=1)
    found = train(settings, [cats, dogs], {"cats": cats, "dogs": dogs}, folder, console=Console(file=StringIO()))
    assert load_model(folder.weights("last")).config.class_names == ("cat", "dog")
    assert list(found["cats"].mask.per_class) == ["cat"]
    assert list(found["dogs"].mask.per_class) == ["dog", "cat"]


def test_settings_reach_the_network(config: Configs) -> None:
    settings = config(norm="batch", attention_fusion="concatenate", class_agnostic_masks=False, max_detections=7)
    made = configure(settings, {"a": 3, "b": 9})
    assert (made.norm, made.attention_fusion, made.class_agnostic_masks) == ("batch", "concatenate", False)
    assert (made.max_detections, made.class_names, made.test_short_side) == (7, ("a", "b"), 64)
    assert made.category_ids == (3, 9)
    assert made.test_long_side == round(64 * 640 / 384)
    assert configure(config(long_side=70), {"a": 1}).test_long_side == 70


def test_options_of_the_network_reach_it_whatever_it_starts_from(config: Configs) -> None:
    options = ("small_box_weight=3", "class_loss=quality", "mask_iou_gradient=true", "mask_margin=0")
    for origin in ("none", "auto"):
        given = {"preset": "centermask-plus-nano", "norm": None, "init": origin}
        settings = config(options=options, **given)
        donor = find_donor(settings)
        assert (donor is None) == (origin == "none")
        made = configure(settings, {"a": 1}, donor)
        assert (made.small_box_weight, made.class_loss, made.mask_iou_gradient, made.mask_margin) == (
            3.0, "quality", True, 0.0,
        )  # fmt: skip
        assert made.nms_decay == configure(config(**given), {"a": 1}, donor).nms_decay


def test_without_trained_weights_the_norm_is_one_that_learns_from_scratch(config: Configs) -> None:
    assert configure(config(norm=None), {"a": 1}).norm == "group"
    assert configure(config(norm="frozen"), {"a": 1}).norm == "frozen"
    assert configure(config(norm=None, pretrained=True), {"a": 1}).norm == "frozen"
    assert configure(config(norm=None, backbone_weights="x.safetensors"), {"a": 1}).norm == "frozen"


def test_a_run_starts_from_given_backbone_weights(config: Configs, out: Path, tmp_path: Path) -> None:
    torch.manual_seed(5)
    donor = build(configure(config(norm="frozen"), {"other": 1, "classes": 2}))
    save_model(donor, tmp_path / "donor.safetensors")
    begun = start(
        config(norm="frozen", backbone_weights=str(tmp_path / "donor.safetensors")), [FOUR], RunFolder(path=out)
    )
    assert same(begun.model.backbone.state_dict(), donor.backbone.state_dict())
    assert begun.average is not None
    assert same(begun.average.module.backbone.state_dict(), donor.backbone.state_dict())


def test_trained_backbone_weights_see_the_pixels_that_they_know(config: Configs, out: Path, tmp_path: Path) -> None:
    """The published lite presets scale pixels otherwise than timm does."""

    def scale(settings: TrainConfig) -> tuple[float, ...]:
        model = start(settings, [FOUR], RunFolder(path=out)).model
        assert model.pixel_std.flatten().tolist() == pytest.approx(model.config.pixel_std)
        return model.config.pixel_std

    lite = config(preset="centermask-lite-mv2")
    timms = pytest.approx((58.395, 57.12, 57.375))
    assert scale(lite) == (1.0, 1.0, 1.0)
    donor = build(replace(preset("centermask-lite-mv2"), pixel_std=(2.0, 3.0, 4.0)))
    given = tmp_path / "donor.safetensors"
    given_to = replace(lite, norm="frozen", backbone_weights=str(given))
    save_backbone(donor.backbone.state_dict(), given, donor.config.backbone)
    assert scale(given_to) == timms
    save_backbone(donor.backbone.state_dict(), given, donor.config.backbone, bgr=True)
    assert scale(given_to) == (1.0, 1.0, 1.0)
    save_model(donor, given)
    assert scale(given_to) == (2.0, 3.0, 4.0)


# --- interruptions ---


class Interrupting:
    """Squares whose n-th picture asks the trainer to stop, as Ctrl-C does."""

    def __init__(self, pictures: int, number: int = signal.SIGINT) -> None:
        self.left, self.number, self.class_names = pictures, number, FOUR.class_names

    def __len__(self) -> int:
        return len(FOUR)

    def __getitem__(self, index: int) -> Sample:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), self.number)
        return FOUR[index]

    def size(self, index: int) -> Size:
        return FOUR.size(index)


@pytest.mark.parametrize("changes", [{}, {"optimizer": "sgd", "norm": "batch", "ema": 0.0}], ids=["adamw", "sgd"])
def test_a_resumed_run_ends_with_the_same_weights_bit_for_bit(changes: dict, config: Configs, out: Path) -> None:
    settings = config(**changes)  # two epochs of two steps of two pictures
    run(settings, out / "whole")
    for pictures, step in ((2, 1), (4, 2), (5, 3)):  # in the middle of an epoch, at its end, in the second one
        folder = out / str(step)
        with pytest.raises(Stopped) as stop:
            run(settings, folder, [Interrupting(pictures)])
        assert stop.value.exit_code == 130
        assert RunFolder(path=folder).load_state()["step"] == step
        run(settings, folder, resume=True)
        assert same(weights(folder), weights(out / "whole"))
        assert [line["step"] for line in metrics(folder)] == [1, 2, 3, 4]


def test_a_stopped_run_leaves_usable_weights_and_gives_the_signals_back(config: Configs, out: Path) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(Stopped) as stop:
        run(config(), out, [Interrupting(3, signal.SIGTERM)])
    assert stop.value.exit_code == 143
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert load_model(RunFolder(path=out).weights("last")).config.class_names == ("square",)


def test_a_finished_run_can_be_resumed_and_lengthened(config: Configs, out: Path) -> None:
    run(config(epochs=1), out)
    first = weights(out)
    run(config(epochs=1), out, resume=True)
    assert same(weights(out), first)
    run(config(epochs=2), out, resume=True)
    assert RunFolder(path=out).load_state()["step"] == 4


def test_a_resumed_run_may_change_sizes_and_counts(config: Configs, out: Path) -> None:
    run(config(epochs=1), out)
    changed = {"short_side": 96, "max_detections": 7, "train_proposals": 5, "train_rois": 4}
    for epochs, more in ((2, {"long_side": 128}), (3, {})):
        run(config(epochs=epochs, **changed, **more), out, resume=True)
        told = load_tensors(RunFolder(path=out).weights("last"))[0]["config"]
        kept = {"test_short_side": 96, "test_long_side": 128, "max_detections": 7, "train_proposals": 5}
        assert {key: told[key] for key in kept} == kept
        assert told["train_rois"] == 4


def test_resuming_where_there_is_no_run_begins_one(config: Configs, out: Path) -> None:
    run(config(), out / "a", resume=True)
    run(config(), out / "b")
    assert same(weights(out / "a"), weights(out / "b"))


def test_a_run_is_not_begun_upon_another(config: Configs, out: Path) -> None:
    run(config(epochs=1), out)
    before = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    with pytest.raises(UserError, match="already holds a run; add --resume"):
        run(config(epochs=1), out)
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()} == before


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"optimizer": "sgd"}, "optimizer"),
        ({"weight_decay": 0.7}, "weight_decay"),
        ({"backbone_lr": 0.2}, "backbone_lr"),
        ({"ema": 0.5}, "ema"),
        ({"attention_fusion": "none"}, "attention_fusion"),
        ({"class_agnostic_masks": False}, "class_agnostic_masks"),
        ({"options": ("plain_giou=false",)}, "options"),
        ({"freeze": 4}, "freeze"),
        ({"batch": 4}, "batch"),
        ({"norm": "batch"}, "norm"),
        ({"preset": "centermask-nano"}, "preset"),
        ({"seed": 1}, "seed"),
    ],
)
def test_a_run_is_resumed_with_its_own_settings_only(changes: dict, told: str, config: Configs, out: Path) -> None:
    folder = RunFolder(path=out)
    folder.open(config(), ["squares"], resume=False)
    folder.save_state(dict.fromkeys(STATE, 0))
    with pytest.raises(UserError, match=f"begun with {told} .*resume with the same"):
        folder.open(config(**changes), ["squares"], resume=True)
    folder.open(config(epochs=9, device="auto", workers=1, accumulate=2), ["squares"], resume=True)


def test_a_run_is_resumed_with_its_own_classes_only(config: Configs, out: Path) -> None:
    run(config(epochs=1), out)
    with pytest.raises(UserError, match="was trained on square; the data now annotates circle"):
        run(config(), out, [PictureSet(FOUR.samples, ("circle",))], resume=True)


def test_a_run_is_resumed_with_its_own_pictures_only(config: Configs, out: Path) -> None:
    run(config(epochs=1), out)
    written = (out / "config.yaml").read_bytes()
    for samples in (FOUR.samples[:3], FOUR.samples * 2):
        with pytest.raises(UserError, match="begun with 4 pictures in steps of 2, and would go on with"):
            run(config(epochs=3), out, [PictureSet(samples, FOUR.class_names)], resume=True)
    assert (out / "config.yaml").read_bytes() == written  # what was refused is not put on record


def test_a_run_goes_on_without_the_weights_it_started_from(config: Configs, out: Path, tmp_path: Path) -> None:
    donor = tmp_path / "donor.safetensors"
    save_model(build(configure(config(), {"square": 1})), donor)
    settings = config(epochs=2, init=str(donor))
    run(settings, out / "whole")
    with pytest.raises(Stopped):
        run(settings, out / "half", [Interrupting(3)])
    donor.unlink()
    run(settings, out / "half", resume=True)
    assert same(weights(out / "half"), weights(out / "whole"))


def test_a_state_of_another_version_is_refused_with_the_mend(config: Configs, out: Path) -> None:
    run(config(epochs=1), out)
    for state in ({"step": 1}, [1, 2]):
        torch.save(state, out / "resume.pt")
        with pytest.raises(UserError, match=r"another version; start the run anew, with --init .*last\.safetensors"):
            run(config(), out, resume=True)


def test_a_validation_set_of_other_classes_is_refused_before_the_first_step(config: Configs, out: Path) -> None:
    other = PictureSet(FOUR.samples, ("circle",))
    with pytest.raises(UserError, match="the run learns square, its validation pictures annotate circle"):
        train(config(), [FOUR], {"round": other}, RunFolder(path=out), console=Console(file=StringIO()))
    assert not (out / "metrics.jsonl").exists()


def test_of_equal_scores_the_network_that_learned_longer_is_best(config: Configs, out: Path) -> None:
    run(config(epochs=3, lr=1e-9), out, val=True)
    assert load_tensors(out / "best.safetensors")[0]["notes"]["epoch"] == 3


def test_a_broken_state_is_refused_by_name(config: Configs, out: Path) -> None:
    run(config(epochs=1), out)
    content = (out / "resume.pt").read_bytes()
    for broken in (b"", content[: len(content) // 2], b"text"):
        (out / "resume.pt").write_bytes(broken)
        with pytest.raises(UserError, match=r"resume\.pt: cannot be read"):
            run(config(), out, resume=True)


def test_ctrl_c_saves_ends_the_workers_and_exits_with_130(tmp_path: Path) -> None:
    out = tmp_path / "run"
    code = "from centermask.cli import main; main()"
    command = [sys.executable, "-c", code, "train", "gems:images=8,size=64,stones=1-2",
               "--out", str(out), "--epochs", "1000", "--batch", "2", "--short-side", "64", "--evaluate-every", "0",
               "--log-every", "1", "--workers", "1", "--device", "cpu"]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not ((out / "metrics.jsonl").exists() and metrics(out)):
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=300)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert "--resume" in errors.splitlines()[-1]
    assert RunFolder(path=out).load_state()["step"] >= 1
    load_model(out / "last.safetensors")


# --- faults ---


def test_losses_that_are_no_numbers_end_the_run_and_leave_the_weights_finite(config: Configs, out: Path) -> None:
    with pytest.raises(UserError, match=r"no numbers 10 steps in a row .*--lr"):
        run(config(epochs=60, batch=4, lr=1e9, warmup=0.0, log_every=1), out)
    assert len(metrics(out)) >= MOST_BAD_STEPS - 1
    assert all(value.isfinite().all() for value in weights(out).values())
    assert all(value.isfinite().all() for value in RunFolder(path=out).load_state()["model"].values())


def test_without_training_pictures_nothing_is_begun(config: Configs, out: Path) -> None:
    for sets in ([], [PictureSet([], ("square",))]):
        with pytest.raises(UserError, match="no training picture"):
            run(config(), out, sets)
    with pytest.raises(UserError, match="annotates no class"):
        run(config(), out, [PictureSet([one._replace(labels=one.labels[:0], masks=()) for one in FOUR.samples], ())])


def test_an_unknown_preset_names_the_nearest(config: Configs, out: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'centermask-nano'"):
        run(config(preset="centermask-nan"), out)
