"""Metrics as text: the format of Prometheus (0.0.4), and OpenMetrics 1.0.0.

Names of watchers are text of others: in a label they are escaped, and what is no UTF-8 comes out as a question mark.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from .metrics import METRICS, STATES, Metric

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

CHUNK = 500
"""Rows that are written in one go."""

_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
_UNKNOWN = Metric("", "unknown", "")


def exposition(groups: Iterable[Mapping[str, Any]], *, openmetrics: bool) -> Iterator[bytes]:
    """The text of these groups (see the command ``metrics``), in pieces that each take a moment to make.

    A value that is not known (null) is left out; a group that is not in the form that it should have raises ValueError.
    """
    for group in groups:
        try:
            yield from _group(
                list(group["labels"]), list(group["metrics"]), list(group["rows"]), openmetrics=openmetrics
            )
        except (KeyError, TypeError, IndexError, AttributeError, ValueError) as problem:
            raise ValueError(f"not a group of metrics: {problem!r}") from None
    if openmetrics:
        yield b"# EOF\n"


def escaped(value: object) -> str:
    """The value of a label, as it stands between quotes."""
    return str(value).translate(_ESCAPES)


def _group(
    names: list[str], metrics: list[str], rows: list[Sequence[Any]], *, openmetrics: bool
) -> Iterator[bytes]:
    width = len(names)
    labels: list[str] = []
    for at in range(0, len(rows), CHUNK):
        for row in rows[at : at + CHUNK]:
            pairs = zip(names, row[:width], strict=True)
            labels.append(",".join(f'{name}="{escaped(value)}"' for name, value in pairs))
        yield b""
    for place, name in enumerate(metrics, width):
        metric = METRICS.get(name, _UNKNOWN)._replace(name=name)
        yield _encoded(_head(metric, openmetrics=openmetrics))
        for at in range(0, len(rows), CHUNK):
            part = zip(labels[at : at + CHUNK], rows[at : at + CHUNK], strict=True)
            yield _encoded([line for label, row in part for line in _samples(metric, label, row[place])])


def _head(metric: Metric, *, openmetrics: bool) -> Iterator[str]:
    name, kind = metric.name, metric.type
    if openmetrics:
        # There the suffix belongs to the sample and not to the family.
        name = name.removesuffix("_total" if kind == "counter" else "_info" if kind == "info" else "")
    else:
        kind = {"info": "gauge", "unknown": "untyped"}.get(kind, kind)
    if metric.doc:
        yield f"# HELP {name} {escaped(metric.doc) if openmetrics else metric.doc}"
    yield f"# TYPE {name} {'gauge' if kind == 'state' else kind}"
    if openmetrics and metric.unit:
        yield f"# UNIT {name} {metric.unit}"


def _samples(metric: Metric, label: str, value: Any) -> Iterator[str]:
    if value is None:
        return
    name = metric.name
    if metric.type == "state":
        for state in STATES:
            yield f"{name}{{{_with(label, 'state', state)}}} {int(state == value)}"
    elif metric.type == "histogram":
        for bound, count in zip((*value["le"], math.inf), value["counts"], strict=True):
            le = "+Inf" if bound == math.inf else repr(float(bound))
            yield f"{name}_bucket{{{_with(label, 'le', le)}}} {_number(count)}"
        yield f"{_sample(name + '_sum', label)} {_number(value['sum'])}"
        yield f"{_sample(name + '_count', label)} {_number(value['counts'][-1])}"
    else:
        yield f"{_sample(name, label)} {_number(value)}"


def _with(label: str, name: str, value: str) -> str:
    return f'{label}{"," if label else ""}{name}="{value}"'


def _sample(name: str, label: str) -> str:
    return f"{name}{{{label}}}" if label else name


def _number(value: float) -> str:
    return repr(value + 0)


def _encoded(lines: Iterable[str]) -> bytes:
    text = "\n".join(lines)
    return (text + "\n").encode("utf-8", "replace") if text else b""
