"""Train and score every contender of a plan on the same pictures, and print one table.

    python benchmarks/versus/run.py PLAN.yaml --data DATA --backbone FILE [--out runs/versus] [--parallel 2]

DATA holds the folders cats, coco and nuclei (COCO format); FILE is what ``centermask import-backbone`` wrote. A plan
lists rows, each with what ``row.py`` takes; see ``plans/``. Rows that are done are not done again, and one that was
broken off goes on from its last epoch: the same command takes everything up. ``--parallel`` rows run at a time, each
with one thread of its own.
"""

import argparse
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml
from table import print_table

ROW = Path(__file__).with_name("row.py")


def folder_of(row: Mapping[str, Any], backbone: Path, out: Path) -> Path:
    """A folder named by what decides a row."""
    parts = [row["task"], row["contender"], backbone.stem, *(f"{key}={value}" for key, value in sorted(row.items())
                                                             if key not in ("task", "contender"))]  # fmt: skip
    return out / "_".join(str(part).replace("/", "-") for part in parts)


def command(row: Mapping[str, Any], folder: Path, data: Path, backbone: Path) -> list[str]:
    """What runs one row."""
    given = [sys.executable, str(ROW), str(folder), "--data", str(data), "--backbone", str(backbone)]
    for key, value in row.items():
        if value is False or value is None:  # what is not asked for
            continue
        values = [] if value is True else value if isinstance(value, list) else [value]
        given += [f"--{key.replace('_', '-')}", *map(str, values)]
    return given


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plan", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backbone", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/versus"))
    parser.add_argument("--parallel", type=int, default=1)
    given = parser.parse_args()
    plan = yaml.safe_load(given.plan.read_text())
    rows = [plan.get("settings", {}) | row for row in plan["rows"]]
    folders = [folder_of(row, given.backbone, given.out) for row in rows]

    def go(row: Mapping[str, Any], folder: Path) -> int:
        if (folder / "row.json").is_file():
            return 0
        return subprocess.run(command(row, folder, given.data, given.backbone), check=False).returncode

    with ThreadPoolExecutor(given.parallel) as pool:
        codes = list(pool.map(go, rows, folders))
    print_table([folder for folder in folders if (folder / "row.json").is_file()])
    if failed := [folder.name for folder, code in zip(folders, codes, strict=True) if code]:
        raise SystemExit(f"not done: {', '.join(failed)}; the same command goes on")


if __name__ == "__main__":
    main()
