"""Metrics as text: what the official parsers read is what was told, whatever watchers are called."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import parser as plain
from prometheus_client.openmetrics import parser as openly
from prometheus_client.samples import Sample

from circusd.core.health import UNHEALTHY
from circusd.core.process import State
from circusd.runtime.runs import (
    FAILED,
    LOST,
    MISSED,
    REPLACED,
    SKIPPED,
    STOPPED,
    SUCCEEDED,
    TIMED_OUT,
)
from circusd.schema.exposition import exposition
from circusd.schema.metrics import BY_NAME, GROUPS, METRICS, RESTART_REASONS, RUN_RESULTS, STATES

HOSTILE = (
    'say "hi"',
    "back\\slash",
    "ends in \\",
    "a\nb",
    "\\n",
    '"} 1\ncircus_fake_total{watcher="x',
    "# TYPE circus_watcher_processes counter",
    "{a,b=c}",
    "tab\tand \x1b[31mred",
    "\r\n",
    "ünï ☃ \u2028 \U0001f3aa",
    "\x00",
    "",
    " ",
)


def group(name: str, *rows: list[Any]) -> dict[str, Any]:
    """As the daemon tells it."""
    known = BY_NAME[name]
    return {
        "name": name,
        "labels": known.labels,
        "metrics": [m.name for m in known.metrics],
        "rows": list(rows),
    }


def text_of(*groups: dict[str, Any], openmetrics: bool) -> str:
    return b"".join(exposition(json.loads(json.dumps(groups)), openmetrics=openmetrics)).decode()


def samples_of(
    *groups: dict[str, Any], openmetrics: bool
) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """What the official parser reads, by name and labels; each but once."""
    text = text_of(*groups, openmetrics=openmetrics)
    families = list((openly if openmetrics else plain).text_string_to_metric_families(text))
    found: list[Sample] = [sample for family in families for sample in family.samples]
    told = {(s.name, tuple(sorted(s.labels.items()))): s.value for s in found}
    assert len(told) == len(found)
    return told


HISTOGRAM = {"le": [0.1, 1.0], "counts": [3, 5, 6], "sum": 2.5}
PROCESS = [1.7e9, 1.25, 4096, 8192, 3, 7, 0, 512, 10, 20, 2, 3.5, 16384]
EVERYTHING = [
    group("build", ["0.1.0", 1]),
    group("watcher", ["web", "running", 2, 3], ["db", "failed", 0, 1]),
    group("restart", ["web", "exited", 4]),
    group("last_run", ["nightly", 1.7e9, 1.7e9 + 60, 137, 1.6e9], ["new", None, None, None, None]),
    group("run", ["nightly", "timed_out", 3]),
    group("process", ["web", 1, *PROCESS], ["web", 2, *[None] * len(PROCESS)]),
    group("log", ["web", "stdout", 12345678901, 9]),
    group("sink", ["web", "stdout", "", "/var/log/web.log", 9, 5, 3, 2, 1, 65536, 0]),
    group("socket", ["http", 0, 128, 5]),
    group("daemon", [1.7e9, 2.5, 1, 2, 3, None, 5, 6, 7, 8, 9, 10, HISTOGRAM]),
    group("lag", ["p99", 0.0005]),
    group("host", [1, 2, 0.5, 0.25, 0.125]),
    group("processor", ["idle", 1e9]),
    group("console", [2]),
]


@pytest.mark.parametrize("openmetrics", [False, True], ids=["prometheus", "openmetrics"])
def test_parser_reads_what_was_told(openmetrics: bool) -> None:
    """Every metric of the table arrives with its name, labels and value; what is not known is not there."""
    found = samples_of(*EVERYTHING, openmetrics=openmetrics)
    assert found["circus_build_info", (("version", "0.1.0"),)] == 1
    assert found["circus_watcher_processes", (("watcher", "web"),)] == 2
    assert found["circus_watcher_restarts_total", (("reason", "exited"), ("watcher", "web"))] == 4
    run = (("watcher", "nightly"),)
    assert [found[m.name, run] for m in BY_NAME["last_run"].metrics] == [1.7e9, 1.7e9 + 60, 137, 1.6e9]
    assert not [key for key in found if key[1] == (("watcher", "new"),)]
    assert found["circus_watcher_runs_total", (("result", "timed_out"), *run)] == 3
    one = (("watcher", "web"), ("wid", "1"))
    values = [found[metric.name, one] for metric in BY_NAME["process"].metrics]
    assert values == PROCESS
    assert not [key for key in found if key[1] == (("watcher", "web"), ("wid", "2"))]
    assert found["circus_log_lines_total", (("stream", "stdout"), ("watcher", "web"))] == 12345678901
    place = (("place", "/var/log/web.log"), ("sink", ""), ("stream", "stdout"), ("watcher", "web"))
    assert [found[metric.name, place] for metric in BY_NAME["sink"].metrics] == [9, 5, 3, 2, 1, 65536, 0]
    assert ("circus_daemon_max_fds", ()) not in found
    assert found["circus_daemon_loop_turn_seconds_bucket", (("le", "1.0"),)] == 5
    assert found["circus_daemon_loop_turn_seconds_bucket", (("le", "+Inf"),)] == 6
    assert found["circus_daemon_loop_turn_seconds_sum", ()] == 2.5
    assert found["circus_daemon_loop_turn_seconds_count", ()] == 6
    states = {labels: value for (name, labels), value in found.items() if name == "circus_watcher_state"}
    assert len(states) == 2 * len(STATES)
    assert states[("state", "failed"), ("watcher", "db")] == 1
    assert sum(states.values()) == 2
    base = {name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count") for name, _ in found}
    assert base == set(METRICS) - {"circus_daemon_max_fds"}


@pytest.mark.parametrize("openmetrics", [False, True], ids=["prometheus", "openmetrics"])
def test_types_units_and_help_are_those_of_the_table(openmetrics: bool) -> None:
    """Each family says what it is, in the words of its format."""
    text = text_of(*EVERYTHING, openmetrics=openmetrics)
    families = {f.name: f for f in (openly if openmetrics else plain).text_string_to_metric_families(text)}
    for metric in METRICS.values():
        kind = {"state": "gauge", "info": "info" if openmetrics else "gauge"}.get(metric.type, metric.type)
        suffix = "_total" if kind == "counter" else "_info" if kind == "info" else ""
        family = families.pop(metric.name.removesuffix(suffix))
        assert (family.type, family.documentation) == (kind, metric.doc)
        if openmetrics:
            assert family.unit == metric.unit
    assert not families
    assert text.endswith("# EOF\n") is openmetrics


@pytest.mark.parametrize("openmetrics", [False, True], ids=["prometheus", "openmetrics"])
@pytest.mark.parametrize("name", HOSTILE, ids=repr)
def test_hostile_names_are_labels_and_nothing_else(name: str, openmetrics: bool) -> None:
    """A name comes back as it was, and no line, label or sample of its own making is there."""
    found = samples_of(group("watcher", [name, "running", 1, 1]), openmetrics=openmetrics)
    assert len(found) == len(STATES) + 2
    assert {dict(labels)["watcher"] for _, labels in found} == {name}
    row = ["web", "stdout", name, name, *[1] * len(BY_NAME["sink"].metrics)]
    places = samples_of(group("sink", row), openmetrics=openmetrics)
    assert {(dict(labels)["sink"], dict(labels)["place"]) for _, labels in places} == {(name, name)}
    assert {family for family, _ in places} == {metric.name for metric in BY_NAME["sink"].metrics}


@given(st.lists(st.text(max_size=20), unique=True, max_size=4), st.booleans())
def test_any_names_are_labels(names: list[str], openmetrics: bool) -> None:
    """Any text that is UTF-8."""
    told = [name.encode("utf-8", "replace").decode() for name in names]
    if len(set(told)) < len(told):
        return
    rows = [[name, "stdout", number, None] for number, name in enumerate(names)]
    found = samples_of(group("log", *rows), openmetrics=openmetrics)
    assert {dict(labels)["watcher"]: value for (_, labels), value in found.items()} == {
        name: number for number, name in enumerate(told)
    }


def test_name_that_is_no_utf_8_is_told_all_the_same() -> None:
    """An undecodable byte comes out as a question mark: the text is UTF-8 whatever happens."""
    found = samples_of(group("log", ["a\udcffb", "stdout", 1, None]), openmetrics=True)
    assert [dict(labels)["watcher"] for _, labels in found] == ["a?b"]


def test_metric_of_another_version_is_of_unknown_type() -> None:
    """What a daemon tells that this version does not know is passed on."""
    told = {"labels": ["watcher"], "metrics": ["circus_news"], "rows": [["web", 3]]}
    for openmetrics in (False, True):
        found = samples_of(told, openmetrics=openmetrics)
        assert found == {("circus_news", (("watcher", "web"),)): 3}


@pytest.mark.parametrize(
    "told",
    [
        {},
        [],
        "x",
        {"labels": ["a"], "metrics": ["circus_news"], "rows": [[]]},
        {"labels": [], "metrics": ["circus_news"], "rows": [["text"]]},
        {"labels": [], "metrics": ["circus_daemon_loop_turn_seconds"], "rows": [[3]]},
        {"labels": None, "metrics": [], "rows": []},
    ],
)
def test_what_is_no_group_is_a_value_error(told: Any) -> None:
    """Nothing else comes of what another daemon may tell."""
    with pytest.raises(ValueError, match="metrics"):
        list(exposition([told], openmetrics=False))


def test_table_follows_the_conventions() -> None:
    """Names are unique, begin with circus_, end in their unit; only what grows ends in _total; states are those of the core."""
    names = [metric.name for one in GROUPS for metric in one.metrics]
    assert len(set(names)) == len(names)
    for metric in METRICS.values():
        assert metric.name.startswith("circus_")
        base = metric.name.removesuffix("_total") if metric.type == "counter" else metric.name
        assert metric.name.endswith("_total") == (metric.type == "counter")
        assert metric.name.endswith("_info") == (metric.type == "info")
        assert base.endswith(f"_{metric.unit}") if metric.unit else not base.endswith(("_seconds", "_bytes"))
        assert metric.doc.endswith(".")
    assert set(STATES) == {*(state.value for state in State), UNHEALTHY}
    assert len(set(RESTART_REASONS)) == len(RESTART_REASONS)
    ended = {SUCCEEDED, FAILED, TIMED_OUT, STOPPED, REPLACED, SKIPPED, MISSED, LOST}
    assert set(RUN_RESULTS) == {result.replace(" ", "_") for result in ended}
    assert not [label for one in GROUPS for label in one.labels if label in ("pid", "le", "quantile")]
