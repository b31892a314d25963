"""YAML with the line of every key, by the events of PyYAML's parser: nothing in the file chooses a type or makes an object.

Scalars stay texts. Aliases and ``<<`` are followed, up to a bound; tags, a second document and a key that is given twice are
errors.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import yaml

from .problems import Place, Report, quoted
from .tree import MOST_LEVELS, Node
from .writing import Data

MOST_NODES = 200_000
"""How many values a file has at most, each counted as often as aliases repeat it."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_LINE_ENDS = re.compile("[\r\x85\u2028\u2029\ufeff]")
_NOTHING = ("", "~", "null", "Null", "NULL")


class _Unreadable(Exception):
    """The rest of the file can't be read; the report has the reason."""


def read_yaml(text: str, file: str, report: Report) -> Node | None:
    """The tables of the text, each with its line; None after what can't be read went to the report."""
    try:
        return _Reader(text, file, report).read()
    except yaml.reader.ReaderError as problem:
        # the position counts what has been handed to the parser: characters, or their bytes
        data = (
            text.encode()[: problem.position]
            if problem.encoding == "utf-8"
            else text[: problem.position].encode()
        )
        report.error(Place(file, data.count(b"\n") + 1), f"is no YAML: {problem.reason}")
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        told = f"{problem.context}, {problem.problem}" if problem.context else str(problem.problem)
        report.error(Place(file, mark.line + 1 if mark else 0), f"is no YAML: {told}")
    except yaml.YAMLError as problem:
        report.error(Place(file), f"is no YAML: {problem}")
    except _Unreadable:
        pass
    return None


def plain(text: str) -> Any:
    """The text as plain Python data, for what is no configuration of ours; raises yaml.YAMLError."""
    return yaml.safe_load(text)


class _Reader:
    """Makes nodes of the events of one file."""

    def __init__(self, text: str, file: str, report: Report) -> None:
        self.events: Iterator[Any] = iter(yaml.parse(text, Loader=_LOADER))
        self.file = file
        self.report = report
        self.anchors: dict[str, tuple[Node, int]] = {}
        self.nodes = 0
        """How many there are so far, repeated ones with all that they hold."""

    def read(self) -> Node | None:
        root: Node | None = None
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    self.fail(event, "a second document begins", "one document")
                first = next(self.events)
                root = self.node(first, 0)
                if root.value == "":
                    root = Node({}, root.line)
                if not isinstance(root.value, dict):
                    self.fail(
                        first,
                        f"the file is {root.words}",
                        "a table with circus, watcher, socket, plugin, env",
                    )
        return root or Node({}, 1)

    def place(self, event: Any) -> Place:
        return Place(self.file, event.start_mark.line + 1)

    def fail(self, event: Any, problem: str, expected: str = "") -> NoReturn:
        self.report.error(self.place(event), problem, expected)
        raise _Unreadable

    def count(self, event: Any, nodes: int) -> None:
        self.nodes += nodes
        if self.nodes > MOST_NODES:
            self.fail(
                event, "there are too many values", f"{MOST_NODES} at most, what aliases repeat included"
            )

    def node(self, event: Any, depth: int) -> Node:
        """What begins with this event; afterwards the events are at what follows it."""
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self.anchors:
                self.fail(event, f"the alias *{event.anchor} has no anchor before it")
            node, nodes = self.anchors[event.anchor]
            self.count(event, nodes)
            return replace(node, line=line)
        before = self.nodes
        self.count(event, 1)
        if event.tag is not None:
            self.report.error(
                self.place(event), f"the tag {quoted(event.tag)} is not taken", "a value without a tag"
            )
        if isinstance(event, yaml.ScalarEvent):
            is_nothing = event.style in (None, "") and event.value in _NOTHING
            node = Node("" if is_nothing else event.value, line)
        elif depth >= MOST_LEVELS:
            self.fail(event, "is nested too deeply", f"{MOST_LEVELS} levels at most")
        elif isinstance(event, yaml.SequenceStartEvent):
            node = Node(self.items(depth), line)
        else:
            node = Node(self.pairs(depth), line)
        if event.anchor is not None:
            # only now: an alias of it inside would have no end
            self.anchors[event.anchor] = node, self.nodes - before
        return node

    def items(self, depth: int) -> list[Node]:
        found = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            found.append(self.node(event, depth + 1))
        return found

    def pairs(self, depth: int) -> dict[str, Node]:
        found: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            is_merge = (
                isinstance(event, yaml.ScalarEvent) and event.value == "<<" and event.style in (None, "")
            )
            key = self.node(event, depth + 1)
            value = self.node(next(self.events), depth + 1)
            if not isinstance(key.value, str):
                self.report.error(self.place(event), f"{key.words} can't be a key", "a name")
            elif is_merge:
                self.merge(event, merged, value)
            elif key.value in found:
                first = found[key.value].line
                self.report.error(
                    self.place(event), f"{quoted(key.value)} is given twice; the first is in line {first}"
                )
            else:
                value.line = key.line
                found[key.value] = value
        return {**merged, **found} if merged else found

    def merge(self, event: Any, merged: dict[str, Node], value: Node) -> None:
        """What ``<<`` names is put under the table's own keys; of several the first wins."""
        sources = value.value if isinstance(value.value, list) else [value]
        for source in sources:
            if not isinstance(source.value, dict):
                self.report.error(
                    self.place(event), f"<< merges {source.words}", "a table, or a list of tables"
                )
                continue
            # what is merged is repeated as an alias repeats it, which has been counted
            for name, node in source.value.items():
                merged.setdefault(name, node)


@dataclass(slots=True)
class Part:
    """A value, and where it stands in the text."""

    kind: str
    """``scalar``, ``alias``, ``list`` or ``table``."""
    start: int
    end: int
    column: int
    """How far in it begins."""
    text: str = ""
    """Of a scalar."""
    style: str | None = None
    """Its quotes, or the mark before a text of several lines."""
    is_flow: bool = False
    """Whether it is in braces or brackets."""
    pairs: list[tuple[Part, Part]] | None = None
    """Of a table."""

    @property
    def is_nothing(self) -> bool:
        """Whether nothing stands behind its key."""
        return self.kind == "scalar" and self.start == self.end


def parts_of(text: str) -> Part:
    """The value of the file, with all that is in it, aliases as they stand there. Raises ValueError where it is no YAML."""
    try:
        events = iter(yaml.parse(text, Loader=_LOADER))
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                return _part(text, next(events), events)
    except (yaml.YAMLError, RecursionError) as problem:
        raise ValueError(str(problem)) from None
    return Part("scalar", 0, 0, 0)


def _part(text: str, event: Any, events: Iterator[Any]) -> Part:
    part = Part("alias", event.start_mark.index, event.end_mark.index, event.start_mark.column)
    last = None
    if isinstance(event, yaml.MappingStartEvent):
        part.kind, part.pairs, part.is_flow = "table", [], bool(event.flow_style)
        while not isinstance(end := next(events), yaml.MappingEndEvent):
            key = _part(text, end, events)
            last = _part(text, next(events), events)
            part.pairs.append((key, last))
    elif isinstance(event, yaml.SequenceStartEvent):
        part.kind, part.is_flow = "list", bool(event.flow_style)
        while not isinstance(end := next(events), yaml.SequenceEndEvent):
            last = _part(text, end, events)
    elif isinstance(event, yaml.ScalarEvent):
        part.kind, part.text, part.style = "scalar", event.value, event.style
        if event.style in ("|", ">"):
            part.end = part.start + len(text[part.start : part.end].rstrip())
        return part
    else:
        return part
    # By indentation it ends where something else begins.
    part.end = end.end_mark.index if part.is_flow or last is None else last.end
    return part


class _Dumper(yaml.SafeDumper):
    """Writes what is repeated twice, without an anchor."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    # these end a line for PyYAML, which loses them in any other style
    style = '"' if _LINE_ENDS.search(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent)


def write_yaml(tables: Mapping[str, Data]) -> str:
    """The tables as YAML, in their order; texts that some reader takes for something else are in quotes."""
    text: str = yaml.dump(
        tables, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False
    )
    return text if tables else ""


def yaml_value(data: Data, style: str | None = None) -> str:
    """The value on one line, as it may stand behind a key with or without braces around; a text in those quotes if need be."""
    if isinstance(data, str) and ("\n" in data or _LINE_ENDS.search(data)):
        style = '"'
    text: str = yaml.dump(
        [data],
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=True,
        default_style=style if isinstance(data, str) else None,
        width=float("inf"),
    )
    return text.strip()[1:-1]
