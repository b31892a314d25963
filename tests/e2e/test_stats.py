"""Stats of a real circusd, as the original's clients and ours get them."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from circusd.client import Client
from tests.daemon import Daemon
from tests.waiting import eventually

INI = f"""
[watcher:Busy]
cmd = {sys.executable} -c "while True: pass"

[watcher:calm]
cmd = sleep 1000
numprocesses = 2

[socket:one]
host = 127.0.0.1
port = 0
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(INI, tmp_path_factory.mktemp("stats")) as daemon:
        yield daemon


def test_subscriber_of_the_original_gets_its_messages(daemon: Daemon) -> None:
    """A plain SUB socket at the endpoint of stats hears of processes, watchers, the daemon and sockets."""
    endpoint = daemon.call("globaloptions", option="stats_endpoint")["options"]["stats_endpoint"]
    (busy,) = daemon.pids("Busy")
    with zmq.Context() as context, context.socket(zmq.SUB) as sub:
        sub.linger = 0
        sub.rcvtimeo = 10_000
        sub.subscribe("stat.")
        sub.connect(endpoint)
        heard: dict[str, dict[str, object]] = {}
        fd = daemon.call("listsockets")["sockets"][0]["fd"]
        wanted = {
            f"stat.busy.{busy}", "stat.busy", "stat.calm", f"stat.circus.{daemon.pid}", "stat.circus",
            f"stat.sockets.{fd}", "stat.sockets",
        }  # fmt: skip
        while not wanted <= set(heard):
            topic, body = sub.recv_multipart()
            heard[topic.decode()] = json.loads(body)
    assert heard[f"stat.busy.{busy}"]["cmdline"] == os.path.basename(sys.executable)
    assert heard[f"stat.busy.{busy}"]["children"] == []
    assert heard[f"stat.circus.{daemon.pid}"]["name"] == "circusd"
    assert len(heard["stat.calm"]["pid"]) == 2  # type: ignore[arg-type]
    assert heard["stat.sockets"]["reads"] == 0


def test_followed_load_is_whole_each_second(daemon: Daemon) -> None:
    """Who follows ``load.`` sees every watcher with its slots, and the busy one is busy."""
    with Client(daemon.endpoint) as client, client.follow(["load."]) as stream:
        for _ in range(20):
            topic, load = stream.receive(10)
            assert topic == "load."
            if load["watchers"]["Busy"]["cpu"] > 0:
                break
    assert set(load["watchers"]) == {"Busy", "calm"}
    assert load["watchers"]["Busy"]["cpu"] > load["watchers"]["calm"]["cpu"]
    assert set(load["watchers"]["calm"]["processes"]) == {"1", "2"}
    assert load["daemon"]["rss"] > 1 << 20


def test_command_has_the_original_shape(daemon: Daemon) -> None:
    """All, one watcher, one process, the daemon itself."""
    (busy,) = daemon.pids("Busy")
    infos = daemon.call("stats")["infos"]
    assert set(infos) == {"Busy", "calm"}
    info = infos["Busy"][str(busy)]
    assert {
        "pid",
        "wid",
        "started",
        "age",
        "cpu",
        "mem",
        "mem_info1",
        "mem_info2",
        "ctime",
        "children",
    } <= set(info)
    one = daemon.call("stats", name="busy", process=busy)
    assert (one["process"], one["info"]["pid"], one["info"]["wid"]) == (busy, busy, 1)
    dstats = daemon.call("dstats")
    own, loop = dstats["info"], dstats["loop"]
    assert (own["pid"], own["children"]) == (daemon.pid, [])
    assert 0 <= loop["p50"] <= loop["p99"] <= loop["max"]


def test_daemon_without_viewers_looks_at_nothing(daemon: Daemon) -> None:
    """When the last viewer has gone, nothing is read from the process table any more."""

    def reads() -> int:
        counts = dict(line.split(": ") for line in Path(f"/proc/{daemon.pid}/io").read_text().splitlines())
        return int(counts["syscr"])

    def looks() -> bool:
        before = reads()
        time.sleep(1.2)
        return reads() - before >= 3

    with Client(daemon.endpoint) as client, client.follow(["load."]) as stream:
        stream.receive(10)
        assert looks()
    eventually(lambda: not looks(), within=20)
    assert not looks()
