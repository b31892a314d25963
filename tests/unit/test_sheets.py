"""Style sheets of pages stay loaded when the page is left: none may reach what another page has."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

STATIC = Path(__file__).parents[2] / "static"
BASE = STATIC / "app.css"
SHEETS = sorted((STATIC / "css").glob("*.css"))

ROOM = {"charts"}
"""Classes of what is loaded later, for which the base keeps the place free."""

MADE = re.compile(r"(?:[bf]g|lv|of|on|p)-\w+|[cd]\d")
"""Classes that modules make of a name and a value, such as ``fg-3``."""

_COMMENT = re.compile(r"/\*.*?\*/", re.S)
_RULE = re.compile(r"([^{};]+)\{")
_NOT = re.compile(r":not\([^()]*\)")
_NAME = re.compile(r"[.#]-?[A-Za-z_][\w-]*")


def selectors(sheet: str) -> Iterator[str]:
    """Each selector of a sheet, those within conditions too."""
    for found in _RULE.finditer(_COMMENT.sub("", sheet)):
        if not found[1].strip().startswith("@"):
            depth, part = 0, ""
            for sign in found[1].strip() + ",":
                depth += (sign == "(") - (sign == ")")
                if sign == "," and not depth:
                    yield part.strip()
                    part = ""
                else:
                    part += sign


def reaching(sheets: dict[str, str]) -> list[str]:
    """The selectors without a class or an id of their own sheet alone; those of ``app.css`` may be what they want."""
    owners = defaultdict(set)
    for name, sheet in sheets.items():
        for selector in selectors(sheet):
            for one in _NAME.findall(selector):
                if not (name == BASE.name and one[1:] in ROOM):
                    owners[one].add(name)
    return [
        f"{name}: {selector}"
        for name, sheet in sheets.items()
        if name != BASE.name
        for selector in selectors(sheet)
        if not any(owners[one] == {name} for one in _NAME.findall(_NOT.sub("", selector)))
    ]


def test_each_page_keeps_its_style_to_itself() -> None:
    """Whichever pages were seen before, in whatever order, a page looks the same."""
    assert reaching({path.name: path.read_text() for path in (BASE, *SHEETS)}) == []


@pytest.mark.parametrize(
    "sheet",
    [
        ".both { gap: 0; }",
        ".mine, .both:hover { gap: 0; }",
        "@media (max-width: 9px) { .mine { gap: 0; } .both { gap: 0; } }",
        ".base .both { gap: 0; }",
        ".both:not(.mine) { gap: 0; }",
        "p { gap: 0; }",
    ],
)
def test_reach_is_told(sheet: str) -> None:
    """A selector that fits on other pages is found, wherever it stands."""
    assert len(reaching({"app.css": ".base {}", "a.css": sheet, "b.css": ".theirs .both {}"})) == 1


def test_no_style_is_for_nobody() -> None:
    """Every class of a sheet is given by a module or a template."""
    sources = [*STATIC.glob("js/*.js"), *(STATIC.parent / "templates").rglob("*.html")]
    given = set(re.findall(r"[\w-]+", "".join(path.read_text() for path in sources)))
    styled = {
        one[1:]
        for path in (BASE, *SHEETS)
        for selector in selectors(path.read_text())
        for one in _NAME.findall(selector)
    }
    # The charts' own library gives those that begin with u-.
    assert sorted(one for one in styled - given if not MADE.fullmatch(one) and not one.startswith("u-")) == []
