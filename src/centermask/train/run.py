"""Everything that one run holds together, built from its configuration and its data."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, cast

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import InitProcessGroupKwargs, set_seed
from torch import nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.swa_utils import AveragedModel

from centermask.checkpoint import load_backbone, pixels_of_backbone
from centermask.config import ModelConfig, TrainConfig, read_options
from centermask.data.augment import Augmentation
from centermask.data.batches import BatchPlan, TrainingSet
from centermask.data.sample import SampleSet
from centermask.data.sources import union_of_classes
from centermask.errors import UserError
from centermask.model.centermask import CenterMask
from centermask.model.objective import Objective
from centermask.model.presets import build, pixels_of_timm, preset
from centermask.runtimes.precision import has_bf16
from centermask.train.averaging import averaged
from centermask.train.batch_size import find_batch
from centermask.train.folder import RunFolder
from centermask.train.initial import Donor, architecture, find_donor, freeze, start_from
from centermask.train.schedule import WEIGHT_DECAY, peak_lr
from centermask.train.together import Together

LONGEST_WAIT = timedelta(hours=6)
"""How long processes wait for each other: one may score a large validation set alone."""
EPOCHS, FEWEST_STEPS = 12, 1000
"""Of a run that is not told how long it lasts: so many epochs, and for a small set so many steps."""
EVALUATIONS = 12
"""Of a run that is not told how often to evaluate."""


@dataclass(kw_only=True)
class Progress:
    """Where a run stands."""

    step: int = 0
    epochs: int = 0
    """Finished, with their evaluation."""
    best: float = -1.0
    stale: int = 0
    """Evaluations since the best one."""
    bad_steps: int = 0
    """In a row."""


@dataclass(kw_only=True)
class Run:
    """Everything that one run holds together."""

    config: TrainConfig
    folder: RunFolder
    accelerator: Accelerator
    together: Together
    training_set: TrainingSet
    plan: BatchPlan
    epochs: int
    model: CenterMask
    objective: nn.Module
    optimizer: Optimizer
    average: AveragedModel | None
    peak_lr: float
    part: int
    """Pictures that go through the network at a time, in one process."""
    origin: str
    """What the weights start from, in words."""
    progress: Progress = field(default_factory=Progress)

    @property
    def steps(self) -> int:
        """Of the whole run."""
        return self.epochs * self.plan.batches

    @property
    def usable_model(self) -> CenterMask:
        """The averaged network, or the network itself where nothing is averaged."""
        return self.model if self.average is None else cast(CenterMask, self.average.module)

    def is_evaluated_after(self, epochs: int) -> bool:
        """Whether an evaluation is due after so many epochs."""
        every = self.config.evaluate_every
        every = max(1, round(self.epochs / EVALUATIONS)) if every is None else every
        return epochs == self.epochs or (every > 0 and epochs % every == 0)


def accelerate(config: TrainConfig) -> Accelerator:
    """What knows devices, precision and the other processes of a run.

    Raises:
        UserError: a device is asked for that is not there.
    """
    if config.device == "cuda" and not torch.cuda.is_available():
        raise UserError("no CUDA device is to be had; give --device cpu, or install torch for your GPU")
    AcceleratorState._reset_state(reset_partial_state=True)  # a run before this one may have been of another precision
    # A kernel of one cell has two layouts that are the same memory; DDP takes them for different ones, and says so.
    warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
    patience = InitProcessGroupKwargs(timeout=LONGEST_WAIT)
    return Accelerator(mixed_precision=_precision(config), cpu=config.device == "cpu", kwargs_handlers=[patience])


def start(
    config: TrainConfig,
    train_sets: Sequence[SampleSet],
    folder: RunFolder,
    accelerator: Accelerator | None = None,
    state: Mapping[str, Any] | None = None,
) -> Run:
    """Build everything that a run needs.

    Args:
        config: The settings.
        train_sets: What is learned from.
        folder: Where the run lives.
        accelerator: Made anew if not given.
        state: What was saved of a run that has begun; the caller restores it.

    Raises:
        UserError: the training sets are empty, or the configuration does not fit them.
    """
    if not sum(len(one) for one in train_sets):
        raise UserError("the data has no training picture; give a folder with a train split, or --train-annotations")
    accelerator = accelerator or accelerate(config)
    together = Together(accelerator)
    set_seed(config.seed)
    classes = union_of_classes(train_sets)
    model, origin = _begun(config, state, classes, folder) if state else _network(config, classes)
    if frozen := freeze(model, config.freeze):
        origin += f"; {frozen} tensors of the backbone up to stride {config.freeze} do not learn"
    model.to(accelerator.device).to(memory_format=torch.channels_last).train()
    training_set = TrainingSet(train_sets, model.config.class_names, augmentation(config, model.config), config.seed)
    half = accelerator.mixed_precision == "bf16"
    batch = state["batch"] if state else find_batch(config.batch, model, training_set, together, half)
    plan = BatchPlan(
        pictures=len(training_set),
        batch=-(-batch // together.processes) * together.processes,  # all have equally many
        seed=config.seed,
        processes=together.processes,
        process=together.process,
    )
    epochs = config.epochs or max(EPOCHS, -(-FEWEST_STEPS // plan.batches))
    plain = round(epochs / 6) if config.plain_epochs is None else config.plain_epochs
    training_set.plain_from = epochs - plain
    average = averaged(model, config.ema) if config.ema else None
    optimizer = _optimizer(config, model)
    objective = Objective(model, model.config.train_proposals, model.config.train_rois)
    objective, optimizer = accelerator.prepare(objective, optimizer)
    return Run(
        config=config, folder=folder, accelerator=accelerator, together=together, training_set=training_set, plan=plan,
        epochs=epochs, model=model, objective=objective, optimizer=optimizer, average=average,
        peak_lr=peak_lr(config.optimizer, plan.batch, config.lr),
        part=-(-plan.batch // (together.processes * config.accumulate)), origin=origin,
    )  # fmt: skip


def _begun(
    config: TrainConfig, state: Mapping[str, Any], classes: Mapping[str, int], folder: RunFolder
) -> tuple[CenterMask, str]:
    """The network of a run that has begun, its weights still to be restored; sizes and counts may have changed."""
    begun = ModelConfig.from_dict(state["config"])
    if begun.class_names != tuple(classes):
        raise UserError(f"{folder.path} was trained on {', '.join(begun.class_names)}; the data now annotates "
                        f"{', '.join(classes)}; give the same data, or another --out")  # fmt: skip
    return build(_sized(begun, config)), f"goes on from step {state['step']}"


def _network(config: TrainConfig, classes: Mapping[str, int]) -> tuple[CenterMask, str]:
    """The network with its first weights, and where they come from."""
    donor = find_donor(config)
    settings = configure(config, classes, donor)
    if config.backbone_weights:
        settings = pixels_of_backbone(config.backbone_weights, settings)
    elif config.pretrained:
        settings = pixels_of_timm(settings)
    model = build(settings, pretrained=config.pretrained)
    origin = "starts from scratch (--pretrained, --backbone-weights or --init learn far more from few pictures)"
    if donor is not None:
        origin = start_from(model, donor)
    elif config.backbone_weights:
        load_backbone(model, config.backbone_weights)
        origin = f"its backbone starts from {config.backbone_weights}"
    elif config.pretrained:
        origin = "its backbone starts from timm's pretrained weights"
    if config.freeze and model.config.norm == "batch":
        raise UserError(
            "--freeze does not go with batch norms that learn; add --norm frozen, or start from other weights"
        )
    return model, origin


def configure(config: TrainConfig, classes: Mapping[str, int], donor: Donor | None = None) -> ModelConfig:
    """The network's configuration: the preset, or the network it starts from, with what the run says otherwise.

    Frozen statistics of a backbone that was never trained would mean nothing: without trained weights the norm is group
    norm, if none is asked for.
    """
    base = replace(preset(config.preset, tuple(classes)), category_ids=tuple(classes.values()))
    if donor is not None:
        same = donor.model.config.preset == config.preset
        base = architecture(base, donor.model.config) if same else replace(base, norm=donor.model.config.norm)
    said = ("norm", "attention_fusion", "class_agnostic_masks")
    given = {name: value for name in said if (value := getattr(config, name)) is not None}
    from_scratch = not (donor or config.pretrained or config.backbone_weights)
    if from_scratch and not config.norm:
        given["norm"] = "group"
    options = read_options(config.options)
    return _sized(ModelConfig.from_dict(base.to_dict() | given | options), config)


def _sized(model: ModelConfig, config: TrainConfig) -> ModelConfig:
    """With what a run says of sizes and counts, which are no part of the weights."""
    long_side = config.long_side or round(config.short_side * model.test_long_side / model.test_short_side)
    said = ("max_detections", "train_proposals", "train_rois")
    given = {name: value for name in said if (value := getattr(config, name)) is not None}
    return replace(model, test_short_side=config.short_side, test_long_side=long_side, **given)


def augmentation(config: TrainConfig, model: ModelConfig) -> Augmentation:
    """How training pictures vary."""
    smallest = config.min_short_side or round(0.75 * config.short_side)
    return Augmentation(
        short_sides=(smallest, config.short_side), long_side=model.test_long_side, flip=config.flip,
        scale_jitter=config.scale_jitter, color_jitter=config.color_jitter, copy_paste=config.copy_paste,
        mosaic=config.mosaic,
    )  # fmt: skip


def _optimizer(config: TrainConfig, model: CenterMask) -> Optimizer:
    """Weight decay for kernels only: vectors are norms, biases and scales. Each group knows its share of the rate."""
    decay = WEIGHT_DECAY[config.optimizer] if config.weight_decay is None else config.weight_decay
    backbone = set(model.backbone.parameters())
    parts = dict[tuple[float, float], list[nn.Parameter]]()
    for value in model.parameters():
        if value.requires_grad:
            share = config.backbone_lr if value in backbone else 1.0
            parts.setdefault((share, decay if value.ndim > 1 else 0.0), []).append(value)
    groups = [{"params": values, "share": share, "weight_decay": each} for (share, each), values in parts.items()]
    match config.optimizer:
        case "adamw":
            return AdamW(groups, lr=1.0)
        case "sgd":
            return SGD(groups, lr=1.0, momentum=0.9)


def _precision(config: TrainConfig) -> str:
    pays = has_bf16(gpu=config.device != "cpu" and torch.cuda.is_available())
    return "bf16" if config.precision == "bf16" or (config.precision == "auto" and pays) else "no"
