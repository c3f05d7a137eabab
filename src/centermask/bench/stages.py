"""Where the time of a network goes: its dense part, decoding with NMS, RoIs with masks."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from centermask.images import Fitted

Stage = Literal["dense", "decode", "masks"]


STAGES: tuple[Stage, ...] = ("dense", "decode", "masks")


class Shares(NamedTuple):
    """Of the time of one run of a network, pixels to soft masks; they add up to 1."""

    dense: float
    """Backbone, pyramid and detection head: what every picture of a size costs."""
    decode: float
    """Candidates, NMS, the best of them."""
    masks: float
    """RoIs, mask head, mask-IoU head."""


@runtime_checkable
class Probe(Protocol):
    """A network whose parts are clocked while it runs."""

    def run(self, fitted: Fitted, score_threshold: float) -> None:
        """Run it once, and remember what its parts took."""

    def forget(self) -> None:
        """Leave out all runs so far."""

    def shares(self) -> Shares:
        """Of the runs since then, at least one."""


class Node(NamedTuple):
    """A step of an exported graph."""

    name: str
    kind: str
    """The operator."""
    takes: Sequence[str]
    """Values it needs."""
    gives: Sequence[str]
    """Values it makes."""


def stages_of(nodes: Iterable[Node]) -> dict[str, Stage]:
    """The stage of each node of a graph, in the order in which they are computed.

    What depends on a RoIAlign makes masks. What else depends on the score threshold chooses detections. The rest is
    the dense part, with the sigmoids of its scores.

    >>> conv = Node("conv", "Conv", ["pixels"], ["x"])
    >>> nms = Node("nms", "NonMaxSuppression", ["x", "score_threshold"], ["boxes"])
    >>> pool, head = Node("pool", "RoiAlign", ["x", "boxes"], ["crops"]), Node("head", "Conv", ["crops"], ["masks"])
    >>> stages_of([conv, nms, pool, head])
    {'conv': 'dense', 'nms': 'decode', 'pool': 'masks', 'head': 'masks'}
    """
    chosen, cropped = {"score_threshold"}, set[str]()
    stages: dict[str, Stage] = {}
    for node in nodes:
        if cropped.intersection(node.takes) or "roialign" in node.kind.lower().replace("_", ""):
            stages[node.name] = "masks"
            cropped.update(node.gives)
        elif chosen.intersection(node.takes):
            stages[node.name] = "decode"
            chosen.update(node.gives)
        else:
            stages[node.name] = "dense"
    return stages


def to_shares(seconds: Mapping[Stage, float]) -> Shares:
    """Times as shares of their sum.

    >>> to_shares({"dense": 3.0, "masks": 1.0})
    Shares(dense=0.75, decode=0.0, masks=0.25)
    """
    total = sum(seconds.values())
    return Shares(*(seconds.get(stage, 0.0) / total for stage in STAGES))
