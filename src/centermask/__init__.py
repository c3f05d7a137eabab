"""Instance segmentation with CenterMask: train, evaluate, predict.

>>> from centermask import Predictor                             # doctest: +SKIP
>>> instances = Predictor("weights.safetensors")("photo.jpg")    # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from centermask.config import ModelConfig as ModelConfig
    from centermask.config import TrainConfig as TrainConfig
    from centermask.errors import UserError as UserError
    from centermask.instances import Instances as Instances
    from centermask.model.centermask import CenterMask as CenterMask
    from centermask.model.presets import PRESETS as PRESETS
    from centermask.model.presets import build as build
    from centermask.model.presets import preset as preset
    from centermask.predict import Predictor as Predictor
    from centermask.tiles import TiledPredictor as TiledPredictor

__version__ = "0.1.0"

_HOMES = {
    "CenterMask": "model.centermask",
    "Instances": "instances",
    "ModelConfig": "config",
    "PRESETS": "model.presets",
    "Predictor": "predict",
    "TiledPredictor": "tiles",
    "TrainConfig": "config",
    "UserError": "errors",
    "build": "model.presets",
    "preset": "model.presets",
}
__all__ = [
    "PRESETS",
    "CenterMask",
    "Instances",
    "ModelConfig",
    "Predictor",
    "TiledPredictor",
    "TrainConfig",
    "UserError",
    "build",
    "preset",
]


def __getattr__(name: str) -> object:
    """Import a public name when it is asked for: ``import centermask`` stays light, and needs no torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'centermask' has no attribute '{name}'")
    return getattr(import_module(f"centermask.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
