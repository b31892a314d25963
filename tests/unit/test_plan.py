"""The plan of a reload: what it says is what the difference is, and no value of it could be a secret."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from circusd.config.difference import difference
from circusd.config.plan import ACTIONS, Running, Step, kept, steps, summary
from circusd.config.records import CircusConfig, SocketConfig, WatcherConfig


def planned(
    old: list[WatcherConfig],
    new: list[WatcherConfig],
    *,
    running: dict[str, Running] | None = None,
    circus: tuple[CircusConfig, CircusConfig] = (CircusConfig(), CircusConfig()),
    sockets: tuple[list[SocketConfig], list[SocketConfig]] = ([], []),
) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    """The steps, and what is kept, where the watchers run as the old file says unless told otherwise."""
    before, after = ({w.name.lower(): w for w in some} for some in (old, new))
    if running is None:
        running = {n: Running(w, w.numprocesses, True) for n, w in before.items()}
    found = difference(*circus, (before, after), sockets)
    return steps(found, running), kept(found, after, running)


def watcher(name: str = "web", cmd: str = "sleep 1", **options: object) -> WatcherConfig:
    return WatcherConfig(name, cmd, **options)  # type: ignore[arg-type]


def test_nothing_is_said_of_what_is_the_same() -> None:
    """No step, and a summary that says so."""
    done, stays = planned([watcher()], [watcher()])
    assert done == stays == ()
    assert summary(done) == "nothing changed"


def test_a_number_is_told_with_both_values_and_restarts_nothing() -> None:
    """As are the processes that come or go."""
    (step,), _ = planned([watcher(numprocesses=2)], [watcher(numprocesses=5)])
    assert (step.action, step.processes) == ("change", 0)
    assert step.text == "web: numprocesses 2 → 5; 3 processes are started"
    (step,), _ = planned([watcher(numprocesses=2)], [watcher(numprocesses=1)])
    assert (step.processes, step.text) == (1, "web: numprocesses 2 → 1; 1 process is stopped")


def test_what_processes_are_started_with_replaces_them() -> None:
    """The option is named, and its value is not."""
    (step,), _ = planned(
        [watcher(cmd="run --password=old", numprocesses=3)],
        [watcher(cmd="run --password=new", numprocesses=3, env={"TOKEN": "hush"})],
    )
    assert (step.action, step.keys, step.processes) == ("restart", ("cmd", "env"), 3)
    assert step.text == "web: cmd, env; 3 processes are replaced"


def test_a_stopped_watcher_stays_stopped() -> None:
    """Whatever of it changes."""
    there = {"web": Running(watcher(), 0, False)}
    (step,), _ = planned([watcher()], [watcher(cmd="other")], running=there)
    assert (step.action, step.text) == ("change", "web: cmd; it stays stopped")


def test_what_comes_and_goes_is_told_with_its_processes() -> None:
    """And one that is only added says so."""
    done, _ = planned([watcher("old", numprocesses=2)], [watcher("new"), watcher("later", autostart=False)])
    assert [step.text for step in done] == [
        "old is removed, 2 processes are stopped",
        "new is added, 1 process is started",
        "later is added and stays stopped (autostart is off)",
    ]


def test_a_name_that_changes_its_case_is_another_watcher() -> None:
    """The old one is removed before the new one is added."""
    done, _ = planned([watcher("Web")], [watcher("web")])
    assert [(s.action, s.name) for s in done] == [("remove", "Web"), ("add", "web")]


def test_a_socket_that_is_another_replaces_whoever_inherits_it() -> None:
    """Those that name it, those that inherit all, and nobody else."""
    named = watcher("named", "run $(circus.sockets.in)", use_sockets=True)
    every, other = watcher("every", "run", use_sockets=True), watcher("other", "run")
    there = [named, every, other]
    sockets = ([SocketConfig("in", port=80)], [SocketConfig("in", port=81)])
    done, _ = planned(there, there, sockets=sockets)
    assert [(s.subject, s.action, s.name) for s in done] == [
        ("socket", "reopen", "in"),
        ("watcher", "restart", "named"),
        ("watcher", "restart", "every"),
    ]
    assert "localhost:81" in done[0].text


def test_a_queue_can_change_while_a_socket_listens() -> None:
    """Nobody is restarted for it."""
    sockets = ([SocketConfig("in")], [SocketConfig("in", backlog=7)])
    named = watcher("named", "run $(circus.sockets.in)", use_sockets=True)
    done, _ = planned([named], [named], sockets=sockets)
    assert [(s.subject, s.action) for s in done] == [("socket", "adjust")]


def test_options_of_the_daemon_say_when_they_count() -> None:
    """At once, after a restart, or never."""
    circus = (CircusConfig(), CircusConfig(warmup_delay=2, pidfile="/run/x", fqdn_prefix="y"))
    done, _ = planned([], [], circus=circus)
    assert {s.name: s.action for s in done} == {
        "warmup_delay": "change",
        "pidfile": "later",
        "fqdn_prefix": "change",
    }
    assert "needs a restart of the daemon" in next(s.text for s in done if s.name == "pidfile")
    assert "without effect" in next(s.text for s in done if s.name == "fqdn_prefix")


def test_what_was_changed_at_run_time_stays_and_is_told() -> None:
    """Options, watchers that are in no file, and watchers of the file that are gone."""
    there = {
        "web": Running(watcher(numprocesses=5, env={"TOKEN": "hush"}), 5, True),
        "extra": Running(watcher("extra"), 1, True),
    }
    file = [watcher(numprocesses=2), watcher("gone")]
    done, stays = planned(file, file, running=there)
    assert done == ()
    assert [s.text for s in stays] == [
        "web keeps what was set at run time: numprocesses 2 → 5, env",
        "extra was added at run time and is in no file",
        "gone was removed at run time and is still in the file",
    ]


def test_an_option_that_the_file_changes_counts_over_what_was_set() -> None:
    """It is a change then, and not kept."""
    there = {"web": Running(watcher(numprocesses=5), 5, True)}
    (step,), stays = planned([watcher(numprocesses=2)], [watcher(numprocesses=3)], running=there)
    assert step.text == "web: numprocesses 2 → 3; 2 processes are stopped"
    assert stays == ()


options = st.fixed_dictionaries(
    {},
    optional={
        "numprocesses": st.integers(0, 3),
        "autostart": st.booleans(),
        "env": st.dictionaries(st.sampled_from("AB"), st.just("hush-hush")),
        "working_dir": st.just("/hush-hush"),
        "use_sockets": st.booleans(),
    },
)
configs = st.dictionaries(st.sampled_from(["a", "b", "C"]), options).map(
    lambda found: [watcher(name, "run hush-hush", **values) for name, values in found.items()]
)


@given(configs, configs, configs)
def test_every_change_is_told_once_and_no_secret_ever(
    old: list[WatcherConfig], new: list[WatcherConfig], now: list[WatcherConfig]
) -> None:
    """Whatever the file was, is, and what runs."""
    running = {w.name.lower(): Running(w, w.numprocesses, True) for w in now}
    done, stays = planned(old, new, running=running)
    told = [(s.subject, s.name) for s in done]
    assert len(told) == len(set(told))
    for step in (*done, *stays):
        assert step.action in ACTIONS
        assert "hush-hush" not in str(step.as_dict())
        assert set(step.as_dict()) == {f.name for f in dataclasses.fields(Step)}
