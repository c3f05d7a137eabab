"""What a run saves, and its inverse: weights for use, and the state for going on."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from centermask.errors import UserError
from centermask.train.run import Run


def save(run: Run) -> None:
    """Write weights for use and the state for resuming; the state last, so that it never runs ahead of the weights.

    Raises:
        UserError: the folder cannot be written.
    """
    run.together.by_first(lambda: _write(run))


@contextmanager
def save_on_fault(run: Run) -> Iterator[None]:
    """Save before a fault ends the run. The other processes are not waited for: they may know nothing of it."""
    try:
        yield
    except UserError:
        if run.together.is_first:
            with suppress(UserError):  # the first fault is the one to tell
                _write(run)
        raise


def _write(run: Run) -> None:
    progress = run.progress
    run.folder.save_weights("last", run.usable_model, {"epoch": progress.step / run.plan.batches})
    run.folder.save_state(
        {
            "step": progress.step,
            "epochs": progress.epochs,
            "best": progress.best,
            "stale": progress.stale,
            "bad_steps": progress.bad_steps,
            "batch": run.plan.batch,
            "part": run.part,
            "pictures": run.plan.pictures,
            "config": run.model.config.to_dict(),
            "model": run.model.state_dict(),
            "average": run.average.state_dict() if run.average else None,
            "optimizer": run.optimizer.state_dict(),
        }
    )


def restore(run: Run, state: dict[str, Any]) -> None:
    """Go on where a state was saved.

    No generator is restored: whatever is drawn by chance depends on seed, epoch, step and picture alone.

    Raises:
        UserError: the state is of another network, optimiser or division of the data.
    """
    if (state["pictures"], state["batch"]) != (run.plan.pictures, run.plan.batch):
        raise UserError(
            f"{run.folder.path} was begun with {state['pictures']} pictures in steps of {state['batch']}, and would go "
            f"on with {run.plan.pictures} in steps of {run.plan.batch}; give the same data and a number of processes "
            "that divides the batch, or another --out"
        )
    try:
        run.model.load_state_dict(state["model"])
        if run.average is not None and state["average"] is not None:
            run.average.load_state_dict(state["average"])
        run.optimizer.load_state_dict(state["optimizer"])
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"{run.folder.state} is of another network or optimiser; resume with the same settings"
        ) from error
    progress = run.progress
    progress.step, progress.epochs = state["step"], state["epochs"]
    progress.best, progress.stale, progress.bad_steps = state["best"], state["stale"], state["bad_steps"]
    run.part = min(run.part, state["part"])
