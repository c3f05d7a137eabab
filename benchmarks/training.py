"""How fast training is: our step beside torchvision's Mask R-CNN on the same pictures, where its time goes, and input.

    python benchmarks/training.py [--steps 5] [--batch 4] [--threads 2] [--quick]

Step: forward, backward and SGD on noise pictures of 320 × 416 with eight objects each (ellipses as polygons of 24
vertices), random weights. A fresh network proposes next to nothing, so both mask branches see little more than the
true boxes; "with proposals" gives ours the answers of a network that has learned, several boxes on each object. Input:
pictures of stones as JPEG files of 480 × 640, prepared at a short side of 320, without a network. Everything runs on
the GPU if there is one. Rounds are interleaved; medians, and ratios. CPU seconds are those of this process, without its
workers; a stage's share is of them, on a GPU of wall time. ``--quick`` only shows that it works.
"""

import argparse
import itertools
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import Taken, clock, machine, medians
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torchvision.models.detection import maskrcnn_resnet50_fpn

import centermask.data.batches
import centermask.data.coco
import centermask.model.centermask
import centermask.model.objective
from centermask import build, preset
from centermask.data.augment import Augmentation
from centermask.data.batches import BatchPlan, TrainingSet, load_epoch
from centermask.data.coco import load_coco
from centermask.data.gems import GemRecipe, write_gems
from centermask.model.detection.targets import assign_targets
from centermask.model.objective import Objective
from centermask.ops.mask_warp import Polygons, bounds, draw
from centermask.size import Size
from centermask.structures import DensePredictions, DenseTargets, GroundTruth, ImageBatch

SIZE, OBJECTS, VERTICES = Size(320, 416), 8, 24
PEER = "torchvision Mask R-CNN R50"
PICTURES, REPEATS = 48, 5
RATE = 1e-9
"""Of SGD: random weights on noise would otherwise run away and end in NaN, which is another kind of work."""
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


@dataclass(frozen=True)
class Options:
    """What the command line said."""

    steps: int
    batch: int
    threads: int
    quick: bool


def objects(rng: np.random.Generator, classes: int) -> GroundTruth:
    """Eight ellipses of various sizes inside the picture."""
    turn = np.linspace(0, 2 * np.pi, VERTICES, endpoint=False)
    circle = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    masks = []
    for _ in range(OBJECTS):
        radii = rng.uniform(15, 80, 2)
        centre = rng.uniform(radii, np.array([SIZE.width, SIZE.height]) - radii)
        masks.append(Polygons((centre + circle * radii,)))
    boxes = torch.from_numpy(np.array([bounds(mask) for mask in masks], dtype=np.float32))
    labels = torch.from_numpy(rng.integers(0, classes, OBJECTS))
    return GroundTruth(boxes, labels, tuple(masks), torch.ones(classes, dtype=torch.bool)).to(DEVICE)


class Learned(nn.Module):
    """A detection head whose numbers are replaced by good answers; gradients flow through the head as ever."""

    def __init__(self, head: nn.Module, answers: DensePredictions) -> None:
        super().__init__()
        self.head, self.answers = head, answers

    def forward(self, pyramid: list[Tensor]) -> DensePredictions:
        own = self.head(pyramid)
        pairs = zip(own, self.answers, strict=True)
        return DensePredictions(*(value + (answer - value).detach() for value, answer in pairs))


def answers(locations: Any, truths: list[GroundTruth]) -> DensePredictions:
    """True labels at their locations, and distances off by up to a half: NMS leaves several boxes of an object."""
    generator = torch.Generator(DEVICE).manual_seed(0)
    assigned = [assign_targets(locations, truth) for truth in truths]
    targets = DenseTargets(*(torch.stack(part) for part in zip(*assigned, strict=True)))
    classes = len(truths[0].annotated)
    positive = nn.functional.one_hot(targets.labels, classes + 1)[..., :-1].float()
    off = torch.rand(targets.ltrb.shape, generator=generator, device=DEVICE) + 0.5
    return DensePredictions(positive * 8 - 6, targets.ltrb.clamp_min(0) * off, targets.centerness.logit(1e-3))


def our_objective(
    name: str, batch: ImageBatch, truths: list[GroundTruth], *, learned: bool, channels_last: bool
) -> Objective:
    """One of our presets, as it is trained."""
    torch.manual_seed(0)
    config = preset(name)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    model = build(config).to(DEVICE).to(memory_format=layout).train()
    if learned:
        with torch.no_grad():
            locations = model.locations(model.features(batch))
        model.detection_head = Learned(model.detection_head, answers(locations, truths))
    return Objective(model, config.train_proposals, config.train_rois).train()


class Training:
    """Steps of SGD on one batch."""

    def __init__(
        self, objective: Objective, batch: ImageBatch, truths: list[GroundTruth], *, bf16: bool = False
    ) -> None:
        self.objective, self.batch, self.truths, self.bf16 = objective, batch, truths, bf16
        trained = [value for value in objective.parameters() if value.requires_grad]
        self.optimizer = torch.optim.SGD(trained, lr=RATE, momentum=0.9)

    def __call__(self) -> None:
        """One step."""
        self.optimizer.zero_grad()
        self.backward(self.forward())
        self.optimise()

    def forward(self) -> Tensor:
        """Pictures to the loss."""
        with torch.autocast(DEVICE.type, torch.bfloat16, enabled=self.bf16):
            return self.objective(self.batch, self.truths).total()

    def backward(self, loss: Tensor) -> None:
        """Loss to gradients."""
        loss.backward()

    def optimise(self) -> None:
        """Gradients to weights."""
        self.optimizer.step()


def compiled(objective: Objective) -> Objective:
    """The same with its dense parts compiled; matching and selection have shapes that depend on the data."""
    model = objective.model
    for part in (model.backbone, model.pyramid, model.detection_head, model.mask_head):
        part.compile()
    return objective


def peer_step(batch: ImageBatch, truths: list[GroundTruth]) -> Callable[[], None]:
    """One step of torchvision's Mask R-CNN R50; without weights it is built with batch norms that are trained."""
    torch.manual_seed(0)
    peer = maskrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=81, min_size=SIZE.height, max_size=SIZE.width
    ).to(DEVICE).train()  # fmt: skip
    optimizer = torch.optim.SGD(peer.parameters(), lr=RATE, momentum=0.9)
    images = list(batch.pixels / 255)
    planes = [np.stack([draw(mask.parts, SIZE) for mask in truth.masks]).astype(np.uint8) for truth in truths]
    targets = [
        {"boxes": truth.boxes, "labels": truth.labels + 1, "masks": torch.from_numpy(masks).to(DEVICE)}
        for truth, masks in zip(truths, planes, strict=True)
    ]

    def step() -> None:
        optimizer.zero_grad()
        sum(peer(images, targets).values()).backward()
        optimizer.step()

    return step


def our_cases(batch: ImageBatch, truths: list[GroundTruth], options: Options) -> dict[str, Training]:
    """Ours in every variant."""

    def ours(name: str = "centermask-lite-v19", learned: bool = False, channels_last: bool = True) -> Objective:
        return our_objective(name, batch, truths, learned=learned, channels_last=channels_last)

    cases = {
        "centermask-lite-v19": Training(ours(), batch, truths),
        "centermask-lite-v19, with proposals": Training(ours(learned=True), batch, truths),
        "centermask-lite-v19, not channels_last": Training(ours(channels_last=False), batch, truths),
        "centermask-lite-v19, bf16": Training(ours(), batch, truths, bf16=True),
        "centermask-nano": Training(ours("centermask-nano"), batch, truths),
        "centermask-nano, bf16": Training(ours("centermask-nano"), batch, truths, bf16=True),
    }
    if not options.quick and can_compile():
        cases["centermask-lite-v19, torch.compile"] = Training(compiled(ours()), batch, truths)
    return cases


def can_compile() -> bool:
    """Whether ``torch.compile`` finds what it needs."""
    return DEVICE.type == "cuda" or shutil.which("g++") is not None or shutil.which("clang++") is not None


def rois_per_picture(training: Training) -> float:
    """How many boxes the mask branch is trained on."""
    counts: list[int] = []
    handle = training.objective.model.mask_head.register_forward_pre_hook(lambda _, given: counts.append(len(given[0])))
    training.forward()
    handle.remove()
    return counts[0] / len(training.truths)


def shared_time(taken: Taken) -> float:
    """What shares are made of: CPU time where the CPU works, else wall time."""
    return taken.cpu if DEVICE.type == "cpu" else taken.wall


class Stages:
    """Time spent in some functions, by name."""

    def __init__(self) -> None:
        self.times: Counter[str] = Counter()

    @contextmanager
    def watch(self, places: list[tuple[Any, str, str]]) -> Iterator[None]:
        """Clock functions, given as (owner, attribute, name of the stage), none of which may call another."""
        originals = [getattr(owner, attribute) for owner, attribute, _ in places]
        for (owner, attribute, name), original in zip(places, originals, strict=True):
            setattr(owner, attribute, self._clocked(original, name))
        try:
            yield
        finally:
            for (owner, attribute, _), original in zip(places, originals, strict=True):
                setattr(owner, attribute, original)

    def _clocked(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            results: list[Any] = []
            self.times[name] += shared_time(clock(lambda: results.append(function(*args, **kwargs))))
            return results[0]

        return run


def step_stages(training: Training, steps: int) -> dict[str, float]:
    """The share of each stage of a step."""
    model, story = training.objective.model, centermask.model.objective
    places = [
        (model.backbone, "forward", "backbone"),
        (model.pyramid, "forward", "pyramid"),
        (model.detection_head, "forward", "detection head"),
        (story, "assign_targets", "assign targets"),
        (story, "detection_losses", "detection losses"),
        (story, "decode_boxes", "decode proposals"),
        (story, "match_rois", "mask targets"),
        (centermask.model.centermask, "pool_rois", "pool RoIs"),
        (model.mask_head, "forward", "mask head"),
        (model.mask_iou_head, "forward", "mask IoU head"),
        (story, "mask_losses", "mask losses"),
        (training, "backward", "backward"),
        (training, "optimise", "optimiser"),
    ]
    return shares(training, steps, places)


def shares(run: Callable[[], object], times: int, places: list[tuple[Any, str, str]]) -> dict[str, float]:
    """What share of some runs is spent in each place; the first run does not count."""
    run()
    stages = Stages()
    with stages.watch(places):
        whole = sum(shared_time(clock(run)) for _ in range(times))
    found = {name: stages.times[name] / whole for _, _, name in places}
    return found | {"the rest": 1 - sum(found.values())}


def input_cases(folder: Path, options: Options) -> dict[str, Callable[[], None]]:
    """Epochs of input in every variant."""
    pictures = 8 if options.quick else PICTURES
    write_gems(folder / "set", images=pictures, recipe=GemRecipe(size=Size(480, 640), stones=(8, 8)), val_share=0.0)
    stones = load_coco(folder / "set/annotations/gems_train.json", folder / "set/train")

    def epochs(workers: int, **variation: float) -> Callable[[], None]:
        plan = Augmentation(short_sides=(320, 320), long_side=427, color_jitter=0.2, **variation)
        training_set = TrainingSet([stones] * REPEATS, stones.class_names, plan, seed=0)
        numbers = itertools.count()

        def epoch() -> None:
            batches = BatchPlan(pictures=len(training_set), batch=options.batch, seed=0)
            for _ in load_epoch(training_set, batches, next(numbers), workers=workers):
                pass

        return epoch

    return {
        "in the trainer's own process": epochs(0),
        "1 worker": epochs(1),
        "2 workers": epochs(2),
        "own process, copy-paste always": epochs(0, copy_paste=1.0),
        "own process, mosaic always": epochs(0, mosaic=1.0),
    }


def input_stages(epoch: Callable[[], object], rounds: int) -> dict[str, float]:
    """The share of each stage of the input."""
    places = [
        (centermask.data.coco, "read_image", "decode"),
        (centermask.data.coco, "visible_mask", "read masks"),
        (centermask.data.batches, "augment", "augment"),
        (centermask.data.batches, "_collate_or_fault", "collate"),
    ]
    return shares(epoch, rounds, places)


def print_times(title: str, what: str, pictures: int, times: dict[str, Taken], unit: str) -> None:
    """Times, and each in proportion to the first."""
    first = next(iter(times.values()))
    table = Table(what, "median s", "pictures / s", f"time / {unit}", "CPU s", f"CPU / {unit}", title=title)
    for name, (wall, cpu) in times.items():
        ratios = f"{wall / first.wall:.2f}", f"{cpu / first.cpu:.2f}"
        table.add_row(name, f"{wall:.3f}", f"{pictures / wall:.2f}", ratios[0], f"{cpu:.3f}", ratios[1])
    Console(width=140).print(table)


def print_shares(title: str, columns: dict[str, dict[str, float]]) -> None:
    """Stages in rows."""
    table = Table("stage", *columns, title=title)
    for stage in next(iter(columns.values())):
        table.add_row(stage, *(f"{100 * shares[stage]:.1f} %" for shares in columns.values()))
    Console(width=120).print(table)


def measure_steps(options: Options) -> None:
    rng = np.random.default_rng(0)
    truths = [objects(rng, 80) for _ in range(options.batch)]
    pixels = torch.from_numpy(rng.uniform(0, 255, (options.batch, 3, *SIZE)).astype(np.float32)).to(DEVICE)
    batch = ImageBatch(pixels, torch.tensor([list(SIZE)] * options.batch, device=DEVICE))
    ours = our_cases(batch, truths, options)
    times = medians({PEER: peer_step(batch, truths), **ours}, options.steps, warm_up=2)
    title = f"a step on {options.batch} pictures of {SIZE.height}×{SIZE.width}, {OBJECTS} objects each"
    print_times(title, "network", options.batch, times, "Mask R-CNN")
    if not can_compile():
        print("torch.compile: left out, there is no C++ compiler")
    parts = ["centermask-lite-v19", "centermask-lite-v19, with proposals"]
    print("RoIs of a picture: " + ", ".join(f"{name} {rois_per_picture(ours[name]):.1f}" for name in parts))
    for name, training in ours.items():
        if not training.forward().isfinite():
            raise SystemExit(f"{name}: the loss is no number, so its time says nothing")
    print_shares("where a step goes", {name: step_stages(ours[name], options.steps) for name in parts})


def measure_input(options: Options) -> None:
    torch.set_num_threads(1)  # as in a worker
    with tempfile.TemporaryDirectory() as folder:
        cases = input_cases(Path(folder), options)
        pictures = 8 if options.quick else PICTURES
        times = medians(cases, options.steps)
        title = f"input, an epoch of {pictures * REPEATS} JPEG files of 480×640"
        print_times(title, "prepared in", pictures * REPEATS, times, "own process")
        own = cases["in the trainer's own process"]
        print_shares("where the input's time goes", {"share": input_stages(own, options.steps)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="one step, few pictures, no torch.compile")
    given = parser.parse_args()
    options = Options(1 if given.quick else given.steps, given.batch, given.threads, given.quick)
    torch.set_num_threads(options.threads)
    measure_steps(options)
    measure_input(options)
    print(machine(options.steps, options.threads))


if __name__ == "__main__":
    main()
