"""Plugin: sends the figures of ``/metrics`` by OpenTelemetry's protocol, OTLP over HTTP, also where there is no console."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from circusd.schema.errors import CircusError
from circusd.schema.metrics import METRICS, STATES, Metric
from circusd.version import __version__

from . import CircusPlugin
from .period import PeriodicCallback
from .settings import settings

log = logging.getLogger("circusd.plugin")

PATH: Final = "/v1/metrics"
_UNITS: Final = {"seconds": "s", "bytes": "By"}
_NANO: Final = 1_000_000_000
_UNKNOWN: Final = Metric("", "gauge", "")

Group = Mapping[str, Any]
"""As the command ``metrics`` tells it."""


class Otlp(CircusPlugin):
    """See its options. What could not be sent is not sent later: the next figures have all that was counted."""

    name = "otlp"

    def __init__(self, *args: Any, **config: Any) -> None:
        super().__init__(*args, **config)
        try:
            from opentelemetry.exporter.otlp.proto.http import Compression
            from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
            from opentelemetry.sdk.resources import Resource
        except ImportError as problem:
            raise ValueError(
                f"OpenTelemetry's libraries are missing: pip install 'circusweb[otlp]' ({problem})"
            ) from problem
        given = settings("otlp", config)
        self._reasons = _Reasons()
        for source in ("opentelemetry", "urllib3"):
            # They write a line, or many, for each attempt.
            logging.getLogger(source).addHandler(self._reasons)
            logging.getLogger(source).propagate = False
        self._exporter = OTLPMetricExporter(
            endpoint=address_of(given["url"]),
            headers=dict(given["headers"]) or None,
            timeout=given["timeout"],
            compression=Compression.Gzip,
        )
        self._timeout: float = given["timeout"]
        self._resource = Resource.create(
            {
                "service.name": given["service_name"],
                "service.version": __version__,
                "host.name": socket.gethostname(),
            }
        )
        self._failing = False
        self._is_busy = False
        self.period = PeriodicCallback(self._turn, given["loop_rate"] * 1000, self.loop)

    def handle_init(self) -> None:
        """It begins."""
        self.period.start()

    def handle_recv(self, data: tuple[bytes, bytes]) -> None:
        """Events are not looked at."""

    def handle_stop(self) -> None:
        """It ends, without another attempt."""
        self.period.stop()

    def _turn(self) -> None:
        if self._is_busy:
            return
        try:
            reply = self.call("metrics")
        except CircusError as problem:
            # The daemon may be busy or on its way out; there is a next time.
            log.warning("%s: %s", self.name, problem)
            return
        if reply.get("status") == "error":
            log.warning("%s: %s", self.name, reply.get("reason"))
            return
        self._is_busy = True
        # Waiting for an answer must not keep the plugin from being stopped: nobody waits for such a thread.
        threading.Thread(target=self._send, args=(reply,), name=self.name, daemon=True).start()

    def _send(self, reply: Mapping[str, Any]) -> None:
        from opentelemetry.sdk.metrics.export import MetricExportResult

        self._reasons.last = ""
        is_sent = False
        try:
            told = figures(reply.get("groups") or (), self._resource, int(reply["time"] * _NANO))
            result = self._exporter.export(told, timeout_millis=self._timeout * 1000)
            is_sent = result is MetricExportResult.SUCCESS
        except OSError as fault:
            # As those of requests are. A fault of ours is seen, with its place.
            self._reasons.last = repr(fault)[:500]
        finally:
            # The next turn is another try, whatever it was. The loop may have ended meanwhile.
            with suppress(RuntimeError):
                self.loop.add_callback(self._came_back, is_sent)

    def _came_back(self, is_sent: bool) -> None:
        self._is_busy = False
        if is_sent is self._failing:
            if is_sent:
                log.warning("figures arrive again")
            else:
                log.warning("figures do not arrive: %s", self._reasons.last or "no reason was told")
        self._failing = not is_sent


class _Reasons(logging.Handler):
    """Keeps what was said last."""

    last = ""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            self.last = record.getMessage()[:500]


def address_of(url: str | None) -> str | None:
    """Where figures go; None where the SDK's variables say so, or its default."""
    if url is None:
        return None
    _, _, path = url.partition("://")[2].partition("/")
    return url if path else url.rstrip("/") + PATH


def figures(groups: Iterable[Group], resource: Any, now: int) -> Any:
    """The groups as the SDK's MetricsData, with the names of `circusd.schema.metrics`; ``now`` is in nanoseconds.

    Counters count from the start of circusd, those of a process from its own; what is not known (null) is left out.
    """
    from opentelemetry.sdk.metrics.export import MetricsData, ResourceMetrics, ScopeMetrics
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    groups = list(groups)
    begun = _begun(groups, now)
    metrics = [metric for group in groups for metric in _of_group(group, begun, now)]
    scope = ScopeMetrics(InstrumentationScope("circusd", __version__), metrics, "")
    return MetricsData([ResourceMetrics(resource, [scope], "")])


def _begun(groups: Iterable[Group], now: int) -> int:
    for group in groups:
        if "circus_daemon_start_time_seconds" in group["metrics"] and group["rows"]:
            place = group["metrics"].index("circus_daemon_start_time_seconds")
            return int(group["rows"][0][len(group["labels"]) + place] * _NANO)
    return now


def _of_group(group: Group, begun: int, now: int) -> Iterable[Any]:
    labels, names, rows = group["labels"], group["metrics"], group["rows"]
    attributes = [
        {label: _fit(value) for label, value in zip(labels, row[: len(labels)], strict=True)} for row in rows
    ]
    starts = [begun] * len(rows)
    if "circus_process_start_time_seconds" in names:
        at = len(labels) + names.index("circus_process_start_time_seconds")
        starts = [int(row[at] * _NANO) if row[at] is not None else begun for row in rows]
    for place, name in enumerate(names, len(labels)):
        points = [
            (about, start, row[place])
            for about, start, row in zip(attributes, starts, rows, strict=True)
            if row[place] is not None
        ]
        if points:
            yield _metric(METRICS.get(name, _UNKNOWN)._replace(name=name), points, now)


Points = Sequence[tuple[dict[str, str], int, Any]]
"""Attributes, from when on it counts, and the value."""


def _metric(metric: Metric, points: Points, now: int) -> Any:
    from opentelemetry.sdk.metrics import export

    make: Callable[[Points, int], Any] = {"counter": _sum, "histogram": _histogram, "state": _states}.get(
        metric.type, _gauge
    )
    return export.Metric(metric.name, metric.doc, _UNITS.get(metric.unit, ""), make(points, now))


def _gauge(points: Points, now: int) -> Any:
    from opentelemetry.sdk.metrics.export import Gauge, NumberDataPoint

    return Gauge([NumberDataPoint(about, 0, now, value) for about, _, value in points])


def _sum(points: Points, now: int) -> Any:
    from opentelemetry.sdk.metrics.export import AggregationTemporality, NumberDataPoint, Sum

    told = [NumberDataPoint(about, start, now, value) for about, start, value in points]
    return Sum(told, AggregationTemporality.CUMULATIVE, is_monotonic=True)


def _states(points: Points, now: int) -> Any:
    each = [
        ({**about, "state": state}, start, int(state == value))
        for about, start, value in points
        for state in STATES
    ]
    return _gauge(each, now)


def _histogram(points: Points, now: int) -> Any:
    from opentelemetry.sdk.metrics.export import AggregationTemporality, Histogram, HistogramDataPoint

    told = []
    for about, start, value in points:
        counts = value["counts"]
        each = [count - before for before, count in zip((0, *counts), counts, strict=False)]
        # Neither the least nor the most is known.
        unknown: Any = None
        told.append(
            HistogramDataPoint(
                about, start, now, counts[-1], value["sum"], each, value["le"], unknown, unknown
            )
        )
    return Histogram(told, AggregationTemporality.CUMULATIVE)


def _fit(value: object) -> str:
    """As the protocol takes it, which is UTF-8."""
    return str(value).encode("utf-8", "replace").decode()
