"""What counts as a crash, what is said of one, and what becomes of a file of reports: nothing here needs a process."""

from __future__ import annotations

import json
from typing import Any

import pytest

from circusd.cli.crashviews import crash, crashes
from circusd.cli.render import text_of
from circusd.cli.terminal import Style
from circusd.core.crash import alike, differences, is_crash, killed_by, meaning, what_next
from circusd.core.process import Happening, Kind, Policy, Process, State
from circusd.runtime.crashfile import Kept, dump, parse

UP, GOING = Process(1, State.RUNNING, pid=5), Process(1, State.STOPPING, pid=5)
HOSTILE = "\x1b]0;owned\x07\x1b[2J<script>alert(1)</script>\u202egnp"


def exited(code: int | None = None, signal: int | None = None) -> Happening:
    return Happening(Kind.EXITED, code=code, signal=signal)


@pytest.mark.parametrize(
    ("process", "event", "sent", "expected"),
    [
        (UP, exited(0), (), False),
        (UP, exited(1), (), True),
        (UP, exited(3), (), False),
        (UP, exited(signal=11), (), True),
        (UP, exited(signal=15), (), False),
        (UP, exited(), (), True),
        # A signal that a person has had sent is none of a stop.
        (UP, exited(signal=10), (10,), True),
        (GOING, exited(1), (2,), False),
        (GOING, exited(signal=2), (2,), False),
        (GOING, exited(signal=9), (2, 9), False),
        (GOING, exited(signal=11), (2,), True),
        (GOING, exited(), (), False),
        (Process(1, State.STOPPING, pid=5, amiss=True), exited(0), (15,), True),
        (Process(1, State.BACKOFF), Happening(Kind.REFUSED, stage="exec"), (), True),
    ],
)
def test_failure_is_what_the_policy_calls_so(
    process: Process, event: Happening, sent: tuple[int, ...], expected: bool
) -> None:
    """By itself each end that is no success; while it is being stopped only a signal that nobody of us has sent."""
    policy = Policy(success=frozenset({0, 3, -15}))
    assert is_crash(process, event, policy, sent) is expected


def test_meaning_is_told_where_there_is_one() -> None:
    """Of signals, and of the codes that shells have for them; no code of a program's own is explained."""
    assert "memory that is not its own" in meaning(None, 11)
    assert meaning(139, None) == "a shell's word for a program that was ended by SIGSEGV"
    assert "did not find" in meaning(127, None)
    assert [meaning(1, None), meaning(None, None), meaning(255, None), meaning(None, 9)] == [""] * 4


def test_a_kill_is_never_guessed_at_as_a_fact() -> None:
    """By what was counted: once, not at all, or nothing is known."""
    assert "has struck once in this group since 10:00:00, probably here" in killed_by(
        [("this group", 1), ("this machine", 1)], "10:00:00"
    )
    assert "has not struck in a and b since 9:00" in killed_by([("a", 0), ("b", 0)], "9:00")
    assert killed_by([], "") == "circusd did not send it: perhaps the kernel's out-of-memory killer"


@pytest.mark.parametrize(
    ("process", "text"),
    [
        (Process(1, State.BACKOFF, next_try=13.0), "it is started again in 3.0 s"),
        (Process(1, State.FAILED), "it was given up: nothing more happens until somebody starts it"),
        (Process(1, State.FAILED, next_try=40.0), "it was given up, and is tried again in 30 s"),
        (Process(1, State.EXITED), "it is not started again, as respawn is off"),
        (Process(1, State.STARTING), "it is started again at once"),
        (Process(1, State.STOPPED), "it was being stopped, and stays so"),
    ],
)
def test_what_comes_next_is_said(process: Process, text: str) -> None:
    """One sentence for each state that a failure can lead to."""
    assert what_next(process, 10.0, Policy(respawn=False)) == text


def test_ends_are_alike_when_only_numbers_in_their_lines_differ() -> None:
    """Neither the signal nor what was changed is such a number."""
    lines = ["12:03:01 at 0x7fff02 request 17 failed"]
    assert alike("9", lines) == alike("9", ["09:00:59 at 0xdead1 request 4 failed"])
    assert alike("9", lines) != alike("11", lines)
    assert alike("9", lines) != alike("9", ["12:03:01 at 0x7fff02 request 17 passed"])


def test_differences_go_down_into_mappings() -> None:
    """Each key on its own, with where it stands; what is the same is not told."""
    was = {"cmd": "a", "env": {"A": "1", "B": "2"}, "n": 1}
    now = {"cmd": "b", "env": {"B": "3", "C": "4"}, "n": 1}
    assert differences(was, now) == [
        (("cmd",), "a", "b"),
        (("env", "A"), "1", None),
        (("env", "B"), "2", "3"),
        (("env", "C"), None, "4"),
    ]


def kept(watcher: str = "web", number: int = 1, **report: Any) -> Kept:
    data = json.dumps({"how": HOSTILE, **report}).encode()
    return Kept(watcher, number, data, "abc", 3, 12.5, 7, "next", None, 2)


def test_file_gives_back_what_was_written() -> None:
    """Also where a name or a line looks like a part of the file."""
    rows = [kept('a","report":null'), kept(number=2, lines=[{"text": '"report":null\n'}])]
    again = parse(dump(rows, 0.0), 0.0)
    assert [row._replace(report=b"") for row in again] == [row._replace(report=b"") for row in rows]
    assert [json.loads(row.report) for row in again] == [json.loads(row.report) for row in rows]


def test_damaged_lines_are_passed_over() -> None:
    """Whatever is in the file, the good ones count; a file of another version is none."""
    good = dump([kept()], 0.0)
    head, line = good.split(b"\n")[:2]
    bad = [
        b"",
        b"{",
        b"[1]",
        b"\xff\xfe",
        b"[" * 100_000,
        line.replace(b'"ends":3', b'"ends":-1'),
        line.replace(b'"id":1', b'"id":true'),
        line.replace(b"12.5", b"NaN"),
        line.replace(b"12.5", b"1e999"),
        line.replace(b'"watcher":"web"', b'"watcher":5'),
        line[: len(line) // 2],
    ]
    assert [row.watcher for row in parse(b"\n".join([head, *bad, line]), 0.0)] == ["web"]
    with pytest.raises(ValueError, match="version"):
        parse(b'{"version": 99}\n' + line, 0.0)


REPORT = {
    "id": 3, "watcher": HOSTILE, "wid": 2, "pid": 77, "started": 1000.0, "ended": 1060.0, "lived": 60.0, "code": None, "signal": 11,
    "signal_name": "SIGSEGV", "stage": "", "errno": 0, "how": HOSTILE, "means": HOSTILE, "killer": HOSTILE, "core": True,
    "core_dump": {"path": HOSTILE, "size": 2048, "handler": "", "hint": ""}, "stop": {"command": "stop", "by": HOSTILE},
    "sent": [{"signal": "SIGTERM", "time": 1059.0, "by": HOSTILE}], "since": 900.0, "next": HOSTILE, "next_try": None,
    "usage": {"user": 1.5, "system": 0.2, "max_rss": 3 << 20, "is_bound": True, "minor_faults": 1, "major_faults": 2,
              "voluntary": 3, "involuntary": 4, "blocks_in": 0, "blocks_out": 0},
    "load": {"times": [1000.0, 1030.0], "cpu": [1.0, 2.0], "rss": [None, 4096]},
    "changes": [{"option": HOSTILE, "was": None, "now": HOSTILE}],
    "files": [{"file": HOSTILE, "what": "executable", "was": {"modified": 1.0, "size": 1, "inode": 1}, "now": None}],
    "lines": [{"time": 1059.5, "stream": "stderr", "number": 1, "text": HOSTILE}],
    "count": 4, "last": 1070.0, "last_pid": 78, "others": 9,
}  # fmt: skip


@pytest.mark.parametrize("color", [True, False])
def test_nothing_of_a_report_commands_a_terminal(color: bool) -> None:
    """Names, lines, values, paths and people are hostile text; colours of lines are all that is left of it."""
    style = Style(terminal=True, color=color, width=80)
    reply = {"time": 1100.0, "crash": REPORT}
    table = {"time": 1100.0, "crashes": [REPORT], "problem": HOSTILE}
    for text in (crash(reply, style), crashes(table, style), text_of("crash", reply, style)):
        plain = text.replace("\x1b[2J", "clear") if not color else text
        assert "\x1b]" not in text
        assert "\x07" not in text
        assert "\u202e" not in text
        assert "\x1b[2J" not in text
        assert color or "\x1b" not in plain


def test_report_says_all_that_is_known() -> None:
    """And a report of which little is known says that."""
    style = Style(terminal=True, color=False, width=200)
    text = crash({"time": 1100.0, "crash": REPORT}, style)
    for part in (
        "after 60 s", "no more than 3.0 MiB", "4, the last 30 s ago", "9 more failures", "it was being stopped: stop by",
        "SIGTERM at", "2.0 KiB", "most 2.0 %", "not set →", "is gone", "1.5 s user",
    ):  # fmt: skip
        assert part in text, part
    little = crash(
        {"time": 1.0, "crash": {"id": 1, "watcher": "w", "wid": 1, "how": "ended", "core": True}}, style
    )
    assert "not known where to" in little
    assert "has not had a good start" in little
    assert crashes({"crashes": []}, style) == "no crash reports"
