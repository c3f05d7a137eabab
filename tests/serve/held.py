"""A service whose network works only while a file is there: ``python held.py FILE [SETTING=VALUE ...]``."""

import sys
import time
from pathlib import Path

from centermask.images import Fitted, SoftInstances
from centermask.predict import Predictor
from centermask.serve import Settings
from centermask.serve.run import Address, serve
from tests.serve.made import Quarters, opened


class Held(Quarters):
    """Counts its runs in the file's folder."""

    def __call__(self, fitted: Fitted, score_threshold: float) -> list[SoftInstances]:
        begun = gate.with_name(f"run-{len(self.runs)}")
        begun.touch()
        while not gate.exists():
            time.sleep(0.01)
        return super().__call__(fitted, score_threshold)


if __name__ == "__main__":
    gate = Path(sys.argv[1])
    given = {name: float(value) for name, _, value in (word.partition("=") for word in sys.argv[2:])}
    whole = ("queue", "batch", "body_bytes", "connections")
    given = {name: int(value) if name in whole else value for name, value in given.items()}
    mine = {name: given.pop(name) for name in ("head_seconds", "connections", "drain_seconds") if name in given}
    network = Held(opened().open)
    gate.touch()  # for the picture that warms it up
    serve(lambda: Predictor(network), Settings(**given), Address(port=0, **mine))
