"""One watcher in ``circus-top``: why it is as it is, what it took in the last hour, what happened, and what it writes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from circusd.cli.figures import spark
from circusd.cli.loadfeed import Feed, Link
from circusd.cli.loads import Group
from circusd.cli.render import STATE_COLORS, event_line, process_of
from circusd.cli.terminal import Style, clean, clean_line, columns, cut, size, span
from circusd.cli.toplayers import Pages, wrapped
from circusd.cli.toprows import Row
from circusd.schema.errors import CircusError

HISTORY_SECONDS = 10.0
OUTPUT_SECONDS = 2.0
"""How often each is asked for while somebody looks."""

OUTPUT_LINES = 30
EVENTS = 6

_CHART_CELLS = 60


class Details(Pages):
    """All of one watcher, kept fresh while it is looked at."""

    def __init__(
        self,
        link: Link,
        feed: Feed,
        key: str,
        came_in: Callable[[], None],
        more: Sequence[tuple[str, str]],
    ) -> None:
        """``came_in`` is called when there is more to show; ``more`` are keys as of `Pages`."""
        super().__init__(self._made, more=more)
        self._link = link
        self._feed = feed
        self._key = key
        self._came_in = came_in
        self._history: Mapping[str, Any] = {}
        self._output: Sequence[Mapping[str, Any]] = ()
        self._explained = ""
        self._problem = ""
        self._due = {"explain": 0.0, "history": 0.0, "output": 0.0}

    def row(self) -> Row | None:
        """The watcher, for what can be done to it; None when it is gone."""
        group = next((group for group in self._link.source.groups if group.key == self._key), None)
        return None if group is None else Row((group.key,), group)

    def _made(self, style: Style, width: int) -> list[str]:
        row = self.row()
        if row is None:
            return [style.paint(f"{clean(self._key)} is no more", "yellow")]
        group = row.group
        if self._link.tells_progress:
            self._ask(group)
        style = Style(terminal=True, color=style.color, width=width, attributes=style.attributes)
        parts = (
            self._who(group, style),
            self._hour(group, style),
            self._processes(group, style),
            self._events(style),
            self._lines_of_output(style),
        )
        return [line for part in parts if part for line in (*part, "")]

    def _ask(self, group: Group) -> None:
        now = time.monotonic()
        asked: dict[str, tuple[dict[str, Any], float]] = {
            "explain": ({"name": group.name, "match": "simple"}, OUTPUT_SECONDS),
            "history": ({"name": group.name, "match": "simple"}, HISTORY_SECONDS),
            "output": ({"names": [group.name], "match": "simple", "lines": OUTPUT_LINES}, OUTPUT_SECONDS),
        }
        for command, (properties, every) in asked.items():
            if now >= self._due[command]:
                self._due[command] = now + every
                self._feed.ask(command, properties, self._told(command))

    def _told(self, command: str) -> Callable[[dict[str, Any] | None, CircusError | None], None]:
        def told(reply: dict[str, Any] | None, problem: CircusError | None) -> None:
            self._problem = "" if problem is None else problem.text
            if reply is not None and command == "history":
                self._history = reply
            elif reply is not None and command == "explain":
                self._explained = next((str(one.get("explain")) for one in reply.get("watchers") or ()), "")
            elif reply is not None:
                self._output = reply.get("lines") or ()
            self._came_in()

        return told

    def _who(self, group: Group, style: Style) -> list[str]:
        color = STATE_COLORS.get(group.state, "bold")
        state = style.paint(clean(group.state), color)
        name = cut(clean(group.name[: style.width]), max(8, style.width - 14))
        lines = [f"{style.paint(name, 'bold')}  {state}"]
        if explained := self._explained or str(group.view.get("explain") or group.note):
            lines += wrapped(explained, style.width, 6)
        if group.view.get("cmd"):
            lines += [style.paint(line, "dim") for line in wrapped(str(group.view["cmd"]), style.width, 3)]
        told = [
            *(f"@{tag}" for tag in group.tags),
            *(f"socket {name}" for name in group.view.get("sockets") or ()),
        ]
        if told:
            lines += [style.paint(line, "cyan") for line in wrapped("  ".join(told), style.width, 2)]
        return lines

    def _hour(self, group: Group, style: Style) -> list[str]:
        series = next(iter((self._history.get("watchers") or {}).values()), None)
        times = list(self._history.get("times") or ())
        if series is None or len(times) < 2:
            return []
        cells = min(_CHART_CELLS, max(8, style.width - 36))
        lines = [style.paint(f"The last {span(float(times[-1]) - float(times[0]))}", "bold")]
        for title, key, color in (("CPU", "cpu", "cyan"), ("RSS", "rss", "magenta")):
            values = list(series.get(key) or ())
            known = [value for value in values if value is not None]
            if known:
                shown = spark(values, cells, least=10.0 if key == "cpu" else 0.0)
                words = _percent if key == "cpu" else size
                most = f"now {words(known[-1])}, most {words(max(known))}"
                lines.append(f"{title}  {style.paint(shown, color)}  {most}")
        return lines if len(lines) > 1 else []

    def _processes(self, group: Group, style: Style) -> list[str]:
        published = self._link.source.mem_title != "RSS"
        rows, colors = [], []
        for one in group.processes:
            mem = f"{one.mem:.1f}" if published else size(one.mem)
            cpu, mem = (f"{one.cpu:.1f}", mem) if one.pid is not None else ("", "")
            age = "" if one.age is None else span(one.age)
            pid = str(one.pid or "-")
            rows.append([one.wid, pid, clean(one.state), cpu, mem, age, clean(one.note)])
            colors.append(["", "", STATE_COLORS.get(one.state, ""), "", "", "dim", "dim"])
        if not rows:
            return []
        header = ("WID", "PID", "STATE", "CPU%", self._link.source.mem_title, "AGE", "")
        return [
            style.paint("Processes", "bold"),
            *columns(rows, style, header=header, right=(0, 1, 3, 4, 5), colors=colors),
        ]

    def _events(self, style: Style) -> list[str]:
        events = list(self._history.get("events") or ())[-EVENTS:]
        if not events:
            return []
        plain = Style(terminal=True, width=style.width)
        lines = [cut(event_line(event, plain), style.width) for event in events]
        return [style.paint("What has happened", "bold"), *lines]

    def _lines_of_output(self, style: Style) -> list[str]:
        if self._problem:
            return [style.paint(line, "yellow") for line in wrapped(self._problem, style.width)]
        if not self._output:
            return []
        lines = []
        for line in self._output:
            mark = "!" if line.get("stream") == "stderr" else "|"
            text = clean_line(str(line.get("text", ""))[: 4 * style.width]).expandtabs(4)
            lines.append(cut(f"{process_of(line)} {mark} {text}", style.width))
        return [style.paint("Its last lines", "bold"), *lines]


def _percent(value: float) -> str:
    return f"{value:.1f} %"
