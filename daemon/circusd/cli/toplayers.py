"""What lies over the table of ``circus-top`` for a while: a question, a choice, a line to type in, pages to read."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from typing import Protocol

from circusd.cli.keyboard import Paste
from circusd.cli.terminal import Style, clean, cut
from circusd.cli.toppage import fit

TEXT_LIMIT = 200
"""Characters that may be typed."""

_BACK = ("escape", "q")


class Layer(Protocol):
    """Keys go to the layer; it says which lines take the place of the table, if any, and of the last line."""

    def body(self, style: Style, width: int, height: int) -> list[str] | None:
        """Lines in place of the table; None where that stays."""
        ...

    def foot(self, style: Style, width: int) -> list[str]:
        """Lines in place of the last one."""
        ...

    def press(self, key: str) -> bool:
        """A key was pressed; tells whether the layer stays."""
        ...


class Question:
    """Asks before something is done: only ``y`` means yes."""

    def __init__(self, text: str, yes: Callable[[], None]) -> None:
        self._text = text
        self._yes = yes

    def body(self, style: Style, width: int, height: int) -> list[str] | None:
        """The table stays: it shows what is meant."""
        return None

    def foot(self, style: Style, width: int) -> list[str]:
        """The question, however long it is, and how to answer."""
        lines = [style.paint(line, "yellow", "bold") for line in wrapped(self._text, width)]
        return [*lines, keys_line([("y", "yes"), ("n", "no")], style, width)]

    def press(self, key: str) -> bool:
        """Whatever means neither yes nor no changes nothing; nor does what was pasted."""
        if isinstance(key, Paste):
            return True
        if key in ("y", "Y"):
            self._yes()
        return key not in ("y", "Y", "n", "N", "enter", *_BACK)


class Menu:
    """One of some things is chosen with the arrow keys, or by the beginning of its name."""

    def __init__(
        self, title: str, items: Sequence[tuple[str, str]], chosen: Callable[[str], None], begin: str = ""
    ) -> None:
        """``items`` are names, each with words for it."""
        self._title = title
        self._items = items
        self._chosen = chosen
        self._typed = ""
        self._place = next((i for i, (name, _) in enumerate(items) if name == begin), 0)

    def body(self, style: Style, width: int, height: int) -> list[str]:
        """The choices, as many as there is room for."""
        lines = [style.paint(line, "bold") for line in wrapped(self._title, width)]
        room = max(1, height - len(lines) - 1)
        top = max(0, min(self._place - room // 2, len(self._items) - room))
        cells = max(len(name) for name, _ in self._items)
        for i, (name, words) in list(enumerate(self._items))[top : top + room]:
            text = fit(f" {name.ljust(cells)}  {words}", width).rstrip()
            lines.append(style.paint(fit(text, width), "reverse") if i == self._place else text)
        return lines

    def foot(self, style: Style, width: int) -> list[str]:
        """What can be pressed."""
        shown = [("↑↓", "choose"), ("enter", "take it"), ("esc", "leave")]
        return [keys_line([*shown, (self._typed, "…")] if self._typed else shown, style, width)]

    def press(self, key: str) -> bool:
        """Enter takes what is chosen."""
        steps = {"up": -1, "down": 1, "pageup": -10, "pagedown": 10, "home": -1000, "end": 1000}
        if key in steps:
            self._place = max(0, min(self._place + steps[key], len(self._items) - 1))
            self._typed = ""
        elif key == "enter":
            self._chosen(self._items[self._place][0])
        elif len(key) == 1 and not isinstance(key, Paste):
            self._typed += key.lower()
            names = [name.lower() for name, _ in self._items]
            found = next((i for i, name in enumerate(names) if name.startswith(self._typed)), None)
            if found is None:
                self._typed = ""
            else:
                self._place = found
        return key not in ("enter", "escape")


class Line:
    """A line to type in; each change counts at once."""

    def __init__(self, title: str, text: str, changed: Callable[[str], None]) -> None:
        self._title = title
        self._before = text
        self._text = text
        self._changed = changed

    def body(self, style: Style, width: int, height: int) -> list[str] | None:
        """The table stays: it shows what the line does."""
        return None

    def foot(self, style: Style, width: int) -> list[str]:
        """What was typed, its end if it is long."""
        room = max(1, width - len(self._title) - 2)
        shown = clean(self._text)[-room:]
        typed = f"{style.paint(self._title, 'bold')} {shown}{style.paint(' ', 'reverse')}"
        return [
            typed,
            keys_line([("enter", "keep"), ("esc", "as before"), ("ctrl-u", "empty")], style, width),
        ]

    def press(self, key: str) -> bool:
        """Characters are added; Enter keeps the text, Escape brings back what was there."""
        if key in ("enter", "escape"):
            if key == "escape":
                self._changed(self._before)
            return False
        text = self._text
        if key == "backspace":
            text = text[:-1]
        elif key == "ctrl-w":
            text = " ".join(text.split()[:-1])
        elif key == "ctrl-u":
            text = ""
        elif isinstance(key, Paste) or len(key) == 1:
            text += " ".join(key.split()) if isinstance(key, Paste) else key
        if text != self._text:
            self._text = text[:TEXT_LIMIT]
            self._changed(self._text)
        return True


class Pages:
    """Lines to read, scrolled where there are more than fit."""

    def __init__(
        self,
        lines: Callable[[Style, int], list[str]],
        leave: Sequence[str] = (),
        more: Sequence[tuple[str, str]] = (),
    ) -> None:
        """``lines`` makes them for a width; ``leave`` are keys that close it too, ``more`` those that somebody else answers."""
        self._lines = lines
        self._more = more
        self._leave = leave
        self._top = 0
        self._most = 0
        self._page = 1

    def body(self, style: Style, width: int, height: int) -> list[str]:
        """The lines that are seen."""
        lines = self._lines(style, width)
        self._page = max(1, height - 1)
        self._most = max(0, len(lines) - height)
        self._top = min(self._top, self._most)
        return lines[self._top : self._top + height]

    def foot(self, style: Style, width: int) -> list[str]:
        """What can be pressed."""
        scroll = [("↑↓", "scroll")] if self._most else []
        return [keys_line([("esc", "back"), *scroll, *self._more], style, width)]

    def press(self, key: str) -> bool:
        """It is scrolled, or left."""
        if isinstance(key, Paste):
            return True
        steps = {
            "up": -1,
            "down": 1,
            "pageup": -self._page,
            "pagedown": self._page,
            " ": self._page,
            "home": -self._most,
            "end": self._most,
        }
        self._top = max(0, min(self._top + steps.get(key, 0), self._most))
        return key not in (*_BACK, "enter", "left", *self._leave)


def wrapped(text: str, width: int, most: int = 4) -> list[str]:
    """The text on lines that fit; no more than so many of them."""
    lines = textwrap.wrap(clean(text[: 4 * most * width]), max(width, 10), break_on_hyphens=False) or [""]
    if len(lines) > most:
        lines = [*lines[: most - 1], lines[most - 1] + " …"]
    # Letters may be wider than they are counted there.
    return [cut(line, width) for line in lines]


def keys_line(keys: Sequence[tuple[str, str]], style: Style, width: int) -> str:
    """Keys with what they do, as many as there is room for; the first ones matter most."""
    shown, left = [], width
    for key, words in keys:
        cells = len(key) + len(words) + 1
        if cells <= left:
            shown.append(f"{style.paint(key, 'bold')} {style.paint(words, 'dim')}")
            left -= cells + 2
    return "  ".join(shown)
