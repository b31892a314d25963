"""The rows of ``circus-top``: which are shown, in which order, and which one is meant."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from circusd.cli.figures import branches
from circusd.cli.loads import Group, Process, Source

VIEWS = ("watchers", "processes", "tree", "flat")
"""Watchers alone; with their processes; with everything below those; processes alone, whosever they are."""

VIEW_WORDS = {
    "watchers": "watchers",
    "processes": "watchers with their processes",
    "tree": "watchers, processes and all that they have started",
    "flat": "processes, whosever they are",
}

OPEN, FOLDED = "▾", "▸"

Key = tuple[str, ...]
Below = Mapping[Key, Sequence[Mapping[str, Any]]]
"""What each process has started, by the keys of its group and itself, as the reply of ``tree`` has it."""


class Row(NamedTuple):
    """One line of the table."""

    key: Key
    group: Group
    process: Process | None = None
    below: Mapping[str, Any] | None = None
    mark: str = ""
    """What stands before its name: open, folded, or a branch of a tree."""
    is_open: bool = False

    @property
    def is_folded(self) -> bool:
        """Whether there is something below it that is not shown."""
        return FOLDED in self.mark


class Order(NamedTuple):
    """One way to sort."""

    name: str
    key: str
    """The key that chooses it."""
    words: str
    of: Callable[[Any], tuple[Any, ...]]
    """What groups and processes are compared by; the name comes after it."""


def _cpu(one: Group | Process) -> tuple[Any, ...]:
    return (-one.cpu,)


def _mem(one: Group | Process) -> tuple[Any, ...]:
    return (-one.mem,)


def _age(one: Group | Process) -> tuple[Any, ...]:
    return (one.age is None, one.age or 0.0)


def _restarts(one: Group | Process) -> tuple[Any, ...]:
    return (-(getattr(one, "restarts", None) or 0), -one.cpu)


def _lines(one: Group | Process) -> tuple[Any, ...]:
    return (-(getattr(one, "lines", None) or 0.0), -one.cpu)


def _state(one: Group | Process) -> tuple[Any, ...]:
    calm = {"active": 1, "running": 1, "ready": 1, "stopped": 2, "completed": 2}
    return (not getattr(one, "ill", False), calm.get(one.state, 0), one.state)


ORDERS = (
    Order("cpu", "c", "what takes the most of the processor", _cpu),
    Order("mem", "m", "what takes the most memory", _mem),
    Order("name", "n", "by name", lambda one: ()),
    Order("state", "g", "what needs somebody first, then by state", _state),
    Order("age", "a", "what was started last", _age),
    Order("restarts", "e", "what was restarted most often in the last hour", _restarts),
    Order("lines", "l", "what writes the most lines", _lines),
)
ORDER_NAMES = tuple(order.name for order in ORDERS)


class View:
    """What a person has chosen to see."""

    def __init__(self, sort: str = "cpu") -> None:
        self.sort = sort
        self.reverse = False
        self.view = "processes"
        self.filter = ""
        self.ill_only = False
        self.of_machine = False
        """Whether the use of the processor is told in per cent of the whole machine, and not of one processor."""
        self.selected: Key | None = None
        self.marked: dict[Key, None] = {}
        """Watchers and processes, by the keys of their rows."""
        self._place = 0
        self._top = 0
        self._toggled: set[Key] = set()

    def next_view(self, step: int = 1) -> None:
        """The next kind of view; what was opened or folded by hand is so no more."""
        self.view = VIEWS[(VIEWS.index(self.view) + step) % len(VIEWS)]
        self._toggled.clear()

    def order_by(self, name: str) -> None:
        """That order; chosen again it is turned round."""
        self.reverse = not self.reverse if name == self.sort else False
        self.sort = name

    def rows(self, source: Source, below: Below) -> list[Row]:
        """All rows, in their order; the selected one is still the same thing, wherever it went."""
        order = ORDERS[ORDER_NAMES.index(self.sort)].of
        words = self.filter.lower().split()
        found = [
            (group, processes)
            for group in source.groups
            if (processes := _matching(group, words)) is not None and (group.ill or not self.ill_only)
        ]
        rows = list(self._flat(found, order) if self.view == "flat" else self._nested(found, order, below))
        self._find(rows)
        if self.marked:
            there = {row.key for row in self.marked_rows(source)}
            self.marked = {key: None for key in self.marked if key in there}
        return rows

    def mark(self, row: Row) -> None:
        """The watcher or process of the row is marked, or not any more if it was."""
        if row.key in self.marked:
            del self.marked[row.key]
        else:
            self.marked[row.key] = None

    def marked_rows(self, source: Source) -> list[Row]:
        """What is marked and still there, be it seen or not, in the order in which it was marked."""
        groups = {group.key: group for group in source.groups}
        found = []
        for key in self.marked:
            group = groups.get(key[0])
            process = next((one for one in group.processes if key[1:] == (one.key,)), None) if group else None
            if group is not None and (process is not None or len(key) == 1):
                found.append(Row(key, group, process))
        return found

    def move(self, step: int, rows: Sequence[Row]) -> None:
        """The selection is so many rows further; the first press chooses the first row that is seen."""
        if not rows:
            return
        place = self._place + step if self.selected is not None else self._top + max(0, abs(step) - 1)
        self._choose(min(max(place, 0), len(rows) - 1), rows)

    def move_to(self, place: int, rows: Sequence[Row]) -> None:
        """The row of that number is selected, counted from the end if it is negative."""
        if rows:
            self._choose(place % len(rows), rows)

    def unselect(self) -> None:
        """No row is meant, and the first ones are seen."""
        self.selected = None
        self._place = self._top = 0

    def current(self, rows: Sequence[Row]) -> Row | None:
        """The selected row, where it is shown."""
        is_there = self.selected is not None and self._place < len(rows)
        return rows[self._place] if is_there and rows[self._place].key == self.selected else None

    def window(self, rows: Sequence[Row], height: int) -> tuple[int, Sequence[Row]]:
        """The rows that are seen, and how many are above them; the selected one is among them."""
        if self.selected is not None:
            self._top = min(self._top, self._place)
            self._top = max(self._top, self._place - height + 1)
        self._top = max(0, min(self._top, len(rows) - height))
        return self._top, rows[self._top : self._top + height]

    def toggle(self, row: Row) -> None:
        """What is below the row is shown if it was not, and the other way round; nothing happens where there is nothing."""
        if row.is_open or row.is_folded:
            self._toggled ^= {row.key}

    def open(self, row: Row) -> None:
        """What is below the row is shown."""
        if row.is_folded:
            self.toggle(row)

    def close(self, row: Row) -> None:
        """What is below the row is not shown; where that is so already, the row above it is selected."""
        if row.is_open:
            self.toggle(row)
        elif len(row.key) > 1 and self.view != "flat":
            self.selected = row.key[: 2 if len(row.key) > 2 else 1]

    def _choose(self, place: int, rows: Sequence[Row]) -> None:
        self._place = place
        self.selected = rows[place].key

    def _find(self, rows: Sequence[Row]) -> None:
        if self.selected is None:
            return
        for place, row in enumerate(rows):
            if row.key == self.selected:
                self._place = place
                return
        # It is gone: what stands in its place may be another thing, and is not meant.
        self.selected = None

    def _sorted(
        self, found: Sequence[Any], order: Callable[[Any], Any], name: Callable[[Any], Any]
    ) -> list[Any]:
        return sorted(found, key=lambda one: (*order(one), name(one)), reverse=self.reverse)

    def _flat(
        self, found: Sequence[tuple[Group, Sequence[Process]]], order: Callable[[Any], Any]
    ) -> Iterator[Row]:
        group_of = {id(process): group for group, processes in found for process in processes}
        processes = [process for _, some in found for process in some if process.pid is not None]
        names = {key: (group.key, 0) for key, group in group_of.items()}
        for process in self._sorted(processes, order, lambda one: (names[id(one)], _natural(one.key))):
            group = group_of[id(process)]
            yield Row((group.key, process.key), group, process)

    def _nested(
        self, found: Sequence[tuple[Group, Sequence[Process]]], order: Callable[[Any], Any], below: Below
    ) -> Iterator[Row]:
        processes_of = {group.key: processes for group, processes in found}
        for group in self._sorted([group for group, _ in found], order, lambda one: one.key):
            processes = processes_of[group.key]
            is_open = self._is_open((group.key,), self.view != "watchers")
            yield Row(
                (group.key,), group, mark=_mark(is_open, bool(processes)), is_open=is_open and bool(processes)
            )
            if not is_open:
                continue
            for process in self._sorted(processes, order, lambda one: _natural(one.key)):
                yield from self._process_rows(group, process, below.get((group.key, process.key), ()))

    def _process_rows(
        self, group: Group, process: Process, listed: Sequence[Mapping[str, Any]]
    ) -> Iterator[Row]:
        key = (group.key, process.key)
        is_tree = self.view == "tree"
        is_open = self._is_open(key, True) if is_tree else False
        mark = _mark(is_open, is_tree and bool(listed))
        yield Row(key, group, process, mark="  " + mark, is_open=is_open and bool(listed))
        if is_open:
            for one, branch in branches(listed):
                yield Row((*key, str(one.get("pid"))), group, process, one, mark="    " + branch)

    def _is_open(self, key: Key, usual: bool) -> bool:
        return usual != (key in self._toggled)


def _mark(is_open: bool, has_more: bool) -> str:
    return (OPEN if is_open else FOLDED) + " " if has_more else "  "


def _natural(key: str) -> tuple[int, str]:
    return (int(key), "") if key.isascii() and key.isdigit() and len(key) < 20 else (0, key)


def _matching(group: Group, words: Sequence[str]) -> Sequence[Process] | None:
    """The processes that are shown of a watcher by the words of a filter; None where it is not shown itself."""
    if not words:
        return group.processes
    text = " ".join([group.name.lower(), group.state, *(f"@{tag.lower()}" for tag in group.tags)])
    rest = [word for word in words if word not in text]
    if not rest:
        return group.processes
    found = [
        process
        for process in group.processes
        if all(word in f"{process.pid or ''} {process.state}" for word in rest)
    ]
    return found or None
