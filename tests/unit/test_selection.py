"""Which watchers a name, a pattern or a tag means."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from circusd.runtime.selection import select
from circusd.schema.errors import BadRequest, NotFound

NAMES = ("e" * 60, "one,two", "web", "Web-2", "worker", "web[1]", "a*", "@odd")
TAGS = {"web": ("front", "critical"), "worker": ("critical",)}


def meant(name: str, match: str | None = None) -> list[str]:
    watchers = {
        n.lower(): SimpleNamespace(name=n, config=SimpleNamespace(tags=TAGS.get(n, ()))) for n in NAMES
    }
    arbiter: Any = SimpleNamespace(watchers=watchers)
    return [watcher.name for watcher in select(arbiter, {"name": name, "match": match})]


@pytest.mark.parametrize(
    ("name", "match", "expected"),
    [
        ("WEB", None, ["web"]),
        ("web*", None, ["web", "Web-2", "web[1]"]),
        ("web[1]", None, ["web[1]"]),
        ("a*", None, ["a*"]),
        ("w[eo]*", "glob", ["web", "Web-2", "web[1]", "worker"]),
        ("web", "regex", ["web", "Web-2", "web[1]"]),
        (r"web-\d$", "regex", ["Web-2"]),
        (r"\S+-\d", "regex", ["Web-2"]),
        (r"W(eb|orker)(-2)?$", "regex", ["web", "Web-2", "worker"]),
        ("web", "simple", ["web"]),
        ("@Critical", None, ["web", "worker"]),
        ("@front", "simple", ["web"]),
        ("@odd", None, ["@odd"]),
        ("worker,WEB,web", "list", ["web", "worker"]),
        ("a*,@odd", "list", ["@odd", "a*"]),
        (r"one\,two,web", "list", ["one,two", "web"]),
        ("web", "list", ["web"]),
    ],
)
def test_a_name_wins_over_a_pattern_and_letters_have_no_case(
    name: str, match: str | None, expected: list[str]
) -> None:
    """A watcher of exactly that name is meant alone, unless a regular expression or a list is asked for."""
    assert meant(name, match) == expected


@pytest.mark.parametrize(
    ("name", "match", "text"),
    [
        ("wbe", None, "program wbe not found; did you mean web?"),
        ("worke?x*", None, "program worke?x* not found; did you mean worker?"),
        ("web*", "simple", "program web* not found; did you mean web?"),
        ("nothing", "regex", "program nothing not found"),
        ("web,wroker", "list", "program wroker not found; did you mean worker?"),
        ("web,", "list", "program  not found"),
        ("@critcal", None, "no watcher has the tag critcal; did you mean @critical?"),
    ],
)
def test_what_matches_nothing_is_an_error_with_the_nearest_name(
    name: str, match: str | None, text: str
) -> None:
    """As for a name that is not there."""
    with pytest.raises(NotFound) as caught:
        meant(name, match)
    assert str(caught.value) == text


@pytest.mark.parametrize("pattern", ["(e+)+x", "x" * 201, "*" * 201])
def test_a_pattern_that_could_take_for_ever_is_refused(pattern: str) -> None:
    """Nobody who may ask for a status can make the daemon stand still."""
    with pytest.raises(BadRequest):
        meant(pattern, "glob" if pattern[0] == "*" else "regex")


@pytest.mark.parametrize(
    ("pattern", "match"), [("w(", "regex"), ("web", "nonsense"), ("a{99999999999}", "regex")]
)
def test_a_pattern_that_is_wrong_is_told(pattern: str, match: str) -> None:
    """With what was expected."""
    with pytest.raises(BadRequest):
        meant(pattern, match)
