"""What the console says stands in modules of words: no other, and no template, has a phrase in its markup or its strings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from circusweb import words

STATIC = Path(__file__).parents[2] / "static"
WORDS = "words.js"
"""How the names of the modules end in which phrases stand: one for all, and one for a page that few ever open."""

KEYS = {"Esc", "Escape", "Enter", "Home", "End", "Tab", "Delete", "Space", "Control", "Shift"}
"""Names by which browsers know keys, beside those with two capitals."""

SPOKEN = ("aria-label", "title", "placeholder", "alt", "aria-description", "label")
"""Attributes that are read or heard by people."""

_TAG = re.compile(r"<[^<>]*>")
_CODE = re.compile(r"<(code|kbd)\b[^<>]*>.*?</\1>", re.S)
_LETTERS = re.compile(r"[A-Za-z]{2}")
_SENTENCE = re.compile(r"[A-Z]?[a-z]{2,}[,;:.]? [a-z]{1,}[,;:.]? [a-z]{2,}")
_LABEL = re.compile(r"[A-Z][a-z]+(?:[ ,].*)?", re.S)


def literals(source: str) -> Iterator[tuple[str, str, int]]:
    """Each literal of a module: ``html``, ``text`` or ``template``, its text with a NUL byte for each value in it, its line."""
    yield from _code(source, 0, len(source), False)[1]


def _code(source: str, at: int, end: int, inside: bool) -> tuple[int, list[tuple[str, str, int]]]:
    """From there to the end, or to the brace that closes a value of a template."""
    found: list[tuple[str, str, int]] = []
    depth = 0
    before = ""
    while at < end:
        sign = source[at]
        if source.startswith("//", at):
            at = source.find("\n", at) if "\n" in source[at:] else end
        elif source.startswith("/*", at):
            at = source.index("*/", at) + 2
        elif sign in "'\"":
            close = _quoted(source, at)
            found.append(("text", source[at + 1 : close], source.count("\n", 0, at) + 1))
            at, before = close + 1, sign
        elif sign == "`":
            kind = "html" if source[:at].endswith("html") else "template"
            line = source.count("\n", 0, at) + 1
            at, text, inner = _template(source, at + 1, end)
            found += [(kind, text, line), *inner]
            before = "`"
        elif sign == "/" and (
            not before or before in "(,=:[!&|?{};+<>" or source[:at].rstrip().endswith("return")
        ):
            at, before = _pattern(source, at), "/"
        elif inside and sign == "}" and depth == 0:
            return at, found
        else:
            depth += (sign == "{") - (sign == "}")
            before = sign if not sign.isspace() else before
            at += 1
    return at, found


def _quoted(source: str, at: int) -> int:
    quote = source[at]
    at += 1
    while source[at] != quote:
        at += 2 if source[at] == "\\" else 1
    return at


def _pattern(source: str, at: int) -> int:
    at += 1
    in_class = False
    while source[at] != "/" or in_class:
        if source[at] == "\\":
            at += 1
        elif source[at] in "[]":
            in_class = source[at] == "["
        at += 1
    return at + 1


def _template(source: str, at: int, end: int) -> tuple[int, str, list[tuple[str, str, int]]]:
    text = ""
    found: list[tuple[str, str, int]] = []
    while source[at] != "`":
        if source[at] == "\\":
            text += source[at : at + 2]
            at += 2
        elif source.startswith("${", at):
            at, inner = _code(source, at + 2, end, True)
            found += inner
            text += "\0"
            at += 1
        else:
            text += source[at]
            at += 1
    return at + 1, text, found


def classes() -> set[str]:
    """All names that the style sheets know."""
    sheets = "".join(path.read_text() for path in STATIC.glob("**/*.css") if "vendor" not in path.parts)
    return set(re.findall(r"\.([a-zA-Z][\w-]*)", sheets))


def phrases(source: str, known: set[str]) -> list[str]:
    """What a person would read or hear, with the lines."""
    told = []
    for kind, text, line in literals(source):
        if kind == "html":
            bare = _CODE.sub(" ", text)
            spoken = [match[2] for match in re.finditer(rf'\b({"|".join(SPOKEN)})="([^"]*)"', text)]
            told += [
                f"{line}: {part.strip()}"
                for part in (*spoken, *_TAG.split(bare))
                if _LETTERS.search(part.replace("\0", ""))
            ]
        elif is_phrase(text, known):
            told.append(f"{line}: {text}")
    return told


def is_phrase(text: str, known: set[str]) -> bool:
    """Whether a string is for people: neither a key's name, nor classes, nor a line for the shell."""
    plain = text.replace("\0", " ").strip()
    if (
        set(plain.split()) <= KEYS
        or plain.startswith("circusctl ")
        or "[" in plain
        or set(plain.split()) <= known
    ):
        return False
    return bool(_LABEL.fullmatch(plain) or _SENTENCE.search(plain))


MODULES = [path for path in sorted((STATIC / "js").glob("*.js")) if not path.name.endswith(WORDS)]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_no_module_speaks_for_itself(module: Path) -> None:
    """Who translates the console has one module to translate."""
    assert phrases(module.read_text(), classes()) == []


TEMPLATES = sorted((STATIC.parent / "templates").rglob("*.html"))
_JINJA = re.compile(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", re.S)
_COMMENT = re.compile(r"<!--.*?-->", re.S)


def spoken(template: str) -> list[str]:
    """What a template says itself."""
    bare = _CODE.sub(" ", _COMMENT.sub(" ", _JINJA.sub(" ", template)))
    said = [match[2] for match in re.finditer(rf'\b({"|".join(SPOKEN)})="([^"]*)"', bare)]
    # Attributes may stand in a block of their own.
    parts = _TAG.split(re.sub(r'[\w-]+="[^"]*"', " ", bare))
    return [part.strip() for part in (*said, *parts) if _LETTERS.search(part)]


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_no_template_speaks_for_itself(template: Path) -> None:
    """Who translates the pages of the server has one module to translate."""
    assert spoken(template.read_text()) == []


def test_what_a_template_says_is_found() -> None:
    """Text and attributes, but no code, no comment and no value."""
    assert spoken('<p title="Here">{{ a }} more</p><!-- why --><code>circusctl</code>{# so #}') == [
        "Here",
        "more",
    ]


@pytest.mark.parametrize("name", sorted(words.SAY))
def test_every_phrase_of_the_server_is_said(name: str) -> None:
    """In a template, or as a title."""
    sources = [*TEMPLATES, STATIC.parent / "circusweb" / "app.py"]
    text = "".join(path.read_text() for path in sources)
    assert f"say.{name} " in text or f'SAY["{name}"]' in text


@pytest.mark.parametrize(
    "source",
    [
        "html`<p>Not here</p>`",
        "html`<p>${a} more</p>`",
        "html`<p>${a ? html`<b>deep</b>` : ''}</p>`",
        'html`<p title="What it is">${a}</p>`',
        "const a = 'Needs you';",
        "const a = `Restart process ${wid}`;",
        "const a = 'there is nothing here';",
        "const a = b / 2; const c = 'There it is';",
    ],
)
def test_a_phrase_is_found(source: str) -> None:
    """Wherever it stands."""
    assert phrases(source, {"btn", "small"}) != []


@pytest.mark.parametrize(
    "source",
    [
        'html`<p class="btn small">${say.this}</p>`',
        "html`<kbd>Ctrl K</kbd> <code>circusctl weblink</code>`",
        "const a = 'Escape'; const b = 'btn small'; const c = `circusctl tail ${name} --follow`;",
        "const a = /[A-Z]'hidden here it is'/.test(b); // A comment that says much",
        "import { a } from './words.js'; const b = 'M0 0h10v10';",
    ],
)
def test_what_is_no_phrase_is_let_be(source: str) -> None:
    """Keys, classes, lines for the shell, comments."""
    assert phrases(source, {"btn", "small"}) == []
