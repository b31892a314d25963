"""What is wrong or worth knowing in a configuration, with its place."""

from __future__ import annotations

from dataclasses import dataclass

from circusd.schema.errors import ConfigError
from circusd.schema.nearest import nearest

from .forms import form_of, written

SEVERITIES = ("error", "warning", "note")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands; all of it is empty for a value that came by a command."""

    file: str = ""
    line: int = 0
    section: str = ""
    option: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """One line of what ``circusd --check`` prints."""

    severity: str
    """``error`` (the file can't be used), ``warning`` (probably not meant so) or ``note`` (accepted, and to be known)."""
    file: str
    line: int
    section: str
    option: str
    problem: str
    expected: str = ""
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}: " if self.line else f"{self.file}: " if self.file else ""
        severity = f"{self.severity}: " if self.file else ""
        name = written(self.file, self.section, self.option)
        name = (
            f"{name}: "
            if self.option or (name and form_of(self.file) != "ini")
            else f"{name} "
            if name
            else ""
        )
        parts = [self.problem]
        if self.expected:
            parts.append(f"expected {self.expected}")
        if self.hint:
            parts.append(self.hint)
        # a value may hold a line break (continuation lines); a problem is one line
        return where + severity + name + "; ".join(parts).replace("\r", "\\r").replace("\n", "\\n")


class Report:
    """Collects problems, so that all are told at once."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def add(self, severity: str, place: Place, problem: str, expected: str = "", hint: str = "") -> None:
        """The problem is kept, once."""
        row = Problem(severity, place.file, place.line, place.section, place.option, problem, expected, hint)
        if row not in self.problems:
            self.problems.append(row)

    def error(self, place: Place, problem: str, expected: str = "", hint: str = "") -> None:
        """What makes the configuration unusable."""
        self.add("error", place, problem, expected, hint)

    def warning(self, place: Place, problem: str, expected: str = "", hint: str = "") -> None:
        """What is probably not meant so."""
        self.add("warning", place, problem, expected, hint)

    def note(self, place: Place, problem: str, expected: str = "", hint: str = "") -> None:
        """What is accepted and should be known."""
        self.add("note", place, problem, expected, hint)

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that make the configuration unusable."""
        return tuple(problem for problem in self.problems if problem.severity == "error")

    def raise_errors(self) -> None:
        """Returns when there is no error; raises ConfigError with all of them otherwise."""
        if self.errors:
            raise ConfigError(self.errors)


class Unwritable(Exception):
    """A file is written in a way that leaves no place for a change; the text says where."""


def quoted(value: object) -> str:
    """The value as it is shown in a problem, cut when it is long."""
    text = value if isinstance(value, str) else repr(value)
    return f'"{text}"' if len(text) <= 80 else f'"{text[:77]}..."'


def did_you_mean(name: str, names: tuple[str, ...]) -> str:
    """The hint that names the nearest right one, or nothing."""
    near = nearest(name, names)
    return f"did you mean {near}?" if near else ""
