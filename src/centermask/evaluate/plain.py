"""Frozen dataclasses of plain values as JSON and back; NaN is ``null`` there."""

import math
from dataclasses import asdict, fields, is_dataclass
from typing import Any, get_args, get_origin, get_type_hints


def to_plain(value: Any) -> Any:
    """A dataclass as the tree of its fields, for ``json.dumps``; the inverse of ``from_plain``."""
    return _without_nan(asdict(value))


def _without_nan(value: Any) -> Any:
    match value:
        case dict():
            return {key: _without_nan(item) for key, item in value.items()}
        case list() | tuple():
            return [_without_nan(item) for item in value]
        case float() if math.isnan(value):
            return None
        case _:
            return value


def from_plain(kind: Any, value: Any) -> Any:
    """The value of a declared type behind its JSON.

    Raises:
        KeyError: a field is missing.
    """
    if is_dataclass(kind):
        types = get_type_hints(kind)
        return kind(**{field.name: from_plain(types[field.name], value[field.name]) for field in fields(kind)})  # type: ignore[operator]
    if get_origin(kind) is tuple:
        return tuple(from_plain(get_args(kind)[0], item) for item in value)
    if get_origin(kind) is dict:
        return {key: from_plain(get_args(kind)[1], item) for key, item in value.items()}
    if kind is float:
        return float("nan") if value is None else float(value)
    return value
