"""How long a prediction takes: every variant of our networks beside torchvision's Mask R-CNN, in one run.

    python benchmarks/inference.py [--networks nano lite-v39] [--variants eager onnx openvino-bf16] [--rounds 5]
        [--threads 2] [--objects 10 all] [--batch 1] [--memory] [--folder DIR] [--peer 'NAME=COMMAND'] [--json FILE]

From a uint8 picture that has the network's size already to ``Instances`` with run-length coded masks in the picture's
own pixels. All variants of a network and their peers take turns in every round, in shuffled order, so that a machine
that slows down slows all; medians. Networks come one after the other, so that they need not all be in memory.

The weights are random (seeded) and the picture is noise, so only speed is measured. The class bias is set so that 3,000
pairs of a location and a class pass the class threshold, as on a crowded picture; boxes are some six strides wide,
masks fill them, and the expected IoU is 0.8 for all. ``--objects 10`` sets the score threshold of each variant between
its tenth and eleventh best object, as on a usual picture (COCO's have seven); ``all`` sets it to 0: as many objects as
the network can give. int8 files are calibrated on noise.

What is in the columns: "fit" is pixels to the network's planes; "dense" backbone, pyramid and detection head; "decode"
candidates and NMS; "masks" RoIAlign, mask head and mask-IoU head; "paste" pasting, run-length coding and the rest. The
middle three are shares of the network's time, found in a run of their own behind each prediction: in PyTorch with a
clock between the steps, in ONNX Runtime and OpenVINO by their own profiles, node by node. There, what depends on a
RoIAlign counts as masks, what else depends on the score threshold as decoding, the rest as dense; so the sigmoids of
the class scores (below 1 %) count as dense. Peak memory (``--memory``) is that of a whole process that does nothing
else.

With a GPU the variants are those of PyTorch there, with batches of 1 and 16. A ``--peer`` is told HEIGHT, WIDTH,
OBJECTS and BATCH in its environment, runs once a round, and prints its milliseconds as the last number of its last
line.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from common import machine
from networks import NETWORKS, make_files, noise
from peers import Command, MaskRcnn, Peer
from rich import box
from rich.console import Console
from rich.table import Table

from centermask import preset
from centermask.bench.case import Case, Timing
from centermask.bench.clock import turns
from centermask.bench.memory import Memory, measure_memory
from centermask.bench.probe import open_probe
from centermask.bench.variant import Variant
from centermask.images import Fitted, SoftInstances, fit
from centermask.runtimes.runtime import Runtime
from centermask.runtimes.torch import TorchRuntime
from centermask.size import Size

PEER = "torchvision Mask R-CNN R50"
EAGER = "eager"
GPU = torch.cuda.is_available()
CPU_VARIANTS = {
    EAGER: ("{}.safetensors", {"channels_last": False}),
    "channels-last": ("{}.safetensors", {}),
    "compile": ("{}.safetensors", {"compile": True}),
    "bf16": ("{}.safetensors", {"precision": "bf16"}),
    "onnx": ("{}.onnx", {}),
    "onnx-int8": ("{}-int8.onnx", {}),
    "openvino": ("{}.xml", {}),
    "openvino-bf16": ("{}.xml", {"compute_in": "bf16"}),
    "openvino-int8": ("{}-int8.xml", {}),
    "openvino-int8-bf16": ("{}-int8.xml", {"compute_in": "bf16"}),
}
"""The file, and how it is run. The last computes in bf16 what is not int8."""
GPU_VARIANTS = {
    EAGER: ("{}.safetensors", {"channels_last": False}),
    "channels-last": ("{}.safetensors", {}),
    "channels-last-bf16": ("{}.safetensors", {"precision": "bf16"}),
    "compile-bf16": ("{}.safetensors", {"precision": "bf16", "compile": True}),
    "cuda-graphs-bf16": ("{}.safetensors", {"precision": "bf16"}),
}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = GPU_VARIANTS if GPU else CPU_VARIANTS


class Load(NamedTuple):
    """What is predicted in one group of rows."""

    network: str
    objects: int | None
    """None: as many as the network can give."""
    batch: int

    @property
    def size(self) -> Size:
        return NETWORKS[self.network].size

    @property
    def pictures(self) -> list[np.ndarray]:
        return [noise(self.size, seed) for seed in range(self.batch)]


class Measured(NamedTuple):
    """What came out of one group of rows."""

    load: Load
    ours: dict[str, Timing]
    memory: dict[str, Memory]
    peers: dict[str, Peer]


class CudaGraphs:
    """A runtime whose dense part is recorded once and replayed; a ``Runtime``."""

    plane = None

    def __init__(self, runtime: TorchRuntime) -> None:
        self._runtime = runtime
        self.config, self.device = runtime.config, runtime.device
        network: Any = runtime.network
        for part in (network.backbone, network.pyramid, network.detection_head):
            part.compile(mode="reduce-overhead")

    def __call__(self, fitted: Fitted, score_threshold: float) -> list[SoftInstances]:
        torch.compiler.cudagraph_mark_step_begin()  # the three parts belong together
        return self._runtime(fitted, score_threshold)

    def keep_detections(self, count: int) -> None:
        self._runtime.keep_detections(count)


def our_variants(network: str, names: list[str], folder: Path, threads: int) -> dict[str, Variant]:
    """The variants asked for, by name."""
    made = {}
    for name in names:
        file, options = VARIANTS[name]
        made[name] = Variant(path=folder / file.format(network), threads=threads, **options)
    return made


def our_case(name: str, variant: Variant, load: Load) -> tuple[Case, float]:
    """A variant ready to predict, and the score threshold that gives it the load."""
    runtime = variant.open()
    if name.startswith("cuda-graphs") and isinstance(runtime, TorchRuntime):
        runtime = CudaGraphs(runtime)
    threshold = threshold_for(runtime, load)
    probe = None if isinstance(runtime, CudaGraphs) else open_probe(variant, runtime)
    return Case(runtime, probe, [load.pictures], resize=False, score_threshold=threshold), threshold


def threshold_for(runtime: Runtime, load: Load) -> float:
    """Between the scores of the last object wanted and of the next one, in the mean of the pictures."""
    if load.objects is None:
        return 0.0
    found = runtime(fit(load.pictures, [load.size] * load.batch), 0.0)
    scores = np.sort(np.concatenate([one.scores for one in found]))[::-1]
    last = load.objects * load.batch
    return float(scores[last - 1 : last + 1].mean()) if len(scores) > last else 0.0


def measure(load: Load, options: argparse.Namespace, folder: Path) -> Measured:
    """Let all variants and peers take turns."""
    variants = our_variants(load.network, options.variants, folder, options.threads)
    cases, thresholds = {}, {}
    for name, variant in variants.items():
        tell(f"{load.network}: opening {name}")
        cases[name], thresholds[name] = our_case(name, variant, load)
        cases[name].warm_up()
    others = peers(load, options)
    for peer in others.values():
        peer.go()
        peer.seconds.clear()
    for round_, name in turns([*cases, *others], options.rounds):
        tell(f"{load.network}: round {round_ + 1} of {options.rounds}, {name}")
        if name in cases:
            cases[name].go(round_)
        else:
            others[name].go()
    timings = {name: case.timing() for name, case in cases.items()}
    cases.clear()  # what is measured next needs the memory
    return Measured(load, timings, memories(load, variants, thresholds) if options.memory else {}, others)


def peers(load: Load, options: argparse.Namespace) -> dict[str, Peer]:
    """torchvision's network, and the commands."""
    objects = load.objects or most_objects(load.network)
    device = torch.device("cuda" if GPU else "cpu")
    made: dict[str, Peer] = {} if options.no_mask_rcnn else {PEER: MaskRcnn(load.pictures, objects, device)}
    for text in options.peer:
        name, _, command = text.partition("=")
        made[name] = Command(command, load.size, objects, load.batch)
    return made


def most_objects(network: str) -> int:
    """What the network keeps of a picture."""
    return preset(NETWORKS[network].preset).max_detections


def memories(load: Load, variants: Mapping[str, Variant], thresholds: Mapping[str, float]) -> dict[str, Memory]:
    """Each in a process of its own."""
    taken = {}
    for name, variant in variants.items():
        tell(f"{load.network}: memory of {name}")
        taken[name] = measure_memory(variant, [load.pictures], resize=False, score_threshold=thresholds[name])
    return taken


def rows(found: Measured) -> list[dict[str, Any]]:
    """Plain values; times in milliseconds of a batch, speeds in proportion to eager PyTorch and to Mask R-CNN."""
    size, batch = found.load.size, found.load.batch
    wholes = {name: 1000 * timing.median for name, timing in found.ours.items()}
    wholes |= {name: 1000 * statistics.median(peer.seconds) for name, peer in found.peers.items()}
    made = []
    for name, whole in wholes.items():
        row = {"network": found.load.network, "picture": f"{size.height}×{size.width}", "variant": name, "batch": batch,
               "ms": whole, "pictures/s": 1000 * batch / whole}  # fmt: skip
        row |= {f"speed / {other}": wholes[other] / whole for other in (EAGER, PEER) if other in wholes}
        row |= parts(found.ours[name], batch) if name in found.ours else {"objects": found.peers[name].objects}
        row |= {"peak MiB": found.memory[name].peak, "GPU MiB": found.memory[name].gpu} if name in found.memory else {}
        made.append(row)
    return made


def parts(timing: Timing, batch: int) -> dict[str, float]:
    """Where the time goes."""
    middle, shares = timing.middle, timing.shares
    made = {"objects": middle.objects / batch, "fit": 1000 * middle.fit, "paste": 1000 * middle.restore}
    if shares is None:
        return made
    inside = {name: 1000 * middle.network * share for name, share in shares._asdict().items()}
    return made | inside | {"whole / dense": 1000 * timing.median / inside["dense"]}


COLUMNS = ("network", "picture", "variant", "batch", "objects", "ms", "fit", "dense", "decode", "masks", "paste",
           "whole / dense", f"speed / {EAGER}", f"speed / {PEER}", "pictures/s", "peak MiB", "GPU MiB")  # fmt: skip


def show(made: list[dict[str, Any]]) -> None:
    """A table in Markdown, without the columns that nothing stands in."""
    columns = [name for name in COLUMNS if any(row.get(name) for row in made)]
    table = Table(*columns, box=box.MARKDOWN)
    for row in made:
        table.add_row(*(cell(row.get(name)) for name in columns))
    Console(width=250).print(table)


def cell(value: Any) -> str:
    """Three figures.

    >>> cell(0.01234), cell(12.34), cell(1234.5), cell(10), cell("a")
    ('0.012', '12.3', '1234', '10', 'a')
    """
    if not isinstance(value, float):
        return "" if value is None else str(value)
    return (
        f"{value:.3f}"
        if value < 1
        else f"{value:.2f}"
        if value < 10
        else f"{value:.1f}"
        if value < 100
        else f"{value:.0f}"
    )


def tell(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def objects_asked(text: str) -> int | None:
    return None if text == "all" else int(text)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--objects", nargs="+", type=objects_asked, default=[10], help="numbers, or all")
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 16] if GPU else [1])
    parser.add_argument("--folder", type=Path, help="keeps weights and exported files; what is there is used again")
    parser.add_argument("--memory", action="store_true", help="peak memory of each variant, in a process of its own")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=COMMAND")
    parser.add_argument("--no-mask-rcnn", action="store_true")
    parser.add_argument("--json", type=Path, help="write the figures here")
    return parser.parse_args()


def main() -> None:
    options = parse()
    torch.set_num_threads(options.threads)
    made: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="centermask-bench-") as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for network in options.networks:
            tell(f"{network}: making its files")
            make_files(network, folder, exported=not GPU)
            for objects in options.objects:
                for batch in options.batch:
                    made += rows(measure(Load(network, objects, batch), options, folder))
    show(made)
    print(machine(options.rounds, options.threads))
    if options.json:
        options.json.write_text(json.dumps(made, indent=1))


if __name__ == "__main__":
    main()
