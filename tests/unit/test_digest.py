"""What is told of the events: which, when, in which words, and that no flood of them becomes one of messages."""

from __future__ import annotations

import random
from typing import Any

import pytest

from circusd.plugins.digest import LINE_FIELDS, MOST_LINES, TITLE_FIELDS, Digest, Template, plain
from circusd.plugins.ends import AskedFor
from circusd.schema.events import EVENTS


def digest(**options: Any) -> Digest:
    given = {
        "level": "warning",
        "events": (),
        "watchers": (),
        "gather": 5.0,
        "repeat": 60.0,
        "rate": 3,
        "per": 100.0,
    }
    return Digest(**{**given, **options})


def event(
    kind: str = "process.exited", watcher: str | None = "web", level: str = "warning", **more: Any
) -> dict[str, Any]:
    about = {} if watcher is None else {"watcher": watcher}
    return {
        "event": kind,
        "level": level,
        "time": 1e9,
        "number": 1,
        "pid": 7,
        "text": "1 exited",
        **about,
        **more,
    }


def test_events_that_come_together_are_one_message() -> None:
    """It comes when nothing more is waited for, and not before."""
    box = digest()
    assert box.wake_at() is None
    box.take(event(), 10)
    box.take(event(watcher="db", text="2 exited", level="error"), 12)
    assert box.wake_at() == 15
    assert box.message(14.9) is None
    message = box.message(15)
    assert message is not None
    assert (message.count, message.level, message.summary) == (2, "error", "2 events of web, db")
    assert box.wake_at() is None
    assert box.message(1000) is None


def test_only_what_is_wanted_is_told() -> None:
    """By level, by name whatever the level, by watcher; what happens to circusd itself belongs to all."""
    box = digest(level="error", events=("daemon", "process.started"), watchers=("web*",), repeat=0)
    for one in (
        event(),
        event("process.failed", level="error"),
        event("process.started", level="info"),
        event("process.failed", "db", level="error"),
        event("daemon.reloaded", None, level="info"),
        event("daemons.other", None, level="info"),
    ):
        box.take(one, 0)
    message = box.message(5)
    assert message is not None
    told = [one["event"] for one in message.events]
    assert told == ["process.failed", "process.started", "daemon.reloaded"]


def test_end_that_was_asked_for_worries_nobody() -> None:
    """A process that circusd was told to stop may end; a later one of that pid is another."""
    box = digest(repeat=0)
    box.take(event("process.signalled", level="info", signum=15), 0)
    box.take(event(), 1)
    assert box.wake_at() is None
    box.take(event(), 2)
    assert box.wake_at() == 7


@pytest.mark.parametrize(
    ("signum", "end", "asked_for"),
    [
        (15, {"code": 3, "signal": None}, True),
        (9, {"code": None, "signal": 9}, True),
        (1, {"code": 0, "signal": None}, True),
        (10, {"code": None, "signal": 10}, True),
        (1, {"code": 3, "signal": None}, False),
        (10, {"code": None, "signal": 11}, False),
    ],
)
def test_crash_after_a_signal_to_reload_is_a_crash(signum: int, end: dict[str, Any], asked_for: bool) -> None:
    """Only who sends a signal that ends wants an end; after others a clean one, or one by that signal, was meant."""
    ends = AskedFor()
    ends.hear(event("process.signalled", signum=signum))
    assert ends.hear(event(**end)) is asked_for
    assert ends.hear(event(**end)) is False


def test_repeated_event_is_counted_and_the_count_is_told() -> None:
    """Once when it happens, once with the number when its time is over, though nothing else happens."""
    box = digest()
    for second in range(41):
        box.take(event(), second)
    first = box.message(5)
    assert first is not None
    assert first.count == 1
    assert first.summary == "web: 1 exited"
    assert box.wake_at() == 60
    assert box.message(60) is None
    second_message = box.message(65)
    assert second_message is not None
    assert (second_message.events, second_message.again) == ((), (("web", "process.exited", 40),))
    assert second_message.summary == "40 events of web"
    box.take(event(), 66)
    assert box.wake_at() == 71


def test_no_more_messages_than_allowed_and_nothing_is_forgotten() -> None:
    """What is kept back is in the next one; what is too much for one is counted."""
    box = digest(repeat=0, gather=0)
    for second in range(3):
        box.take(event(), second)
        assert box.message(second) is not None
    for number in range(MOST_LINES + 20):
        box.take(event(text=str(number)), 3)
    assert box.message(3) is None
    assert box.wake_at() == 100
    message = box.message(100)
    assert message is not None
    assert (len(message.events), message.counted, message.count) == (MOST_LINES, 20, MOST_LINES + 20)


def test_random_floods_keep_to_the_rate_and_lose_no_event() -> None:
    """Whatever comes when: never more than ``rate`` messages in ``per``, and all events are told or counted."""
    for seed in range(200):
        chance = random.Random(seed)
        box = digest(
            repeat=chance.choice([0, 7, 60]),
            gather=chance.choice([0, 5]),
            rate=chance.choice([1, 3]),
            watchers=(),
        )
        now, taken, told, sent = 0.0, 0, 0, []
        for _ in range(chance.randrange(300)):
            now += chance.choice([0, 0.125, 3, 40])
            while (at := box.wake_at()) is not None and at <= now:
                message = box.message(at)
                if message is not None:
                    sent.append(at)
                    told += message.count
            box.take(event(chance.choice(["process.exited", "hook.failed"]), chance.choice("abc")), now)
            taken += 1
        while (at := box.wake_at()) is not None:
            message = box.message(max(at, now))
            if message is not None:
                sent.append(max(at, now))
                told += message.count
        assert told == taken
        assert all(b - a >= 100 for a, b in zip(sent, sent[box.rate :], strict=False))


def test_templates_know_the_fields_of_every_event() -> None:
    """Names are replaced, those that an event does not have are empty, and braces can be written."""
    for kind in EVENTS:
        assert set(kind.fields) <= set(LINE_FIELDS)
    line = Template("template", "{{{watcher}}} {code}\\n{text}", LINE_FIELDS)
    assert line.filled({"watcher": "web", "text": "gone"}) == "{web} \ngone"


@pytest.mark.parametrize(
    "text",
    [
        "{nobody}",
        "{watcher.name}",
        "{watcher[0]}",
        "{watcher!r}",
        "{watcher:>99999999}",
        "{}",
        "{0}",
        "{",
        "}",
        "{daemon.__class__}",
    ],
)
def test_template_with_anything_else_is_refused(text: str) -> None:
    """Only plain names: nothing can be asked of a value that came from elsewhere."""
    with pytest.raises(ValueError, match=r"title: .*(known are daemon|a brace is written)"):
        Template("title", text, TITLE_FIELDS)


def test_hostile_text_is_told_as_it_stands() -> None:
    """Names of watchers and what processes say can neither begin a new line, nor obey, nor fill a mail."""
    line = Template("template", "{about}", LINE_FIELDS)
    told = line.filled({"about": "evil\r\nBcc: all@example.org\x1b[31m\u202e{text}" + "x" * 10_000})
    assert "\n" not in told
    assert "\r" not in told
    assert told.startswith("evil\\x0d\\x0aBcc: all@example.org\\x1b[31m\\x202e{text}xxx")
    assert len(told) < 600
    assert plain("a\u2028b\x00\ud800") == "a\\x2028b\\x00\\xd800"
