"""Predict the pictures of a folder on a Ray cluster, or on a Ray that is started here: a JSON line for each picture.

python examples/many_pictures_on_ray.py PICTURES found.jsonl --actors 4
RAY_ADDRESS=auto python examples/many_pictures_on_ray.py /shared/PICTURES found.jsonl --actors 32 --gpus 1

The same command goes on where it was broken off. Every machine must see the pictures and weights under the same path.
"""

import argparse
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report its use to its makers

import ray

from centermask.images import find_images
from centermask.many import Answer, Recipe, answering, predict_many, read_answer, tell_job
from centermask.predict import Job


class Finding:
    """A predictor on some machine of the cluster; Ray keeps it from batch to batch."""

    def __init__(self, recipe: dict[str, Any]) -> None:
        self.answer = answering(recipe)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Answer each job of a batch; what goes over the wire is JSON."""
        return {"place": batch["place"], "answer": [json.dumps(self.answer(json.loads(job))) for job in batch["job"]]}


def on_ray(recipe: Recipe, jobs: Sequence[Job], actors: int, gpus: float, cores: int) -> Iterator[tuple[Job, Answer]]:
    """The answer to each job, as it is ready."""
    rows = [{"place": place, "job": json.dumps(tell_job(job))} for place, job in enumerate(jobs)]
    found = ray.data.from_items(rows, override_num_blocks=min(len(rows), 4 * actors)).map_batches(
        Finding, fn_constructor_args=[asdict(recipe)], batch_size=8, concurrency=actors, num_cpus=cores, num_gpus=gpus
    )
    for row in found.iter_rows():
        yield jobs[row["place"]], read_answer(json.loads(row["answer"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", help="a folder or a pattern")
    parser.add_argument("json", type=Path, help="a file that ends in .jsonl")
    parser.add_argument("--weights", default="nano")
    parser.add_argument("--actors", type=int, default=2, help="predictors on the cluster")
    parser.add_argument("--cores", type=int, default=1, help="of each")
    parser.add_argument("--gpus", type=float, default=0, help="of each; 0.25 lets four share one")
    given = parser.parse_args()
    recipe = Recipe(weights=given.weights, threads=None if given.gpus else given.cores)
    summary = predict_many(
        recipe, [path.absolute() for path in find_images(given.pictures)], given.json, resume=True,
        run=lambda recipe, jobs: on_ray(recipe, jobs, given.actors, given.gpus, given.cores),
    )  # fmt: skip
    for _, reason in summary.failures:
        print(reason)
    print(f"{given.json}: {summary.done} predicted, {summary.skipped} were there, {len(summary.failures)} failed")


if __name__ == "__main__":
    main()
