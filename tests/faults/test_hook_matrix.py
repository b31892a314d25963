"""Each hook with each outcome: true, false, raises, raises and is ignored, hangs; and circusd answers throughout."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from circusd.schema.errors import CircusError
from circusd.schema.options import HOOKS
from tests.daemon import Daemon
from tests.faults.measures import Pings, events, report
from tests.outputs import LAG
from tests.waiting import eventually

MODULE = """
import time

def true(watcher, arbiter, hook_name, **kwargs):
    kwargs.get("stats", {})["mark"] = 1
    return True

def false(watcher, arbiter, hook_name, **kwargs):
    kwargs.get("stats", {})["mark"] = 0
    return False

def raises(watcher, arbiter, hook_name, **kwargs):
    raise RuntimeError("no database")

ignored = raises

def hangs(watcher, arbiter, hook_name, **kwargs):
    time.sleep(1000)
"""

HOW = ("true", "false", "raises", "ignored", "hangs")
HANGS = 2.5
"""Seconds until a hook that hangs is ended; much longer than anything may be late."""

GRACE = 1.0
"""Seconds that a process has to end in; less than a hook that hangs takes."""


def configuration(folder: Path) -> str:
    """A watcher for each pair, none of them started."""
    sections = [f"[env]\nPYTHONPATH = {folder}\n[watcher:bystander]\ncmd = sleep 1000\n"]
    sections += [
        f"[watcher:{hook}-{how}]\ncmd = sleep 1000\nautostart = false\nhook_timeout = {HANGS}\ngraceful_timeout = {GRACE}\n"
        f"hooks.{hook} = matrixhooks.{how}{',true' if how == 'ignored' else ''}\n"
        for hook in HOOKS
        for how in HOW
    ]
    return "".join(sections)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    folder = tmp_path_factory.mktemp("matrix")
    folder.joinpath("matrixhooks.py").write_text(MODULE)
    with Daemon(configuration(folder), folder) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def pings(daemon: Daemon) -> Iterator[Pings]:
    """Asked from before the first hook until after the last."""
    with Pings(daemon) as pings:
        yield pings
    report(f"the matrix of hooks: {pings}")


def starts(daemon: Daemon, name: str) -> None:
    """It runs."""
    eventually(lambda: daemon.call("status", name=name)["status"] == "active", within=20, what=f"{name} runs")
    assert len(daemon.pids(name)) == 1


def does_not_stay(daemon: Daemon, name: str) -> None:
    """It does not run, and says which hook is to blame."""
    eventually(lambda: events(daemon, "hook.failed", name), within=20, what=f"{name} has failed")
    eventually(lambda: daemon.call("status", name=name)["status"] == "stopped", within=20)
    assert daemon.pids(name) == []
    assert name.partition("-")[0] in daemon.watcher(name)["explain"]


def ended_by(daemon: Daemon, name: str, signum: int) -> None:
    """A stop ends it by that signal."""
    daemon.call("stop", name=name, waiting=True)
    assert daemon.call("status", name=name)["status"] == "stopped"
    assert [event["signal"] for event in events(daemon, "process.exited", name)] == [signum]


def starts_and_stops(daemon: Daemon, name: str) -> None:
    """As if there were no hook."""
    starts(daemon, name)
    ended_by(daemon, name, signal.SIGTERM)


def is_killed(daemon: Daemon, name: str) -> None:
    """The signal of the stop is not sent; SIGKILL always is."""
    starts(daemon, name)
    ended_by(daemon, name, signal.SIGKILL)


def has_mark(mark: int | None) -> Callable[[Daemon, str], None]:
    """The mark that the hook has set is in extended stats, and in no others."""

    def outcome(daemon: Daemon, name: str) -> None:
        starts(daemon, name)
        (plain,) = daemon.call("stats", name=name)["info"].values()
        (extended,) = daemon.call("stats", name=name, extended=True)["info"].values()
        assert plain.get("mark") is None
        assert extended.get("mark") == mark
        assert extended["pid"] == daemon.pids(name)[0]
        ended_by(daemon, name, signal.SIGTERM)

    return outcome


Outcome = Callable[[Daemon, str], None]
DECIDES: dict[str, Outcome] = {
    "true": starts_and_stops,
    "false": does_not_stay,
    "raises": does_not_stay,
    "ignored": starts_and_stops,
    "hangs": does_not_stay,
}
MATRIX: dict[str, dict[str, Outcome]] = {
    **dict.fromkeys(("before_start", "after_start", "before_spawn", "after_spawn"), DECIDES),
    **{
        hook: dict.fromkeys(HOW, starts_and_stops)
        for hook in ("before_stop", "after_stop", "after_signal", "before_reap", "after_reap")
    },
    "before_signal": {**dict.fromkeys(HOW, is_killed), "true": starts_and_stops, "ignored": starts_and_stops},
    "extended_stats": {**dict.fromkeys(HOW, has_mark(None)), "true": has_mark(1), "false": has_mark(0)},
}


def told(daemon: Daemon, name: str) -> set[str]:
    """What was said of the hook's end."""
    return {kind for kind in ("hook.succeeded", "hook.failed") if events(daemon, kind, name)}


@pytest.mark.parametrize("hook", HOOKS)
def test_matrix(daemon: Daemon, pings: Pings, hook: str) -> None:
    """The five outcomes of one hook, at the same time; each is told, and nothing else notices."""
    before = daemon.pids("bystander")
    for how in HOW:
        try:
            daemon.call("start", name=f"{hook}-{how}")
        except CircusError:
            # What is decided at once is an answer too.
            assert MATRIX[hook][how] is does_not_stay
    for how in HOW:
        MATRIX[hook][how](daemon, f"{hook}-{how}")
    # Whoever looks at stats is no reason for an event, unless that fails.
    success = {"hook.succeeded"} if hook != "extended_stats" else set()
    expected: dict[str, Any] = {
        "true": success,
        "raises": {"hook.failed"},
        "hangs": {"hook.failed"},
    }
    for how, kinds in expected.items():
        eventually(
            lambda how=how, kinds=kinds: told(daemon, f"{hook}-{how}") == kinds,
            within=20,
            what=f"{hook} {how}",
        )
    errors = [event["error"] for event in events(daemon, "hook.failed", f"{hook}-hangs")]
    assert all(f"did not come back within {HANGS:g} s" in error for error in errors)
    assert daemon.pids("bystander") == before
    assert not pings.errors
    assert pings.share(0.99) < LAG
