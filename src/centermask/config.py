"""All knobs of a network, a frozen dataclass validated at birth and read from and written to plain dictionaries."""

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from centermask.errors import UserError

Norm = Literal["frozen", "batch", "group"]
AttentionFusion = Literal["multiply", "concatenate", "none"]
MaskIoUHeadKind = Literal["full", "light", "coarse", "none"]
LevelRule = Literal["ratio", "area"]
BoxQuality = Literal["centerness", "iou"]
ClassLoss = Literal["focal", "quality"]
Assignment = Literal["fcos", "visible", "atss", "task-aligned"]


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Everything that decides what a network computes; it travels with the weights.

    Raises:
        UserError: a value is out of its range.

    >>> ModelConfig(backbone="vovnet39", class_names=("cat", "person")).num_classes
    2
    """

    preset: str = "custom"
    """Name of the preset it came from."""
    backbone: str = "vovnet39"
    """A VoVNetV2 (``vovnet39``, ``vovnet39-dcn``, ``vovnet19-slim-dw``, ...) or ``timm:NAME``."""
    norm: Norm = "frozen"
    """Of the backbone: batch norm with frozen statistics, trained batch norm, or group norm (trains from scratch)."""
    fpn_channels: int = 256
    tower_convs: int = 4
    """3×3 convolutions in each of the two towers of the detection head."""
    detection_stride: int = 8
    """Of the finest level that objects are found on: 8 as published, or 4 (P2) for small objects."""
    mask_convs: int = 4
    attention_fusion: AttentionFusion = "multiply"
    mask_iou_head: MaskIoUHeadKind = "full"
    """As published; ``light``, without its large layers; ``coarse``, that on a quarter of the cells; or none."""
    mask_iou_gradient: bool = True
    """Whether the mask-IoU head also teaches the features and the masks that it judges, as published. Its gradients are
    large and erratic early on; at high learning rates training is steadier without."""
    mask_neighbours: bool = False
    """The mask head first says where other objects lie in the box, and makes the mask knowing it."""
    mask_predictor_std: float = 0.001
    """Of the mask predictor's first weights. Those published let the masks, and what they teach the features, begin
    late; about 0.4 is for short trainings."""
    mask_dice_weight: float = 0.0
    """Of a Dice loss beside the masks' cross-entropy, by which every object counts alike; 0 as published."""
    class_agnostic_masks: bool = False
    mask_stride: int = 8
    """Of the finest level that feeds the mask branch: 8 as published, or 4 (P2) for small objects and sharp edges."""
    mask_levels: int = 3
    """How many pyramid levels feed the mask branch, from that one on."""
    mask_margin: float = 0.0
    """How far the regions in which masks are made reach beyond their boxes on each side, as a share of its length. The
    box of an object is then that of its mask, so that a box that is too small cuts nothing off; 0 as published."""
    level_rule: LevelRule = "ratio"
    box_quality: BoxQuality = "centerness"
    """What the centerness branch is trained to say: centerness as published, or the IoU of the predicted box; with that
    an object's locations weigh alike in the box loss, instead of by their centerness."""
    small_box_weight: float = 1.0
    """How much more the boxes of small objects may weigh in the loss, 1 … 9: with 9 an object of a stride or two weighs
    as if it had all nine locations of a centre square; 1 as published. It goes with ``plain_giou``."""
    plain_giou: bool = False
    """GIoU as it is defined, in the box loss. The published one is blind to what is smaller than a stride."""
    class_loss: ClassLoss = "focal"
    """Classes are trained towards 1 at an object, or by the quality focal loss towards the IoU of the predicted box."""
    assignment: Assignment = "fcos"
    """Which locations learn an object: fixed ranges as published; the same around the middle of what is seen of it, but
    not where another one is seen in its stead; ATSS; or those whose predictions fit it best."""
    class_names: tuple[str, ...] = ("object",)
    category_ids: tuple[int, ...] = ()
    """COCO's ids of the classes; 1 … C if empty."""
    pixel_mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    """RGB, 0 to 255."""
    pixel_std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    class_threshold: float = 0.05
    """Candidates must have a class probability above this; in training, above 0.05 at most."""
    candidates_per_level: int = 1000
    """The best of each level that go on to suppression; ten for each of ``max_detections`` if that is more."""
    nms_iou: float = 0.6
    """Of two boxes of a class with a greater IoU only the better one stays."""
    nms_decay: float = 0.0
    """How strongly a box that stays loses score by what it shares with a better one of its class; 0, as published, not
    at all. About 1.5 goes with an ``nms_iou`` of 0.75, for objects in front of each other and fewer second boxes. The
    best ``score_threshold`` is then lower. Training draws its proposals in the same way."""
    max_detections: int = 50
    """Objects kept per picture."""
    train_proposals: int = 100
    """Detections per picture that the mask branch is trained on, beside the true boxes."""
    train_rois: int = 128
    """Regions of interest per picture that the mask branch is trained on, at most."""
    test_short_side: int = 800
    test_long_side: int = 1333
    score_threshold: float = 0.5
    """Objects with a lower score are not shown. A training sets it to the best one of its last evaluation."""

    def __post_init__(self) -> None:
        _settle(self)
        for name in ("fpn_channels", "tower_convs", "mask_convs", "candidates_per_level", "max_detections",
                     "train_proposals", "train_rois", "test_short_side", "test_long_side"):  # fmt: skip
            _require(getattr(self, name) >= 1, f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("class_threshold", "nms_iou", "score_threshold"):
            _require(0 <= getattr(self, name) <= 1, f"{name} must lie in [0, 1], not {getattr(self, name)}")
        _require(0 <= self.mask_margin <= 1, f"mask_margin must lie in [0, 1], not {self.mask_margin}")
        _require(
            0 < self.mask_predictor_std < math.inf,
            f"mask_predictor_std must be positive, not {self.mask_predictor_std}",
        )
        _require(
            0 <= self.mask_dice_weight < math.inf,
            f"mask_dice_weight must be 0 or a positive number, not {self.mask_dice_weight}",
        )
        _require(1 <= self.small_box_weight <= 9, f"small_box_weight must lie in [1, 9], not {self.small_box_weight}")
        _require(0 <= self.nms_decay < math.inf, f"nms_decay must be 0 or a positive number, not {self.nms_decay}")
        _require(self.fpn_channels % 32 == 0, f"fpn_channels must be a multiple of 32, not {self.fpn_channels}")
        for name in ("detection_stride", "mask_stride"):
            _require(getattr(self, name) in (4, 8), f"{name} must be 4 or 8, not {getattr(self, name)}")
        _require(1 <= self.mask_levels <= 5, f"mask_levels must lie in 1 … 5, not {self.mask_levels}")
        _require(self.test_long_side >= self.test_short_side, "test_long_side must not be less than test_short_side")
        _require(len(self.class_names) > 0, "class_names must name at least one class")
        _require(len(set(self.class_names)) == len(self.class_names), "class_names must differ from each other")
        if not self.category_ids:
            object.__setattr__(self, "category_ids", tuple(range(1, len(self.class_names) + 1)))
        _require(len(self.category_ids) == len(self.class_names), "category_ids and class_names must be of one length")
        _require(all(value > 0 for value in self.pixel_std), "pixel_std must be positive")

    @property
    def masks_fill_boxes(self) -> bool:
        """Whether boxes are those of the masks, so that masks reach to their edges; see ``paste``."""
        return self.mask_margin > 0

    @property
    def num_classes(self) -> int:
        """The one number of classes, for every head."""
        return len(self.class_names)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON and YAML know them; the inverse of ``from_dict``."""
        return _plain(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ModelConfig":
        """Read plain values; the inverse of ``to_dict``.

        Raises:
            UserError: a key is unknown (the nearest known one is named) or a value is out of its range.
        """
        return cls(**_fitting(values, cls, "the model's configuration"))


FROM_DATA = ("class_names", "category_ids", "test_short_side", "test_long_side")
"""What is no option of a training."""


def read_options(texts: Iterable[str]) -> dict[str, Any]:
    """Options of a network, each ``KEY=VALUE``, as plain values.

    Raises:
        UserError: a text is none, its key is unknown (the nearest known one is named), stands twice, or is decided by
            the data or by a setting of the training.

    >>> read_options(["mask_margin=0.2", "plain_giou=true", "class_loss=quality"])
    {'mask_margin': 0.2, 'plain_giou': True, 'class_loss': 'quality'}
    """
    known = get_type_hints(ModelConfig)
    settings = get_type_hints(TrainConfig)
    found: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        _require(bool(equals), f"options are given as KEY=VALUE, not '{text}'")
        check_keys([key], list(known), "options")
        _require(key not in found, f"{key} stands twice in options")
        _require(
            key not in settings, f"{key} is a setting of its own, --{key.replace('_', '-')}, not one of the options"
        )
        _require(key not in FROM_DATA, f"{key} is none of the options: the data or the sizes of pictures decide it")
        found[key] = read_value(value)
    return found


def read_value(text: str) -> int | float | bool | str:
    """What a text on a command line stands for.

    >>> [read_value(text) for text in ("9", "1e-3", "true", "iou")]
    [9, 0.001, True, 'iou']
    """
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text, text)


def _plain(config: "ModelConfig | TrainConfig") -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(config).items()}


def check_keys(given: Iterable[str], known: list[str], where: str) -> None:
    """Refuse an unknown key by naming the nearest known one.

    Raises:
        UserError: at least one key is unknown.
    """
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)[0]
            raise UserError(f"unknown key '{key}' in {where}; did you mean '{near}'?")


def _fitting(values: Mapping[str, Any], cls: type, where: str) -> dict[str, Any]:
    """Plain values as the fields of a dataclass want them: lists become tuples, whole numbers floats.

    Raises:
        UserError: a key is unknown, or a value is of another kind than its field.
    """
    kinds = get_type_hints(cls)
    check_keys([str(key) for key in values], list(kinds), where)
    return {key: _fitted(value, kinds[key], f"{key} in {where}") for key, value in values.items()}


def _fitted(value: Any, kind: Any, name: str) -> Any:
    """A value as its field wants it.

    Raises:
        UserError: it is of another kind.
    """
    fitted = _fit(value, kind)
    _require(_is_of(fitted, kind), f"{name} must be {_words(kind)}, not {fitted!r}")
    return fitted


def _fit(value: Any, kind: Any) -> Any:
    if isinstance(value, list | tuple):
        inner = get_args(kind)[:1] or (Any,)
        return tuple(_fit(one, inner[0]) for one in value)
    return float(value) if type(value) is int and float in (kind, *get_args(kind)) else value


def _is_of(value: Any, kind: Any) -> bool:
    arguments = get_args(kind)
    if get_origin(kind) is Literal:
        return value in arguments
    if get_origin(kind) is tuple:
        kinds = arguments[:1] * len(value) if arguments[-1:] == (...,) and isinstance(value, tuple) else arguments
        return (
            isinstance(value, tuple)
            and len(value) == len(kinds)
            and all(_is_of(one, inner) for one, inner in zip(value, kinds, strict=True))
        )
    if arguments:  # one of several kinds
        return any(_is_of(value, one) for one in arguments)
    return type(value) is kind


def _words(kind: Any) -> str:
    """A kind as a user would say it.

    >>> _words(tuple[float, float] | None)
    'a list of a number, a number, or nothing'
    """
    parts = get_args(kind)
    if get_origin(kind) is Literal:
        return " or ".join(repr(part) for part in parts)
    if get_origin(kind) is tuple:
        return "a list of " + ", ".join("any more" if part is Ellipsis else _words(part) for part in parts)
    if parts:
        return ", or ".join(_words(part) for part in parts)
    return {int: "a whole number", float: "a number", bool: "true or false", str: "text"}.get(kind, "nothing")


def _settle(config: "ModelConfig | TrainConfig") -> None:
    """See that every field holds what it may: whole numbers become floats and lists tuples where such are meant.

    Raises:
        UserError: a value is of another kind than its field.
    """
    for name, kind in get_type_hints(type(config)).items():
        object.__setattr__(config, name, _fitted(getattr(config, name), kind, name))


def _require(true: bool, message: str) -> None:
    if not true:
        raise UserError(message)


Schedule = Literal["cosine", "step"]
Optimizer = Literal["adamw", "sgd"]
Precision = Literal["auto", "fp32", "bf16"]
Tracker = Literal["wandb", "mlflow"]


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Everything that decides a training run; flags and a YAML file share it.

    Raises:
        UserError: a value is out of its range.
    """

    preset: str = "centermask-plus-nano"
    """Which network; `centermask presets` lists them."""
    init: str = "auto"
    """A network to start from, whatever its classes; auto is the bundled one where the preset has one, or none."""
    epochs: int | None = None
    """How often each picture is seen; if not given 12, or for a small set as often as makes 1000 steps."""
    batch: int | Literal["auto"] = 8
    """Pictures of a step, over all processes; auto fills the GPU."""
    accumulate: int = 1
    """Parts in which the pictures of a step go through the network one after the other: less memory, the same step."""
    short_side: int = 384
    """Short side of the pictures in pixels, the largest that training draws and the one for prediction."""
    min_short_side: int | None = None
    """Smallest short side that training draws; three quarters of the largest if not given."""
    long_side: int | None = None
    """What the long side may not pass; in the preset's proportion if not given."""
    flip: float = 0.5
    """Probability of a horizontal mirror."""
    scale_jitter: tuple[float, float] = (1.0, 1.0)
    """Large-scale jitter: factors between which pictures are scaled and then cropped; (0.5, 1.5) is strong."""
    color_jitter: float = 0.2
    """Brightness, contrast and saturation vary by up to this share."""
    copy_paste: float = 0.0
    """Probability that a picture receives objects cut out of another one."""
    mosaic: float = 0.0
    """Probability that a picture is put together from four."""
    plain_epochs: int | None = None
    """Last epochs without copy-paste and mosaic; a sixth of all if not given."""
    optimizer: Optimizer = "adamw"
    """AdamW for small data and pretrained backbones, SGD as published."""
    lr: float | None = None
    """Peak rate of a step of 16 pictures; AdamW scales it by the root of the batch, SGD by the batch. 4e-4, 0.01."""
    backbone_lr: float = 1.0
    """The backbone's share of it; 0.2 with an `lr` of 2e-3 for a pretrained backbone under fresh heads."""
    weight_decay: float | None = None
    """Not for norms and biases; 0.05 for AdamW, 1e-4 for SGD if not given."""
    schedule: Schedule = "cosine"
    """Cosine to zero, or ×0.1 at 78 % and at 93 % of the run, as the published 3x schedule."""
    warmup: float = 0.05
    """Share of the run in which the learning rate rises from zero; at most 1000 steps."""
    clip: float = 10.0
    """Largest norm of the gradient; 0 does not clip."""
    ema: float = 0.998
    """Decay of the averaged weights, which are the ones evaluated and saved; 0 does not average."""
    precision: Precision = "auto"
    """auto is bf16 on a GPU or a processor that computes in it, else fp32."""
    norm: Norm | None = None
    """Of the backbone; if not given the preset's, or, without trained weights, "group", which trains from scratch."""
    attention_fusion: AttentionFusion | None = None
    """How the attention joins; the preset's if not given."""
    class_agnostic_masks: bool | None = None
    """One mask for all classes; the preset's if not given."""
    max_detections: int | None = None
    """Objects kept per picture; the preset's if not given. Raise it for dense sets."""
    train_proposals: int | None = None
    """Detections per picture that the mask branch is trained on, beside the true boxes; the preset's if not given."""
    train_rois: int | None = None
    """Boxes per picture that the mask branch is trained on in all, at most; the preset's if not given."""
    options: tuple[str, ...] = ()
    """Further options of the network, each KEY=VALUE, as `small_box_weight=1`; docs/results.md says what they did."""
    freeze: int = 0
    """Layers of the backbone up to this stride (2, 4, 8, 16 or 32) do not learn; 0 lets all learn."""
    backbone_weights: str | None = None
    """A backbone file that `centermask import-backbone` wrote, or a network with the same backbone."""
    pretrained: bool = False
    """Start a timm backbone from timm's hub; needs a network once."""
    evaluate_every: int | None = None
    """Epochs between evaluations; 0 evaluates at the end only; about twelve in a run if not given."""
    patience: int = 0
    """Stop after so many evaluations without a better mask AP; 0 goes on to the end."""
    save_minutes: float = 10.0
    """The state for --resume is saved after each epoch, and within one whenever so many minutes have passed."""
    workers: int | None = None
    """Processes that prepare pictures; chosen from the number of cores if not given."""
    log_every: int = 10
    """Steps between two lines of metrics.jsonl."""
    log_to: tuple[Tracker, ...] = ()
    """Tell the figures to wandb or mlflow too, if they are installed; TensorBoard always gets them."""
    seed: int = 0
    """Decides the order of pictures, their augmentation and the fresh weights."""
    device: str = "auto"
    """cpu or cuda; auto is what there is."""

    def __post_init__(self) -> None:
        _settle(self)
        for name in ("epochs", "batch", "accumulate", "short_side", "log_every"):
            value = getattr(self, name)
            _require(value in (None, "auto") or value >= 1, f"{name} must be at least 1, not {value}")
        for name in ("flip", "color_jitter", "warmup", "ema", "copy_paste", "mosaic", "backbone_lr"):
            _require(0 <= getattr(self, name) <= 1, f"{name} must lie in [0, 1], not {getattr(self, name)}")
        for name in ("lr", "weight_decay", "clip", "evaluate_every", "patience", "save_minutes", "plain_epochs",
                     "workers", "seed"):  # fmt: skip
            value = getattr(self, name)
            _require(value is None or value >= 0, f"{name} must not be negative, not {value}")
        for name in ("train_proposals", "train_rois", "max_detections"):
            value = getattr(self, name)
            _require(value is None or value >= 1, f"{name} must be at least 1, not {value}")
        floats = [value for value in (self.lr, self.weight_decay, self.clip, *self.scale_jitter) if value is not None]
        _require(all(map(math.isfinite, floats)), "lr, weight_decay, clip and scale_jitter must be finite")
        _require(self.seed < 2**32, f"seed must be less than 2^32, not {self.seed}")
        known = self.device in ("auto", "cpu", "cuda")
        _require(known, f"device must be auto, cpu or cuda, not {self.device}; CUDA_VISIBLE_DEVICES chooses among GPUs")
        low, high = self.scale_jitter
        _require(0 < low <= high, f"scale_jitter must be two rising factors, not {self.scale_jitter}")
        smallest = self.min_short_side
        _require(smallest is None or 1 <= smallest <= self.short_side, "min_short_side must not pass short_side")
        _require(self.long_side is None or self.long_side >= self.short_side, "long_side must not be below short_side")
        _require(self.freeze in (0, 2, 4, 8, 16, 32), f"freeze must be 0, 2, 4, 8, 16 or 32, not {self.freeze}")
        _require(not (self.freeze and self.norm == "batch"), "freeze does not go with norm batch; use norm frozen")
        ModelConfig.from_dict(read_options(self.options))
        starts = [name for name, given in (("pretrained", self.pretrained), ("backbone_weights", self.backbone_weights),
                                           ("init", self.init not in ("auto", "none"))) if given]  # fmt: skip
        _require(len(starts) <= 1, f"give only one of {' and '.join(starts)}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as YAML knows them; the inverse of ``from_dict``."""
        return _plain(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str = "the training configuration") -> "TrainConfig":
        """Read plain values; the inverse of ``to_dict``.

        Raises:
            UserError: a key is unknown (the nearest known one is named) or a value is out of its range.
        """
        return cls(**_fitting(values, cls, where))
