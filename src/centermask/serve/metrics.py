"""Figures of a running service, in the text format of Prometheus."""

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence

import psutil

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
PICTURES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)


class Histogram:
    """How often a value came that is no greater than each bound."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def lines(self, name: str) -> Iterator[str]:
        """As Prometheus wants it: counts add up from bound to bound."""
        total = 0
        for bound, count in zip([*map("{:g}".format, self._bounds), "+Inf"], self._counts, strict=True):
            total += count
            yield f'{name}_bucket{{le="{bound}"}} {total}'
        yield f"{name}_sum {self._sum:.6f}"
        yield f"{name}_count {total}"


class Metrics:
    """Counts what a service does; all of it in one thread, that of the event loop."""

    def __init__(self) -> None:
        self._started = time.time()
        self._process = psutil.Process()
        self._requests: Counter[tuple[str, int]] = Counter()
        self._seconds = Histogram(SECONDS)
        self._runs = Histogram(PICTURES)
        self.pictures = 0
        self.objects = 0
        self.in_work = 0
        self.unread = 0

    def count_request(self, path: str, status: int) -> None:
        """A request was answered; ``path`` is that of a route, so that clients cannot make up new ones."""
        self._requests[path, status] += 1

    def count_prediction(self, seconds: float, objects: int) -> None:
        """A picture was answered, ``seconds`` after its request began."""
        self.pictures += 1
        self.objects += objects
        self._seconds.add(seconds)

    def count_run(self, pictures: int) -> None:
        """The network runs on so many pictures."""
        self._runs.add(float(pictures))

    def text(self) -> str:
        """All figures as they are now."""
        memory = self._process.memory_info().rss
        lines = [
            *_head("centermask_requests_total", "counter", "Requests answered, by route and status."),
            *(f'centermask_requests_total{{path="{path}",status="{status}"}} {count}'
              for (path, status), count in sorted(self._requests.items())),
            *_head("centermask_request_seconds", "histogram", "From a request's head to its answer, of predictions."),
            *self._seconds.lines("centermask_request_seconds"),
            *_head("centermask_run_pictures", "histogram", "Pictures in one run of the network."),
            *self._runs.lines("centermask_run_pictures"),
            *_single("centermask_pictures_total", "counter", "Pictures answered.", self.pictures),
            *_single("centermask_objects_total", "counter", "Objects found in them.", self.objects),
            *_single("centermask_queue_length", "gauge", "Pictures in work.", self.in_work),
            *_single("centermask_unread_bytes", "gauge", "Of answers that are on their way.", self.unread),
            *_single("process_resident_memory_bytes", "gauge", "Memory of the process.", memory),
            *_single("process_start_time_seconds", "gauge", "When it began, since 1970.", round(self._started)),
        ]  # fmt: skip
        return "\n".join(lines) + "\n"


def _single(name: str, kind: str, meaning: str, value: int) -> list[str]:
    return [*_head(name, kind, meaning), f"{name} {value}"]


def _head(name: str, kind: str, meaning: str) -> list[str]:
    return [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"]
