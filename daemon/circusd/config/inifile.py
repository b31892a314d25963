"""The ini dialect of circus files, read line by line so that every value keeps its place.

Option names keep their case. The first value of an option wins, within a file and over files. A comment begins in the
first column with ``#``, ``;`` or ``rem``; within a value only a ``;`` after a space begins one, and only if it is the
value's first ``;``. An indented line continues the value above it, whatever it looks like.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from circusd.schema.options import TABLES, find

from .problems import Place, Report, quoted

_SECTION = re.compile(r"\[([^]]+)\]")
_OPTION = re.compile(r"([^:=\s][^:=]*?)\s*([:=])\s*(.*)")
_LOOKS_LIKE_OPTION = re.compile(r"([A-Za-z_][\w.]*)\s*[:=]\s*\S")


@dataclass(slots=True)
class Entry:
    """One option of a section as it stands in a file."""

    lines: list[str]
    file: str
    line: int

    @property
    def value(self) -> str:
        """The value, its lines joined by line breaks."""
        return "\n".join(self.lines)


@dataclass(slots=True)
class Section:
    """All options under one section's name, over all files."""

    name: str
    file: str
    line: int
    entries: dict[str, Entry] = field(default_factory=dict)

    def place(self, option: str = "") -> Place:
        """Where the option stands, or the section's first line."""
        entry = self.entries.get(option)
        if entry is None:
            return Place(self.file, self.line, self.name, option)
        return Place(entry.file, entry.line, self.name, option)


class Document:
    """The sections of one or more files, in the order in which their names came first."""

    def __init__(self, report: Report) -> None:
        self.sections: dict[str, Section] = {}
        self._report = report

    def read(self, file: str, text: str) -> None:
        """The file's options are added to those of the files before it; lines that can't be read go to the report."""
        _Reader(self.sections, self._report, file).read(text)

    def with_defaults(self) -> None:
        """The options of ``[DEFAULT]`` are put into each section of watchers, plugins, sockets and circus itself."""
        defaults = self.sections.pop("DEFAULT", None)
        if defaults is None:
            return
        for section in self.sections.values():
            if section.entries and section.name != "env" and not section.name.startswith("env:"):
                for name, entry in defaults.entries.items():
                    section.entries.setdefault(name, entry)


class _Reader:
    """Reads one file."""

    def __init__(self, sections: dict[str, Section], report: Report, file: str) -> None:
        self.sections = sections
        self.report = report
        self.file = file
        self.section: Section | None = None
        self.entry: Entry | None = None
        """What an indented line continues; that of an ignored option is thrown away with it."""
        self.option = ""
        self.lost = False
        self.again: list[tuple[Place, Entry, Section]] = []

    def read(self, text: str) -> None:
        # not splitlines(): it would also split at form feeds and count lines as no editor does
        for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1):
            if (
                not line.strip()
                or line[0] in "#;"
                or (line.lower().split(None, 1)[0] == "rem" and line[0] in "rR")
            ):
                continue
            if line[0].isspace() and self.entry is not None and self.section is not None:
                self._continue(number, line.strip(), self.section, self.entry)
            elif match := _SECTION.match(line):
                self._begin(number, match[1])
            elif self.section is None:
                if not self.lost:
                    self.report.error(
                        Place(self.file, number), f"{quoted(line.strip())} stands before any [section]"
                    )
                self.lost = True
            elif line[0] == "[":
                # By the letter of the dialect an option; its section's options would become those of the one before.
                self.report.error(
                    Place(self.file, number, self.section.name),
                    f"{quoted(line.strip())} lacks its ]",
                    "[section]",
                )
                self.entry = None
            elif match := _OPTION.fullmatch(line.rstrip()):
                self._option(number, match[1], match[3], self.section)
            else:
                self.report.error(
                    Place(self.file, number, self.section.name),
                    f"{quoted(line.strip())} can't be read",
                    "[section], option = value, a comment that begins in the first column, or a value's continuation",
                )

        # only now is it known which options the section has
        self._tell_again()

    def _continue(self, number: int, text: str, section: Section, entry: Entry) -> None:
        entry.lines.append(text)
        place = Place(self.file, number, section.name, self.option)
        if text[0] in "#;":
            self.report.warning(
                place, "an indented comment is read as part of the value", hint="begin it in the first column"
            )
        elif (match := _LOOKS_LIKE_OPTION.match(text)) and _is_option(match[1]):
            self.report.warning(
                place,
                f"an indented line continues the value above it: {match[1]} is not set",
                hint="begin it in the first column if it is an option",
            )

    def _begin(self, number: int, name: str) -> None:
        self.entry = None
        self.section = self.sections.get(name)
        if self.section is None:
            self.section = self.sections[name] = Section(name, self.file, number)

    def _option(self, number: int, name: str, value: str, section: Section) -> None:
        place = Place(self.file, number, section.name, name)
        comment = value.find(";")
        if comment == 0:
            self.report.warning(
                place, "a ; at the beginning of a value is part of it", hint="no comment can stand there"
            )
        elif comment > 0 and value[comment - 1].isspace():
            value = value[:comment]
        value = value.strip()
        self.option = name
        self.entry = Entry(["" if value == '""' else value], self.file, number)
        first = section.entries.get(name)
        if first is None:
            section.entries[name] = self.entry
            return
        self.again.append((place, first, section))

    def _tell_again(self) -> None:
        for place, first, section in self.again:
            told = f"is given again; the first value, at {first.file}:{first.line}, is kept"
            if first.file == self.file:
                self.report.warning(place, told, hint=_other_stream(place.option, section))
            else:
                self.report.note(place, told)


def _is_option(name: str) -> bool:
    return any(find(table, name) for table in TABLES.values())


def _other_stream(name: str, section: Section) -> str:
    """The hint that the same option of the other stream may have been meant, if that stream lacks it."""
    stream, dot, option = name.partition(".")
    other = {"stdout_stream": "stderr_stream", "stderr_stream": "stdout_stream"}.get(stream)
    if not other or not dot or f"{other}.{option}" in section.entries:
        return ""
    if any(key.startswith(f"{other}.") for key in section.entries):
        return f"did you mean {other}.{option}?"
    return ""
