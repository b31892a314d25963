"""The metrics table: every figure that is told for Prometheus, what it is of, and in which unit.

From it come what the daemon gathers, the text at ``/metrics``, the reference manual, and the test of the Grafana board.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

STATES = (
    "stopped",
    "waiting",
    "starting",
    "running",
    "ready",
    "frozen",
    "stopping",
    "exited",
    "unhealthy",
    "backoff",
    "failed",
    "completed",
)
"""Of a watcher: the worst state of its processes; ``unhealthy`` where one runs and was found so."""

RESTART_REASONS = ("exited", "killed", "max_age", "max_memory", "max_cpu", "unhealthy", "files", "command")
"""Why a process was started again: it had ended by itself, by a signal that was not circusd's, had reached ``max_age``, was not well or
not ready in time, or somebody wanted it."""

RUN_RESULTS = ("succeeded", "failed", "timed_out", "stopped", "replaced", "skipped", "missed", "lost")
"""How a run of a watcher with a schedule may have ended, or why there was none."""

LAG_STATISTICS = ("p50", "p99", "max")


class Metric(NamedTuple):
    """One figure; the name ends in its unit, and in ``_total`` where it only grows."""

    name: str
    type: str
    """``counter``, ``gauge``, ``info``, ``histogram`` (its value has ``le``, ``counts`` and ``sum``), or ``state`` (its value is
    one of `STATES`, and told as a gauge of 0 or 1 for each of them)."""
    doc: str
    unit: str = ""


class Group(NamedTuple):
    """Figures of the same things: a row for each thing, first its labels, then its values in this order."""

    name: str
    labels: tuple[str, ...]
    metrics: tuple[Metric, ...]
    whole: bool = False
    """Only told to who may see all watchers."""


GROUPS: tuple[Group, ...] = (
    Group(
        "build",
        ("version",),
        (Metric("circus_build_info", "info", "The version of circusd; always 1."),),
    ),
    Group(
        "watcher",
        ("watcher",),
        (
            Metric(
                "circus_watcher_state",
                "state",
                "The worst state of its processes: 1 for the one it is, 0 for the others.",
            ),
            Metric("circus_watcher_processes", "gauge", "Processes that run."),
            Metric("circus_watcher_numprocesses", "gauge", "Processes that are wanted."),
        ),
    ),
    Group(
        "restart",
        ("watcher", "reason"),
        (
            Metric(
                "circus_watcher_restarts_total",
                "counter",
                "Processes that were started again, by why they had ended.",
            ),
        ),
    ),
    Group(
        "last_run",
        ("watcher",),
        (
            Metric(
                "circus_watcher_last_run_start_time_seconds",
                "gauge",
                "When the last run of a watcher with a schedule began, in epoch seconds.",
                "seconds",
            ),
            Metric(
                "circus_watcher_last_run_end_time_seconds",
                "gauge",
                "When the last one that is over ended; earlier than that while one is under way.",
                "seconds",
            ),
            Metric(
                "circus_watcher_last_run_exit_code",
                "gauge",
                "Its exit code; 128 and the number of the signal where one has ended it, as shells have it.",
            ),
            Metric(
                "circus_watcher_last_run_success_time_seconds",
                "gauge",
                "When one last ended well.",
                "seconds",
            ),
        ),
    ),
    Group(
        "run",
        ("watcher", "result"),
        (
            Metric(
                "circus_watcher_runs_total",
                "counter",
                "Runs of a watcher with a schedule since circusd was started, by how they ended or why there was none.",
            ),
        ),
    ),
    Group(
        "process",
        ("watcher", "wid"),
        (
            Metric(
                "circus_process_start_time_seconds",
                "gauge",
                "When it was started, in epoch seconds.",
                "seconds",
            ),
            Metric(
                "circus_process_cpu_seconds_total",
                "counter",
                "Processor time of the process itself.",
                "seconds",
            ),
            Metric(
                "circus_process_resident_memory_bytes",
                "gauge",
                "Resident memory of the process itself.",
                "bytes",
            ),
            Metric(
                "circus_process_virtual_memory_bytes",
                "gauge",
                "Virtual memory of the process itself.",
                "bytes",
            ),
            Metric("circus_process_threads", "gauge", "Threads of the process itself."),
            Metric("circus_process_open_fds", "gauge", "Descriptors that it has open."),
            Metric(
                "circus_process_read_bytes_total", "counter", "Bytes that it has read from disks.", "bytes"
            ),
            Metric(
                "circus_process_written_bytes_total",
                "counter",
                "Bytes that it has written to disks.",
                "bytes",
            ),
            Metric(
                "circus_process_voluntary_context_switches_total", "counter", "Times that it went to sleep."
            ),
            Metric(
                "circus_process_involuntary_context_switches_total",
                "counter",
                "Times that it was put off for another process.",
            ),
            Metric("circus_process_descendants", "gauge", "Processes below it."),
            Metric(
                "circus_process_tree_cpu_seconds_total",
                "counter",
                "Processor time of the process with all that it has started.",
                "seconds",
            ),
            Metric(
                "circus_process_tree_resident_memory_bytes",
                "gauge",
                "Resident memory of the process and all below it; what they share counts for each.",
                "bytes",
            ),
        ),
    ),
    Group(
        "log",
        ("watcher", "stream"),
        (
            Metric("circus_log_lines_total", "counter", "Lines that its processes have written."),
            Metric("circus_log_bytes_total", "counter", "Bytes that its processes have written.", "bytes"),
        ),
    ),
    Group(
        "sink",
        ("watcher", "stream", "sink", "place"),
        (
            Metric(
                "circus_log_sink_taken_bytes_total",
                "counter",
                "Bytes of the stream that were for this place.",
                "bytes",
            ),
            Metric("circus_log_sink_written_bytes_total", "counter", "Bytes that the place took.", "bytes"),
            Metric(
                "circus_log_sink_dropped_bytes_total",
                "counter",
                "Bytes that are lost: the place was too slow, could not be written, or could not use them.",
                "bytes",
            ),
            Metric("circus_log_sink_dropped_lines_total", "counter", "Lines that ended in what is lost."),
            Metric(
                "circus_log_sink_waiting_bytes",
                "gauge",
                "Bytes that wait for the place, of all that goes there.",
                "bytes",
            ),
            Metric(
                "circus_log_sink_limit_bytes",
                "gauge",
                "Bytes that may wait for the place.",
                "bytes",
            ),
            Metric("circus_log_sink_failing", "gauge", "1 while something is wrong with the place, else 0."),
        ),
    ),
    Group(
        "socket",
        ("socket",),
        (
            Metric("circus_socket_backlog", "gauge", "Connections that wait to be accepted."),
            Metric("circus_socket_backlog_limit", "gauge", "Connections that may wait."),
            Metric("circus_socket_connections", "gauge", "Connections that were accepted and are open."),
        ),
    ),
    Group(
        "daemon",
        (),
        (
            Metric(
                "circus_daemon_start_time_seconds",
                "gauge",
                "When circusd was started, in epoch seconds.",
                "seconds",
            ),
            Metric("circus_daemon_cpu_seconds_total", "counter", "Processor time of circusd.", "seconds"),
            Metric("circus_daemon_resident_memory_bytes", "gauge", "Resident memory of circusd.", "bytes"),
            Metric("circus_daemon_threads", "gauge", "Threads of circusd."),
            Metric("circus_daemon_open_fds", "gauge", "Descriptors that circusd has open."),
            Metric("circus_daemon_max_fds", "gauge", "Descriptors that circusd may have open."),
            Metric("circus_daemon_watchers", "gauge", "Watchers."),
            Metric("circus_daemon_requests_total", "counter", "Requests that have come."),
            Metric(
                "circus_daemon_published_messages_total",
                "counter",
                "Messages of events, stats and output that somebody wanted.",
            ),
            Metric("circus_daemon_connections", "gauge", "Connections that are in."),
            Metric("circus_daemon_accepted_connections_total", "counter", "Connections that were let in."),
            Metric("circus_daemon_refused_connections_total", "counter", "Connections that were refused."),
            Metric(
                "circus_daemon_loop_turn_seconds",
                "histogram",
                "How long the turns of the loop took.",
                "seconds",
            ),
        ),
        whole=True,
    ),
    Group(
        "lag",
        ("statistic",),
        (
            Metric(
                "circus_daemon_loop_lag_seconds",
                "gauge",
                "How long the loop let others wait in the last minute: at half of all moments (p50), at all but one of a hundred "
                "(p99), at the worst (max).",
                "seconds",
            ),
        ),
        whole=True,
    ),
    Group(
        "host",
        (),
        (
            Metric("circus_host_memory_total_bytes", "gauge", "Memory of the machine.", "bytes"),
            Metric(
                "circus_host_memory_available_bytes", "gauge", "Memory that programs can still have.", "bytes"
            ),
            Metric("circus_host_load1", "gauge", "Load of the machine, mean of 1 minute."),
            Metric("circus_host_load5", "gauge", "Load of the machine, mean of 5 minutes."),
            Metric("circus_host_load15", "gauge", "Load of the machine, mean of 15 minutes."),
        ),
        whole=True,
    ),
    Group(
        "processor",
        ("mode",),
        (
            Metric(
                "circus_host_cpu_seconds_total",
                "counter",
                "What the machine's processors spent their time with.",
                "seconds",
            ),
        ),
        whole=True,
    ),
    Group(
        "console",
        (),
        (
            Metric(
                "circus_ws_clients",
                "gauge",
                "Pages of the console that are open, in the process that was asked.",
            ),
        ),
        whole=True,
    ),
)
"""In the order in which they are told."""

BY_NAME: Mapping[str, Group] = {group.name: group for group in GROUPS}
METRICS: Mapping[str, Metric] = {metric.name: metric for group in GROUPS for metric in group.metrics}
