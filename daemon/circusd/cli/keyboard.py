"""Keys as a terminal sends them: bytes become names; what was pasted is text, and never a row of keys."""

from __future__ import annotations

import codecs
import re

ESCAPE_SECONDS = 0.1
"""An escape byte that nothing follows for so long is the key itself."""

PASTE_LIMIT = 1000
"""Characters of a paste that are kept."""

_FINALS = {
    "A": "up",
    "B": "down",
    "C": "right",
    "D": "left",
    "H": "home",
    "F": "end",
    "Z": "backtab",
    "P": "f1",
    "R": "f3",
    "S": "f4",
}
_NUMBERS = {
    "1": "home",
    "3": "delete",
    "4": "end",
    "5": "pageup",
    "6": "pagedown",
    "7": "home",
    "8": "end",
    "11": "f1",
    "13": "f3",
    "14": "f4",
}
_SINGLE = {
    "\r": "enter",
    "\n": "enter",
    "\t": "tab",
    "\x7f": "backspace",
    "\x08": "backspace",
    "\x0c": "ctrl-l",
    "\x15": "ctrl-u",
    "\x17": "ctrl-w",
}
_SEQUENCE = re.compile(r"\x1b(?:\[([0-?]{0,32}[ -/]{0,4})([@-~])|O([A-Za-z]))")
_BEGUN = re.compile(r"\x1b(?:\[[0-?]{0,32}[ -/]{0,4}|O)?\Z")
_PASTE_BEGINS, _PASTE_ENDS = "\x1b[200~", "\x1b[201~"


class Paste(str):
    """Text that was pasted."""

    __slots__ = ()


class Keyboard:
    """What was read so far: whole keys are taken out, and the beginning of one waits for the rest."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._left = ""
        self._pasted: str | None = None

    @property
    def waits(self) -> bool:
        """Whether an escape byte is there that may begin something, or be a key."""
        return self._pasted is None and bool(self._left)

    def feed(self, data: bytes) -> list[str]:
        """The keys that are whole by now: a character, or a name such as ``up``; pastes as `Paste`."""
        self._left += self._decoder.decode(data)
        keys: list[str] = []
        while self._left and self._take(keys):
            pass
        return keys

    def flush(self) -> list[str]:
        """Nothing has followed: the escape byte was the key, and what had begun behind it means nothing."""
        left, self._left = self._left, ""
        return ["escape"] if left else []

    def _take(self, keys: list[str]) -> bool:
        """Whether something was taken from the beginning of what is left."""
        if self._pasted is not None:
            return self._take_paste(keys)
        if self._left.startswith(_PASTE_BEGINS):
            self._left = self._left[len(_PASTE_BEGINS) :]
            self._pasted = ""
            return True
        first = self._left[0]
        if first != "\x1b":
            self._left = self._left[1:]
            if name := _SINGLE.get(first, first if first.isprintable() else ""):
                keys.append(name)
            return True
        if found := _SEQUENCE.match(self._left):
            self._left = self._left[found.end() :]
            numbers, final, other = found.groups()
            number = (numbers or "").partition(";")[0]
            name = _NUMBERS.get(number, "") if final == "~" else _FINALS.get(final or other, "")
            if name:
                keys.append(name)
            return True
        if _BEGUN.match(self._left):
            return False
        # Alt with a key, or nothing that is known: the escape byte alone counts.
        self._left = self._left[1:]
        keys.append("escape")
        return True

    def _take_paste(self, keys: list[str]) -> bool:
        text, end, rest = self._left.partition(_PASTE_ENDS)
        if not end:
            # The mark may have come in part.
            keep = next((n for n in range(len(_PASTE_ENDS) - 1, 0, -1) if text.endswith(_PASTE_ENDS[:n])), 0)
            text, rest = (text[:-keep], text[-keep:]) if keep else (text, "")
        self._pasted = ((self._pasted or "") + text)[:PASTE_LIMIT]
        self._left = rest
        if end:
            keys.append(Paste(self._pasted))
            self._pasted = None
        return bool(end)
