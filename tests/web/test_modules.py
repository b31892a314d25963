"""The console's own modules, asked in a browser as they are served: colours, levels, the ring of lines, filters, numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.web.browser import opened
from tests.web.console import Console


@pytest.fixture(scope="module")
def page(browser: Browser, standing: Console) -> Iterator[Page]:
    """A page of ours, from which the modules can be loaded."""
    with opened(browser, standing.origin + "/login") as opened_page:
        yield opened_page


def ask(page: Page, module: str, code: str, argument: Any = None) -> Any:
    """What an expression gives in which ``m`` is the module and ``a`` the argument."""
    return page.evaluate(
        """async ([module, code, a]) => {
            const sheet = document.querySelector('link[rel=stylesheet]').href;
            const url = sheet.replace('app.css', `js/${module}.js`);
            const m = { ...await import(url), url };
            // The page's own policy forbids to run text: the expressions are here.
            return TABLE[code](m, a);
        }""".replace("TABLE", TABLE),
        [module, code, argument],
    )


TABLE = """({
    pieces: (m, a) => m.pieces(a, m.plain).map(([text, state]) => [text, Object.entries(state).filter(([, v]) => v || v === 0)]),
    after: (m, a) => a.reduce((state, text) => m.after(text, state), m.plain) === m.plain,
    strip: (m, a) => m.visible(m.strip(a)),
    level: (m, a) => a.map((text) => m.LEVELS[m.levelOf(text)].word),
    pattern: (m, a) => { const test = m.pattern(a[0]); return test === null ? null : a[1].map((text) => test(text)); },
    bytes: (m, a) => a.map((n) => m.bytes(n).join(' ')),
    rate: (m, a) => a.map((n) => m.rate(n)),
    span: (m, a) => a.map((n) => m.span(n)),
    wait: (m, a) => a.map((n) => m.wait(n)),
    word: (m, a) => a.map((text) => m.word(text)),
    spark: async (m) => {
        const { Series } = await import(m.url.replace('shapes', 'series'));
        const line = (series) => m.spark(series).props.children[1].props.d;
        const heights = (series) => [...line(series).matchAll(/[ML][0-9.]+ ([0-9.]+)/g)].map((found) => found[1]);
        const series = new Series();
        for (let n = 0; n < 400; n += 1) series.push(n % 7 === 3 ? 50 : n % 5);
        const same = m.spark(series) === m.spark(series);
        const before = heights(series);
        for (const value of [3, 1, 2]) series.push(value);
        const after = heights(series);
        const alone = new Series();
        for (const value of [1, 1, 1, 1, 1, null, null, null, null, null, 1]) alone.push(value);
        return [same, before.slice(1).join(), after.slice(0, before.length - 1).join(), line(alone)];
    },
    marks: (m) => {
        const kinds = Array(400).fill('run');
        kinds[100] = 'fail';
        for (let n = 200; n < 300; n += 1) kinds[n] = 'rest';
        const drawn = m.ring(kinds).props.children.flat(9).map((one) => one?.props?.class || one?.[1]?.props?.class);
        return drawn.filter(Boolean);
    },
    ring: (m) => {
        const lines = new m.Lines(10000);
        for (let n = 1; n <= 25000; n += 1) lines.line(1 + n % 3, n % 2, 7, n, n, `${n % 10 ? 'INFO' : 'ERROR'} line ${n}`);
        const seen = (place) => lines.text(lines.at(place));
        const all = [lines.count, lines.shown, lines.gone, seen(0), seen(lines.shown - 1), lines.levels[4], lines.levels[2]];
        lines.setFilter((l, row, text) => text.startsWith('ERROR'));
        for (let n = 25001; n <= 30000; n += 1) lines.line(1, 0, 7, n, n, `${n % 10 ? 'INFO' : 'ERROR'} line ${n}`);
        const some = [lines.count, lines.shown, seen(0), seen(lines.shown - 1), lines.wid(lines.at(0)), lines.stream(lines.at(0))];
        return [all, some, lines.gone];
    },
    chars: (m) => {
        const lines = new m.Lines(1000, 100000);
        for (let n = 1; n <= 500; n += 1) lines.line(1, 0, 7, n, n, 'x'.repeat(1000));
        return [lines.count, lines.chars <= 102000];
    },
})"""


RED, BOTH = {"fg": 1}, {"fg": 9, "bg": "#585858"}


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("plain", {"plain": {}}),
        ("\x1b[31mred\x1b[0m not", {"red": RED, " not": {}}),
        (
            "\x1b[1;4;97;44mall\x1b[22;24;39;49mnone",
            {"all": {"fg": 15, "bg": 4, "bold": True, "under": True}, "none": {}},
        ),
        ("\x1b[38;5;196ma\x1b[38;5;9mb\x1b[48;5;240mc", {"a": {"fg": "#ff0000"}, "b": {"fg": 9}, "c": BOTH}),
        (
            "\x1b[38;2;1;2;300mx\x1b[38:2::1:2:3my\x1b[38:5:1mz",
            {"x": {"fg": "#0102ff"}, "y": {"fg": "#010203"}, "z": RED},
        ),
        ("\x1b[2Ja\x1b[10;10Hb\x1b]0;title\x07c", {"a": {}, "b": {}, "c": {}}),
        ("a\x1b]8;;http://x\x1b\\b\x1bMc\x1b(Bd\x1bPq\x1b\\", {"a": {}, "b": {}, "c": {}, "d": {}}),
        ("a\x1b[38;5;999mb\x1b[999mc\x1b[;;md", {"a": {}, "b": {}, "c": {}, "d": {}}),
        ("cut\x1b[3", {"cut": {}}),
        ("cut\x1b]0;no end", {"cut": {}}),
        ("\x1b[7;9minv\x1b[27;29m", {"inv": {"inverse": True, "strike": True}}),
    ],
)
def test_colours_are_read_and_all_else_is_taken_out(page: Page, text: str, runs: dict[str, Any]) -> None:
    """Sixteen, 256 and true colours in both spellings; what a terminal would obey is gone."""
    assert {part: dict(state) for part, state in ask(page, "ansi", "pieces", text)} == runs


def test_colour_goes_on_until_it_is_ended(page: Page) -> None:
    """A colour that a line leaves on is that of the next line, and a reset ends it."""
    assert ask(page, "ansi", "after", ["\x1b[31mred", "still"]) is False
    assert ask(page, "ansi", "after", ["\x1b[31mred", "still \x1b[m"]) is True


def test_nothing_hides_in_a_line(page: Page) -> None:
    """Control characters are shown as signs."""
    assert ask(page, "ansi", "strip", "a\rb\x08c\x00\x7f\x1b[1md\te") == "a^Mb^Hc^@^?d\te"


def test_levels_are_those_that_lines_name(page: Page) -> None:
    """Where loggers put it, and nowhere else."""
    lines = {
        "2026-11-24 00:00:00 ERROR no": "ERR",
        "[warn] slow": "WRN",
        'level=info msg="x"': "INF",
        '{"level":"debug","msg":"ERR"}': "DBG",
        "W1124 00:00:00.000 x.go:1] klog": "WRN",
        "warning: unused": "WRN",
        "CRITICAL - gone": "ERR",
        "an error occurred": "",
        "informational terror": "",
        "GET /error 200": "",
        "": "",
    }
    assert ask(page, "level", "level", list(lines)) == list(lines.values())


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("foo", [True, True, False]),
        ("!foo", [False, False, True]),
        ("/^foo/", [True, False, False]),
        ("/^FOO/i", [True, False, False]),
        ("!/o$/", [False, True, False]),
        ("", None),
        ("!", None),
        (" / ", [False, False, True]),
    ],
)
def test_filters(page: Page, typed: str, found: Any) -> None:
    """Plain text in any case, regular expressions, and their opposites."""
    assert ask(page, "lines", "pattern", [typed, ["foo", "a FOO b", "a/o"]]) == found


def test_ring_forgets_the_oldest(page: Page) -> None:
    """So many lines and no more, with what a filter leaves of them and the counts of their levels always right."""
    every, some, gone = ask(page, "lines", "ring")
    assert every == [10000, 10000, 15000, "INFO line 15001", "ERROR line 25000", 1000, 9000]
    assert some == [10000, 1000, "ERROR line 20010", "ERROR line 30000", 1, 0]
    assert gone == 500


def test_ring_has_a_limit_in_bytes_too(page: Page) -> None:
    """Long lines are fewer lines."""
    assert ask(page, "lines", "chars") == [101, True]


def test_numbers_are_short_and_exact(page: Page) -> None:
    """Sizes, spans, waits, and words for a shell."""
    sizes = [0, 999, 1024, 64 << 20, 5_400_000, 1_160_000_000, 24 << 30]
    assert ask(page, "format", "bytes", sizes) == [
        "0 B",
        "999 B",
        "1 KiB",
        "64 MiB",
        "5.1 MiB",
        "1.08 GiB",
        "24 GiB",
    ]
    assert ask(page, "format", "span", [0, 67, 3661, 90061]) == ["0:00", "1:07", "1:01:01", "1 d 01:01"]
    assert ask(page, "format", "rate", [0, 0.44, 4.0, 9.96, 1846.6]) == ["0", "0.4", "4", "10", "1,847"]
    assert ask(page, "format", "wait", [0.42, 12.3, 100, 7200]) == ["0.4 s", "12 s", "2 min", "2 h"]
    assert ask(page, "format", "word", ["web", "plugin:x", "it's", "a b", "$(x)", "\u202eit's\\\n"]) == [
        "web",
        "plugin:x",
        "'it'\\''s'",
        "'a b'",
        "'$(x)'",
        r"$'\u202eit\'s\\\u000a'",
    ]


def test_sparkline_keeps_its_shape(page: Page) -> None:
    """What was drawn moves to the left as it is; what is known already is not drawn anew; a point alone is a dot."""
    same, before, after, alone = ask(page, "shapes", "spark")
    assert same
    assert len(before.split(",")) > 50
    assert after == before
    assert re.fullmatch(r"M[0-9.]+ [0-9.]+h0M84.0 [0-9.]+h0", alone)


def test_ring_of_many_keeps_the_places(page: Page) -> None:
    """Each kind has its share and one mark at least, where its processes are among the others."""
    marks = ask(page, "shapes", "marks")
    assert marks.count("is-fail") == 1
    assert marks.count("is-rest") == 9
    assert len(marks) == 37
    assert 7 <= marks.index("is-fail") <= 11
    assert 16 <= marks.index("is-rest") <= 20
