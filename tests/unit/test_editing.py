"""The text of an ini file while options are changed in it: what was not meant stays letter by letter."""

from __future__ import annotations

import pytest

from circusd.config.editing import IniText

TEXT = """\
# what it is
[circus]
check_delay = 5

[watcher:web]
; the shop
cmd = ./shop ; started by hand before
args =
    --port 80
    # not an argument? it is a comment in no column but the first
# between
    --loud
numprocesses=2

# the queue
[watcher:worker]
cmd: ./worker
"""


def edited(*changes: tuple[str, ...]) -> str:
    text = IniText("x.ini", TEXT)
    for verb, *words in changes:
        getattr(text, verb)(*words)
    return text.text


@pytest.mark.parametrize(
    ("change", "old", "new"),
    [
        (("set", "watcher:web", "numprocesses", "3"), "numprocesses=2\n", "numprocesses=3\n"),
        (
            ("set", "watcher:web", "cmd", "./new"),
            "cmd = ./shop ; started by hand before\n",
            "cmd = ./new ; started by hand before\n",
        ),
        (("set", "watcher:worker", "cmd", "./w2"), "cmd: ./worker\n", "cmd: ./w2\n"),
        (("set", "watcher:web", "tags", "a b"), "numprocesses=2\n", "numprocesses=2\ntags = a b\n"),
        (("set", "watcher:worker", "shell", "true"), "cmd: ./worker\n", "cmd: ./worker\nshell = true\n"),
        (
            ("set", "watcher:web", "args", "--port 81"),
            TEXT[TEXT.index("args =") : TEXT.index("numprocesses=2")],
            "args = --port 81\n# between\n",
        ),
        (("take_away", "watcher:web", "numprocesses"), "numprocesses=2\n", ""),
        (("take_away", "watcher:web", "nothing"), "", ""),
        (("set", "watcher:new", "cmd", "x"), "cmd: ./worker\n", "cmd: ./worker\n\n[watcher:new]\ncmd = x\n"),
        (
            ("remove", "watcher:web"),
            TEXT[TEXT.index("[watcher:web]") : TEXT.index("# the queue")],
            "",
        ),
    ],
)
def test_one_change_leaves_every_other_line(change: tuple[str, ...], old: str, new: str) -> None:
    """Comments, order, the way of writing, and the comment behind the value."""
    assert edited(change) == TEXT.replace(old, new)


def test_ends_of_lines_stay_as_they_are() -> None:
    """Of a file from another system too, and where the last line has none."""
    text = IniText("x.ini", "[a]\r\nb = 1\r\nc = 2")
    text.set("a", "c", "3")
    text.set("a", "d", "4")
    assert text.text == "[a]\r\nb = 1\r\nc = 3\r\nd = 4"


def test_of_a_secret_its_name_may_be_seen() -> None:
    """For the difference that is shown: variables, and what is named like a secret; nothing of their values."""
    text = IniText(
        "x.ini", "[env]\n# why\nKEY = a\n  b=c\nOTHER: d = e\n[watcher:a]\ncmd = x\ndb_password=s\n"
    )
    assert text.secrets() == [None, None, "KEY = ", "    ", "OTHER: ", None, None, "db_password=", None]
