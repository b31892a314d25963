"""``circus-top`` in a terminal: keys change what is shown or do something, figures come in, and the page is drawn anew."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from circusd.cli import topactions as actions
from circusd.cli.keyboard import Paste
from circusd.cli.loadfeed import Feed, Link
from circusd.cli.progress import line_of
from circusd.cli.screen import Screen
from circusd.cli.terminal import Style, clean, span
from circusd.cli.topactions import ACTIONS, Action, Deed
from circusd.cli.topdetails import Details
from circusd.cli.tophelp import help_lines
from circusd.cli.toplayers import Layer, Line, Menu, Pages, Question, keys_line, wrapped
from circusd.cli.topmany import Batch, count_of, many, question_of
from circusd.cli.toppage import Sight, head, table
from circusd.cli.toprows import ORDERS, VIEW_WORDS, VIEWS, Row, View
from circusd.schema.errors import CircusError

FRAME_SECONDS = 0.1
"""What comes within this time is drawn together; keys are answered at once."""

BELOW_SECONDS = 2.0
"""How often the tree below processes is asked for."""

QUIET_SECONDS = 5.0
"""No figures for so long is told."""

MESSAGE_SECONDS = 10.0
"""For how long a result stands, unless a key is pressed."""

MOST_KEYS = 200
"""Keys that are taken at once; nobody types more, and what else is sent means none."""

_STILL = ("up", "down", "pageup", "pagedown", "home", "end")
_MOST_BELOW = 100
_DEEDS = {action.key: action for action in ACTIONS}


class Live:
    """The table, live. Everything happens in the thread that calls `run`."""

    def __init__(self, link: Link, style: Style, *, sort: str = "cpu", delay: float = 1.0) -> None:
        """The link is open, and its source knows who asks."""
        self._link = link
        self._source = link.source
        self._style = style
        self._delay = delay
        self._view = View(sort)
        self._below: dict[tuple[str, ...], Any] = {}
        self._layers: list[Layer] = []
        self._rows: list[Row] = []
        self._message = ("", "")
        self._message_until = 0.0
        self._problem = ""
        self._heard = time.monotonic()
        self._due = 0.0
        self._is_old = True
        self._below_due = 0.0
        self._left_out = 0
        self._is_moved = True
        """Whether other rows may be shown than those that are known."""
        self._height = 1

    def run(self) -> None:
        """It was left with q."""
        with Screen() as screen:
            self._screen = screen
            self._feed = Feed(self._link, screen.wake, took=self._took, gone=self._gone, back=self._came_back)
            self._feed.start()
            while True:
                self._draw()
                keys = screen.wait(self._pause())
                self._feed.turn()
                if not self._press_all(keys[:MOST_KEYS]):
                    return
                self._ask_below()
                # A key, a resize, and a moment that has come are shown at once.
                self._is_old = self._is_old or bool(keys)
                self._due = 0.0 if keys else self._due

    def _press_all(self, keys: Sequence[str]) -> bool:
        """Whether it goes on."""
        for key in keys:
            # What one key has changed is what the next one means.
            if not self._layers and self._is_moved:
                self._arrange()
            if not self._press(key):
                return False
        return True

    # -- what comes in ----------------------------------------------------------------------------------------------

    def _took(self, is_new: bool) -> None:
        self._heard = time.monotonic()
        self._is_old |= is_new
        self._is_moved |= is_new

    def _gone(self, problem: CircusError) -> None:
        self._problem = problem.text
        self._is_old = True

    def _came_back(self) -> None:
        self._problem = ""
        self._heard = time.monotonic()
        self._say("connected again")

    def _say(self, text: str, color: str = "green") -> None:
        self._message = (text, color)
        self._message_until = time.monotonic() + MESSAGE_SECONDS
        self._is_old = True
        self._due = 0.0

    def _pause(self) -> float:
        """Seconds until something is to be done even if nothing happens."""
        now = time.monotonic()
        return max(0.0, self._due - now) if self._is_old else 1.0

    # -- drawing ----------------------------------------------------------------------------------------------------

    def _draw(self) -> None:
        now = time.monotonic()
        if self._message[0] and now > self._message_until:
            self._message = ("", "")
            self._is_old = True
        # These count seconds.
        self._is_old |= bool(self._problem) or now - self._heard > QUIET_SECONDS
        if not self._screen.is_stale and (now < self._due or not self._is_old):
            return
        self._is_old = False
        self._due = now + (FRAME_SECONDS if self._layers or self._delay <= 1 else self._delay)
        self._source.settle()
        self._screen.draw(self._lines(self._screen.columns, self._screen.lines))

    def _lines(self, width: int, height: int) -> list[str]:
        self._arrange()
        sight = Sight(self._source, self._view, self._rows, self._style, width, height, bool(self._problem))
        above = head(sight) if self._source.ready else []
        below = self._foot(sight)
        room = max(1, height - len(above) - len(below))
        body = self._layers[-1].body(self._style, width, room) if self._layers else None
        if body is None:
            body = self._table(sight, room)
        lines = [*above, *body[:room]]
        return [*lines, *[""] * (height - len(lines) - len(below)), *below][:height]

    def _arrange(self) -> None:
        self._is_moved = False
        self._rows = self._view.rows(self._source, self._below if self._view.view == "tree" else {})

    def _table(self, sight: Sight, room: int) -> list[str]:
        if not self._source.ready:
            return [self._style.paint("waiting for the first figures …", "dim")]
        sockets = self._sockets(sight) if room > 12 else []
        self._height = max(1, room - 1 - len(sockets))
        # Where there are more, the last line tells how many.
        self._height -= len(self._rows) > self._height > 2
        above, rows = self._view.window(self._rows, self._height)
        lines = table(sight, rows)
        if not self._rows:
            lines.append(self._style.paint(self._nothing(), "dim"))
        elif left := len(self._rows) - above - len(rows):
            lines.append(self._style.paint(f"… {left} more", "dim"))
        return lines + sockets

    def _sockets(self, sight: Sight) -> list[str]:
        if not self._source.sockets:
            return []
        rows = [f"{clean(address)}  {clean(reads)}" for address, reads in self._source.sockets[:5]]
        return ["", self._style.paint("SOCKET  READS", "dim"), *(row[: sight.width] for row in rows)]

    def _nothing(self) -> str:
        if self._view.filter or self._view.ill_only:
            return "nothing is like that (esc shows all again)"
        return "no watchers"

    def _foot(self, sight: Sight) -> list[str]:
        style, width = self._style, sight.width
        lines = []
        quiet = time.monotonic() - self._heard
        if self._problem:
            text = f"These figures are {span(quiet)} old. The daemon is gone: {self._problem}. Trying again …"
            lines += [style.paint(line, "red", "bold") for line in wrapped(text, width, 3)]
        elif quiet > QUIET_SECONDS:
            lines.append(style.paint(f"no figures for {quiet:.0f} s", "yellow", "bold"))
        text, color = self._message
        if text:
            lines += [style.paint(line, color) for line in wrapped(text, width, 3)]
        if self._layers:
            return lines + self._layers[-1].foot(style, width)
        chosen = self._chosen_words()
        if chosen:
            lines.append(style.paint(chosen[:width], "cyan"))
        return [*lines, keys_line(self._keys(), style, width)]

    def _chosen_words(self) -> str:
        """What is not as usual, so that nobody takes a part for the whole."""
        told = []
        if self._view.marked:
            rows = self._view.marked_rows(self._source)
            hidden = len({row.key for row in rows} - {row.key for row in self._rows})
            told.append(f"marked: {count_of(rows)}" + (f", {hidden} not shown here" if hidden else ""))
        if self._view.filter:
            told.append(f"filter: {clean(self._view.filter)}")
        if self._view.ill_only:
            told.append("only what needs somebody")
        ends = "none" if self._view.marked else "all"
        shown = ", ".join(told) + f" (esc: {ends})" if told else ""
        if self._view.view == "tree" and self._left_out:
            shown = f"{shown}  and {self._left_out} more processes below these".strip()
        return shown

    def _keys(self) -> list[tuple[str, str]]:
        """The keys that are told, those first that matter most."""
        base = [("?", "help"), ("q", "quit")]
        if self._view.current(self._rows) is None:
            return [
                *base,
                ("↑↓", "choose"),
                ("/", "filter"),
                ("o", "order"),
                ("t", "view"),
                ("!", "ill only"),
            ]
        more = [("enter", "details"), ("space", "mark"), ("/", "filter"), ("o", "order"), ("t", "view")]
        return [*base, *self._deed_keys(), *more]

    def _deed_keys(self) -> list[tuple[str, str]]:
        return [(action.key, action.name) for action in ACTIONS if self._may(action)]

    def _may(self, action: Action) -> bool:
        return self._link.client is not None and actions.is_allowed(action, self._source.role)

    # -- keys -------------------------------------------------------------------------------------------------------

    def _press(self, key: str) -> bool:
        """Whether it goes on."""
        self._message = ("", "")
        self._is_moved |= bool(self._layers) or key not in _STILL
        if key == "ctrl-l":
            self._screen.clear()
        elif self._layers:
            self._press_layer(self._layers[-1], key)
        elif isinstance(key, Paste):
            self._say("what is pasted goes nowhere here; / filters", "yellow")
        elif key in ("q", "Q"):
            return False
        elif not self._move(key):
            self._choose(key)
        return True

    def _press_layer(self, layer: Layer, key: str) -> None:
        if isinstance(layer, Details) and key in _DEEDS:
            row = layer.row()
            self._act(_DEEDS[key], row) if row else self._say("it is no more", "yellow")
        elif not layer.press(key):
            self._layers.remove(layer)

    def _move(self, key: str) -> bool:
        """Whether the key moves the selection, or opens and folds what is selected."""
        steps = {"up": -1, "down": 1, "pageup": -self._height, "pagedown": self._height}
        row = self._view.current(self._rows)
        if key in steps:
            self._view.move(steps[key], self._rows)
        elif key in ("home", "end"):
            self._view.move_to(0 if key == "home" else -1, self._rows)
        elif key in ("left", "right") and row is not None:
            {"left": self._view.close, "right": self._view.open}[key](row)
        elif key == " " and row is not None:
            self._mark(row)
        else:
            return False
        return True

    def _mark(self, row: Row) -> None:
        if row.below is not None:
            self._say("what a process has started can't be marked: choose the process above it", "yellow")
            return
        self._view.mark(row)
        self._view.move(1, self._rows)

    def _choose(self, key: str) -> None:
        view = self._view
        orders = {order.key: order.name for order in ORDERS}
        if key in orders:
            view.order_by(orders[key])
        elif key in _DEEDS and view.marked:
            self._act_on_marked(_DEEDS[key])
        elif key in _DEEDS:
            self._act(_DEEDS[key], view.current(self._rows))
        elif key in ("t", "tab"):
            view.next_view()
            self._say(f"shown: {VIEW_WORDS[view.view]}", "cyan")
        elif key in ("T", "backtab"):
            view.next_view(-1)
            self._say(f"shown: {VIEW_WORDS[view.view]}", "cyan")
        elif key == "o":
            items = [(order.name, order.words) for order in ORDERS]
            self._layers.append(Menu("What comes first?", items, view.order_by, view.sort))
        elif key == "/":
            self._layers.append(Line("Filter:", view.filter, self._filter))
        elif key == "!":
            view.ill_only = not view.ill_only
        elif key == "R":
            view.reverse = not view.reverse
        elif key == "%":
            self._change_share()
        elif key in ("?", "h", "f1"):
            self._layers.append(Pages(help_lines, ("?", "h", "f1")))
        elif key == "escape":
            self._show_all()
        elif key == "enter":
            self._show_details()

    def _filter(self, text: str) -> None:
        self._view.filter = text

    def _show_all(self) -> None:
        if self._view.marked:
            self._view.marked.clear()
        elif self._view.filter or self._view.ill_only:
            self._view.filter, self._view.ill_only = "", False
        else:
            self._view.unselect()

    def _change_share(self) -> None:
        if not self._source.cores:
            self._say("how many processors there are is not told here", "yellow")
            return
        self._view.of_machine = not self._view.of_machine
        whole = "of all processors" if self._view.of_machine else "of one processor"
        self._say(f"CPU in per cent {whole}", "cyan")

    def _show_details(self) -> None:
        row = self._view.current(self._rows)
        if row is None:
            self._say("choose a row first, with ↑ and ↓", "yellow")
            return
        more = self._deed_keys()
        self._layers.append(Details(self._link, self._feed, row.group.key, self._came_in, more))

    def _came_in(self) -> None:
        self._is_old = True

    # -- doing something --------------------------------------------------------------------------------------------

    def _is_refused(self, action: Action) -> bool:
        """Nobody who asks here may do it, and that was told."""
        if self._link.client is None:
            self._say("here are only figures: actions need the daemon's endpoint of commands", "yellow")
            return True
        if not actions.is_allowed(action, self._source.role):
            needed = actions.needed_role(action.commands[0])
            self._say(f"{action.name} is for the role {needed}; you have {self._source.role}", "yellow")
            return True
        return False

    def _act_on_marked(self, action: Action) -> None:
        if self._is_refused(action):
            return
        rows = self._view.marked_rows(self._source)
        meant = many(rows, action.deed)
        if not meant.deeds:
            self._say(meant.left_out[0] if meant.left_out else "what was marked is gone", "yellow")
        elif action is actions.SIGNAL:
            items = list(actions.SIGNAL_WORDS.items())
            title = f"{question_of(action, meant)} Which one?"

            def chosen(name: str) -> None:
                deeds = many(meant.rows, partial(actions.signal_deed, name=name)).deeds
                self._do_all(f"SIG{name} to {count_of(meant.rows)}", deeds)

            self._layers.append(Menu(title, items, chosen, "TERM"))
        else:
            what = f"{action.name} {count_of(meant.rows)}"
            self._layers.append(Question(question_of(action, meant), lambda: self._do_all(what, meant.deeds)))

    def _do_all(self, what: str, deeds: Sequence[Deed]) -> None:
        self._view.marked.clear()
        Batch(what, deeds, self._feed, self._say)

    def _act(self, action: Action, row: Row | None) -> None:
        if self._is_refused(action):
            return
        if row is None:
            self._say("choose a row first, with ↑ and ↓", "yellow")
        elif isinstance(deed := action.deed(row), str):
            self._say(deed, "yellow")
        elif action is actions.SIGNAL:
            items = list(actions.SIGNAL_WORDS.items())
            whom = actions.what_of(row)
            whom += "" if row.process else f", {actions.running(row)} running"
            chosen = partial(self._send_signal, row)
            self._layers.append(Menu(f"Send a signal to {whom}: which one?", items, chosen, "TERM"))
        elif deed.question:
            self._layers.append(Question(deed.question, partial(self._do, deed)))
        else:
            self._do(deed)

    def _send_signal(self, row: Row, name: str) -> None:
        self._do(actions.signal_deed(row, name))

    def _do(self, deed: Deed) -> None:
        waiting = deed.command != "signal"

        def told(reply: dict[str, Any] | None, problem: CircusError | None) -> None:
            if problem is not None:
                self._say(actions.failure_of(deed, problem), "red")
            else:
                self._say(actions.result_of(deed, reply or {}))

        def on_its_way(row: Mapping[str, Any]) -> None:
            self._say(line_of(row), "cyan")

        self._say(f"{deed.what} …", "cyan")
        if not self._feed.ask(deed.command, deed.properties, told, waiting=waiting, progress=on_its_way):
            self._say("too much is on its way already: wait for some of it", "yellow")

    # -- the tree below processes -----------------------------------------------------------------------------------

    def _ask_below(self) -> None:
        now = time.monotonic()
        if self._view.view != "tree" or now < self._below_due or self._problem:
            return
        _, rows = self._view.window(self._rows, self._height)
        names = list(dict.fromkeys(row.group.name for row in rows))[:_MOST_BELOW]
        if not names:
            return
        self._below_due = float("inf")
        listed = ",".join(name.replace(",", "\\,") for name in names)
        if not self._feed.ask("tree", {"name": listed, "match": "list"}, self._took_below):
            self._below_due = now + BELOW_SECONDS

    def _took_below(self, reply: dict[str, Any] | None, problem: CircusError | None) -> None:
        self._below_due = time.monotonic() + BELOW_SECONDS
        if problem is not None:
            if getattr(problem, "code", "") == "unknown_command":
                self._view.view = VIEWS[1]
                self._say("this daemon does not tell what is below processes", "yellow")
            return
        found: dict[tuple[str, ...], Any] = {}
        for name, processes in ((reply or {}).get("watchers") or {}).items():
            for process in processes:
                found[str(name).lower(), str(process.get("wid"))] = process.get("below") or ()
        self._below = found
        self._is_old = True
        self._left_out = int((reply or {}).get("left_out") or 0)
