"""An object's box and area beside what its mask says: many files hold another order, or another unit."""

import numpy as np
from jaxtyping import Float

from centermask.data.check.findings import Evidence, Fault, corners
from centermask.data.coco_masks import floats, show

Box = Float[np.ndarray, "4"]

SLACK = (3.0, 0.05)
"""Pixels, or share of the mask's longer side, by which a box may miss its mask: tools round and pad."""

LEAST_AREA = 16.0
"""Square pixels from which on areas are compared."""


def box_fault(given: object, visible: Box, whole: Box) -> Fault | None:
    """What is wrong with a bounding box beside the mask's own: of its visible part, and of all of it (xyxy)."""
    if given is None:
        return Fault("box-missing", "it has no bbox")
    values = _four_numbers(given)
    right = corners(visible)
    if values is None:
        return Fault("box-form", f"bbox is {_words(given)}, expected four numbers", Evidence(right=right))
    order = _order(values, visible, whole)
    if order == "as COCO has it":
        return None
    drawn = Evidence(given=corners(_as_corners(values)), right=right)
    if values.min() >= 0 and values.max() <= 1:
        return Fault(
            "box-normalised", f"bbox is {_words(given)}, all within 0 … 1, its mask {_size(visible)} pixels", drawn
        )
    if order == "two corners":
        return Fault("box-xyxy", f"bbox {_words(given)} fits its mask as left, top, right, bottom", drawn)
    if order == "centre":
        return Fault("box-centre", f"bbox {_words(given)} fits its mask as centre x, centre y, width, height", drawn)
    if values[2:].min() <= 0:
        return Fault("box-form", f"bbox is {_words(given)}, without extent", drawn)
    left, top, right_side, bottom = (round(float(side), 1) for side in visible)
    wanted = [left, top, round(right_side - left, 1), round(bottom - top, 1)]
    return Fault("box-misfit", f"bbox is {_words(given)}, that of the mask {wanted}", drawn)


def _four_numbers(given: object) -> Box | None:
    if not isinstance(given, list) or len(given) != 4 or not set(map(type, given)) <= {int, float}:
        return None
    values = floats(given)
    return values if np.isfinite(values).all() and np.abs(values).max() < 1e9 else None


def _order(values: Box, visible: Box, whole: Box) -> str:
    """How the four numbers must be read to fit the mask; empty if nothing fits."""
    a, b, c, d = values
    readings = {
        "as COCO has it": _as_corners(values),
        "two corners": values,
        "centre": np.array([a - c / 2, b - d / 2, a + c / 2, b + d / 2]),
    }
    pixels, share = SLACK
    slack = max(pixels, share * float((visible[2:] - visible[:2]).max()))
    for order, box in readings.items():
        if min(np.abs(box - visible).max(), np.abs(box - whole).max()) <= slack:
            return order
    return ""


def _as_corners(values: Box) -> Box:
    return np.concatenate([values[:2], values[:2] + values[2:]])


def _words(given: object) -> str:
    """A box in few letters."""
    values = _four_numbers(given)
    return show(given) if values is None else f"[{', '.join(f'{value:.4g}' for value in values)}]"


def _size(box: Box) -> str:
    return f"{box[2] - box[0]:.0f} × {box[3] - box[1]:.0f}"


def area_fault(given: object, mask_area: float) -> Fault | None:
    """What is wrong with an area beside the mask's (square pixels); up to a factor of 2, tools only count apart."""
    if given is None:
        return Fault("area-missing", "it has no area")
    value = float(floats([given])[0]) if type(given) in (int, float) else float("nan")
    if not (np.isfinite(value) and value > 0):
        return Fault("area-wrong", f"area is {_words(given)}, that of the mask {mask_area:.0f}")
    if mask_area >= LEAST_AREA and not 0.5 <= value / mask_area <= 2:
        return Fault("area-wrong", f"area is {value:.6g}, that of the mask {mask_area:.0f}")
    return None
