"""What is pasted into a bug report."""

import torch

from centermask import __version__
from centermask.doctor import OPTIONAL, PACKAGES, examine


def test_the_doctor_names_versions_devices_and_what_is_missing() -> None:
    lines = examine().splitlines()
    found = dict(line.strip("| ").split(" | ", 1) for line in lines[2:])
    assert {"Python", "processor", "memory", *PACKAGES, *OPTIONAL} <= found.keys()
    assert found["centermask"] == __version__
    assert found["torch"] == torch.__version__.partition("+")[0]
    assert not any("MISSING" in value for value in found.values())
    gpus = [name for name in found if name.startswith("GPU")]
    assert len(gpus) == max(1, torch.cuda.device_count())


def test_the_doctor_writes_a_table_that_markdown_understands() -> None:
    lines = examine().splitlines()
    assert lines[1] == "|---|---|"
    assert all(line.count("|") == 3 for line in lines)
