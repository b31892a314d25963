"""The ``stdout_stream`` and ``stderr_stream`` of a watcher: from raw values to a `StreamConfig`, and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from circusd.schema.options import (
    STREAM,
    STREAM_CLASSES,
    Option,
    StreamClass,
    near_miss,
    stream_class,
    stream_option,
)

from .problems import Report, quoted
from .records import StreamConfig
from .values import MISSING, Raw, as_json, read

_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")
_CLASS = next(option for option in STREAM if option.name == "class")


def _rows(known: StreamClass | None) -> dict[str, Option]:
    return {option.name: option for option in (*STREAM, *(known.options if known else ()))}


def build_stream(
    stream: str, given: Mapping[str, Raw], before: StreamConfig | None, report: Report
) -> StreamConfig | None:
    """The stream of these options on top of what was before; problems go to the report.

    ``NAME.OPTION`` is an option of a further place by that name. A change of the class keeps those of the former options
    that the new class has too.
    """
    if not given:
        return before
    own, further = _divided(given, before, report)
    more = dict(before.more) if before is not None else {}
    for name, options in further.items():
        if options is None:
            more.pop(name, None)
        elif (built := _build(f"{stream}.{name}", options, more.get(name), report)) is not None:
            more[name] = built
    first = before if before is not None and before.classname else None
    if own:
        first = _build(stream, own, first, report)
    if first is not None:
        return replace(first, more=more)
    return StreamConfig("", {}, more) if more else None


def _divided(
    given: Mapping[str, Raw], before: StreamConfig | None, report: Report
) -> tuple[dict[str, Raw], dict[str, dict[str, Raw] | None]]:
    """The stream's own options, and those of further places by name; None for one that is taken away."""
    own: dict[str, Raw] = {}
    further: dict[str, dict[str, Raw] | None] = {}
    for key, raw in given.items():
        name, dot, option = key.partition(".")
        options: dict[str, Raw]
        if dot:
            options = {option: raw}
        elif stream_option(key) is not None:
            # Also an object: who may set the option may not therefore name a class by it.
            own[key] = raw
            continue
        elif isinstance(raw.value, Mapping):
            options = {
                inner: replace(
                    raw, value=value, place=replace(raw.place, option=f"{raw.place.option}.{inner}")
                )
                for inner, value in raw.value.items()
            }
        elif raw.value is None and before is not None and key in before.more:
            further[key] = None
            continue
        else:
            own[key] = raw
            continue
        if not _NAME.fullmatch(name) or any("." in inner for inner in options):
            report.error(
                raw.place, f"{quoted(name)} is no name for a further place", "letters, digits, _ and -"
            )
        elif options and (known := further.setdefault(name, {})) is not None:
            known.update(options)
    return own, further


def _build(
    stream: str, given: Mapping[str, Raw], before: StreamConfig | None, report: Report
) -> StreamConfig | None:
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
    if "filename" in options and options["filename"] is None:
        report.note(place, "has no filename: the output goes to a temporary file")
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


def describe_stream(stream: StreamConfig | None) -> dict[str, Any]:
    """The stream as JSON data: its class, and each option that differs from the default; those of further places with their
    names before a dot."""
    if stream is None:
        return {}
    rows = _rows(stream_class(stream.classname))
    shown: dict[str, Any] = {"class": stream.classname} if stream.classname else {}
    for name, value in stream.options.items():
        row = rows.get(name)
        if row is None or row.default != value:
            shown[name] = as_json(row, value) if row else value
    for name, further in stream.more.items():
        shown.update((f"{name}.{option}", value) for option, value in describe_stream(further).items())
    return shown
