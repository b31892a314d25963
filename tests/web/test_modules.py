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
    pattern: async (m, a) => {
        const parsed = m.parse(a[0]);
        if (parsed === null) return null;
        const pattern = new m.Pattern(parsed);
        const found = pattern.test ? a[1].map((text) => pattern.test(text)) : [...await pattern.ask(a[1])].map(Boolean);
        pattern.close();
        return found;
    },
    places: async (m, a) => {
        const pattern = new m.Pattern(m.parse(a[0], a[2]));
        const found = pattern.places(a[1]) || (await pattern.locate([a[1]]))[0];
        pattern.close();
        return found;
    },
    late: async (m) => {
        const pattern = new m.Pattern(m.parse('/^(a+)+$/'));
        const began = performance.now();
        let beats = 0;
        const heart = setInterval(() => { beats += 1; }, 20);
        const told = await pattern.ask(['a'.repeat(40) + 'b']).then(() => 'found', (error) => error.message);
        clearInterval(heart);
        const again = await pattern.ask(['b']).then(() => 'found', (error) => error.message);
        return [told, again, beats > 10, performance.now() - began < 20000];
    },
    closed: async (m) => {
        const pattern = new m.Pattern(m.parse('/x/'));
        const found = () => pattern.ask(['x']).then(() => 'found', () => 'none');
        const first = found();
        pattern.close();
        return [await first, await found(), pattern.worker];
    },
    layered: (m, [count, needs]) => {
        const nodes = Array.from({ length: count }, (_, i) => ({ key: `n${i}`, height: 46 + 17 * (i % 4) }));
        const half = count / 2;
        const edges = Array.from({ length: needs }, (_, i) => ({ from: `n${(i * 7) % half}`, to: `n${half + ((i * 13) % half)}`, at: 50 }));
        edges.push({ from: 'n1', to: 'n0', at: 50 }, { from: `n${count - 1}`, to: `n${count - 2}`, at: 50 });
        const drawn = m.layered(nodes, edges, 204);
        const at = (key) => drawn.places.get(key);
        const boxes = nodes.map(({ key, height }) => ({ ...at(key), height }));
        const clear = (a, b) => a === b || a.x !== b.x || a.y + a.height < b.y || b.y + b.height < a.y;
        const apart = boxes.every((a) => boxes.every((b) => clear(a, b)));
        const ends = (box) => box.y + box.height <= drawn.height && box.x + 204 <= drawn.width;
        const within = boxes.every((box) => box.x >= 0 && box.y >= 0 && ends(box));
        const circle = ['n0', 'n1', 'n2'].map((from, i) => ({ from, to: `n${(i + 1) % 3}`, at: 50 }));
        const ring = m.layered(nodes.slice(0, 3), circle, 204);
        return [apart, within && edges.every((edge) => at(edge.from).x < at(edge.to).x), ring.places.size === 3];
    },
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
    ring: async (m) => {
        const { Sieve } = await import(m.url.replace('lines.js', 'sieve.js'));
        const lines = new m.Lines(10000);
        const from = [0, 1, 2].map((n) => lines.from('web', n + 1, n % 2));
        const text = (n) => `${n % 10 ? 'INFO' : 'ERROR'} line ${n}`;
        const write = (until, who) => {
            for (let n = lines.last + 1; n <= until; n += 1) lines.line(from[who ?? n % 3], 7, n, n, text(n));
            lines.last = until;
        };
        const levels = (level) => lines.sources.reduce((sum, source) => sum + source.levels[level], 0);
        const all = new Sieve(lines);
        lines.last = 0;
        write(25000);
        const seen = (sieve, place) => lines.text(sieve.at(place));
        const every = [lines.count, all.shown, seen(all, 0), seen(all, all.shown - 1), levels(4), levels(2)];
        const sieve = new Sieve(lines);
        sieve.set({ picks: (l, row, text) => text.startsWith('ERROR') });
        while (sieve.advance(1)) { /* until all is done */ }
        write(30000, 0);
        while (sieve.advance(1)) { /* until all is done */ }
        const ends = [seen(sieve, 0), seen(sieve, sieve.shown - 1)];
        const some = [lines.count, sieve.shown, ...ends, lines.wid(sieve.at(sieve.shown - 1)), lines.stream(sieve.at(0))];
        return [every, some, sieve.gone];
    },
    chars: (m) => {
        const lines = new m.Lines(1000, 100000);
        const from = lines.from('web', 1, 0);
        for (let n = 1; n <= 500; n += 1) lines.line(from, 7, n, n, 'x'.repeat(1000));
        return [lines.count, lines.chars <= 102000];
    },
    traces: (m, a) => {
        const lines = new m.Lines();
        const from = lines.from('web', 1, 1);
        a.forEach((text, at) => lines.line(from, 7, at + 1, at, text));
        const rows = a.map((_, at) => lines.first + at);
        return [rows.map((row) => lines.head(row) - lines.first), rows.map((row) => lines.level(row)), lines.sources[0].levels];
    },
    insert: (m) => {
        const lines = new m.Lines(100);
        const [one, two] = [lines.from('a', 1, 0), lines.from('b', 1, 0)];
        const rows = () => [...Array(lines.count).keys()].map((n) => lines.first + n);
        const all = () => rows().map((row) => (lines.kind(row) === 1 ? `-${lines.missing(row)}` : lines.text(row))).join(' ');
        const told = [];
        for (const n of [10, 11, 12]) lines.line(one, 7, n, n, `a${n}`);
        lines.gap(one, 20, 13, 7, 'why');
        for (const n of [20, 21]) lines.line(one, 7, n, n, `a${n}`);
        const keeps = lines.next - 1;
        told.push(all());
        // Lines of another source, some of the time that is missing.
        lines.insert([[two, 8, 1, 11.5, 'b1'], [two, 8, 2, 16.5, 'b2']]);
        told.push(all());
        const gap = [...Array(lines.count).keys()].map((n) => lines.first + n).find((row) => lines.kind(row) === 1);
        lines.insert([[one, 3, 13, 14, 'why', m.GAP], ...[16, 17, 18, 19].map((n) => [one, 7, n, n, `a${n}`])], { instead: gap });
        told.push(all());
        lines.insert([8, 9].map((n) => [one, 7, n, 99, `a${n}`]), { front: true });
        told.push(all());
        const kept = lines.text(keeps);
        lines.insert(Array.from({ length: 200 }, (_, n) => [two, 8, n, 0, 'old']), { front: true });
        return [told, kept, lines.count, lines.sources.map((source) => source.lines)];
    },
    moved: (m) => {
        const lines = new m.Lines();
        const [one, two] = [lines.from('a', 1, 0), lines.from('b', 1, 0)];
        lines.line(one, 7, 1, 1, 'ERROR it broke');
        lines.line(one, 7, 2, 5, 'Traceback (most recent call last):');
        lines.line(one, 7, 3, 6, '  File "x.py", line 1, in <module>');
        lines.line(one, 7, 4, 7, '\x1b[31mValueError: red');
        lines.line(one, 7, 5, 8, 'after');
        lines.insert([[two, 8, 1, 0.5, 'b'], [two, 8, 2, 3, 'b'], [two, 8, 3, 5.5, 'b'], [two, 8, 4, 7.5, 'b']]);
        const rows = [...Array(lines.count).keys()].map((n) => lines.first + n);
        const traces = [...lines.traces].map(([row, count]) => [row - lines.first, count]);
        const red = rows.filter((row) => lines.style(row).fg === 1).map((row) => lines.text(row));
        return [rows.map((row) => lines.head(row) - lines.first), traces, red];
    },
    sieve: async (m, a) => {
        const { Lines } = await import(m.url.replace('sieve.js', 'lines.js'));
        const { parse, Pattern } = await import(m.url.replace('sieve.js', 'match.js'));
        const lines = new Lines();
        const froms = {};
        const [written, options] = a;
        let wake;
        const sieve = new m.Sieve(lines, () => wake?.());
        const pattern = options.pattern ? new Pattern(parse(options.pattern)) : null;
        const half = Math.floor(written.length / 2);
        const write = (part) => part.forEach(([who, text], at) => {
            froms[who] ??= lines.from(who, 1, 0);
            lines.line(froms[who], 7, lines.count + 1, at, text);
        });
        write(written.slice(0, half));
        sieve.set({ ...options, pattern, turned: new Set(), reads: options.only ? (source) => source.watcher === options.only : null });
        const settle = async () => {
            while (sieve.advance(1) || sieve.behind) {
                if (sieve.waits) await new Promise((done) => { wake = done; });
            }
        };
        await settle();
        write(written.slice(half));
        await settle();
        pattern?.close();
        return Array.from({ length: sieve.shown }, (_, place) => lines.text(sieve.at(place)));
    },
    heights: (m) => {
        const heights = new m.Heights();
        for (const [row, extra] of [[10, 20], [5, 40], [7, 0], [10, 60], [12, 20]]) heights.set(row, extra);
        const told = [heights.total, heights.before(10), heights.before(11), heights.before(5), heights.set(12, 20)];
        heights.drop(7);
        return [...told, heights.total];
    },
    query: (m, a) => {
        const query = m.fromParams(new URLSearchParams(a));
        return [m.toParams(query).toString(), m.toParams(m.everything()).toString()];
    },
    moment: (m, a) => { m.setHabit('zone', 'utc'); return a[1].map((text) => m.moment(text, a[0])); },
    fields: (m, a) => a.map((text) => { const object = m.objectOf(text); return object && m.fieldsOf(object); }),
    marked: (m, a) => {
        const element = document.createElement('div');
        element.append(...m.nodes(a[0], m.plain, a[1]));
        const marks = [...element.querySelectorAll('mark')];
        return [element.textContent, marks.map((mark) => [mark.className, mark.textContent, mark.querySelector('.fg-1') !== null])];
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
    assert ask(page, "match", "pattern", [typed, ["foo", "a FOO b", "a/o"]]) == found


def test_ring_forgets_the_oldest(page: Page) -> None:
    """So many lines and no more, with what a filter leaves of them and the counts of their levels always right."""
    every, some, gone = ask(page, "lines", "ring")
    assert every == [10000, 10000, "INFO line 15001", "ERROR line 25000", 1000, 9000]
    assert some == [10000, 1000, "ERROR line 20010", "ERROR line 30000", 1, 0]
    assert gone == 500


def test_ring_has_a_limit_in_bytes_too(page: Page) -> None:
    """Long lines are fewer lines."""
    assert ask(page, "lines", "chars") == [101, True]


def test_regular_expression_without_end_is_given_up(page: Page) -> None:
    """It runs beside the page, which goes on meanwhile, and is ended; what was given up stays so."""
    assert ask(page, "match", "late") == ["late", "late", True, True]


def test_pattern_that_was_closed_works_no_more(page: Page) -> None:
    """A frame that is drawn late, when its page was left, begins no worker that nobody would end."""
    assert ask(page, "match", "closed") == ["none", "none", None]


@pytest.mark.parametrize(
    ("typed", "text", "exact", "found"),
    [
        ("foo", "a Foo and foo", False, [[2, 5], [10, 13]]),
        ("foo", "a Foo and foo", True, [[10, 13]]),
        ("/o+/", "a Foo and foo", False, [[3, 5], [11, 13]]),
        ("/x*/", "none", False, []),
    ],
)
def test_matches_have_places(page: Page, typed: str, text: str, exact: bool, found: Any) -> None:
    """Where in a line it stands, for plain text and for regular expressions."""
    assert ask(page, "match", "places", [typed, text, exact]) == found


def test_marks_go_through_colours(page: Page) -> None:
    """A match that is partly coloured is marked in whole, and the text stays the same."""
    text = "one \x1b[31mtwo th\x1b[0mree\r"
    assert ask(page, "ansi", "marked", [text, [[4, 7, ""], [8, 13, "soft"]]]) == [
        "one two three^M",
        [["", "two", True], ["soft", "th", True], ["soft", "ree", False]],
    ]


TRACES = {
    "python": (
        ["INFO before", "ERROR it broke", "Traceback (most recent call last):", '  File "a.py", line 1, in <module>', "    main()",
         "ValueError: no", "", "During handling of the above exception, another exception occurred:", "",
         "Traceback (most recent call last):",
         '  File "b.py", line 2, in f', "KeyError: 1", "INFO after"],
        [0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 12],
    ),
    "nobody announces it": (["x", "Traceback (most recent call last):", '  File "a.py", line 1', "ValueError", "x"], [0, 1, 1, 1, 4]),
    "java": (
        ["java.lang.Exception: no", "\tat a.B.c(B.java:1)", "Caused by: java.io.IOException", "\tat d.E.f(E.java:2)", "\t... 6 more", "x"],
        [0, 0, 0, 0, 0, 5],
    ),
    "javascript": (["TypeError: x", "    at f (a.js:1:2)", "    at g (b.js:1:2)", "ready"], [0, 0, 0, 3]),
    "go": (["panic: no", "goroutine 1 [running]:", "main.f(0x1)", "\t/a.go:3 +0x1", "created by main.g", "end"], [0, 0, 0, 0, 0, 5]),
    "tables are none": (["name  value", "  a   1", "  b   2"], [0, 1, 2]),
}  # fmt: skip


@pytest.mark.parametrize("name", TRACES)
def test_traces_belong_to_what_they_are_of(page: Page, name: str) -> None:
    """The frames and what stands between them go with the message, as one error."""
    texts, heads = TRACES[name]
    told, levels, counts = ask(page, "lines", "traces", texts)
    assert told == heads
    for at, head in enumerate(heads):
        assert levels[at] == levels[head]
    assert sum(counts) == len(set(heads))


def test_lines_are_put_among_others(page: Page) -> None:
    """By their time; in place of a gap; before all others; and never more than there is room for."""
    told, kept, count, held = ask(page, "lines", "insert")
    assert told == [
        "a10 a11 a12 -7 a20 a21",
        "a10 a11 b1 a12 b2 -7 a20 a21",
        "a10 a11 b1 a12 -3 a16 b2 a17 a18 a19 a20 a21",
        "a8 a9 a10 a11 b1 a12 -3 a16 b2 a17 a18 a19 a20 a21",
    ]
    assert kept == "a21"
    assert count == 100
    assert sum(held) == 99


def test_traces_and_colours_move_with_their_lines(page: Page) -> None:
    """Lines that come between the frames of a trace leave it what it is."""
    heads, traces, red = ask(page, "lines", "moved")
    assert heads == [0, 1, 2, 1, 4, 1, 1, 7, 8]
    assert traces == [[1, 3]]
    assert red == ["after"]


MIXED = [
    ["a", "one"], ["b", "two"], ["a", "Traceback (most recent call last):"], ["b", "three"],
    ["a", "  File \"x\", line 1"], ["a", "OSError: disk"],
    ["b", "four"], ["a", "five"], ["b", "six"],
]  # fmt: skip
TRACE = ["Traceback (most recent call last):", '  File "x", line 1', "OSError: disk"]


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ({}, [text for _, text in MIXED]),
        ({"only": "b"}, ["two", "three", "four", "six"]),
        ({"pattern": "disk"}, TRACE),
        ({"pattern": "/d.sk/"}, TRACE),
        ({"pattern": "four", "before": 1, "after": 1}, ["three", "four", "five"]),
        ({"pattern": "four", "before": 1, "after": 2, "only": "b"}, ["three", "four", "six"]),
        ({"pattern": "!/t/"}, ["one", *TRACE, "four", "five", "six"]),
        ({"folded": True}, ["one", "two", TRACE[0], "three", "four", "five", "six"]),
        ({"folded": True, "pattern": "disk"}, [TRACE[0]]),
    ],
)
def test_what_is_shown(page: Page, options: dict[str, Any], shown: list[str]) -> None:
    """What matches with its surroundings, which are lines and no frames, among what is read; a trace of which one line matches, whole."""
    assert ask(page, "sieve", "sieve", [MIXED, options]) == shown


def test_heights_are_summed(page: Page) -> None:
    """What lies above a row, also after one was measured again or has gone."""
    assert ask(page, "heights", "heights") == [120, 40, 100, 0, False, 80]


def test_address_says_what_is_shown(page: Page) -> None:
    """What was chosen can be shared, and what is everything is not said."""
    shared = "q=%2Fx%2Fi&find=y&case=1&before=2&after=100&stream=stderr&levels=34&only=status%3D502&not=a%3Db%3Dc&column=route"
    assert ask(page, "query", "query", shared.replace("after=100", "after=4000")) == [shared, ""]


def test_moments_are_read(page: Page) -> None:
    """Clocks, days, spans; of a clock alone the last time that it showed so."""
    now = 1764244800  # 2025-11-27 12:00:00 UTC
    texts = [
        "11:30",
        "11:30:15",
        "13:00",
        "2025-11-26 12:00",
        "10 min ago",
        "-2h",
        "1764244000",
        "soon",
        "99",
    ]
    assert ask(page, "query", "moment", [now, texts]) == [
        now - 1800, now - 1785, now + 3600 - 86400, now - 86400, now - 600, now - 7200, 1764244000, None, None,
    ]  # fmt: skip


def test_fields_of_json_lines(page: Page) -> None:
    """Inner objects have dots in their names; what is no object has no fields."""
    lines = [
        '{"a":1,"b":{"c":"x","d":[1]},"__proto__":{"e":null}}',
        'head: {"a":"\\u003cimg>"}',
        "[1]",
        "{no}",
        "plain",
    ]
    assert ask(page, "json", "fields", lines) == [
        [["a", 1], ["b.c", "x"], ["b.d", [1]], ["__proto__.e", None]],
        [["a", "<img>"]],
        None,
        None,
        None,
    ]


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
