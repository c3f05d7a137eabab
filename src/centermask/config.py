"""All knobs of a network, a frozen dataclass validated at birth and read from and written to plain dictionaries."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from centermask.errors import UserError

Norm = Literal["frozen", "batch", "group"]
AttentionFusion = Literal["multiply", "concatenate", "none"]
MaskIoUHeadKind = Literal["full", "light", "none"]
LevelRule = Literal["ratio", "area"]


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
    """Norm of the backbone: batch norm with frozen statistics, trained batch norm, or group norm (trains from scratch)."""
    fpn_channels: int = 256
    tower_convs: int = 4
    """3×3 convolutions in each of the two towers of the detection head."""
    mask_convs: int = 4
    attention_fusion: AttentionFusion = "multiply"
    mask_iou_head: MaskIoUHeadKind = "full"
    class_agnostic_masks: bool = False
    mask_levels: int = 3
    """How many of the finest pyramid levels feed the mask branch."""
    level_rule: LevelRule = "ratio"
    class_names: tuple[str, ...] = ("object",)
    category_ids: tuple[int, ...] = ()
    """COCO's ids of the classes; 1 … C if empty."""
    pixel_mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    """RGB, 0 to 255."""
    pixel_std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    class_threshold: float = 0.05
    """Candidates must have a class probability above this."""
    candidates_per_level: int = 1000
    nms_iou: float = 0.6
    max_detections: int = 50
    """Objects kept per picture."""
    train_proposals: int = 100
    """Detections per picture that the mask branch is trained on, beside the true boxes."""
    train_rois: int = 128
    """Regions of interest per picture that the mask branch is trained on, at most."""
    test_short_side: int = 800
    test_long_side: int = 1333
    score_threshold: float = 0.5
    """Objects with a lower score are not shown."""

    def __post_init__(self) -> None:
        for name in ("fpn_channels", "tower_convs", "mask_convs", "candidates_per_level", "max_detections",
                     "train_rois", "test_short_side", "test_long_side"):  # fmt: skip
            _require(getattr(self, name) >= 1, f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("class_threshold", "nms_iou", "score_threshold"):
            _require(0 <= getattr(self, name) <= 1, f"{name} must lie in [0, 1], not {getattr(self, name)}")
        _require(self.fpn_channels % 32 == 0, f"fpn_channels must be a multiple of 32, not {self.fpn_channels}")
        _require(1 <= self.mask_levels <= 5, f"mask_levels must lie in 1 … 5, not {self.mask_levels}")
        _require(self.test_long_side >= self.test_short_side, "test_long_side must not be less than test_short_side")
        _require(len(self.class_names) > 0, "class_names must name at least one class")
        _require(len(set(self.class_names)) == len(self.class_names), "class_names must differ from each other")
        if not self.category_ids:
            object.__setattr__(self, "category_ids", tuple(range(1, len(self.class_names) + 1)))
        _require(len(self.category_ids) == len(self.class_names), "category_ids and class_names must be of one length")
        _require(all(value > 0 for value in self.pixel_std), "pixel_std must be positive")

    @property
    def num_classes(self) -> int:
        """The one number of classes, for every head."""
        return len(self.class_names)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON and YAML know them; the inverse of ``from_dict``."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ModelConfig":
        """Read plain values; the inverse of ``to_dict``.

        Raises:
            UserError: a key is unknown (the nearest known one is named) or a value is out of its range.
        """
        check_keys(values, [field.name for field in fields(cls)], "the model's configuration")
        return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})


def check_keys(given: Iterable[str], known: list[str], where: str) -> None:
    """Refuse an unknown key by naming the nearest known one.

    Raises:
        UserError: at least one key is unknown.
    """
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)[0]
            raise UserError(f"unknown key '{key}' in {where}; did you mean '{near}'?")


def _require(true: bool, message: str) -> None:
    if not true:
        raise UserError(message)
