"""Changes of single options in the text of a file: every other line stays as it is, comments and order included."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeAlias

from circusd.schema.options import TABLES, find
from circusd.schema.secrets import is_secret_name

from .document import Document, Section
from .forms import form_of
from .problems import Report
from .reading import add_text

if TYPE_CHECKING:
    from .treetext import TreeText

_OPTION = re.compile(r"(?P<head>[^:=\s][^:=]*?\s*[:=][^\S\n]*)(?P<value>.*)")
_COMMENT = re.compile(r"\s+;.*")
_REMARK = re.compile(r"rem(\s|$)", re.I)
_SECTION = re.compile(r"\[([^]]+)\]")


class IniText:
    """The text of one file while it is edited; options go by the section that they stand in."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self._ending = "\r\n" if "\r\n" in text else "\n"
        self._lines = text.replace("\r\n", "\n").split("\n")

    @property
    def text(self) -> str:
        """As it is now."""
        return self._ending.join(self._lines)

    def set(self, section: str, option: str, value: str) -> None:
        """The option has that value: where it stands, else as the last one of its section, which is made if need be."""
        # Nothing at all would be the default.
        value = value or '""'
        found = self._section(section)
        if found is None:
            self._append([f"[{section}]", *_written(f"{option} = ", value)])
        elif option in found.entries:
            at = found.entries[option].line - 1
            match = _OPTION.match(self._lines[at])
            assert match is not None
            comment = _COMMENT.search(match["value"])
            # Where there was no value, nothing tells how it would have been set apart.
            begin = match["head"] if match["value"] else match["head"].rstrip() + " "
            head, *more = _written(begin, value)
            self._drop(self._continuations(at))
            self._lines[at : at + 1] = [head + (comment[0] if comment and not more else ""), *more]
        else:
            at = self._last_line(found)
            self._lines[at + 1 : at + 1] = _written(f"{option} = ", value)

    def take_away(self, section: str, option: str) -> None:
        """The option does not stand in this file's section."""
        found = self._section(section)
        if found is not None and option in found.entries:
            at = found.entries[option].line - 1
            self._drop([at, *self._continuations(at)])

    def remove(self, section: str) -> None:
        """Nothing of that section is left, nor of its variables; what stands behind its last option stays."""
        self._remove(section)
        if section.startswith("watcher:"):
            self._remove(f"env:{section.partition(':')[2]}")

    def _remove(self, section: str) -> None:
        while (found := self._section(section)) is not None:
            begin, end = found.line - 1, self._last_line(found)
            del self._lines[begin : end + 1]
            # The blank lines around it would add up.
            while 0 < begin < len(self._lines) and not (self._lines[begin] or self._lines[begin - 1]).strip():
                del self._lines[begin]

    def has(self, section: str, option: str = "") -> bool:
        """Whether the section (and the option in it) stands in this file."""
        found = self._section(section)
        return found is not None and (not option or option in found.entries)

    def has_variables(self, watcher: str) -> bool:
        """Whether this file has a section of variables that are for that watcher alone."""
        return self.has(f"env:{watcher}")

    def set_variable(self, watcher: str, name: str, value: str) -> None:
        """The watcher has that variable, in a section that is for it alone."""
        self.set(f"env:{watcher}", name, value)

    def take_variable(self, watcher: str, name: str) -> None:
        """That section does not have the variable."""
        self.take_away(f"env:{watcher}", name)

    def secrets(self) -> list[str | None]:
        """Of each line that holds a secret, what may be seen of it; None for the others.

        A secret is a variable's value, and what the name of its option says is one.
        """
        told: list[str | None] = []
        kind, is_secret = "", False
        for line in self._lines:
            seen: str | None = None
            if match := _SECTION.match(line):
                kind, is_secret = match[1].partition(":")[0], False
            elif line.strip() and line[0] not in "#;" and not _REMARK.match(line):
                option = _OPTION.match(line)
                if option is not None:
                    is_secret = _is_secret(kind, option["head"].rstrip(" \t:="))
                if is_secret:
                    seen = option["head"] if option is not None else "    "
            told.append(seen)
        return told

    @property
    def lines(self) -> list[str]:
        """Without their ends."""
        return list(self._lines)

    # -- lines ---------------------------------------------------------------------------------------------------

    def _section(self, name: str) -> Section | None:
        """Where the section and its options stand now; of several blocks, all options, and the first heading."""
        document = Document(Report())
        add_text(document, self.path, "\n".join(self._lines))
        return document.sections.get(name)

    def _continuations(self, at: int) -> list[int]:
        """The lines that continue the value of that one; comments between them are none."""
        found = []
        for number in range(at + 1, len(self._lines)):
            line = self._lines[number]
            if not line.strip() or line[0] in "#;" or _REMARK.match(line):
                continue
            if not line[0].isspace():
                break
            found.append(number)
        return found

    def _last_line(self, section: Section) -> int:
        """The last line of the options in the first block of the section."""
        end = next(
            (n for n in range(section.line, len(self._lines)) if _SECTION.match(self._lines[n])),
            len(self._lines),
        )
        last = section.line - 1
        for entry in section.entries.values():
            if section.line <= entry.line - 1 < end:
                last = max(last, entry.line - 1, *self._continuations(entry.line - 1))
        return last

    def _drop(self, numbers: Iterable[int]) -> None:
        for number in sorted(numbers, reverse=True):
            del self._lines[number]

    def _append(self, block: list[str]) -> None:
        while self._lines and not self._lines[-1].strip():
            self._lines.pop()
        self._lines += [*([""] if self._lines else []), *block, ""]


Text: TypeAlias = "IniText | TreeText"
"""The text of a file in any of the forms."""


def text_of(path: str, text: str) -> Text:
    """The text of that file, to be edited as its form wants it."""
    form = form_of(path)
    if form == "toml":
        from .tomltext import TomlText

        return TomlText(path, text)
    if form == "yaml":
        from .yamltext import YamlText

        return YamlText(path, text)
    return IniText(path, text)


def _is_secret(kind: str, option: str) -> bool:
    row = find(TABLES.get(kind, ()), option)
    is_known = row is not None and not row.pattern
    return kind == "env" or (row.secret if row is not None and is_known else is_secret_name(option))


def _written(head: str, value: str) -> list[str]:
    """The lines of an option; further lines of its value are indented."""
    first, *more = value.split("\n")
    return [f"{head}{first}".rstrip(), *(f"    {line}" for line in more)]
