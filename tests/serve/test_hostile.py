"""Hundreds of hostile uploads: all are refused, the service stays up, and honest requests are answered in between."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from tests.runtimes.made import write
from tests.serve.hostile import ATTACKS, FLAGS, assault, attacks, resident
from tests.serve.made import running


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_three_hundred_hostile_uploads_are_refused(tmp_path: Path) -> None:
    with running("-m", "centermask", "serve", write(tmp_path / "gems.onnx"), *FLAGS) as server:
        outcomes, wrong, failed = asyncio.run(assault(server.port, 300))
        memory = resident(server.port)
        code, said = server.stop(signal.SIGTERM)
    assert wrong == []
    assert failed == 0
    assert sum(outcomes.values()) == 300
    assert memory < 1000
    assert (code, said) == (0, "")


def test_attacks_are_the_same_each_time_and_of_every_kind() -> None:
    kinds = {attack.kind.partition(":")[0] for attack in attacks(3 * len(ATTACKS))}
    assert len(kinds) == len(ATTACKS)
    assert [one.sent for one in attacks(26)] == [one.sent for one in attacks(26)]
