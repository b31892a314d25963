"""The history: what was written is read back by number, within its bounds, and across an exec."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator

import pytest

from circusd.runtime.arena import BLOCK_BYTES
from circusd.runtime.history import LONGEST_LINE, History, Line, StreamKey

WEB = StreamKey("web", 1, "stdout")
ERR = StreamKey("web", 1, "stderr")
JOB = StreamKey("job", 1, "stdout")


@pytest.fixture
def history() -> Iterator[History]:
    history = History(limit_bytes=16 << 20, stream_bytes=1 << 20)
    yield history
    history.close()


def read(history: History, key: StreamKey, after: int = 0, step: int = 1000) -> list[Line]:
    """All lines after a number, by pages of any size."""
    lines: list[Line] = []
    while True:
        page = history.page(key, after, step, 1 << 30)
        if not page.lines:
            return lines
        assert [line.number for line in page.lines] == list(
            range(page.lines[0].number, page.lines[0].number + len(page.lines))
        )
        assert page.next == page.lines[-1].number
        lines += page.lines
        after = page.next


def test_lines_are_numbered_from_one_with_time_and_pid(history: History) -> None:
    """Each line has its number, the time at which it began, and the process that wrote it."""
    history.append(WEB, 7, 100.0, b"one\ntwo\nthr")
    assert history.last_number(WEB) == 2
    history.append(WEB, 7, 101.0, b"ee\n\nfive\n")
    assert history.page(WEB, 0, 10, 1 << 20) == (
        [
            Line(1, 100.0, 7, b"one", False),
            Line(2, 100.0, 7, b"two", False),
            Line(3, 100.0, 7, b"three", False),
            Line(4, 101.0, 7, b"", False),
            Line(5, 101.0, 7, b"five", False),
        ],
        1,
        5,
    )
    assert history.keys() == [WEB]
    assert history.keys("job") == []


def test_page_obeys_its_bounds_and_goes_on(history: History) -> None:
    """A page ends at its number of lines or bytes, has one line at least, and says where to go on."""
    history.append(WEB, 7, 1.0, b"".join(b"%04d\n" % n for n in range(1, 101)))
    page = history.page(WEB, 0, 3, 1000)
    assert [line.number for line in page.lines] == [1, 2, 3]
    page = history.page(WEB, page.next, 100, 9)
    assert [line.number for line in page.lines] == [4, 5]
    page = history.page(WEB, page.next, 100, 0)
    assert [line.number for line in page.lines] == [6]
    assert history.page(WEB, 100, 10, 1000) == ([], 1, 100)
    assert history.page(JOB, 5, 10, 1000) == ([], 1, 5)


def test_unfinished_line_waits_and_is_closed_by_the_end_of_its_process(history: History) -> None:
    """A line without its newline is no line of a page until it ends or its process does; the next begins anew."""
    history.append(WEB, 7, 1.0, b"a\nPassword: ")
    assert [line.text for line in read(history, WEB)] == [b"a"]
    assert history.unfinished(WEB) == Line(2, 1.0, 7, b"Password: ", False)
    history.end(WEB)
    assert history.unfinished(WEB) is None
    assert read(history, WEB)[-1] == Line(2, 1.0, 7, b"Password: ", False)
    history.append(WEB, 8, 1.0, b"b\n")
    assert [(line.number, line.pid, line.text) for line in read(history, WEB)] == [
        (1, 7, b"a"),
        (2, 7, b"Password: "),
        (3, 8, b"b"),
    ]


def test_bytes_of_another_process_begin_a_line(history: History) -> None:
    """What two processes write to one stream is never glued into one line."""
    history.append(WEB, 7, 1.0, b"half")
    history.append(WEB, 8, 1.001, b"whole\n")
    assert [line.text for line in read(history, WEB)] == [b"half", b"whole"]


def test_longest_line_is_cut_and_goes_on(history: History) -> None:
    """A line is cut at 64 KiB, marked as partial, and no byte of it is lost."""
    text = os.urandom(3 * LONGEST_LINE + 10).replace(b"\n", b"_")
    for at in range(0, len(text), 50_000):
        history.append(WEB, 7, 1.0, text[at : at + 50_000])
    history.append(WEB, 7, 1.0, b"\nnext\n")
    lines = read(history, WEB)
    assert [line.partial for line in lines] == [True, True, True, False, False]
    assert [len(line.text) for line in lines[:3]] == [LONGEST_LINE] * 3
    assert b"".join(line.text for line in lines[:4]) == text
    assert lines[4].text == b"next"


def test_long_line_is_cut_in_a_flood_too(history: History) -> None:
    """Also where it goes on over much that is read at once."""
    flood = (b"x" * 99 + b"\n") * 1000
    for begun, rest in ((60_000, 30_000), (10, 70_000)):
        history.append(WEB, 7, 1.0, flood)
        history.append(WEB, 7, 1.0, b"y" * begun)
        history.append(WEB, 7, 1.0, b"y" * rest + b"\n" + flood)
        cut = [len(line.text) for line in read(history, WEB) if line.text.startswith(b"y")]
        assert cut[-2:] == [LONGEST_LINE, begun + rest - LONGEST_LINE]
    assert history.last_number(WEB) == 4004


def test_line_of_just_the_longest_length_is_one_line(history: History) -> None:
    """The bound is on the text: its newline does not make another line."""
    history.append(WEB, 7, 1.0, b"x" * LONGEST_LINE)
    history.append(WEB, 7, 1.0, b"\nb\n")
    assert [(len(line.text), line.partial) for line in read(history, WEB)] == [
        (LONGEST_LINE, False),
        (1, False),
    ]


def test_oldest_lines_of_a_stream_go_first(history: History) -> None:
    """A stream keeps about as much as it may; numbers go on, and a page tells what was lost."""
    total = 60_000
    for n in range(1, total + 1):
        history.append(WEB, 7, n * 0.001, b"%099d\n" % n)
    page = history.page(WEB, 0, 1, 1000)
    assert page.first > 1
    assert page.lines[0].number == page.first
    lines = read(history, WEB)
    assert [int(line.text) for line in lines] == list(range(page.first, total + 1))
    assert [line.number for line in lines] == list(range(page.first, total + 1))
    kept = sum(len(line.text) + 1 for line in lines)
    assert 0.85 * (1 << 20) < kept <= 1 << 20
    assert all(abs(line.time - line.number * 0.001) < 0.0101 for line in lines)


def test_whole_bound_takes_from_the_stream_that_is_silent_longest() -> None:
    """When all is full, what was not written to for the longest time goes, of whichever stream."""
    history = History(limit_bytes=8 * BLOCK_BYTES, stream_bytes=8 * BLOCK_BYTES)
    keys = [StreamKey("w", n, "stdout") for n in range(8)]
    for n, key in enumerate(keys):
        history.append(key, 1, float(n), b"first\n")
    history.append(keys[0], 1, 9.0, b"again\n")
    history.append(JOB, 1, 10.0, b"new\n")
    assert [history.page(key, 0, 9, 99).first for key in keys] == [1, 2, 1, 1, 1, 1, 1, 1]
    assert history.page(keys[1], 0, 9, 99) == ([], 2, 1)
    assert history.held_bytes == 8 * BLOCK_BYTES
    history.append(keys[1], 1, 11.0, b"back\n")
    assert read(history, keys[1]) == [Line(2, 11.0, 1, b"back", False)]
    history.close()


def test_index_of_tiny_writes_is_within_the_bound(history: History) -> None:
    """A process that writes a byte now and then gets no more memory than another."""
    for n in range(100_000):
        history.append(WEB, 7, n * 0.02, b"\n")
    assert history.held_bytes <= 1 << 20
    lines = read(history, WEB)
    assert lines[-1].number == 100_000
    assert len(lines) > 30_000
    assert lines[0].time == pytest.approx((lines[0].number - 1) * 0.02)


def test_tail_merges_streams_by_time(history: History) -> None:
    """The last lines of several streams come in the order in which they were written."""
    for n in range(1, 1001):
        history.append(WEB, 7, n, b"web %d\n" % n)
        if n % 3 == 0:
            history.append(ERR, 7, n + 0.5, b"err %d\n" % n)
    got = [(key.stream, line.text) for key, line in history.tail([ERR, WEB, JOB], 4)]
    assert got == [
        ("stdout", b"web 998"),
        ("stdout", b"web 999"),
        ("stderr", b"err 999"),
        ("stdout", b"web 1000"),
    ]
    times = [line.time for _, line in history.tail(history.keys(), 5000)]
    assert times == sorted(times)
    assert len(times) == 1333
    assert history.tail(history.keys(), 0) == []


def test_watch_wakes_for_its_watcher_until_cancelled(history: History) -> None:
    """Who watches is told of each write to that watcher, and no more after the cancellation."""
    seen: list[tuple[str, StreamKey]] = []
    cancel_web = history.watch("web", lambda key: seen.append(("web", key)))
    cancel_all = history.watch(None, lambda key: seen.append(("all", key)))
    history.append(WEB, 7, 1.0, b"x")
    history.append(JOB, 7, 1.0, b"x")
    history.end(JOB)
    cancel_web()
    cancel_web()
    history.append(ERR, 7, 1.0, b"x")
    cancel_all()
    history.append(WEB, 7, 1.0, b"x")
    assert seen == [("web", WEB), ("all", WEB), ("all", JOB), ("all", JOB), ("all", ERR)]


def test_loud_stream_keeps_as_much_as_a_quiet_one(history: History) -> None:
    """Of what was read in large pieces as many lines are there as the stream may keep, and no more memory is in use."""
    text = b"%099d\n" * 4000
    for n in range(20):
        history.append(WEB, 7, float(n), text % tuple(range(4000 * n, 4000 * (n + 1))))
        assert history.held_bytes <= (1 << 20) + len(text)
    lines = read(history, WEB)
    assert history.held_bytes <= 1 << 20
    assert [int(line.text) for line in lines] == list(range(80_000 - len(lines), 80_000))
    assert len(lines) * 100 > 0.85 * (1 << 20)


def test_loud_streams_make_room_for_each_other() -> None:
    """What is loose is bounded for all streams together, whichever of them write and whether they fall silent."""
    history = History(limit_bytes=64 << 20, stream_bytes=1 << 20)
    keys = [StreamKey("w", n, "stdout") for n in range(1, 12)]
    text = b"x" * 99 + b"\n"
    for n in range(30):
        for key in keys[n % 3 :]:
            history.append(key, 7, n * 0.5, text * 4000)
    assert history.held_bytes < len(keys) * (1 << 20) + (4 << 20)
    assert [history.last_number(key) for key in keys] == [
        4000 * sum(key in keys[n % 3 :] for n in range(30)) for key in keys
    ]
    history.append(JOB, 7, 20.0, text * 4000)
    assert JOB in history._loose
    assert all(len(read(history, key)) * 100 > 0.85 * (1 << 20) for key in keys)
    history.close()


def test_forgotten_watcher_leaves_nothing(history: History) -> None:
    """After `forget` the memory of a watcher is free and its lines count from 1."""
    history.append(WEB, 7, 1.0, b"x\n" * 100_000)
    history.append(WEB, 7, 1.0, b"x\n")
    history.append(WEB, 7, 1.0, b"x\n" * 100_000)
    history.append(JOB, 7, 1.0, b"x\n")
    history.forget("web")
    assert history.keys() == [JOB]
    assert history.held_bytes == BLOCK_BYTES
    history.append(WEB, 7, 1.0, b"again\n")
    assert read(history, WEB)[0].number == 1


def test_history_crosses_an_exec(history: History) -> None:
    """From the descriptor and the JSON data comes the same history, which goes on where it was."""
    history.append(WEB, 7, 1.0, b"".join(b"line %d\n" % n for n in range(1, 50_001)))
    history.append(JOB, 8, 2.0, b"begun")
    before = read(history, WEB)
    fd, frozen = history.freeze()
    copy = History.thaw(os.dup(fd), json.loads(json.dumps(frozen)), 16 << 20, 1 << 20)
    assert read(copy, WEB) == before
    copy.append(JOB, 8, 3.0, b" and ended\n")
    copy.append(WEB, 7, 3.0, b"more\n")
    assert read(copy, JOB) == [Line(1, 2.0, 8, b"begun and ended", False)]
    assert read(copy, WEB)[-1] == Line(50_001, 3.0, 7, b"more", False)
    copy.close()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda frozen: frozen.update(version=99),
        lambda frozen: frozen.pop("logs"),
        lambda frozen: frozen["order"].append(99),
        lambda frozen: frozen["order"].clear(),
        lambda frozen: frozen["logs"][0]["blocks"].append(frozen["logs"][0]["blocks"][0]),
        lambda frozen: frozen["logs"][0]["blocks"][0].__setitem__(1, 1 << 20),
        lambda frozen: frozen["logs"][0].update(key=None),
    ],
)
def test_wrong_index_is_refused(history: History, spoil) -> None:  # type: ignore[no-untyped-def]
    """Data that does not fit the memory is a ValueError, and the descriptor stays open."""
    history.append(WEB, 7, 1.0, b"x\n")
    fd, frozen = history.freeze()
    spoil(frozen)
    with pytest.raises(ValueError, match=r"."):
        History.thaw(fd, frozen)
    os.fstat(fd)


class Model:
    """The history as a list: what each line must be."""

    def __init__(self) -> None:
        self.lines: list[tuple[bytes, int, float, bool]] = []
        self.text = b""
        self.pid = 0
        self.time = 0.0

    def append(self, pid: int, wall: float, data: bytes) -> None:
        if pid != self.pid:
            self.end()
        for piece in data.splitlines(keepends=True):
            while piece:
                if not self.text:
                    self.pid, self.time = pid, wall
                room = LONGEST_LINE - len(self.text)
                text, piece = piece[:room], piece[room:]
                self.text += text.removesuffix(b"\n")
                if text.endswith(b"\n") or piece[:1] == b"\n":
                    self.lines.append((self.text, self.pid, self.time, False))
                    self.text, piece = b"", piece.removeprefix(b"\n")
                elif piece:
                    self.lines.append((self.text, self.pid, self.time, True))
                    self.text = b""
        self.pid = pid

    def end(self) -> None:
        if self.text:
            self.lines.append((self.text, self.pid, self.time, False))
            self.text = b""


@pytest.mark.parametrize("seed", range(12))
def test_any_sequence_of_writes_reads_back(seed: int) -> None:
    """Whatever sizes, processes and ends come in whatever order, what is still there is what was written."""
    r = random.Random(seed)
    history = History(limit_bytes=6 * BLOCK_BYTES, stream_bytes=4 * BLOCK_BYTES)
    models = {WEB: Model(), JOB: Model()}
    wall = 0.0
    for _ in range(60 if seed % 2 else 300):
        key = r.choice((WEB, WEB, WEB, JOB))
        if r.random() < 0.05:
            models[key].end()
            history.end(key)
            continue
        size = r.choice((1, 3, 30, 300, 3000) if seed % 2 == 0 else (10, 3000, 20_000, 65_536))
        short = r.choice((2, 40, 100_000))
        data = bytes(10 if r.random() < 1 / short else r.randrange(32, 127) for _ in range(size))
        wall += r.choice((0.011, 0.5))
        pid = r.choice((5, 5, 5, 5, 6))
        models[key].append(pid, wall, data)
        history.append(key, pid, wall, data)
    check(history, models, r, r.choice((1, 50)) if seed % 2 == 0 else 1000)
    history.close()


LINES = {
    shortness: bytes([10] * shortness + [32 + n % 95 for n in range(256 - shortness)])
    for shortness in (0, 1, 9)
}


@pytest.mark.parametrize("seed", range(12))
def test_any_sequence_of_loud_writes_reads_back(seed: int) -> None:
    """The same of output that is loose until somebody looks, which anybody may at any time."""
    r = random.Random(seed)
    history = History(limit_bytes=(16 << 20) if seed % 3 else 20 * BLOCK_BYTES, stream_bytes=8 * BLOCK_BYTES)
    keys = [StreamKey("web", n, "stdout") for n in range(1, 4)]
    models = {key: Model() for key in keys}
    wall = 0.0
    for _ in range(40):
        key = r.choice(keys)
        action = r.random()
        if action < 0.1:
            models[key].end()
            history.end(key)
        elif action < 0.2:
            lines = [line.text for _, line in history.tail([key], 3)]
            assert lines == [text for text, *_ in models[key].lines[-len(lines) or 10**9 :]]
        else:
            size = r.choice((100, 5000, 70_000, 200_000, 300_000, 500_000))
            data = r.randbytes(size).translate(LINES[r.choice((0, 1, 1, 1, 1, 9))])
            wall += r.choice((0.011, 0.011, 2.5))
            pid = r.choice((5, 5, 5, 5, 6))
            models[key].append(pid, wall, data)
            history.append(key, pid, wall, data)
        assert history.last_number(key) == len(models[key].lines)
        assert history.held_bytes <= (18 << 20)
    check(history, models, r, 1000)
    history.close()


def check(history: History, models: dict[StreamKey, Model], r: random.Random, step: int) -> None:
    """What there is of each stream is what its model has, by every way of reading."""
    for key, model in models.items():
        lines = read(history, key, step=step)
        assert history.last_number(key) == len(model.lines)
        page = history.page(key, 0, 1, 1)
        got = [(line.text, line.pid, line.time, line.partial) for line in lines]
        assert got == model.lines[page.first - 1 :]
        for number in r.sample(range(page.first, len(model.lines) + 1), min(20, len(lines))):
            one = history.page(key, number - 1, 1, 1).lines[0]
            assert (one.number, one.text) == (number, model.lines[number - 1][0])
        last = [line for _, line in history.tail([key], 10)]
        assert last == lines[-10:]
        begun = history.unfinished(key)
        assert begun is None or begun.text == model.text
        assert begun is not None or not model.text or page.first > len(model.lines)
