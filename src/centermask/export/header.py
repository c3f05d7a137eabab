"""What an exported file says about itself; ``runtimes/exported.py`` reads it."""

import json
from collections.abc import Mapping
from typing import Any

from centermask import __version__
from centermask.config import ModelConfig
from centermask.export.plan import Plan


def make_header(plan: Plan, config: ModelConfig, notes: Mapping[str, Any]) -> str:
    """JSON with class names, preprocessing and thresholds, the licence and other notes of the weights, and the plan."""
    return json.dumps(
        {
            "kind": "exported",
            "format": plan.format,
            "config": config.to_dict(),
            "precision": plan.precision,
            "input": plan.pixel_kind,
            "plane": list(plan.plane) if plan.plane else None,
            "full_masks": plan.full_masks,
            "notes": dict(notes),
            "version": __version__,
        }
    )
