"""The probe that a network asks for."""

from importlib.util import find_spec

from centermask.bench.stages import Probe
from centermask.bench.variant import Variant
from centermask.runtimes.runtime import Runtime


def open_probe(variant: Variant, runtime: Runtime) -> Probe | None:
    """What clocks the parts of a network, or None where that cannot be done.

    On a GPU the exported files only say when a part was started, not how long it took. The parts of an ONNX file are
    known by ``onnx``, which running it does not need. Each is imported only for a file of its kind.
    """
    match variant.engine:
        case "ONNX Runtime" if runtime.device == "cpu" and find_spec("onnx"):
            from centermask.bench.probe_onnx import OnnxProbe

            return OnnxProbe(variant.path, variant.threads)
        case "OpenVINO" if runtime.device == "cpu":
            from centermask.bench.probe_openvino import OpenVinoProbe

            return OpenVinoProbe(variant.path, variant.threads, variant.compute_in)
        case "torch.export" if runtime.device == "cpu":
            from centermask.bench.probe_program import ProgramProbe

            return ProgramProbe(variant.path)
        case "PyTorch":
            from centermask.bench.probe_torch import TorchProbe

            return TorchProbe.of(runtime)
        case _:
            return None
