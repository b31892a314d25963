"""What tests of the console share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser

from tests.waiting import eventually
from tests.web.browser import CHROMIUM, chromium, is_there
from tests.web.console import Console, Folder
from tests.web.staged import StagedDaemon, process, watcher


def set_scene(daemon: StagedDaemon) -> None:
    """Two watchers, and nothing else of what a test may have put there."""
    daemon.watchers = {
        shown["name"]: shown
        for shown in (watcher("web", [process(1), process(2)]), watcher("loud", [process(1)]))
    }
    daemon.lead = {"title": "All is well", "text": "3 processes of 2 watchers run.", "level": "calm"}
    for held in (
        daemon.sockets,
        daemon.events,
        daemon.history,
        daemon.answers,
        daemon.requests,
        daemon.gather,
    ):
        held.clear()


@pytest.fixture(scope="session")
def standing() -> Iterator[Console]:
    """A console that is started once, for tests that leave it as it is."""
    with Folder() as folder:
        daemon = StagedDaemon(f"ipc://{folder}/daemon.sock").start()
        try:
            with Console(daemon) as console:
                yield console
        finally:
            daemon.stop()


@pytest.fixture
def console(standing: Console) -> Console:
    """A console in front of a staged daemon; tests that end one of them, or need arguments, make their own."""
    # A page that has gone without a word is missed when it has not answered for twenty seconds.
    eventually(lambda: not standing.daemon.streams, within=30, what="the pages of the test before are gone")
    set_scene(standing.daemon)
    return standing


@pytest.fixture
def stage() -> Iterator[StagedDaemon]:
    """A staged daemon of one's own."""
    with Folder() as folder:
        daemon = StagedDaemon(f"ipc://{folder}/daemon.sock")
        set_scene(daemon)
        daemon.start()
        yield daemon
        daemon.stop()


@pytest.fixture
def make_console(stage: StagedDaemon) -> Iterator[Callable[..., Console]]:
    """Starts a console of one's own; all are ended after the test."""
    made: list[Console] = []

    def make(*args: str) -> Console:
        console = Console(stage, args)
        made.append(console)
        return console.start()

    yield make
    for console in made:
        console.close()


@pytest.fixture
def own_console(make_console: Callable[..., Console]) -> Console:
    """A console that may be ended, as may its daemon."""
    return make_console()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A browser for all tests; each takes a profile of its own."""
    if not is_there():
        pytest.fail(f"{CHROMIUM} is missing: make test installs it, or apt-get install chromium")
    with chromium() as started:
        yield started
