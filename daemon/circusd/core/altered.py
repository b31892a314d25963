"""A frozen record with some of its fields changed, for where that happens at each end and start of a process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from operator import attrgetter
from typing import Any, Final, NamedTuple, TypeVar, cast

Record = TypeVar("Record")

Put = Callable[[Any, Any], None]


class _Shape(NamedTuple):
    """How the records of one class are copied."""

    values: Callable[[Any], tuple[Any, ...]]
    puts: tuple[Put, ...]
    by_name: dict[str, Put]


_SHAPES: Final[dict[type, _Shape]] = {}


def altered(record: Record, **changes: Any) -> Record:
    """The same as ``dataclasses.replace`` gives, in half of its time: ``record`` is of a dataclass with slots.

    Raises KeyError for a name that is no field. What its ``__post_init__`` does is not done.
    """
    kind = type(record)
    values, puts, by_name = _SHAPES.get(kind) or _shape(kind)
    new = object.__new__(kind)
    for put, value in zip(puts, values(record), strict=True):
        put(new, value)
    for name, value in changes.items():
        by_name[name](new, value)
    return new


def _shape(kind: type) -> _Shape:
    by_name = {field.name: kind.__dict__[field.name].__set__ for field in fields(cast("Any", kind))}
    shape = _SHAPES[kind] = _Shape(attrgetter(*by_name), tuple(by_name.values()), by_name)
    return shape
