"""What happens often leaves nothing behind: counted in the daemon and by the system."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from circusd.client import Client
from tests.faults.measures import (
    MEGABYTE,
    ObservedDaemon,
    Pings,
    child,
    descriptors,
    offspring,
    report,
    rss,
    spawns,
    threads,
)
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(230)]


def kinds(daemon: ObservedDaemon) -> Counter[str]:
    """How many descriptors of each kind are open."""
    return Counter(what.split(":")[0] for what in descriptors(daemon.pid).values())


def until(daemon: ObservedDaemon, count: int) -> None:
    """So many processes have been started."""
    eventually(lambda: spawns(daemon, "true") >= count, within=120, every=0.2)


def test_f01_ten_thousand_respawns_leave_nothing_behind(tmp_path: Path) -> None:
    """No descriptor, zombie, thread or greenlet more than before, at most 5 MB more memory, and control answers."""
    ini = "[watcher:true]\ncmd = /bin/true\nbackoff = 0\nnumprocesses = 4\nautostart = false\n"
    with ObservedDaemon(ini, tmp_path) as daemon:
        daemon.call("start", name="true", waiting=True)
        until(daemon, 200)
        daemon.call("stop", name="true", waiting=True)
        seen, fds, tasks = daemon.look(), kinds(daemon), threads(daemon.pid)
        memory = rss(daemon.pid)
        began = time.monotonic()
        with Pings(daemon) as pings:
            daemon.call("start", name="true", waiting=True)
            until(daemon, 10_200)
        took = time.monotonic() - began
        daemon.call("stop", name="true", waiting=True)
        assert not offspring(daemon.pid)
        eventually(lambda: daemon.look().greenlets <= seen.greenlets)
        now, grown = daemon.look(), rss(daemon.pid) - memory
        report(
            f"10,000 respawns in {took:.1f} s ({10_000 / took:.0f} a second): memory {grown / MEGABYTE:+.2f} MB, "
            f"descriptors {sum(kinds(daemon).values()) - sum(fds.values()):+d}, greenlets "
            f"{now.greenlets - seen.greenlets:+d}, threads {threads(daemon.pid) - tasks:+d}, zombies 0; {pings}"
        )
        assert not kinds(daemon) - fds
        assert now.greenlets <= seen.greenlets
        assert now.timers <= seen.timers
        assert threads(daemon.pid) <= tasks
        assert grown <= 5 * MEGABYTE
        assert pings.share(0.99) < 1


def test_an_hour_of_everything_in_two_minutes_leaves_memory_flat(tmp_path: Path) -> None:
    """Watchers come, change, scale, crash, write and go; what is there at the end of each round is what was before."""
    ini = (
        "[watcher:web]\ncmd = sleep 100000\nnumprocesses = 10\nsettle_time = 0\n"
        f"[watcher:loud]\ncmd = {child('clock', 0.001)}\nnumprocesses = 3\nstdout_stream.class = FileStream\n"
        f"stdout_stream.filename = {tmp_path}/loud.log\nstdout_stream.max_bytes = 100000\n"
        "stdout_stream.backup_count = 2\n"
    )
    chance = random.Random(33)
    sizes: list[int] = []
    seen = []
    with ObservedDaemon(ini, tmp_path) as daemon, Client(daemon.endpoint, timeout=30) as client:
        began = time.monotonic()
        while time.monotonic() - began < 120:
            for _ in range(20):
                one_round(client, chance)
            eventually(lambda: client.call("numwatchers")["numwatchers"] == 2, within=30)
            client.call("set", {"name": "web", "options": {"numprocesses": 10}}, waiting=True)
            sizes.append(rss(daemon.pid))
            seen.append(daemon.look())
        half = len(sizes) // 2
        report(f"{len(sizes)} rounds: memory {sizes[0] / MEGABYTE:.1f}, {sizes[half] / MEGABYTE:.1f}, ")
        report(f"{sizes[-1] / MEGABYTE:.1f} MB; greenlets {seen[half].greenlets}, {seen[-1].greenlets}; ")
        report(f"objects {seen[half].objects}, {seen[-1].objects}")
        assert max(sizes[half:]) - min(sizes[half:]) < 5 * MEGABYTE
        assert seen[-1].greenlets <= seen[half].greenlets + 5


def one_round(client: Client, chance: random.Random) -> None:
    """A little of everything."""
    name = f"w{chance.randrange(1000)}"
    options = {"numprocesses": chance.randrange(1, 4), "max_retry": 0}
    cmd = chance.choice(("sleep 100000", "false", "/no/such/program", "sh -c 'echo hello; exec sleep 1000'"))
    client.call("add", {"name": name, "cmd": cmd, "options": options, "start": True})
    client.call("incr", {"name": "web", "nb": 1})
    for pid in client.call("list", {"name": "web"})["pids"][:3]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    client.call("decr", {"name": "web", "nb": 1})
    client.call("inspect")
    client.call("stats", {"name": "web"})
    client.call("output", {"lines": 50})
    with client.follow(["state.", "output.loud.", "load."], lines=10) as stream:
        for _ in range(5):
            stream.receive(10)
    client.call("set", {"name": "web", "options": {"env": {"A": str(chance.random())}, "numprocesses": 8}})
    client.call("rm", {"name": name}, waiting=True)
