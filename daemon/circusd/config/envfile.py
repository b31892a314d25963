"""Files of variables, as ``env_file`` names them, in the dialect that shells, compose files and systemd have in common.

A line is empty, a comment that begins with ``#``, or ``NAME=VALUE``, with ``export`` before it if you like and spaces
around the ``=``. A value without quotes goes to the end of the line, or to a ``#`` after a space. In single quotes
everything stands for itself. In double quotes ``\\n``, ``\\r`` and ``\\t`` stand for what they do elsewhere, a backslash
before ``"``, ``\\``, ``$`` or a back quote for that character, and one at the end of a line joins the two. Both kinds of
quotes may span lines, and nothing but a comment follows them. Nothing is replaced in a value: ``$`` is a ``$``. Of two
values for one name the last is kept.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace

from .document import Section
from .filetext import read_text
from .interpolate import Lookup, expand
from .problems import Place, Report

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_SINGLE = re.compile(r"'([^']*+)'")
_DOUBLE = re.compile(r'"([^"\\]*+(?:\\.[^"\\]*+)*)"', re.S)
# possessive, and not from within the spaces: a line of nothing but spaces must not cost its square
_COMMENT = re.compile(r"(?<![ \t])[ \t]++#.*")
_AFTER = re.compile(r"[ \t]*+(?:#[^\n]*)?(?=\n|\Z)")
_ESCAPE = re.compile(r'\\([nrt"\\$`\n])')
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", "\n": ""}


def parse(text: str, place: Place, report: Report) -> dict[str, str]:
    """The variables of the text; what can't be read goes to the report, with its line and without any value."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    env: dict[str, str] = {}
    lines: dict[str, int] = {}
    for line, name, value in _assignments(text, place, report):
        at = replace(place, line=line)
        if not _NAME.fullmatch(name):
            report.error(at, "is no name of a variable", "letters, digits and _, with no digit first")
        elif "\0" in value:
            report.error(at, f"{name} holds a NUL byte")
        else:
            if name in env:
                report.warning(at, f"{name} is given again, after line {lines[name]}; this value is kept")
            env[name], lines[name] = value, line
    return env


def _assignments(text: str, place: Place, report: Report) -> Iterator[tuple[int, str, str]]:
    """Each line that assigns: its number, the name and the value."""
    position, line = 0, 1
    while position < len(text):
        start, begun = position, line
        end = _line_end(text, start)
        position, line = end + 1, line + 1
        written = text[start:end].strip()
        if not written or written[0] == "#":
            continue
        equals = text.find("=", start, end)
        if equals < 0:
            report.error(replace(place, line=begun), "has no =", "NAME=VALUE, or a comment with #")
            continue
        first, *rest = text[start:equals].split(None, 1) or [""]
        name = rest[0].rstrip() if first == "export" and rest else text[start:equals].strip()
        value = text[equals + 1 : end].lstrip(" \t")
        if value[:1] not in ("'", '"'):
            # the space before a # may be the one behind the =
            yield begun, name, _COMMENT.sub("", text[equals + 1 : end], count=1).strip(" \t")
            continue
        body = (_SINGLE if value[0] == "'" else _DOUBLE).match(text, end - len(value))
        if body is None:
            report.error(replace(place, line=begun), f"has a {value[0]} that is not closed")
            # what follows may be part of the value, or not: nothing true can be said of it
            return
        closed = begun + text.count("\n", start, body.end())
        position, line = _line_end(text, body.end()) + 1, closed + 1
        if not _AFTER.match(text, body.end()):
            told = "has something behind the closing quote"
            report.error(replace(place, line=closed), told, "a comment with #, or nothing")
            continue
        yield begun, name, body[1] if value[0] == "'" else _ESCAPE.sub(_unescape, body[1])


def _line_end(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end


def _unescape(match: re.Match[str]) -> str:
    return _ESCAPED.get(match[1], match[1])


class EnvFiles:
    """The files of variables that sections name, each read once."""

    def __init__(self, folder: str, report: Report) -> None:
        self._folder = folder
        self._report = report
        self._read: dict[str, dict[str, str]] = {}

    def of(self, section: Section | None, lookup: Lookup) -> dict[str, str]:
        """The variables of the files that the section's ``env_file`` names; later files win."""
        entry = section.entries.get("env_file") if section else None
        if section is None or entry is None:
            return {}
        place = section.place("env_file")
        env: dict[str, str] = {}
        for name in words(entry.value, lookup):
            env.update(self._variables(name, place))
        return env

    def _variables(self, name: str, place: Place) -> dict[str, str]:
        optional = name.startswith("-")
        path = os.path.join(self._folder, name.removeprefix("-"))
        if path in self._read:
            return self._read[path]
        if optional and not os.path.exists(path):
            return {}
        text = read_text(path, place, self._report, regular=True)
        found = parse(text, Place(path), self._report) if text is not None else {}
        if text is not None:
            self._read[path] = found
        return found


def words(value: str | tuple[str, ...], lookup: Lookup) -> list[str]:
    """The words of a text, or of a list, with names replaced."""
    if isinstance(value, str):
        return expand(value, lookup).split()
    return [expand(word, lookup) for word in value]
