"""An ONNX model as OpenVINO's pair of files."""

from pathlib import Path

import onnx

from centermask.runtimes.exported import HEADER
from centermask.runtimes.openvino import import_openvino


def save_openvino(model: onnx.ModelProto, header: str, path: Path, *, half: bool = False) -> None:
    """Write ``path`` (.xml) and, beside it, its weights (.bin).

    Read by the library itself: OpenVINO's converter would report its use over the network.

    Args:
        model: To translate.
        header: Our JSON.
        path: Where to.
        half: Store the weights in 16 bits.

    Raises:
        OSError: the files cannot be written: the disk is full, for one.
    """
    openvino = import_openvino()
    network = openvino.Core().read_model(model.SerializeToString())
    network.set_rt_info(header, [HEADER])
    try:
        openvino.save_model(network, path, compress_to_fp16=half)
    except RuntimeError as error:  # of OpenVINO's kind, whatever it was
        raise OSError(f"OpenVINO says {' '.join(str(error).split())}; the disk may be full") from error
