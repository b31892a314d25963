"""The plugin that sends figures to OpenTelemetry, beside a real circusd and what takes them."""

from __future__ import annotations

import gzip
import signal
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from circusd.schema.metrics import METRICS, STATES
from tests.daemon import Daemon
from tests.plugins import said
from tests.waiting import eventually


class Collector:
    """Takes OTLP over HTTP, as what keeps figures does; `told` is what has come, decoded by the protocol's own messages."""

    def __init__(self) -> None:
        self.status = 200
        self.silent, self.held, self.over = threading.Event(), threading.Event(), threading.Event()
        self.told: list[tuple[str | None, Any]] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                if collector.silent.is_set():
                    collector.held.set()
                    collector.over.wait()
                    return
                body = gzip.decompress(self.rfile.read(int(self.headers["Content-Length"])))
                request = ExportMetricsServiceRequest.FromString(body)
                if collector.status == 200 and self.path == "/v1/metrics":
                    collector.told.append((self.headers["X-Key"], request))
                self.send_response(collector.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing is printed."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.server.shutdown()
        self.server.server_close()


def points(request: Any) -> dict[tuple[str, tuple[tuple[str, str], ...]], tuple[str, Any]]:
    """By name and attributes the kind, and the point."""
    found = {}
    (resource,) = request.resource_metrics
    (scope,) = resource.scope_metrics
    for metric in scope.metrics:
        kind = metric.WhichOneof("data")
        for point in getattr(metric, kind).data_points:
            about = tuple(sorted((one.key, one.value.string_value) for one in point.attributes))
            assert (metric.name, about) not in found
            found[metric.name, about] = kind, point
    return found


def test_figures_go_to_opentelemetry(tmp_path: Path) -> None:
    """All that there is without a console, by the names of /metrics and of their kinds; that they do not arrive is said once."""
    hostile = 'say "hi" {a=b}\u202e'
    with Collector() as collector:
        ini = (
            f"[plugin:otel]\nuse = otlp\nurl = {collector.url}\nheaders = X-Key=sesame\nloop_rate = 0.3\n"
            "timeout = 20\ngraceful_timeout = 10\n"
            "service_name = shop\n[watcher:web]\ncmd = sh -c 'echo one; echo two; exec sleep 1000'\nnumprocesses = 2\n"
            f"[watcher:{hostile}]\ncmd = sleep 1000\n[watcher:down]\ncmd = sleep 1000\nautostart = false\n"
        )
        with Daemon(ini, tmp_path) as daemon:
            lines = ("circus_log_lines_total", (("stream", "stdout"), ("watcher", "web")))

            def last() -> Any:
                found = points(collector.told[-1][1])
                return found if found[lines][1].as_int == 4 else None

            found = eventually(last, within=30)
            assert {key for key, _ in collector.told} == {"sesame"}
            names = {name for name, _ in found}
            # There is no console, no managed socket, and no schedule.
            absent = ("circus_ws", "circus_socket", "circus_watcher_last_run", "circus_watcher_runs")
            missing = {name for name in METRICS if name.startswith(absent)}
            assert names == set(METRICS) - missing
            kinds = {name: kind for (name, _), (kind, _) in found.items()}
            for name in names:
                wanted = {"counter": "sum", "histogram": "histogram"}.get(METRICS[name].type, "gauge")
                assert kinds[name] == wanted, name
            states = {
                dict(about)["state"]: point.as_int
                for (name, about), (_, point) in found.items()
                if name == "circus_watcher_state" and ("watcher", "down") in about
            }
            assert states == {state: int(state == "stopped") for state in STATES}
            assert found["circus_watcher_processes", (("watcher", hostile),)][1].as_int == 1
            begun = found["circus_daemon_start_time_seconds", ()][1].as_double
            assert abs(found[lines][1].start_time_unix_nano / 1e9 - begun) < 0.01
            one = (("watcher", "web"), ("wid", "1"))
            started = found["circus_process_start_time_seconds", one][1].as_double
            counted = found["circus_process_cpu_seconds_total", one][1]
            assert abs(counted.start_time_unix_nano / 1e9 - started) < 0.01
            turns = found["circus_daemon_loop_turn_seconds", ()][1]
            assert sum(turns.bucket_counts) == turns.count > 0
            assert len(turns.bucket_counts) == len(turns.explicit_bounds) + 1
            (resource,) = collector.told[-1][1].resource_metrics
            about = {one.key: one.value.string_value for one in resource.resource.attributes}
            assert (about["service.name"], about["host.name"]) == ("shop", socket.gethostname())
            collector.status = 400
            eventually(lambda: "figures do not arrive: " in said(daemon, "otel"), within=20)
            assert "400" in said(daemon, "otel")
            collector.status = 200
            eventually(lambda: "figures arrive again" in said(daemon, "otel"), within=20)
            assert said(daemon, "otel").count("\n") == 1
            assert "sesame" not in daemon.ctl("--json", "plugins").stdout
            # Nobody waits for an answer that does not come.
            collector.silent.set()
            eventually(lambda: collector.held.is_set(), within=20)
            daemon.call("stop", name="plugin:otel", waiting=True)
            (exited,) = [
                event
                for event in daemon.call("events", lines=200)["events"]
                if event["event"] == "process.exited" and event["watcher"] == "plugin:otel"
            ]
            assert exited.get("signal") != signal.SIGKILL
            assert "Traceback" not in said(daemon, "otel")
