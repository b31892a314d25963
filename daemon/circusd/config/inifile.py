"""The ini dialect of circus files, read line by line so that every value keeps its place.

Option names keep their case. The first value of an option wins, within a file and over files. A comment begins in the
first column with ``#``, ``;`` or ``rem``; within a value only a ``;`` after a space begins one, and only if it is the
value's first ``;``. An indented line continues the value above it, whatever it looks like.
"""

from __future__ import annotations

import re

from circusd.schema.options import TABLES, find

from .document import Document, Entry, Section
from .problems import Place, Report, quoted

_SECTION = re.compile(r"\[([^]]+)\]")
_OPTION = re.compile(r"([^:=\s][^:=]*?)\s*([:=])\s*(.*)")
_LOOKS_LIKE_OPTION = re.compile(r"([A-Za-z_][\w.]*)\s*[:=]\s*\S")


def read_ini(document: Document, file: str, text: str) -> None:
    """The file's options are added to those of the document; lines that can't be read go to its report."""
    _Reader(document.sections, document.report, file).read(text)


class _Reader:
    """Reads one file."""

    def __init__(self, sections: dict[str, Section], report: Report, file: str) -> None:
        self.sections = sections
        self.report = report
        self.file = file
        self.section: Section | None = None
        self.entry: Entry | None = None
        """What an indented line continues; that of an ignored option is thrown away with it."""
        self.lines: list[str] = []
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
                self._continue(number, line.strip(), self.section)
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
                    f"{_shown(line, self.section)} lacks its ]",
                    "[section]",
                )
                self._end_value()
            elif match := _OPTION.fullmatch(line.rstrip()):
                self._option(number, match[1], match[3], self.section)
            else:
                self.report.error(
                    Place(self.file, number, self.section.name),
                    f"{_shown(line, self.section)} can't be read",
                    "[section], option = value, a comment that begins in the first column, or a value's continuation",
                )

        self._end_value()
        # only now is it known which options the section has
        self._tell_again()

    def _end_value(self) -> None:
        """The entry has all lines of its value."""
        if self.entry is not None:
            self.entry.value = "\n".join(self.lines)
        self.entry = None

    def _continue(self, number: int, text: str, section: Section) -> None:
        self.lines.append(text)
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
        self._end_value()
        self.section = self.sections.get(name)
        if self.section is None:
            self.section = self.sections[name] = Section(name, self.file, number)

    def _option(self, number: int, name: str, value: str, section: Section) -> None:
        self._end_value()
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
        self.lines = ["" if value == '""' else value]
        self.entry = Entry("", self.file, number)
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


def _shown(line: str, section: Section) -> str:
    """The line for a problem; not among variables, where it may be the rest of a secret."""
    return "the line" if section.kind == "env" else quoted(line.strip())
