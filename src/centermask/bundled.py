"""The weights that come with the package."""

from pathlib import Path

from centermask.errors import UserError

BUNDLED = {"nano": Path(__file__).parent / "weights" / "centermask-nano.safetensors"}


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
            else "give a weights file, an exported file, or 'nano' for the bundled weights"
        )
        raise UserError(f"{path}: no such weights file; {mend}")
    return path
