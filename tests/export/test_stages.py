"""Exported networks tell where their time goes, and a thousand predictions leave no memory behind."""

import copy
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from centermask.bench import bench
from centermask.export.header import make_header
from centermask.export.plan import Plan
from centermask.runtimes.open import EXPORTED
from tests.export.files import Exported, write

ROOT = Path(__file__).parents[2]
PLAN = Plan(format="onnx", precision="fp32", plane=None, pixel_kind="uint8", full_masks=False)
KINDS = ("safetensors", "onnx", "xml", "pt2")
GROWTH = {"safetensors": 8, "onnx": 8, "xml": 28}
"""Mebibytes between the 200th and the 1,000th prediction; 8 masks that were kept each time would make 20.

Measured: 0.4, 1 and 14. OpenVINO goes on preparing parts for sizes it has not seen, up to a number of them.
"""


@pytest.fixture(scope="module")
def folder(small: Exported, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny network in every kind of file, each called ``small``."""
    folder = tmp_path_factory.mktemp("files")
    model = copy.copy(small.model)
    model.config = replace(small.model.config, score_threshold=0.0)
    header = make_header(PLAN, model.config, {})
    model.save(folder / "small.safetensors")
    for kind in EXPORTED:
        write(small, header, folder / f"small{kind}")
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small ones: bench would else draw them at the size that the network asks for."""
    folder = tmp_path_factory.mktemp("pictures")
    for i in range(2):
        Image.effect_noise((96 + 32 * i, 96), 60).convert("RGB").save(folder / f"{i}.png")
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_every_runtime_tells_where_its_time_goes(folder: Path, pictures: Path, kind: str) -> None:
    row = bench([folder / f"small.{kind}"], images=pictures, short_side=96, rounds=2, threads=1, memory=False).rows[0]
    assert row.timing.middle.objects > 0
    assert row.timing.shares is not None
    assert sum(row.timing.shares) == pytest.approx(1)
    assert row.timing.shares.dense > 0.1
    assert min(row.timing.shares) > 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["safetensors", "onnx", "xml"])
def test_a_thousand_predictions_of_changing_sizes_leave_no_memory_behind(folder: Path, kind: str) -> None:
    command = [sys.executable, "-m", "tests.growing", str(folder / f"small.{kind}")]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    early, late, found = map(float, done.stdout.split())
    assert found > 1000
    assert late - early < GROWTH[kind]
