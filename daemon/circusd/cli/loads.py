"""What runs and what it takes, for ``circus-top``: kept from the daemon's own streams, or from stats that are published."""

from __future__ import annotations

import json
import time
from array import array
from collections.abc import Iterable, Mapping
from typing import Any

from circusd.cli.terminal import span

SAMPLES = 60
"""Seconds of the past that are kept of each thing that is shown."""

MOST_STATS = 20_000
"""Processes and sockets of which published stats are kept."""

UNHEALTHY = "unhealthy"
ILL = ("failed", "backoff", "exited", UNHEALTHY)
"""States that a person should know of."""

MOST_ILL = 3
"""Watchers in trouble that are told one by one."""

ALIVE = ("running", "ready", "frozen")

_PLUMBING = frozenset(("circusd-stats", "circushttpd"))


class Process:
    """One process of a watcher, or a slot of it in which none runs."""

    __slots__ = ("age", "cpu", "key", "mem", "note", "pid", "state", "wid")

    def __init__(self, key: str, wid: str, pid: int | None, state: str, age: float | None) -> None:
        self.key = key
        self.wid = wid
        self.pid = pid
        self.state = state
        self.age = age
        self.cpu = 0.0
        self.mem = 0.0
        self.note = ""


class Group:
    """A watcher with its processes."""

    __slots__ = (
        "age",
        "cpu",
        "ill",
        "key",
        "lines",
        "mem",
        "name",
        "note",
        "processes",
        "restarts",
        "state",
        "tags",
        "view",
        "wanted",
    )

    def __init__(self, key: str, name: str) -> None:
        self.key = key
        self.name = name
        self.state = ""
        self.note = ""
        self.tags: list[str] = []
        self.wanted: int | None = None
        self.restarts: int | None = None
        self.lines: float | None = None
        self.age: float | None = None
        self.cpu = 0.0
        self.mem = 0.0
        self.ill = False
        self.processes: list[Process] = []
        self.view: Mapping[str, Any] = {}
        """What ``inspect`` tells of it, where that is known."""


class Past:
    """How much everything that is shown took of the processor in the last seconds."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, ...], array[float]] = {}

    def add(self, samples: Mapping[tuple[str, ...], float]) -> None:
        """One more moment; what is not among the samples is forgotten."""
        old = self._values
        self._values = {}
        for key, value in samples.items():
            values = old.get(key) or array("f")
            values.append(value)
            if len(values) > SAMPLES:
                del values[0]
            self._values[key] = values

    def of(self, *key: str) -> array[float]:
        """The values, oldest first; of all together without a key."""
        return self._values.get(key) or array("f")


class DaemonLoad:
    """The daemon's own streams, ``state.`` and ``load.``."""

    mem_title = "RSS"
    period = 1.0

    def __init__(self) -> None:
        self.ready = False
        """Whether there is something to show."""
        self.groups: list[Group] = []
        self.sockets: list[tuple[str, str]] = []
        self.past = Past()
        self.role = ""
        self.time = 0.0
        self._watchers: dict[str, Mapping[str, Any]] = {}
        self._load: Mapping[str, Any] = {}
        self._daemon: Mapping[str, Any] = {}
        self._lead: Mapping[str, Any] = {}
        self._is_whole = False
        """Whether everything was told once since the connection is there."""
        self._is_new = False

    def begin(self, person: Mapping[str, Any]) -> None:
        """A connection is there, and this is what ``whoami`` has answered; whatever was known may be old."""
        self.role = str(person.get("role") or "")
        self._load = {}
        self._is_whole = False

    def take(self, topic: str, data: Mapping[str, Any]) -> bool:
        """One message; tells whether there is something new to show."""
        if topic == "load.":
            self._load = data
        elif "snapshot" in data:
            self._is_whole = True
            self._daemon = data["snapshot"].get("daemon", {})
            self._watchers = {str(w["name"]).lower(): w for w in data["snapshot"].get("watchers", ())}
            self._lead = data["snapshot"].get("lead") or {}
        elif "watcher" in data:
            self._watchers[str(data["watcher"]["name"]).lower()] = data["watcher"]
        elif "removed" in data:
            self._watchers.pop(str(data["removed"]).lower(), None)
        self._lead = data.get("lead") or self._lead
        if not self._is_whole or not self._load:
            return False
        self.ready = self._is_new = True
        if topic == "load.":
            self.settle()
            _remember(self.past, self.groups)
        return True

    def tick(self) -> bool:
        """Time has passed: nothing is new by that alone."""
        return False

    def settle(self) -> None:
        """`groups` are as the last message has it; many that come together cost as much as one."""
        if not self._is_new:
            return
        self._is_new = False
        self.time = _number(self._load.get("time") or self._daemon.get("time"))
        loads = {str(name).lower(): load for name, load in self._load.get("watchers", {}).items()}
        self.groups = [self._group(key, watcher, loads) for key, watcher in self._watchers.items()]

    @property
    def cores(self) -> int:
        """Processors of the machine; 0 where that is not known."""
        cores = self._daemon.get("cores")
        return cores if isinstance(cores, int) else 0

    @property
    def mem_total(self) -> float:
        """Bytes of memory of the machine; 0 where that is not known."""
        return _number(self._daemon.get("memory_total"))

    def title(self) -> str:
        """Which daemon, and where."""
        return f"{self._daemon.get('name', '')} on {self._daemon.get('host', '')}"

    def up(self) -> str:
        """For how long it is there."""
        started = self._daemon.get("started")
        return span(self.time - started) if isinstance(started, int | float) else ""

    def itself(self) -> tuple[float, float, float] | None:
        """What the daemon itself takes: processor, memory, and by how many seconds its loop was late."""
        load = self._load.get("daemon")
        if not isinstance(load, Mapping):
            return None
        return _number(load.get("cpu")), _number(load.get("rss")), _number(load.get("lag"))

    def lead(self) -> tuple[str, str]:
        """What the daemon says of all together: how bad it is (``calm``, ``busy`` or ``needs``), and a sentence."""
        level = str(self._lead.get("level") or "calm")
        title, text = (str(self._lead.get(key) or "") for key in ("title", "text"))
        ill = [group for group in self.groups if group.ill and group.note]
        if level == "needs" and ill:
            # Moments are counted down here, and not as they were when the daemon said it.
            text = "; ".join(f"{group.name}: {group.note}" for group in ill[:MOST_ILL])
            text += f"; and {len(ill) - MOST_ILL} more" if len(ill) > MOST_ILL else ""
        return level, ": ".join(filter(None, (title, text)))

    def _group(self, key: str, view: Mapping[str, Any], loads: Mapping[str, Mapping[str, Any]]) -> Group:
        group = Group(key, str(view["name"]))
        load = loads.get(key, {})
        group.view = view
        state = str(view.get("state") or "")
        group.ill = state in ILL
        group.state = state if group.ill or state == "frozen" else str(view.get("status") or "")
        group.tags = [str(tag) for tag in view.get("tags") or ()]
        group.wanted, group.restarts = view.get("numprocesses"), view.get("restarts")
        group.cpu, group.mem = _number(load.get("cpu")), _number(load.get("rss"))
        group.lines = _number(load.get("lines"))
        taken = load.get("processes", {})
        for slot in view.get("processes", ()):
            wid = str(slot.get("wid"))
            started = slot.get("started") if slot.get("pid") else None
            age = max(0.0, self.time - started) if started else None
            process = Process(wid, wid, slot.get("pid"), str(slot.get("state")), age)
            process.cpu, process.mem = map(_number, taken.get(wid, (0.0, 0.0)))
            process.note = self._note_of(slot)
            group.processes.append(process)
            if age is not None and process.state in ALIVE:
                group.age = age if group.age is None else min(group.age, age)
        group.note = self._note(view)
        return group

    def _note(self, view: Mapping[str, Any]) -> str:
        """What there is to say of a watcher in few words."""
        told = [str(view.get("detail") or "")]
        tries = [slot["next_try"] for slot in view.get("processes", ()) if slot.get("next_try")]
        if tries:
            told.append(f"next try in {span(min(tries) - self.time)}")
        job = view.get("job")
        if job and job.get("total") and "reload" not in told[0]:
            told.append(f"{job.get('command')}: {job.get('done')} of {job.get('total')}")
        return ", ".join(filter(None, told))

    def _note_of(self, slot: Mapping[str, Any]) -> str:
        """What there is to say of a slot."""
        if slot.get("stop_by"):
            return f"SIGKILL in {span(slot['stop_by'] - self.time)}"
        told = [str(slot.get("reason") or "")]
        health = slot.get("health") or {}
        if health.get("state") == UNHEALTHY:
            told.append(f"{UNHEALTHY}: {health.get('text') or ''}")
        if slot.get("frozen_by"):
            told.append(f"by {slot['frozen_by']}")
        if slot.get("thaw_at"):
            told.append(f"thawed in {span(slot['thaw_at'] - self.time)}")
        if not slot.get("pid") and slot.get("exit"):
            told.append(str(slot["exit"].get("text") or ""))
        if slot.get("next_try"):
            told.append(f"next try in {span(slot['next_try'] - self.time)}")
        return ", ".join(filter(None, told))


class PublishedStats:
    """The messages ``stat.…`` of an endpoint that stats are published at, the original's too."""

    mem_title = "MEM%"
    role = ""
    cores = 0
    mem_total = 0.0

    def __init__(self, endpoint: str, keep: float) -> None:
        """``keep`` is for how many seconds a process is shown that nothing is heard of."""
        self.ready = False
        self.groups: list[Group] = []
        self.sockets: list[tuple[str, str]] = []
        self.past = Past()
        self.time = 0.0
        self._endpoint = endpoint.partition("?key=")[0]
        self._keep = keep
        self._stats: dict[tuple[str, str], tuple[float, Mapping[str, Any]]] = {}
        self._statuses: dict[str, tuple[str, str]] = {}
        self._since = time.monotonic()
        self._gathered = 0.0
        self._is_new = False

    def begin(self, person: Mapping[str, Any]) -> None:
        """As `DaemonLoad.begin`."""
        self._stats.clear()
        self._since = time.monotonic()
        self.ready = False

    def take(self, topic: str, data: Mapping[str, Any]) -> bool:
        """As `DaemonLoad.take`; new is what was published within a second. ``statuses`` are by the watcher's name."""
        if topic == "statuses":
            self._statuses = {topic_name(name): (name, str(state)) for name, state in data.items()}
            return False
        # The original itself writes names now in one way and now in another.
        name, part = _parts(topic, data)
        name = topic_name(name)
        now = time.monotonic()
        if len(self._stats) < MOST_STATS or (name, part) in self._stats:
            self._stats[name, part] = (now, data)
        self._is_new = True
        return self.tick()

    def tick(self) -> bool:
        """What has come since the last time is shown, if a second is over; tells whether it is."""
        now = time.monotonic()
        # All that is published in a second was heard once.
        self.ready = self.ready or (self._is_new and now - self._since > 1.5 * DaemonLoad.period)
        if not self.ready or not self._is_new or now - self._gathered < DaemonLoad.period:
            return False
        self._is_new = False
        self._gathered = now
        self._stats = {key: stat for key, stat in self._stats.items() if now - stat[0] <= self._keep}
        self._gather()
        return True

    def settle(self) -> None:
        """As `DaemonLoad.settle`: it is so at once."""

    def title(self) -> str:
        """Where it comes from."""
        return self._endpoint

    def up(self) -> str:
        """That is not told here."""
        return ""

    def itself(self) -> tuple[float, float, float] | None:
        """Among the groups, as the original has it."""
        return None

    def lead(self) -> tuple[str, str]:
        """There is none here."""
        return "calm", ""

    def _gather(self) -> None:
        found: dict[str, Group] = {}
        sockets = []
        for (name, part), (_, stat) in sorted(self._stats.items()):
            if name == "sockets":
                if part:
                    sockets.append((str(stat.get("address")), str(stat.get("reads"))))
                continue
            if name in _PLUMBING:
                continue
            group = found.get(name) or found.setdefault(name, self._group(name))
            if part:
                _add(group, part, stat)
        for name in self._statuses.keys() - _PLUMBING:
            found.setdefault(name, self._group(name))
        self.groups, self.sockets = list(found.values()), sockets
        _remember(self.past, self.groups)

    def _group(self, name: str) -> Group:
        written, state = self._statuses.get(name, (name, ""))
        group = Group(name, written)
        group.state = state
        return group


Source = DaemonLoad | PublishedStats


def topic_name(name: str) -> str:
    """The name of a watcher as the original writes it in topics."""
    return name.lower().replace(" ", "_")


def _parts(topic: str, stat: Mapping[str, Any]) -> tuple[str, str]:
    """The watcher's name, in which there may be dots, and what of it is meant: "" for the whole."""
    name = topic.partition(".")[2]
    for key in ("subtopic", "pid", "fd"):
        part = stat.get(key)
        if isinstance(part, int | str) and name.endswith(f".{part}"):
            return name.removesuffix(f".{part}"), str(part)
    return name, ""


def _add(group: Group, part: str, stat: Mapping[str, Any]) -> None:
    pid = stat.get("pid")
    age = stat.get("age")
    # What could not be measured is published as "N/A".
    process = Process(
        part,
        str(stat.get("wid") or ""),
        pid if isinstance(pid, int) else None,
        "",
        age if isinstance(age, int | float) else None,
    )
    process.cpu, process.mem = _number(stat.get("cpu")), _number(stat.get("mem"))
    process.note = str(stat.get("name") or "")
    group.processes.append(process)
    group.cpu += process.cpu
    group.mem += process.mem
    if process.age is not None:
        group.age = process.age if group.age is None else min(group.age, process.age)


def _remember(past: Past, groups: Iterable[Group]) -> None:
    samples: dict[tuple[str, ...], float] = {}
    whole = 0.0
    for group in groups:
        whole += group.cpu
        samples[group.key,] = group.cpu
        for process in group.processes:
            if process.pid is not None:
                samples[group.key, process.key] = process.cpu
    samples[()] = whole
    past.add(samples)


def published(topic: bytes, body: bytes) -> tuple[str, Mapping[str, Any]] | None:
    """A message of an endpoint of stats; None for what is none."""
    try:
        stat = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return (topic.decode("utf-8", "backslashreplace"), stat) if isinstance(stat, dict) else None


def _number(value: Any) -> float:
    """A number as it is, anything else as 0; what is no number at all is 0 too."""
    try:
        return float(value) if isinstance(value, int | float) and value == value else 0.0
    except OverflowError:
        return 0.0
