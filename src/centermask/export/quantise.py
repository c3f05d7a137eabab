"""Eight-bit convolutions by post-training quantisation with real pictures."""

import contextlib
import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from centermask.errors import UserError

Feed = Mapping[str, np.ndarray]
"""The inputs of a file, by name."""

FLOAT = ("detection_head.class_logits/", "detection_head.ltrb/", "detection_head.centerness_logits/",
         "mask_head.attention", "backbone.stem.0/", "backbone.network.bn1/", "backbone.network.blocks.0.",
         "backbone.network.blocks.1.")  # fmt: skip
"""Convolutions that stay in float, by the beginnings of their names: those whose numbers are answers, and the first
ones. Of timm's mobile networks the first two stages, whose few channels cost the most accuracy and the least time."""


def quantise(
    model: onnx.ModelProto, feeds: Iterable[Feed], on_done: Callable[[int], object] = lambda count: None
) -> onnx.ModelProto:
    """The same network with convolutions in eight bits: weights for each channel, features by the range they take.

    Quantise and dequantise nodes stand around each convolution, so that ONNX Runtime and OpenVINO both find their
    integer kernels. The ranges are the least and the greatest value of a picture, averaged over the pictures. Those on
    which the network finds nothing are passed over, because the mask branch sees nothing there.

    Args:
        model: As ``make_onnx`` gives it.
        feeds: Inputs of one picture each, with a score threshold of zero. One at a time is in memory.
        on_done: Called after each picture with the number of those used.

    Raises:
        UserError: the network finds nothing on any of the pictures.
    """
    left = [node.name for node in model.graph.node if node.op_type == "Conv" and node.name.startswith(FLOAT)]
    with tempfile.TemporaryDirectory(prefix="centermask-") as folder, _quietly():
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(model, source)  # a model given as an object would lose its weights to a file
        quantize_static(
            source,
            target,
            _Reader(_with_objects(source, feeds), on_done),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=left,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options={"CalibMovingAverage": True},
        )
        return onnx.load(target)


class _Reader(CalibrationDataReader):  # type: ignore[misc] # onnxruntime has no types
    """One feed after the other, as ONNX Runtime asks for them."""

    def __init__(self, feeds: Iterator[Feed], on_done: Callable[[int], object]) -> None:
        self.feeds, self.on_done, self.count = feeds, on_done, 0

    def get_next(self) -> Feed | None:
        feed = next(self.feeds, None)
        if feed is not None:
            self.count += 1
            self.on_done(self.count)
        elif not self.count:
            raise UserError(
                "the network finds nothing on any picture for calibration; give pictures like those it shall see"
            )
        return feed


def _with_objects(model: Path, feeds: Iterable[Feed]) -> Iterator[Feed]:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    for feed in feeds:
        if session.run(["counts"], dict(feed))[0].any():
            yield feed


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """ONNX Runtime advises on the root logger to prepare the model first, which the exporter has done."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
