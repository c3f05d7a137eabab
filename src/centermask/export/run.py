"""``centermask export``: weights to a file that is known to agree with them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from centermask.bundled import resolve_weights
from centermask.checkpoint import load_header, load_model
from centermask.errors import UserError
from centermask.export.compare import Room
from centermask.export.header import make_header
from centermask.export.parity import Parity, measure_parity
from centermask.export.pictures import Source, drawn_pictures, make_cases, make_feeds, open_pictures
from centermask.export.place import aside, put_in_place
from centermask.export.plan import ExportPrecision, Format, Plan, check_plan, choose_format, choose_plane, with_places
from centermask.export.program import PixelKind
from centermask.export.writers import write_exported
from centermask.files import write_whole
from centermask.model.centermask import CenterMask
from centermask.runtimes.open import open_exported
from centermask.runtimes.torch import TorchRuntime

CALIBRATION_PICTURES = 100


def export_model(
    weights: Path | str,
    out: Path,
    *,
    format: Format | None = None,
    precision: ExportPrecision = "fp32",
    dynamic: bool = True,
    size: tuple[int, int] | None = None,
    pixels: PixelKind = "uint8",
    full_masks: bool = False,
    max_detections: int | None = None,
    licence: str | None = None,
    calibration: str | None = None,
    calibration_pictures: int = CALIBRATION_PICTURES,
    pictures: Path | str | None = None,
    on_step: Callable[[str], object] = lambda step: None,
    on_parity: Callable[[Parity], object] = lambda parity: None,
) -> Parity:
    """Write a network as one file, from pictures to boxes, scores, classes and masks, once it is known to agree.

    The file is written aside, run on a few pictures beside the network in PyTorch, and put in place only if both find
    the same. What was compared is written beside it (``FILE.parity.json``, or ``FILE.refused.json``).

    Args:
        weights: A weights file, or bundled weights: "nano", "plus-nano".
        out: The file: ``.onnx``, ``.xml`` (OpenVINO, with a ``.bin`` beside it) or ``.pt2`` (torch.export).
        format: None: as the ending of ``out`` says.
        precision: In what the file computes; for fp16 in OpenVINO, in what it stores weights.
        dynamic: Take any number of pictures of any size; else one picture at a time, on one plane.
        size: Height and width of that plane; None: as the network was tested. Rounded up to multiples of 32.
        pixels: In what kind of numbers pictures go in; they range from 0 to 255 in both.
        full_masks: Give masks of the input's size, too.
        max_detections: How many objects a picture may have; None: as the network's configuration says. Of more the best
            by score are given.
        licence: What the file says about its use; None: what its weights say, if anything.
        calibration: For int8: pictures (folder, file or pattern), or a data argument as for training.
        calibration_pictures: How many of them are used, evenly spread.
        pictures: What to check the file with: folder, file or pattern. None: those of the calibration, or drawn stones.
        on_step: Told what begins.
        on_parity: Given what was compared, also if the file is then refused.

    Raises:
        UserError: an argument cannot be used or does not go with another, the file cannot be written, or it does not
            agree with the network.
    """
    if calibration_pictures < 1:
        raise UserError(f"calibration_pictures must be at least 1, not {calibration_pictures}")
    if licence is not None and not licence.strip():
        raise UserError("the licence is empty; give its name or its text, or leave it out")
    chosen = choose_format(out, format)
    model, notes = _open(weights, max_detections)
    if licence is not None:
        notes = notes | {"licence": licence}
    plane = choose_plane(model.config, dynamic, size)
    plan = Plan(format=chosen, precision=precision, plane=plane, pixel_kind=pixels, full_masks=full_masks)
    check_plan(plan, model.config, calibrated=calibration is not None)
    calibrating = open_pictures(calibration) if calibration else None
    checking = open_pictures(pictures) if pictures else calibrating or drawn_pictures()
    feeds = make_feeds(calibrating, model.config, plane, pixels, calibration_pictures) if calibrating else None
    with aside(out) as written:
        on_step(_in_words(plan))
        write_exported(model, plan, make_header(plan, model.config, notes), written, feeds)
        on_step(f"comparing with PyTorch on {'drawn pictures' if checking.kind == 'drawn' else checking.kind}")
        return place_if_equal(written, out, model, plan, checking, on_parity)


def place_if_equal(
    written: Path,
    out: Path,
    model: CenterMask,
    plan: Plan,
    source: Source,
    on_parity: Callable[[Parity], object] = lambda parity: None,
) -> Parity:
    """Put a file in its place if it finds what the network finds; say beside it what was compared.

    Args:
        written: The file, in a folder of the same disk.
        out: Its place.
        model: The network in float32, on the processor.
        plan: How the file was made.
        source: The pictures to compare on.
        on_parity: Given what was compared.

    Raises:
        UserError: it does not; nothing but what was compared is then written.
    """
    config = model.config
    parity = measure_parity(
        open_exported(written),
        TorchRuntime(model),
        make_cases(source, config, plan.plane),
        file=out.name,
        format=plan.format,
        precision=plan.precision,
        source=source.kind,
        threshold=config.score_threshold,
        room=Room(candidates=model.decoding.max_detections, places=config.max_detections),
        full_masks=plan.full_masks,
    )
    on_parity(parity)
    said = json.dumps(parity.to_json(), indent=1, ensure_ascii=False).encode()
    accepted, refused = (out.with_name(f"{out.name}.{kind}.json") for kind in ("parity", "refused"))
    if not parity.passed:
        write_whole(refused, said)
        raise UserError(f"{out}: not written, because it does not agree with PyTorch: {parity.faults[0]}; "
                        f"all differences stand in {refused}")  # fmt: skip
    write_whole(accepted, said)
    put_in_place(written, out)
    refused.unlink(missing_ok=True)  # of an earlier try; it would speak against this file
    return parity


def _open(weights: Path | str, max_detections: int | None) -> tuple[CenterMask, dict[str, Any]]:
    """The network, and the licence and other notes of its weights.

    For fewer objects the network keeps its own number, for it chooses them before it knows what their masks are worth.
    """
    path = resolve_weights(weights)
    model = load_model(path).eval()
    own = model.config.max_detections
    model.config = with_places(model.config, max_detections)
    model.keep_detections(max(own, model.config.max_detections))
    return model, load_header(path).get("notes", {})


def _in_words(plan: Plan) -> str:
    """What begins."""
    size = f"one picture of {plan.plane.height} × {plan.plane.width}" if plan.plane else "pictures of any size"
    return f"writing {plan.format} in {plan.precision} for {size}"
