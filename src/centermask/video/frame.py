"""The nouns of a video: a frame, what is known of the whole, and what was found in a frame."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int64, UInt8

from centermask.instances import Instances
from centermask.size import Size

Picture = UInt8[np.ndarray, "height width 3"]
"""RGB, 0 to 255, upright."""
HD_LINES = 720
"""From here on colours that do not say how they are coded are taken for BT.709, below for BT.601, as players do."""


class Frame(NamedTuple):
    """One picture of a video."""

    number: int
    """0 for the first one."""
    time: float
    """Seconds since the first one."""
    pixels: Picture


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """What is known of a video once its first frame is there."""

    name: str
    """As users are told: a file's name, ``camera:0``, or an address without its password."""
    size: Size
    """Of the first frame, upright."""
    rate: Fraction
    """Frames a second, on average."""
    frames: int | None
    """How many there should be, by what the file says of itself; None where nobody knows."""
    start: float
    """Seconds on the file's own clock at which the first frame stands; its sound keeps to the same clock."""
    pixel_aspect: Fraction
    """Width of an upright pixel over its height."""
    live: bool
    """A camera or a stream, which has no end."""


class FoundFrame(NamedTuple):
    """A frame with its objects."""

    frame: Frame
    instances: Instances
    """Of this frame if ``predicted``, else the last ones that were found before it."""
    ids: Int64[np.ndarray, " instances"] | None
    """The number of each object, the same in all frames; None if objects are not followed."""
    predicted: bool
    picture: Picture | None = None
    """The frame with its objects drawn over it, if anyone wants it."""

    def to_json(self) -> dict[str, Any]:
        """``Instances.to_coco`` with the frame's number and time, and with each object's number as ``track_id``."""
        record = self.instances.to_coco()
        if self.ids is not None:
            for each, number in zip(record["instances"], self.ids.tolist(), strict=True):
                each["track_id"] = number
        return {"frame": self.frame.number, "time": round(self.frame.time, 6), **record}
