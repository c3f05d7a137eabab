"""Instances as a notebook shows them: their masks on a plain ground, and a table. Takes plain arrays."""

import base64
import io
from collections.abc import Sequence
from html import escape

import numpy as np
from jaxtyping import Float
from PIL import Image

from centermask import visualize
from centermask.ops import mask_warp
from centermask.ops.rle import RLE
from centermask.size import Size, fill_plane

SIDE = 480
"""The longest side of the drawing, in pixels; a small picture is not enlarged."""
ROWS = 20
"""Objects that the table has, at most."""
GROUND = (38, 41, 48)


def to_html(
    heading: str,
    size: Size,
    boxes: Float[np.ndarray, "instances 4"],
    codes: Sequence[RLE],
    names: Sequence[str],
    scores: Float[np.ndarray, " instances"],
) -> str:
    """A drawing with a table below it, without scripts or links.

    Args:
        heading: What stands above both.
        size: Of the picture.
        boxes: xyxy, pixels of the picture.
        codes: The masks.
        names: The class of each object.
        scores: One for each object.
    """
    colours = ["#" + bytes(colour.tolist()).hex() for colour in visualize.instance_colours(len(codes))]
    rows = [
        f'<tr><td style="color:{colour}">■</td><td>{i}</td><td style="text-align:left">{escape(name)}</td>'
        f"<td>{score:.2f}</td><td>{mask_warp.area(mask_warp.from_rle(code)):.0f}</td>"
        f"<td>{' '.join(f'{side:.0f}' for side in box)}</td></tr>"
        for i, (colour, name, score, code, box) in enumerate(zip(colours, names, scores, codes, boxes, strict=True))
        if i < ROWS
    ]
    if len(codes) > ROWS:
        rows.append(f'<tr><td></td><td colspan="5" style="text-align:left">and {len(codes) - ROWS} more</td></tr>')
    head = "".join(f"<th>{word}</th>" for word in ("", "", "class", "score", "pixels", "box"))
    coded = base64.b64encode(_draw(size, boxes, codes, names)).decode()
    drawing = f'<img alt="{escape(heading)}" src="data:image/png;base64,{coded}">'
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>" if codes else ""
    return f"<p>{escape(heading)}</p>{drawing}{table}"


def _draw(size: Size, boxes: Float[np.ndarray, "instances 4"], codes: Sequence[RLE], names: Sequence[str]) -> bytes:
    """The objects as a PNG, scaled before they are drawn: a huge picture costs no more than a small one."""
    small = fill_plane(size, Size(min(size.height, SIDE), min(size.width, SIDE)))
    scale = small.width / size.width, small.height / size.height
    moved = [
        mask_warp.to_rle(mask_warp.move(mask_warp.from_rle(code), scale, (0.0, 0.0), small), small) for code in codes
    ]
    ground = np.full((*small, 3), GROUND, dtype=np.uint8)
    scaled = boxes * np.array([*scale, *scale])
    drawn = visualize.overlay(ground, scaled, moved, names, visualize.instance_colours(len(codes)), opacity=0.55)
    coded = io.BytesIO()
    Image.fromarray(drawn).save(coded, format="PNG")
    return coded.getvalue()
