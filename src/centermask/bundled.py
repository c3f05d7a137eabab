"""The weights that come with the package."""

from pathlib import Path

from centermask.errors import UserError

BUNDLED = {name: Path(__file__).parent / "weights" / f"centermask-{name}.safetensors" for name in ("nano", "plus-nano")}
"""The files of the names that stand for bundled weights."""
DEFAULT_WEIGHTS = "plus-nano"
"""What predicts where no weights are named."""


def resolve_weights(name: str | Path) -> Path:
    """The file behind a weights argument: a bundled name, or the path of weights or of an exported file.

    Raises:
        UserError: there is no such file.
    """
    path = BUNDLED.get(str(name), Path(name))
    if not path.is_file():
        mend = (
            "install the package again"
            if str(name) in BUNDLED
            else f"give a weights file, an exported file, or bundled weights: {', '.join(BUNDLED)}"
        )
        raise UserError(f"{path}: no such weights file; {mend}")
    return path
