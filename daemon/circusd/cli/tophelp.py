"""What ``circus-top`` says of its keys: on the screen, and in its manual page."""

from __future__ import annotations

from circusd.cli.terminal import Style
from circusd.cli.toplayers import wrapped
from circusd.cli.toprows import ORDERS

KEYS = (
    ("↑ ↓ PgUp PgDn Home End", "choose a row; it stays the same watcher or process wherever it moves"),
    ("→ ←", "open and fold what is below it"),
    (
        "Space",
        "mark the row and go to the next one; again: not any more. What is done is done to all that are marked, after one question",
    ),
    ("Enter", "all that is known of the watcher: why it is so, the last hour, its last lines of output"),
    ("Esc", "back: leaves what was opened, then nothing is marked, ends a filter, chooses nothing"),
    ("r", "restart the watcher or the one process, after a question"),
    ("x", "stop the watcher, after a question"),
    ("s", "start the watcher"),
    ("k", "send a signal, which is chosen from a list"),
    ("z", "freeze the watcher or the one process, after a question; thaw what is frozen"),
    ("+ -", "one process more of the watcher; one fewer, after a question"),
    ("/", "filter: words of names, states, pids and @tags, all of which must be there"),
    ("!", "only watchers that need somebody: failed, given up or waiting for another try"),
    (
        "t T Tab",
        "the next view, or the one before: watchers, their processes, all that is below, processes alone",
    ),
    ("o", "choose the order from a list; R turns it round"),
    *((order.key, f"order: {order.words}") for order in ORDERS),
    ("%", "the processor in per cent of one, or of all"),
    ("Ctrl-L", "draw everything anew"),
    ("Ctrl-Z", "back to the shell for a while"),
    ("? h F1", "this help"),
    ("q", "quit"),
)
"""Each key with what it does."""

_KEY_CELLS = 24
_NARROW = 70


def help_lines(style: Style, width: int) -> list[str]:
    """The keys, and what the columns mean, for a terminal of that width."""
    lines = [style.paint("Keys", "bold")]
    cells = _KEY_CELLS if width >= _NARROW else 9
    for keys, words in KEYS:
        shown = style.paint(keys, "cyan")
        if len(keys) > cells:
            lines.append(f" {shown}")
            shown, keys = "", ""
        for i, line in enumerate(wrapped(words, width - cells - 2, 9)):
            before = f" {shown}{' ' * (cells - len(keys))} " if not i else " " * (cells + 2)
            lines.append(before + line)
    lines += ["", style.paint("Columns", "bold")]
    for text in (
        "PID: of a process; for a watcher how many run and how many there are to be.",
        "CPU%: in the last second, 100 is one processor. LATELY: a bar for each second of the last ones.",
        "RSS: memory that is in use now. AGE: for a watcher since its last start of a process.",
        "LINES/s: lines of output. RESTARTS: in the last hour.",
    ):
        lines += [f" {line}" for line in wrapped(text, width - 1, 9)]
    return lines
