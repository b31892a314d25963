"""What the files say before it is typed: sections with their options, each with its place, whatever form a file has."""

from __future__ import annotations

from dataclasses import dataclass, field

from .problems import Place, Report

NAMED = ("watcher", "plugin", "socket")
KINDS = ("circus", "env", *NAMED)
"""The kinds of sections, those with a name apart."""

Value = str | tuple[str, ...]
"""A text, or the texts of a list."""


@dataclass(slots=True)
class Entry:
    """One option of a section as it stands in a file."""

    value: Value
    file: str
    line: int
    key: str = ""
    """How the option is written there, where that is not its name (``rlimits.nofile``)."""
    exact: bool = False
    """Spaces that stand at the ends of the value are meant: in an ini file nobody can mean them."""


@dataclass(slots=True)
class Section:
    """All options under one section's name, over all files."""

    name: str
    file: str
    line: int
    entries: dict[str, Entry] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """``watcher`` of ``watcher:web``."""
        return self.name.partition(":")[0]

    @property
    def title(self) -> str:
        """``web`` of ``watcher:web``."""
        return self.name.partition(":")[2].strip()

    def place(self, option: str = "") -> Place:
        """Where the option stands, or the section's first line."""
        entry = self.entries.get(option)
        if entry is None:
            return Place(self.file, self.line, self.name, option)
        return Place(entry.file, entry.line, self.name, entry.key or option)


class Document:
    """The sections of one or more files, in the order in which their names came first."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.sections: dict[str, Section] = {}
        self.variables: dict[str, Section] = {}
        """Variables that stand in a watcher's or plugin's own table, by the name of its section."""

    def take(self, included: Document) -> None:
        """An included file's options are put under those that are there: the first value wins."""
        for mine, theirs in (
            (self.sections, included.sections),
            (self.variables, included.variables),
        ):
            for section in theirs.values():
                self._take(mine.setdefault(section.name, _empty(section)), section)

    def _take(self, mine: Section, section: Section) -> None:
        for name, entry in section.entries.items():
            if section.name == "circus" and name in ("include", "include_dir"):
                self.report.warning(section.place(name), "is not followed in an included file")
            elif name in mine.entries:
                first = mine.entries[name]
                self.report.note(
                    section.place(name),
                    f"is given again; the first value, at {first.file}:{first.line}, is kept",
                )
            else:
                mine.entries[name] = entry

    def with_defaults(self) -> None:
        """The options of ``[DEFAULT]`` are put into each section of watchers, plugins, sockets and circus itself."""
        defaults = self.sections.pop("DEFAULT", None)
        if defaults is None:
            return
        for section in self.sections.values():
            if section.entries and section.kind != "env":
                for name, entry in defaults.entries.items():
                    section.entries.setdefault(name, entry)


def _empty(section: Section) -> Section:
    return Section(section.name, section.file, section.line)
