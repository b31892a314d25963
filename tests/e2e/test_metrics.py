"""The figures for Prometheus from a real circusd: right, of those who may be seen, and gathered once for all who ask."""

from __future__ import annotations

import gzip
import json
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.openmetrics import parser as openly
from prometheus_client.parser import text_string_to_metric_families

from circusd.schema.exposition import OPENMETRICS, PROMETHEUS
from circusd.schema.metrics import METRICS, RESTART_REASONS, RUN_RESULTS, STATES
from tests.daemon import Daemon
from tests.waiting import eventually
from tests.web.apiclient import ApiClient
from tests.web.console import Answer

HOSTILE = 'he said "\\" {x="y"} # 1'

INI = f"""
[circus]
httpd = 1
httpd_port = 0

[watcher:web]
cmd = sh -c "sleep 1000 & {sys.executable} -c 'while True: pass'"
numprocesses = 2
copy_env = true
use_sockets = true
args = $(circus.sockets.http)
stop_children = true
graceful_timeout = 2

[watcher:Talks]
cmd = sh -c 'echo one; echo two; echo three >&2; exec sleep 1000'
copy_env = true

[watcher:{HOSTILE}]
cmd = sleep 1000

[watcher:off]
cmd = sleep 1000
autostart = false

[watcher:nightly]
cmd = true
schedule = 0 4 1 1 *

[socket:http]
host = 127.0.0.1
port = 0

[socket:other]
host = 127.0.0.1
port = 0
"""

ASKED_BY_PROMETHEUS = """
application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,
text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2
""".replace("\n", "")

EVERYBODY = {"web", "Talks", HOSTILE, "off", "nightly", "circushttpd"}

Told = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(INI, tmp_path_factory.mktemp("metrics")) as running:
        running.ctl("run", "nightly", "--wait")
        running.call("set", name="nightly", options={"cmd": "sh -c 'exit 3'"}, waiting=True)
        running.ctl("run", "nightly", "--wait", check=False)
        yield running


@pytest.fixture(scope="module")
def api(daemon: Daemon) -> ApiClient:
    return ApiClient.of(daemon)


REQUESTS = "circus_daemon_requests_total"


def scrape(api: ApiClient, path: str = "/metrics", **headers: str) -> Answer:
    return api.ask("GET", path, None, {name.replace("_", "-"): value for name, value in headers.items()})


def read(text: str) -> Told:
    """What the official parser makes of it."""
    samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
    found = {(s.name, tuple(sorted(s.labels.items()))): s.value for s in samples}
    assert len(found) == len(samples)
    return found


def told(api: ApiClient) -> Told:
    answer = scrape(api)
    assert answer.status == 200, answer.body
    return read(answer.body.decode())


def value(found: Told, name: str, **labels: str) -> float:
    return found[name, tuple(sorted(labels.items()))]


def told_anew(api: ApiClient, after: Told) -> Told:
    """What was gathered after that: one more request has come at least."""

    def newer() -> Told | None:
        found = told(api)
        return found if value(found, REQUESTS) > value(after, REQUESTS) else None

    return eventually(newer, within=20)


def names(found: Told) -> set[str]:
    return {dict(labels).get("watcher", "") for _, labels in found} - {""}


# --- what is told -----------------------------------------------------------------------------------------------------


def test_every_metric_of_the_table_is_told(api: ApiClient) -> None:
    """None of the table is missing where it can be known, and none is told that is not in it."""
    found = told(api)
    base = {name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count") for name, _ in found}
    assert base == set(METRICS)


def test_watchers_are_told_as_they_are(api: ApiClient, daemon: Daemon) -> None:
    """State, number, wish; each watcher in each state with 0 or 1, also one of which nothing runs."""
    found = told(api)
    assert names(found) == EVERYBODY
    assert value(found, "circus_watcher_processes", watcher="web") == 2
    assert value(found, "circus_watcher_numprocesses", watcher="web") == 2
    assert value(found, "circus_watcher_processes", watcher="off") == 0
    for watcher, state in (("web", "running"), ("off", "stopped"), (HOSTILE, "running")):
        states = [value(found, "circus_watcher_state", watcher=watcher, state=one) for one in STATES]
        assert sum(states) == 1
        assert value(found, "circus_watcher_state", watcher=watcher, state=state) == 1


def test_processes_are_told_by_slot_with_all_below_them(api: ApiClient, daemon: Daemon) -> None:
    """A shell that has started a busy program: next to nothing itself, and all of it in the tree; never a pid."""
    one = {"watcher": "web", "wid": "1"}
    eventually(lambda: value(told(api), "circus_process_descendants", **one) >= 1)
    eventually(lambda: value(told(api), "circus_process_tree_cpu_seconds_total", **one) > 0.05, within=30)
    found = told(api)
    own = value(found, "circus_process_resident_memory_bytes", **one)
    assert value(found, "circus_process_tree_resident_memory_bytes", **one) > own > 100_000
    assert value(found, "circus_process_threads", **one) >= 1
    assert value(found, "circus_process_open_fds", **one) >= 3
    assert abs(value(found, "circus_process_start_time_seconds", **one) - time.time()) < 600
    assert value(found, "circus_process_voluntary_context_switches_total", **one) >= 0
    assert value(found, "circus_process_written_bytes_total", **one) >= 0
    labels = {name for _, pairs in found for name, _ in pairs}
    assert labels == {
        "version",
        "watcher",
        "state",
        "reason",
        "result",
        "wid",
        "stream",
        "sink",
        "place",
        "socket",
        "statistic",
        "mode",
        "le",
    }


def test_processor_time_of_a_tree_never_falls(api: ApiClient, daemon: Daemon) -> None:
    """Also when the busy process below it is killed and nobody waits for it there."""
    one = {"watcher": "web", "wid": "2"}
    found = told(api)
    for _ in range(3):
        before, found = found, told_anew(api, found)
        name = "circus_process_tree_cpu_seconds_total"
        assert value(found, name, **one) >= value(before, name, **one)


def test_runs_of_a_schedule_are_told_with_how_the_last_one_went(api: ApiClient, daemon: Daemon) -> None:
    """As moments, as its exit code, and by result; what never happened is told with 0, so that an increase is seen."""
    found, one = told(api), {"watcher": "nightly"}
    bad, good = daemon.call("runs", name="nightly")["runs"]
    start = value(found, "circus_watcher_last_run_start_time_seconds", **one)
    end = value(found, "circus_watcher_last_run_end_time_seconds", **one)
    assert (start, end) == (bad["began"], bad["ended"])
    assert value(found, "circus_watcher_last_run_exit_code", **one) == bad["code"] == 3
    assert value(found, "circus_watcher_last_run_success_time_seconds", **one) == good["ended"] <= start
    counts = {
        result: value(found, "circus_watcher_runs_total", result=result, **one) for result in RUN_RESULTS
    }
    assert counts == {**dict.fromkeys(RUN_RESULTS, 0), "succeeded": 1, "failed": 1}
    assert names({key: 0.0 for key in found if "run" in key[0]}) == {"nightly"}


def test_lines_are_counted_by_stream(api: ApiClient) -> None:
    """What a watcher has written, from the beginning."""
    eventually(lambda: value(told(api), "circus_log_lines_total", watcher="Talks", stream="stdout") == 2)
    assert value(told(api), "circus_log_lines_total", watcher="Talks", stream="stderr") == 1


def test_what_became_of_output_is_told_by_place(api: ApiClient, daemon: Daemon) -> None:
    """A place that takes nothing loses what it has no room for, to the byte and line; a further one of the stream has it all."""
    size = len("".join(f"{number}\n" for number in range(1, 20001)))
    stream = {"watcher": "loses", "stream": "stdout"}
    full = {**stream, "sink": "", "place": "/dev/full"}
    copy = {**stream, "sink": "copy", "place": str(daemon.folder / 'say "hi".log')}
    output = {
        "stdout_stream.class": "FileStream",
        "stdout_stream.filename": "/dev/full",
        "stdout_stream.queue_bytes": 65536,
        "stdout_stream.copy.class": "FileStream",
        "stdout_stream.copy.filename": copy["place"],
    }
    words = "sh -c 'seq 20000; exec sleep 1000'"
    daemon.call("add", name="loses", cmd=words, start=True, options={"copy_env": True, **output})
    try:
        eventually(lambda: value(told(api), "circus_log_sink_taken_bytes_total", **full) == size, within=20)
        eventually(lambda: value(told(api), "circus_log_sink_written_bytes_total", **copy) == size, within=20)
        found = told(api)
        assert value(found, "circus_log_bytes_total", **stream) == size
        assert value(found, "circus_log_sink_written_bytes_total", **full) == 0
        lost = value(found, "circus_log_sink_dropped_bytes_total", **full)
        assert lost + value(found, "circus_log_sink_waiting_bytes", **full) == size
        # The lines at the beginning are those that are lost.
        lines = int(value(found, "circus_log_sink_dropped_lines_total", **full))
        assert lost == len("".join(f"{number}\n" for number in range(1, lines + 1)))
        assert value(found, "circus_log_sink_limit_bytes", **full) == 65536
        assert value(found, "circus_log_sink_failing", **full) == 1
        assert value(found, "circus_log_sink_dropped_bytes_total", **copy) == 0
        assert value(found, "circus_log_sink_failing", **copy) == 0
    finally:
        daemon.call("rm", name="loses", waiting=True)


def test_restarts_are_counted_by_their_reason(api: ApiClient, daemon: Daemon, tmp_path: Path) -> None:
    """Killed by others, ended by itself, old, too large, with files that have changed, or started anew by somebody."""
    daemon.call(
        "add",
        name="lives",
        cmd="sh -c 'sleep 1.2; exit 3'",
        start=True,
        options={"copy_env": True, "settle_time": 0.5},
    )
    daemon.call("add", name="dies", cmd="sleep 1000", start=True, options={"settle_time": 0})
    daemon.call(
        "add", name="ages", cmd="sleep 1000", start=True, options={"max_age": 1, "max_age_variance": 0}
    )
    daemon.call("add", name="told", cmd="sleep 1000", start=True)
    greedy = {"max_memory": "1K", "max_memory_for": 0}
    daemon.call("add", name="greedy", cmd="sleep 1000", start=True, options=greedy)
    watching = {"watch": str(tmp_path), "watch_delay": 0}
    daemon.call("add", name="edited", cmd="sleep 1000", start=True, options=watching)
    try:
        eventually(lambda: daemon.watcher("edited")["watched"], within=20)
        (tmp_path / "new").touch()
        (pid,) = eventually(lambda: daemon.pids("dies"))
        daemon.call("signal", name="dies", signum="kill", pid=pid)
        daemon.call("restart", name="told", waiting=True)
        for name, reason in (
            ("lives", "exited"),
            ("dies", "killed"),
            ("ages", "max_age"),
            ("greedy", "max_memory"),
            ("edited", "files"),
            ("told", "command"),
        ):
            eventually(
                lambda name=name, reason=reason: value(  # type: ignore[misc]
                    told(api), "circus_watcher_restarts_total", watcher=name, reason=reason
                ),
                within=20,
            )
            found = told(api)
            for other in set(RESTART_REASONS) - {reason}:
                assert value(found, "circus_watcher_restarts_total", watcher=name, reason=other) == 0
    finally:
        for name in ("lives", "dies", "ages", "told", "greedy", "edited"):
            daemon.call("rm", name=name, waiting=True)
    eventually(lambda: not names(told(api)) & {"lives", "dies", "ages", "told", "greedy", "edited"})


def test_sockets_and_the_daemon_are_told(api: ApiClient, daemon: Daemon) -> None:
    """Queues of managed sockets; memory, descriptors, doors and the loop of circusd; the machine; pages of the console."""
    eventually(lambda: value(told(api), "circus_daemon_watchers") == len(EVERYBODY))
    found = told(api)
    assert value(found, "circus_socket_backlog", socket="http") == 0
    assert value(found, "circus_socket_backlog_limit", socket="other") > 0
    assert value(found, "circus_build_info", version=daemon.call("version")["version"]) == 1
    assert value(found, "circus_daemon_resident_memory_bytes") > 1 << 20
    assert value(found, "circus_daemon_open_fds") < value(found, "circus_daemon_max_fds")
    lag = [value(found, "circus_daemon_loop_lag_seconds", statistic=one) for one in ("p50", "p99", "max")]
    assert lag == sorted(lag)
    assert value(found, "circus_daemon_loop_turn_seconds_count") > 10
    assert value(found, "circus_host_memory_available_bytes") < value(found, "circus_host_memory_total_bytes")
    assert value(found, "circus_host_cpu_seconds_total", mode="user") > 0
    assert value(found, "circus_ws_clients") == 0


def test_circusctl_prints_the_same_text(daemon: Daemon) -> None:
    """For the textfile collector, and for whoever has no console; `--json` has the rows."""
    ran = daemon.ctl("metrics")
    found = read(ran.stdout)
    assert value(found, "circus_watcher_processes", watcher="web") == 2
    assert HOSTILE in names(found)
    groups = json.loads(daemon.ctl("--json", "metrics").stdout)["groups"]
    assert {"labels", "metrics", "name", "rows"} == set(groups[0])


# --- the door ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", PROMETHEUS),
        ("*/*", PROMETHEUS),
        ("text/html", PROMETHEUS),
        ("text/plain", PROMETHEUS),
        ("application/openmetrics-text", OPENMETRICS),
        ("application/openmetrics-text; version=1.0.0", OPENMETRICS),
        (ASKED_BY_PROMETHEUS, OPENMETRICS),
        ("application/openmetrics-text;q=0.2,text/plain;q=0.9", PROMETHEUS),
        ("application/openmetrics-text;q=0", PROMETHEUS),
    ],
)
def test_format_is_the_one_that_is_asked_for(api: ApiClient, accept: str, kind: str) -> None:
    """What Prometheus sends gets OpenMetrics; a person with a browser or curl gets the older text."""
    answer = scrape(api, **({"Accept": accept} if accept else {}))
    assert (answer.status, answer.headers["content-type"]) == (200, kind)
    assert answer.headers["cache-control"] == "no-store"
    text = answer.body.decode()
    if kind == OPENMETRICS:
        families = list(openly.text_string_to_metric_families(text))
        assert {family.name for family in families} >= {
            "circus_watcher_processes",
            "circus_process_cpu_seconds",
        }
    else:
        assert names(read(text))


def test_text_is_packed_for_who_takes_it(api: ApiClient) -> None:
    """Prometheus asks for gzip: it is the same text, some ten times smaller."""
    packed, plain = scrape(api, Accept_Encoding="gzip"), scrape(api)
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert len(packed.body) * 4 < len(plain.body)
    assert read(gzip.decompress(packed.body).decode()).keys() == read(plain.body.decode()).keys()


def test_named_daemon_has_its_own_address(api: ApiClient) -> None:
    """With its name before it, and not with another one."""
    name = "circus"
    assert names(read(scrape(api, f"/d/{name}/metrics").body.decode())) == names(told(api))
    assert scrape(api, "/d/nobody/metrics").status == 404


def test_only_reading_is_for_this_address(api: ApiClient) -> None:
    """HEAD has no body, a POST is refused with what may be used instead."""
    head = api.ask("HEAD", "/metrics")
    assert (head.status, head.body) == (200, b"")
    post = api.ask("POST", "/metrics", b"{}", {"Content-Type": "application/json"})
    assert (post.status, post.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert api.ask("OPTIONS", "/metrics").headers["allow"] == "GET, HEAD, OPTIONS"


def test_who_shows_nothing_learns_nothing(api: ApiClient) -> None:
    """Neither without a token nor with one that is none; the answer says how to come in."""
    for token in ("", "wrong-token-entirely"):
        answer = scrape(ApiClient(api.port, token))
        assert answer.status == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert b"circus_watcher" not in answer.body


def test_viewer_s_token_is_enough(daemon: Daemon) -> None:
    """Reading needs no more than the least role."""
    api = ApiClient.of(daemon, role="viewer")
    assert names(told(api)) == EVERYBODY


def test_token_of_some_watchers_sees_those_alone(daemon: Daemon, api: ApiClient) -> None:
    """Neither others' names nor their sockets, nothing that counts all, and nothing of the machine."""
    daemon.call("addperson", person="grafana", role="viewer")
    made = daemon.call("addtoken", person="grafana", token="scrape", watchers="t*")
    few = ApiClient(api.port, made["secret"])
    answer = scrape(few)
    assert answer.status == 200
    for hidden in (b'"web"', b'"off"', b"httpd", b"circus_daemon", b"circus_host", b"circus_ws"):
        assert hidden not in answer.body
    found = read(answer.body.decode())
    assert names(found) == {"Talks"}
    assert {name for name, _ in found} >= {
        "circus_watcher_state",
        "circus_process_cpu_seconds_total",
        "circus_build_info",
    }
    assert not [key for key in found if key[0].startswith("circus_socket")]
    daemon.call("rmperson", person="grafana")
    assert scrape(few).status == 401


# --- what it costs ----------------------------------------------------------------------------------------------------


def test_many_who_ask_at_once_cost_one_sweep(daemon: Daemon, api: ApiClient) -> None:
    """Twenty scrapes side by side are answered, and the process table is read but a few times for them."""

    def reads() -> int:
        counts = dict(line.split(": ") for line in Path(f"/proc/{daemon.pid}/io").read_text().splitlines())
        return int(counts["syscr"])

    def cost(number: int) -> tuple[int, list[int]]:
        last = told(api)

        def gathered() -> tuple[int, list[int]] | None:
            before, answers = reads(), list[Answer]()
            threads = [threading.Thread(target=lambda: answers.append(scrape(api))) for _ in range(number)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            took = reads() - before
            # What was gathered before, and is still told, costs nothing.
            is_new = any(
                value(read(answer.body.decode()), REQUESTS) > value(last, REQUESTS) for answer in answers
            )
            return (took, [answer.status for answer in answers]) if is_new else None

        return eventually(gathered, within=20)

    one, _ = cost(1)
    many, statuses = cost(20)
    assert statuses == [200] * 20
    assert many < 6 * one


def test_nobody_who_asks_costs_nothing(daemon: Daemon, api: ApiClient) -> None:
    """A while after a scrape circusd reads nothing any more: no timer goes on for it."""

    def reads() -> int:
        counts = dict(line.split(": ") for line in Path(f"/proc/{daemon.pid}/io").read_text().splitlines())
        return int(counts["syscr"])

    def moved() -> int:
        before = reads()
        time.sleep(1.0)
        return reads() - before

    told(api)
    eventually(lambda: moved() <= 1, within=20)


def test_answer_goes_on_while_processes_come_and_go(daemon: Daemon, api: ApiClient) -> None:
    """Scrapes in the middle of deaths and restarts are whole, each sample once."""
    daemon.call(
        "add",
        name="flaps",
        cmd="sh -c 'exit 0'",
        start=True,
        options={"numprocesses": 20, "max_retry": -1, "backoff": 0.05},
    )
    try:
        for _ in range(10):
            found = told(api)
            assert "flaps" in names(found)
            daemon.call("signal", name="web", signum=signal.SIGCONT)
    finally:
        daemon.call("rm", name="flaps", waiting=True)
