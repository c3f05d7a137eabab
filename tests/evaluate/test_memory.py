"""The ceiling: evaluating and analysing 5,000 pictures of 100 predictions and 50 objects takes less than 800 MB."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read as Linux tells it")


def growth(pictures):
    """Megabytes by which a process grows that does nothing else."""
    command = [sys.executable, "-m", "tests.evaluate.peak", str(pictures)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_three_hundred_pictures_with_a_hundred_predictions_stay_under_110_megabytes():
    assert 20 < growth(300) < 110


@pytest.mark.slow
def test_five_thousand_pictures_with_a_hundred_predictions_stay_under_800_megabytes():
    assert 200 < growth(5000) < 800
