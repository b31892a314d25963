"""The sections of a configuration from nested tables, as TOML and YAML write them.

``[watcher.web.stdout_stream]`` with ``filename`` is the option ``stdout_stream.filename`` of ``[watcher:web]``: a table in a
section is a key with a dot. Scalars keep the text that stands in the file, and are read by the same rules as in an ini
file: so ``no`` is a name or a "no" as its option wants it, and the version ``1.10`` does not become 1.1.
"""

from __future__ import annotations

from dataclasses import dataclass

from circusd.schema.options import HOOKS, TABLES, Option, find, plugin_options, watcher_option
from circusd.schema.plugin_options import URLS
from circusd.schema.types import ARGS, NETWORKS, PATHS, WORDS
from circusd.schema.values import read_bool

from .document import KINDS, NAMED, Document, Entry, Section, Value
from .forms import bare
from .problems import Place, Report, did_you_mean, quoted

MOST_LEVELS = 32
"""How deep tables and lists may lie in each other."""

FAMILIES = ("stdout_stream", "stderr_stream", "hooks", "rlimits", "env")
"""The keys of a watcher that hold a table."""


LISTS = (ARGS, PATHS, WORDS, NETWORKS, URLS)
"""The types of options that may be a list of texts."""


@dataclass(slots=True)
class Node:
    """A value with the line that its key stands in."""

    value: str | list[Node] | dict[str, Node]
    """Of a scalar its text as it stands in the file, or what its quotes hold."""
    line: int

    @property
    def words(self) -> str:
        """What it is, in words that follow "is"; not what it says, which may be secret."""
        if isinstance(self.value, dict):
            return "a table"
        return "a list" if isinstance(self.value, list) else "a single value"


def plant(document: Document, file: str, root: Node) -> None:
    """The tables below the root are sections of the document; what has no place there goes to its report."""
    assert isinstance(root.value, dict)
    planter = _Planter(document, file)
    for key, node in root.value.items():
        # a place for what YAML's anchors are defined on
        if not key.startswith("x-"):
            planter.top(key, node)


class _Planter:
    """Takes one file apart."""

    def __init__(self, document: Document, file: str) -> None:
        self.document = document
        self.report: Report = document.report
        self.file = file
        self.uses: dict[str, str] = {}
        """The classes of plugins, by section: they say which options are lists."""

    def top(self, key: str, node: Node) -> None:
        """One of the tables that stand at the top of the file."""
        if key not in KINDS:
            hint = did_you_mean(key, KINDS)
            self.report.warning(
                Place(self.file, node.line, key), "is no section that is known, and has no effect", hint=hint
            )
            return
        expected = f"a table for each {key}, by name" if key in NAMED else "a table of options"
        table = self.table(node, Place(self.file, node.line, key), expected) or {}
        if key == "circus":
            self.options(self.section("circus", node.line), table)
        elif key == "env":
            self.environment(node.line, table)
        else:
            for name, inner in table.items():
                place = Place(self.file, inner.line, f"{key}:{name}")
                if not name.strip():
                    self.report.error(place, "has no name", f"a name for the {key}")
                elif (options := self.table(inner, place, "a table of options")) is not None:
                    self.options(self.section(f"{key}:{name}", inner.line), options)

    def table(self, node: Node, place: Place, expected: str) -> dict[str, Node] | None:
        """The table that the node is; nothing at all is an empty one, and None after what is none went to the report."""
        if isinstance(node.value, dict):
            return node.value
        if node.value == "":
            return {}
        self.report.error(place, f"is {node.words}", expected)
        return None

    def section(self, name: str, line: int) -> Section:
        return self.document.sections.setdefault(name, Section(name, self.file, line))

    def environment(self, line: int, table: dict[str, Node]) -> None:
        """Variables for all, and tables of variables for the watchers whose names fit."""
        common = self.section("env", line)
        for key, node in table.items():
            if isinstance(node.value, dict):
                section = self.section(f"env:{key}", node.line)
                if not key.strip(" ,"):
                    self.report.error(section.place(), "names no watcher", "a name or pattern")
                self.variables(section, node.value)
            else:
                self.variable(common, key, node)

    def variables(self, section: Section, table: dict[str, Node], prefix: str = "") -> None:
        for name, node in table.items():
            self.variable(section, name, node, prefix)

    def variable(self, section: Section, name: str, node: Node, prefix: str = "") -> None:
        key = f"{prefix}{bare(name)}"
        place = Place(self.file, node.line, section.name, key)
        if not name or "=" in name:
            self.report.error(place, f"{quoted(name)} can't be the name of a variable")
        elif isinstance(node.value, str):
            section.entries[name] = Entry(node.value, self.file, node.line, key, exact=True)
        else:
            self.report.error(place, f"is {node.words}", "a text, a number or a boolean")

    def options(self, section: Section, table: dict[str, Node]) -> None:
        """The options of a section, with the tables in it taken apart."""
        if (use := table.get("use")) is not None and isinstance(use.value, str):
            self.uses[section.name] = use.value
        for key, node in table.items():
            place = Place(self.file, node.line, section.name, bare(key))
            is_table = isinstance(node.value, dict)
            if key in FAMILIES and section.kind in ("watcher", "plugin"):
                # a plugin may have an option of its own by that name
                if is_table or (section.kind == "watcher" and node.value != ""):
                    expected = f"a table, [{_dotted(section, key)}]"
                    self.family(section, key, self.table(node, place, expected) or {})
            elif is_table and (option := find(TABLES[section.kind], key)) and not option.pattern:
                self.report.error(place, "is a table", option.type.expected)
            elif isinstance(node.value, dict):
                self.nested(section, f"{key}.", bare(key), node.value)
            else:
                self.put(section, key, bare(key), node)

    def family(self, section: Section, key: str, table: dict[str, Node]) -> None:
        if key == "env":
            own = self.document.variables
            holder = own.setdefault(section.name, Section(section.name, self.file, section.line))
            self.variables(holder, table, "env.")
        elif key == "rlimits":
            for name, node in table.items():
                self.put(section, f"rlimit_{name}", f"rlimits.{bare(name)}", node)
        else:
            self.nested(section, f"{key}.", key, table)

    def nested(self, section: Section, prefix: str, shown: str, table: dict[str, Node]) -> None:
        for name, node in table.items():
            inner = f"{shown}.{bare(name)}"
            if isinstance(node.value, dict) and prefix == "hooks." and name in HOOKS:
                self.hook(section, f"{prefix}{name}", inner, node.value, node.line)
            elif isinstance(node.value, dict):
                self.nested(section, f"{prefix}{name}.", inner, node.value)
            else:
                self.put(section, f"{prefix}{name}", inner, node)

    def hook(self, section: Section, key: str, shown: str, table: dict[str, Node], line: int) -> None:
        """A hook that is written as a table has the text that it has in an ini file."""
        parts: dict[str, str] = {}
        for name, node in table.items():
            if name in ("path", "ignore_failure") and isinstance(node.value, str):
                parts[name] = node.value
            else:
                place = Place(self.file, node.line, section.name, f"{shown}.{bare(name)}")
                self.report.error(
                    place, f"is {node.words}", "path, a dotted path, and ignore_failure, a boolean"
                )
        try:
            ignored = read_bool(parts.get("ignore_failure", "no"))
        except ValueError as problem:
            ignored = False
            place = Place(self.file, table["ignore_failure"].line, section.name, f"{shown}.ignore_failure")
            self.report.error(place, f"{quoted(parts['ignore_failure'])} {problem}", "true or false")
        if "path" in parts:
            text = f"{parts['path']},true" if ignored else parts["path"]
            self.put(section, key, shown, Node(text, table["path"].line))
        else:
            place = Place(self.file, line, section.name, shown)
            self.report.error(place, "has no path", "path, the dotted path of a callable")

    def put(self, section: Section, key: str, shown: str, node: Node) -> None:
        place = Place(self.file, node.line, section.name, shown)
        value = self.value(node, _option(section.kind, key, self.uses.get(section.name, "")), place)
        if key in section.entries:
            first = section.entries[key]
            self.report.error(place, f"is given twice; the first is at {first.file}:{first.line}")
        elif value is not None:
            section.entries[key] = Entry(value, self.file, node.line, shown, exact=True)

    def value(self, node: Node, option: Option | None, place: Place) -> Value | None:
        if isinstance(node.value, str):
            return node.value
        if option is not None and option.type in LISTS and isinstance(node.value, list):
            texts = [item.value for item in node.value if isinstance(item.value, str)]
            if len(texts) == len(node.value):
                return tuple(texts)
            self.report.error(place, "holds something that is not a text", "a list of texts")
            return None
        expected = option.type.expected if option else "a text, a number or a boolean"
        self.report.error(place, f"is {node.words}", expected)
        return None


def _option(kind: str, key: str, use: str) -> Option | None:
    if kind == "plugin":
        return find((*TABLES["plugin"], *plugin_options(use)), key) or watcher_option(key)
    return watcher_option(key) if kind == "watcher" else find(TABLES[kind], key)


def _dotted(section: Section, key: str) -> str:
    return f"{section.kind}.{bare(section.title)}.{key}"
