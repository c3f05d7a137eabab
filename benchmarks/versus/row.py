"""One row of the comparison: train a contender, score it, and leave what was measured in a folder.

    python benchmarks/versus/row.py FOLDER --contender faithful --task cats --data DATA --backbone FILE

Every contender goes through this one loop: pictures, augmentation, order, schedule, optimiser, averaging and precision
are the same for all. The state is saved after each epoch; the same command goes on from there.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import torch
import torchvision
from contenders import contender, parameters
from sets import Task, open_task
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.swa_utils import AveragedModel

from centermask.data.augment import Augmentation
from centermask.data.batches import BatchPlan, TrainingSet, load_epoch
from centermask.evaluate import analyse, evaluate_predictions, predict_set
from centermask.evaluate.curves import unpack
from centermask.evaluate.matching import match_set
from centermask.evaluate.rows import read_predictions, read_truth
from centermask.evaluate.strata import largest_overlaps
from centermask.files import write_whole
from centermask.predict import Predictor
from centermask.train.averaging import averaged
from centermask.train.schedule import lr_factor, peak_lr

CROWDED = 0.3
"""Objects whose box shares more than this IoU with another one of their class."""


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--contender", required=True)
    parser.add_argument("--task", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backbone", required=True)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--lr", type=float, default=4e-4, help="for a batch of 16; scaled to the batch")
    parser.add_argument("--backbone-lr", type=float, default=1.0, help="share of the learning rate for the backbone")
    parser.add_argument(
        "--warmup", type=float, default=0.05, help="share of the steps in which the learning rate rises"
    )
    parser.add_argument("--copy-paste", type=float, default=0.0)
    parser.add_argument(
        "--scale-jitter", type=float, nargs=2, default=[1.0, 1.0], help="factors between which to scale"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tests", nargs="*", help="score these sets only")
    parser.add_argument(
        "--weights", type=Path, help="score the weights of this row, chosen otherwise; nothing is learned"
    )
    parser.add_argument(
        "--unaveraged", action="store_true", help="score the weights of the last step, not their average"
    )
    parser.add_argument("--pictures", type=int, help="of each set only so many, to see that everything works")
    return parser.parse_args()


class Training:
    """A contender on its way."""

    def __init__(self, given: argparse.Namespace, task: Task) -> None:
        torch.manual_seed(given.seed)
        self.given = given
        self.network = contender(given.contender, task.train.class_names, given.side, task.objects, given.backbone)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        plan = Augmentation(short_sides=(round(0.75 * given.side), given.side), long_side=2 * given.side, flip=0.5,
                            scale_jitter=tuple(given.scale_jitter), color_jitter=0.2,
                            copy_paste=given.copy_paste)  # fmt: skip
        plain = given.epochs - max(1, round(given.epochs / 6))
        self.pictures = TrainingSet([task.train], task.train.class_names, plan, given.seed, plain_from=plain)
        self.plan = BatchPlan(pictures=len(self.pictures), batch=given.batch, seed=given.seed)
        self.average: AveragedModel = averaged(self.network, 0.998)
        self.optimizer = AdamW(groups(self.network, given.backbone_lr))
        self.epoch, self.step, self.seconds, self.losses = 0, 0, list[float](), list[float]()
        self.memory = 0.0

    def run(self) -> None:
        """Learn until all epochs are done."""
        while self.epoch < self.given.epochs:
            began = time.perf_counter()
            total = 0.0
            self.network.train()
            for batch in load_epoch(self.pictures, self.plan, self.epoch):
                total += self.learn(*batch)
            self.seconds.append(time.perf_counter() - began)
            self.losses.append(total / self.plan.batches)
            self.epoch += 1
            self.memory = max(self.memory, peak_memory())
            print(f"{self.given.folder.name}: epoch {self.epoch}, loss {self.losses[-1]:.3f}, "
                  f"{self.seconds[-1]:.0f} s", flush=True)  # fmt: skip
            self.save()

    def learn(self, images: Any, truths: Any) -> float:
        """One step; gives the loss."""
        steps = self.given.epochs * self.plan.batches
        rate = peak_lr("adamw", self.given.batch, self.given.lr) * lr_factor(
            self.step, steps, "cosine", self.given.warmup
        )
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["share"]
        torch.manual_seed(self.given.seed * 1_000_003 + self.step)
        self.optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss: Tensor = self.network.loss(images, truths)  # type: ignore[operator]
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), 10.0)
        if norm.isfinite():
            self.optimizer.step()
            self.average.update_parameters(self.network)
        self.step += 1
        return float(loss.detach())

    def save(self) -> None:
        """Write the state aside, then rename."""
        path = self.given.folder / "state.pt"
        aside = path.with_suffix(".aside")
        torch.save({"network": self.network.state_dict(), "average": self.average.state_dict(),
                    "optimizer": self.optimizer.state_dict(), "epoch": self.epoch, "step": self.step,
                    "seconds": self.seconds, "losses": self.losses, "memory": self.memory}, aside)  # fmt: skip
        os.replace(aside, path)

    def resume(self) -> None:
        """Go on from what was saved, if anything was."""
        path = (self.given.weights or self.given.folder) / "state.pt"
        if not path.is_file() and self.given.weights:
            raise SystemExit(f"{path}: there is no such file; --weights takes the folder of a row that has learned")
        if not path.is_file():
            return
        state = torch.load(path, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.step, self.seconds, self.losses, self.memory = (
            state[key] for key in ("epoch", "step", "seconds", "losses", "memory")
        )
        if self.given.weights and self.epoch != self.given.epochs:
            raise SystemExit(f"{path} has learned for {self.epoch} epochs, not {self.given.epochs}")

    def scored(self) -> nn.Module:
        """The network that is scored."""
        network: nn.Module = self.network if self.given.unaveraged else self.average.module
        return network.eval()


def groups(network: nn.Module, backbone_lr: float) -> list[dict[str, Any]]:
    """Trained values by their share of the learning rate, and whether they decay."""
    made = dict[tuple[float, float], list[Tensor]]()
    for name, value in network.named_parameters():
        if value.requires_grad:
            share = backbone_lr if "backbone" in name.split(".") else 1.0
            made.setdefault((share, 0.05 if value.ndim > 1 else 0.0), []).append(value)
    return [{"params": values, "share": share, "weight_decay": decay} for (share, decay), values in made.items()]


class Half(nn.Module):
    """A network that is used in bf16, as it was trained."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network, self.config = network, network.config

    def forward(self, batch: Any) -> Any:
        with torch.autocast("cpu", torch.bfloat16):
            found = self.network(batch)
        return [type(one)(*(field.float() if field.is_floating_point() else field for field in one)) for one in found]

    def keep_detections(self, count: int) -> None:
        self.network.keep_detections(count)


def score(network: nn.Module, task: Task, folder: Path, name: str) -> dict[str, float]:
    """The figures of one set; the predictions are kept beside them."""
    test = task.tests[name]
    began = time.perf_counter()
    predictor = Predictor(Half(network), score_threshold=0.0, max_detections=task.objects)
    results = list(predict_set(predictor, test))
    seconds = time.perf_counter() - began
    write_whole(folder / f"{name}.json", json.dumps(results).encode())
    return figures(test.truth(), results, task.judged) | {"ms": 1000 * seconds / len(test)}


def figures(truth: dict[str, Any], results: list[dict[str, Any]], most: int) -> dict[str, float]:
    """Precision and recall of all objects, and recall of those that overlap another of their class."""
    scores = evaluate_predictions(truth, results, max_detections=most)
    true = read_truth(truth)
    matches = match_set(true, read_predictions(results, true.known), "mask", most)
    counted = matches.counted[:, 0]
    crowded = largest_overlaps(true)[counted] > CROWDED
    reached = unpack(matches.reached[counted, 0])[:, crowded]
    return {
        "mask_ap": scores.mask.ap, "mask_ap50": scores.mask.ap50, "mask_ap75": scores.mask.ap75,
        "mask_ar": scores.mask.ar_max, "box_ap": scores.box.ap, "box_ap50": scores.box.ap50,
        "crowded_ar": float(reached.mean()) if crowded.any() else float("nan"), "crowded": int(crowded.sum()),
        "images": scores.images, "instances": scores.instances, "found": len(results) / scores.images,
    }  # fmt: skip


def best_threshold(truth: dict[str, Any], results: list[dict[str, Any]], most: int) -> float:
    """The score from which on F1 at mask IoU 0.5 is highest."""
    return analyse(truth, results, max_detections=most).threshold


def peak_memory() -> float:
    """The most memory that this process had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def versions() -> dict[str, str]:
    """What a row was made with; the commit, if git is there and knows it."""
    commit = ""
    if git := shutil.which("git"):
        asked = [git, "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
        commit = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    return {"commit": commit, "torch": torch.__version__, "torchvision": torchvision.__version__}


def main() -> None:
    given = options()
    torch.set_num_threads(given.threads)
    given.folder.mkdir(parents=True, exist_ok=True)
    task = open_task(given.task, given.data, given.side, pictures=given.pictures)
    if unknown := set(given.tests or ()) - set(task.tests):
        raise SystemExit(f"{given.task} has no test set {', '.join(sorted(unknown))}, but {', '.join(task.tests)}")
    training = Training(given, task)
    training.resume()
    training.run()
    network = training.scored()
    tests = [name for name in task.tests if given.tests is None or name in given.tests]
    told = {
        "settings": {key: str(value) if isinstance(value, Path) else value for key, value in vars(given).items()},
        "parameters": parameters(network), "pictures": len(task.train), "seconds": training.seconds,
        "losses": training.losses, "memory_mb": training.memory, "versions": versions(),
        "tests": {name: score(network, task, given.folder, name) for name in tests},
    }  # fmt: skip
    write_whole(given.folder / "row.json", json.dumps(told, indent=1).encode())
    for name, one in told["tests"].items():
        print(f"{given.folder.name} {name}: " + ", ".join(f"{key} {value:.3f}" for key, value in one.items()))


if __name__ == "__main__":
    main()
