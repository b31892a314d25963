"""A configuration file in another of the forms: what it says is the same, its comments are gone.

Names of variables stay as they are written, and so do the names of other files: only this one file is converted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from circusd.schema.options import TABLES, Option, find, watcher_option
from circusd.schema.types import ARGS, BOOL, COMMAND, PATHS, WORDS
from circusd.schema.values import format_args, format_words, read_bool

from .document import KINDS, Document, Entry, Section, Value
from .environment import patterns_of
from .forms import ENDINGS, form_of
from .ini import load
from .problems import Place, Problem, Report
from .reading import add_text, read_file
from .writing import Data, typed, write_ini, write_toml


@dataclass(frozen=True, slots=True)
class Converted:
    """What became of a file."""

    text: str | None
    """None when one of the problems is an error."""
    problems: tuple[Problem, ...]


def convert(path: str, form: str, environ: Mapping[str, str]) -> Converted:
    """The file in that form; it has to be one that circusd would run.

    The new text has been read back, and says the same; what a form can't say is an error.
    """
    loaded = load(path, environ)
    if loaded.configuration is None:
        return Converted(None, loaded.problems)
    report = Report()
    document = Document(Report())
    read_file(document, path, Place(path))
    _prepare(document, path, form, report)
    moved = _for_ini(document, report) if form == "ini" else _for_tables(document)
    text = _WRITERS[form](document)
    _compare(document, text, form, moved, report)
    return Converted(None if report.errors else text, tuple(report.problems))


def _prepare(document: Document, path: str, form: str, report: Report) -> None:
    """What the files that belong to this one mean does not change with the form."""
    circus = document.sections.get("circus")
    entries = circus.entries if circus else {}
    if circus and "DEFAULT" in document.sections and ("include" in entries or "include_dir" in entries):
        report.error(
            document.sections["DEFAULT"].place(),
            "counts for the included files too, and only an ini file can say so",
            hint="write its options into the sections that need them",
        )
    document.with_defaults()
    if circus and "include_dir" in entries and form_of(path) != form:
        # the folder's files stay what they are
        folders = _words(entries.pop("include_dir").value)
        files = [f"{folder}/*{ending}" for folder in folders for ending in ENDINGS[form_of(path)]]
        first = entries.get("include")
        names = (*(_words(first.value) if first else ()), *files)
        entries["include"] = Entry(names, circus.file, first.line if first else circus.line)
    for section in [*document.sections.values()]:
        if section.kind not in KINDS:
            report.warning(section.place(), "is no section that is known, and is left out")
        if section.kind not in KINDS or not section.entries:
            del document.sections[section.name]
            continue
        # an option of [DEFAULT] is one object in all sections
        section.entries = {key: replace(entry) for key, entry in section.entries.items()}
        if section.kind == "env":
            for entry in section.entries.values():
                if isinstance(entry.value, str) and not entry.exact:
                    entry.value = entry.value.strip()


def _words(value: Value) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else tuple(value.split())


def _option(section: Section, key: str) -> Option | None:
    if section.kind == "plugin":
        return find(TABLES["plugin"], key)
    return watcher_option(key) if section.kind == "watcher" else find(TABLES.get(section.kind, ()), key)


# --- tables --------------------------------------------------------------------------------------------------------


def _for_tables(document: Document) -> dict[str, Section]:
    """Values as tables have them: lists, and ``true`` and ``false``. No section is moved."""
    for section in document.sections.values():
        for key, entry in section.entries.items():
            option = _option(section, key)
            text = entry.value
            if option is None or option.legacy or not isinstance(text, str) or "circus." in text.lower():
                continue
            if option.type in (PATHS, WORDS):
                entry.value = option.type.parse(text)
            elif option.type is BOOL and text:
                entry.value = "true" if read_bool(text) else "false"
    return {}


def _tables(document: Document) -> dict[str, Data]:
    """The document as nested tables, of what they may hold."""
    root: dict[str, Data] = {}
    for kind in ("circus", "env", "socket", "watcher", "plugin"):
        table: dict[str, Data] = {}
        sections = [section for section in document.sections.values() if section.kind == kind]
        # [env] may stand behind an [env:…]
        for section in sorted(sections, key=lambda section: section.name != "env"):
            own = {key: _data(section, key, entry) for key, entry in section.entries.items()}
            if section.name == kind:
                table.update(own)
            elif kind == "env":
                table[_pattern(section, table)] = own
            else:
                table[section.title] = _nested(own)
        if table:
            root[kind] = table
    for section in document.variables.values():
        holder = root.setdefault(section.kind, {})
        assert isinstance(holder, dict)
        inner = holder.setdefault(section.title, {})
        assert isinstance(inner, dict)
        inner["env"] = {key: _data(section, key, entry) for key, entry in section.entries.items()}
    return root


def _pattern(section: Section, table: Mapping[str, Data]) -> str:
    """The key of an environment for some: no other one's, and no variable's, which only its commas tell apart."""
    key = section.title
    while key in table:
        key += ","
    return key


def _nested(own: Mapping[str, Data]) -> dict[str, Data]:
    """The table of a section, with its families as tables in it."""
    table: dict[str, Data] = {}
    families: dict[str, dict[str, Data]] = {}
    for key, value in own.items():
        family, dot, name = key.partition(".")
        if key.startswith("rlimit_") and key != "rlimit_":
            families.setdefault("rlimits", {})[key.removeprefix("rlimit_")] = value
        elif dot and name and family in ("stdout_stream", "stderr_stream", "hooks"):
            families.setdefault(family, {})[name] = value
        else:
            table[key] = value
    return {**table, **families}


def _data(section: Section, key: str, entry: Entry) -> Data:
    """The value as a number or a boolean where it is read back as the same text."""
    value = entry.value
    if isinstance(value, tuple):
        return list(value)
    is_ours = section.kind in ("watcher", "circus", "socket")
    return typed(_option(section, key) if is_ours else None, value)


# --- ini -----------------------------------------------------------------------------------------------------------


def _for_ini(document: Document, report: Report) -> dict[str, Section]:
    """Values as an ini file has them: texts, on lines of their own where their line would end at a ``;``.

    The sections that variables of watchers' own tables stand in now, by name, with those that they came from.
    """
    moved = {_own_variables(document, section, report): section for section in document.variables.values()}
    document.variables.clear()
    for section in document.sections.values():
        for key, entry in section.entries.items():
            option = _option(section, key)
            if isinstance(entry.value, tuple):
                entry.value = _joined(section, key, entry.value, option, report)
            if section.kind == "env" and entry.value != entry.value.strip():
                place = moved.get(section.name, section).place(key)
                report.error(place, "begins or ends with a space, which can't be written in an ini file")
            if section.kind == "env" or (option is not None and option.type in (COMMAND, ARGS)):
                before, mark, _ = entry.value.partition(";")
                if mark and (not before or before[-1].isspace()):
                    entry.value = f"\n{entry.value}"
    return moved


def _joined(section: Section, key: str, words: tuple[str, ...], option: Option | None, report: Report) -> str:
    if option is not None and option.type is ARGS:
        return format_args(words)
    text = format_words(words)
    if _words(text) != words or (option is not None and option.type is WORDS and "," in text):
        report.error(
            section.place(key), "has a word with a space or comma in it, which an ini file can't say"
        )
    return text


def _watcher(section: Section) -> str:
    return section.title if section.kind == "watcher" else f"{section.kind}:{section.title}"


def _own_variables(document: Document, section: Section, report: Report) -> str:
    """The variables in a watcher's own table become a section, named here, that fits its name alone and is behind all others."""
    name = _watcher(section)
    if "," in name or "]" in name:
        report.error(section.place(), "has variables, and a name that no [env:NAME] section can have")
    # what has a meaning in a pattern can't be quoted there: a bracket would end the section's name
    pattern = re.sub(r"[*?[]", "?", name)
    others = [_watcher(other) for other in document.sections.values() if other.kind in ("watcher", "plugin")]
    if any(fnmatchcase(other, pattern) for other in others if other != name):
        report.error(section.place(), "has variables, and a name that no [env:NAME] section fits alone")
    key = f"env:{pattern}"
    while key in document.sections:
        key = f"{key},{pattern}"
    document.sections[key] = replace(section, name=key)
    return key


# --- both ----------------------------------------------------------------------------------------------------------


def _compare(document: Document, text: str, form: str, moved: Mapping[str, Section], report: Report) -> None:
    """Whatever the new text does not say as the old one did is an error."""
    told = Report()
    back = Document(told)
    add_text(back, f"converted{ENDINGS[form][0]}", text)
    old, new = dict(_said(document)), dict(_said(back))
    for (name, key), (value, section) in old.items():
        if new.get((name, key), (None, None))[0] != value:
            place = moved.get(section.name, section).place(key)
            report.error(place, f"can't be written in {_ARTICLES[form]} file")
    if not report.errors and (old.keys() != new.keys() or told.errors):
        words = [problem.problem for problem in told.errors]
        report.error(
            Place(), f"can't be written in {_ARTICLES[form]} file: {'; '.join(words) or 'it would say more'}"
        )


_ARTICLES = {"ini": "an ini", "toml": "a TOML", "yaml": "a YAML"}


def _said(document: Document) -> Iterator[tuple[tuple[object, str], tuple[Value, Section]]]:
    """Each value under what its section means, with the section that it stands in."""
    number = 0
    for sections in (document.sections, document.variables):
        for section in sections.values():
            meaning: object = (section.kind, section.title)
            if section.kind == "env" and section.name != "env":
                number += 1
                meaning = (number, patterns_of(section.name))
            elif sections is document.variables:
                meaning = ("variables", section.name)
            for key, entry in section.entries.items():
                yield (meaning, key), (entry.value, section)


def _write_yaml(document: Document) -> str:
    from .yamlfile import write_yaml

    return write_yaml(_tables(document))


_WRITERS = {
    "ini": write_ini,
    "toml": lambda document: write_toml(_tables(document)),
    "yaml": _write_yaml,
}
