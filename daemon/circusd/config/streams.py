"""The ``stdout_stream`` and ``stderr_stream`` of a watcher: from raw values to a `StreamConfig`, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from circusd.schema.options import STREAM, STREAM_CLASSES, Option, StreamClass, near_miss, stream_class

from .problems import Place, Report
from .records import StreamConfig
from .values import MISSING, Raw, as_json, read

_CLASS = next(option for option in STREAM if option.name == "class")


def _rows(known: StreamClass | None) -> dict[str, Option]:
    return {option.name: option for option in (*STREAM, *(known.options if known else ()))}


def build_stream(
    stream: str, given: Mapping[str, Raw], before: StreamConfig | None, report: Report
) -> StreamConfig | None:
    """The stream of these options on top of what was before; problems go to the report.

    A change of the class keeps those of the former options that the new class has too.
    """
    if not given:
        return before
    place = replace(next(iter(given.values())).place, option=stream)
    raw_class = given.get("class")
    if raw_class is not None:
        classname = read(_CLASS, raw_class, report)
        if classname is MISSING:
            return None
    elif before is not None:
        classname = before.classname
    elif "filename" in given:
        classname = "FileStream"
    else:
        names = ", ".join(row.name for row in STREAM_CLASSES)
        report.error(place, "neither a class nor a filename is given", f"{stream}.class: {names}")
        return None
    known = stream_class(classname)
    rows = _rows(known)
    options: dict[str, object] = {
        row.name: row.default for row in rows.values() if not row.legacy and row.name != "class"
    }
    if before is not None:
        options.update(
            (name, value) for name, value in before.options.items() if name in options or known is None
        )
    for name, raw in given.items():
        if name != "class":
            _add(name, raw, rows, known, options, report)
    _tell(classname, known, options, place, raw_class, report)
    return StreamConfig(known.name if known else classname, options)


def _add(
    name: str,
    raw: Raw,
    rows: Mapping[str, Option],
    known: StreamClass | None,
    options: dict[str, object],
    report: Report,
) -> None:
    row = rows.get(name)
    if row is None:
        if known is None:
            options[name] = raw.value
        else:
            near = near_miss(rows.values(), name)
            hint = f"did you mean {near}?" if near else ""
            add = report.warning if raw.from_file else report.error
            add(raw.place, f"{known.name} has no option {name}", hint=hint)
    elif row.legacy:
        report.note(raw.place, row.told)
    else:
        value = read(row, raw, report)
        if value is not MISSING:
            options[name] = value


def _tell(
    classname: str,
    known: StreamClass | None,
    options: Mapping[str, object],
    place: Place,
    raw_class: Raw | None,
    report: Report,
) -> None:
    if raw_class is not None and known is not None and not known.effective:
        report.note(
            raw_class.place, f"{classname} is accepted, not yet effective: the output is in the history only"
        )
    if "filename" in options and options["filename"] is None:
        report.note(place, "has no filename: the output goes to a temporary file")


def describe_stream(stream: StreamConfig | None) -> dict[str, Any]:
    """The stream as JSON data: its class, and each option that differs from the default."""
    if stream is None:
        return {}
    rows = _rows(stream_class(stream.classname))
    shown: dict[str, Any] = {"class": stream.classname}
    for name, value in stream.options.items():
        row = rows.get(name)
        if row is None or row.default != value:
            shown[name] = as_json(row, value) if row else value
    return shown
