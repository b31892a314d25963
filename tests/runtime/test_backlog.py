"""The backlog and the weaver, by chance: lines stay whole whatever is dropped, and every byte is accounted for."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from circusd.runtime.backlog import LEAST_BYTES, Backlog, Tally
from circusd.runtime.lines import LONGEST_LINE, Heading, Moments, Strand, Weaver, plain


@pytest.fixture
def backlog() -> Iterator[Backlog]:
    made = Backlog("here", LEAST_BYTES, lambda *event: None)
    yield made
    made.close()


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest", "block"])
@pytest.mark.parametrize("seed", range(25))
def test_what_is_dropped_are_whole_lines(backlog: Backlog, seed: int, policy: str) -> None:
    """However writes are cut and whatever fails halfway, every line that comes out is one that went in, once, in order."""
    r = random.Random(seed)
    tally = Tally("web", "stdout", policy)
    written = b""
    rest, number, put = b"", 0, 0
    backlog.failing = "" if policy == "block" else "it is full"
    for _ in range(600):
        if r.random() < 0.6:
            while len(rest) < 20_000:
                rest += b"%06d %s\n" % (number, b"x" * r.choice((0, 10, 300)))
                number += 1
            size = r.choice((1, 100, 7000, 20_000))
            backlog.put(tally, 1, rest[:size])
            rest, put = rest[size:], put + size
        else:
            batch = backlog.take(r.choice((1, 5000, 100_000)))
            data = b"".join(piece.data for piece in batch)
            count = r.choice((0, 1, len(data) // 2, len(data), len(data)))
            written += data[: min(count, len(data))]
            if backlog.finish(batch, min(count, len(data)))[0]:
                backlog.dropping = False
    backlog.put(tally, 1, rest)
    put += len(rest)
    while batch := backlog.take():
        written += b"".join(piece.data for piece in batch)
        backlog.finish(batch, sum(len(piece.data) for piece in batch))
    assert backlog.held == 0
    numbers = []
    for line in written.splitlines():
        assert line[:6].isdigit(), line
        assert line[6:] in (b" ", b" " + b"x" * 10, b" " + b"x" * 300), line
        numbers.append(int(line[:6]))
    assert numbers == sorted(set(numbers))
    assert tally.taken == put
    assert len(written) == put - tally.dropped
    assert tally.written == len(written)
    assert len(numbers) == number - tally.dropped_lines
    if policy == "block":
        assert numbers == list(range(number))


@pytest.mark.parametrize("seed", range(40))
def test_woven_lines_are_whole(seed: int) -> None:
    """Lines of several processes that come in pieces, begin and end at any time, are never mixed, lost or reordered."""
    r = random.Random(seed)
    weaver = Weaver()
    strands: dict[int, Strand] = {}
    wanted: dict[int, list[bytes]] = {}
    rest: dict[int, bytes] = {}
    place = b""
    pids = iter(range(1, 1000))
    for _ in range(2000):
        if not strands or (len(strands) < 4 and r.random() < 0.02):
            pid = next(pids)
            strands[pid] = Strand(pid)
            weaver.join(strands[pid])
            wanted[pid], rest[pid] = [], b""
        pid = r.choice(list(strands))
        if r.random() < 0.02:
            last = rest[pid] if r.random() < 0.5 else rest[pid].removesuffix(b"\n")
            place += weaver.feed(strands[pid], 0.0, last)
            place += weaver.leave(strands.pop(pid))
            continue
        if len(rest[pid]) < 500:
            line = b"%d-%d %s" % (pid, len(wanted[pid]), b"y" * r.choice((0, 5, 200)))
            wanted[pid].append(line)
            rest[pid] += line + b"\n"
        cut = r.randrange(len(rest[pid]) + 1)
        place += weaver.feed(strands[pid], 0.0, rest[pid][:cut])
        rest[pid] = rest[pid][cut:]
    for pid, strand in list(strands.items()):
        place += weaver.feed(strand, 0.0, rest[pid]) + weaver.leave(strand)
    found: dict[int, list[bytes]] = {pid: [] for pid in wanted}
    for line in place.splitlines():
        found[int(line.split(b"-")[0])].append(line)
    assert found == wanted


def test_process_alone_is_passed_on_as_it_comes() -> None:
    """A question without a newline is not kept back while nobody else writes."""
    weaver = Weaver()
    one = Strand(1)
    weaver.join(one)
    assert weaver.feed(one, 0.0, b"Password: ") == b"Password: "
    two = Strand(2)
    weaver.join(two)
    assert weaver.feed(two, 0.0, b"line\nhalf") == b""
    assert weaver.feed(one, 0.0, b"\nmore") == b"\nline\n"
    assert weaver.feed(two, 0.0, b" whole\n") == b"half whole\n"
    assert weaver.leave(one) == b"more\n"
    assert weaver.feed(two, 0.0, b"alone") == b"alone"
    assert weaver.leave(two) == b""
    three = Strand(3)
    weaver.join(three)
    assert weaver.feed(three, 0.0, b"next\n") == b"\nnext\n"


def test_line_without_end_is_not_kept_back_for_ever() -> None:
    """A process that never ends a line is written when it has 64 KiB, beside others too."""
    weaver = Weaver()
    one, two = Strand(1), Strand(2)
    weaver.join(one)
    weaver.join(two)
    assert weaver.feed(one, 0.0, b"x" * LONGEST_LINE) == b""
    assert weaver.feed(one, 0.0, b"x") == b"x" * (LONGEST_LINE + 1)
    # Another one may break it off, but not for little.
    assert weaver.feed(two, 0.0, b"y\n") == b""
    assert weaver.feed(two, 0.0, b"z" * LONGEST_LINE + b"\n") == b"\ny\n" + b"z" * LONGEST_LINE + b"\n"
    assert weaver.feed(one, 0.0, b"x\n") == b"x\n"


def test_heading_is_before_each_line() -> None:
    """Each whole line of a process gets the heading; a fraction of a second is that of the moment."""
    heading = Heading("%H:%M:%S", utc=True)
    one = Strand(7)
    assert heading(one, 3661.5, b"a\n\nb\n", False) == (
        b"01:01:01 [7] | a\n01:01:01 [7] | \n01:01:01 [7] | b\n"
    )
    assert Heading("%S.%f", utc=True)(one, 1.25, b"a\n", False) == b"01.250000 [7] | a\n"


def test_times_in_iso_have_milliseconds_and_a_zone() -> None:
    """Each moment its own, also within one second, and none rounded into the next."""
    time = Moments("iso", utc=True)
    assert [time(3661.5), time(3661.999), time(3662.0), time(0.0004)] == [
        "1970-01-01T01:01:01.500+00:00",
        "1970-01-01T01:01:01.999+00:00",
        "1970-01-01T01:01:02.000+00:00",
        "1970-01-01T00:00:00.000+00:00",
    ]
    assert (
        Heading("ISO", utc=True)(Strand(7), 1.25, b"a\n", False) == b"1970-01-01T00:00:01.250+00:00 [7] | a\n"
    )


def headed(strand: Strand, *parts: bytes) -> list[bytes]:
    """What is written of the parts that come one after the other, as the mark and the text of each line."""
    weaver = Weaver()
    weaver.join(strand)
    written = b"".join(weaver.feed(strand, 0.0, part) for part in parts) + weaver.leave(strand)
    return [line[len(b"00 [1] ") :] for line in written.splitlines()]


@pytest.mark.parametrize("step", [1, 7, 64, 1000])
def test_line_over_the_limit_is_divided_and_marked(step: int) -> None:
    """However it comes: parts of at most the limit, the later ones with a plus sign, and the next line is a line again."""
    text = b"x" * 150 + b"\nshort\n" + b"y" * 65 + b"\n"
    parts = [text[at : at + step] for at in range(0, len(text), step)]
    strand = Strand(1, Heading("%S", utc=True), limit=64)
    assert headed(strand, *parts) == [
        b"| " + b"x" * 64,
        b"+ " + b"x" * 64,
        b"+ " + b"x" * 22,
        b"| short",
        b"| " + b"y" * 64,
        b"+ y",
    ]


def test_line_is_not_divided_within_a_letter() -> None:
    """Of UTF-8; what is none is cut where the limit is."""
    strand = Strand(1, Heading("%S", utc=True), limit=64)
    whole = "ä".encode() * 40
    assert b"".join(line[2:] for line in headed(strand, b"." + whole + b"\n")) == b"." + whole
    assert [len(line) - 2 for line in headed(strand, b"." + whole + b"\n")] == [63, 18]
    assert [len(line) - 2 for line in headed(strand, b"\x80" * 100 + b"\n")] == [64, 36]


def test_plain_text_keeps_colours_only() -> None:
    """Of what a terminal would act upon only colours are left."""
    assert plain("\x1b[1;38:5:3mx\x1b[0m") == "\x1b[1;38:5:3mx\x1b[0m"
    assert plain("\x1b[6n\x1bc\x9b1m\u2066") == "\\x1b[6n\\x1bc\\x9b1m\\u2066"
