"""The Grafana board and the page on metrics: every name and label in them is one of the table."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest

from circusd.schema.metrics import GROUPS, METRICS

ROOT = Path(__file__).resolve().parents[2]
BOARD: dict[str, Any] = json.loads((ROOT / "docs" / "grafana" / "circus.json").read_text("utf-8"))
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
PAGE = (ROOT / "docs" / "metrics.rst").read_text("utf-8")

NAME = re.compile(r"\bcircus_\w+")
ADDED = {"instance", "job"}
"""Labels that Prometheus gives."""
LABELS = {
    metric.name: set(group.labels)
    | ADDED
    | ({"state"} if metric.type == "state" else {"le"} if metric.type == "histogram" else set())
    for group in GROUPS
    for metric in group.metrics
}


def metric_of(name: str) -> str:
    """The metric that a sample of that name is of."""
    base = re.sub(r"_(bucket|sum|count)$", "", name)
    return base if base in METRICS and METRICS[base].type == "histogram" else name


def expressions() -> list[tuple[str, str]]:
    """Of each panel and each variable, with its title."""
    found = [(panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]]
    queries = [one for one in BOARD["templating"]["list"] if one["type"] == "query"]
    return found + [(one["name"], one["query"]["query"]) for one in queries]


def examples() -> list[tuple[str, str]]:
    """The expressions of the rules that the page shows."""
    return [("page", line.partition("expr:")[2].strip()) for line in PAGE.splitlines() if "expr:" in line]


@pytest.mark.parametrize(("title", "expression"), [*expressions(), *examples()])
def test_names_and_labels_are_those_of_the_table(title: str, expression: str) -> None:
    """What a renamed metric would leave empty is found here."""
    names = NAME.findall(expression)
    assert names, title
    for name in names:
        assert metric_of(name) in METRICS, f"{title}: {name}"
    known = set.union(*(LABELS[metric_of(name)] for name in names))
    for matchers in re.findall(r"\{([^}]*)\}", expression):
        assert set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers)) <= known, title
    for listed in re.findall(r"\b(?:by|on|without)\s*\(([^)]*)\)", expression):
        assert {word.strip() for word in listed.split(",")} <= known, title


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_legends_name_labels_that_are_there(panel: dict[str, Any]) -> None:
    """Each target shows labels that its own expression leaves."""
    for target in panel["targets"]:
        wanted = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        names = NAME.findall(target["expr"])
        assert wanted <= set.union(*(LABELS[metric_of(name)] for name in names))
        kept = re.search(r"\bby\s*\(([^)]*)\)", target["expr"])
        if kept:
            assert wanted <= {word.strip() for word in kept[1].split(",")}


def test_what_only_grows_is_shown_as_a_rate() -> None:
    """A counter as it stands says nothing: it is in rate() or increase()."""
    for title, expression in expressions():
        for name in NAME.findall(expression):
            if METRICS[metric_of(name)].type in ("counter", "histogram"):
                assert re.search(rf"\b(rate|increase)\({name}\b", expression), title


def test_every_group_of_the_table_is_on_the_board() -> None:
    """Nothing that is told is forgotten there."""
    shown = {metric_of(name) for _, expression in expressions() for name in NAME.findall(expression)}
    assert [one.name for one in GROUPS if not shown & {metric.name for metric in one.metrics}] == []


def test_panels_stand_beside_each_other() -> None:
    """Each has a number and a title of its own, lies on the grid of 24 columns, and covers no other."""
    everything = BOARD["panels"]
    assert len({panel["id"] for panel in everything}) == len(everything)
    assert len({panel["title"] for panel in everything}) == len(everything)
    places = [panel["gridPos"] for panel in everything]
    assert all(at["x"] >= 0 and at["x"] + at["w"] <= 24 for at in places)
    for one, other in itertools.combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below


def test_board_belongs_to_no_grafana() -> None:
    """It asks which Prometheus is meant, and holds no number of a machine's own."""
    assert BOARD["id"] is None
    assert BOARD["templating"]["list"][0]["type"] == "datasource"
    sources = [panel["datasource"]["uid"] for panel in PANELS]
    sources += [target["datasource"]["uid"] for panel in PANELS for target in panel["targets"]]
    assert set(sources) == {"${datasource}"}


def test_page_names_only_metrics_of_the_table() -> None:
    """In its text too."""
    for name in NAME.findall(PAGE):
        if name.endswith("_"):
            assert any(known.startswith(name) for known in METRICS)
        else:
            assert metric_of(name) in METRICS
