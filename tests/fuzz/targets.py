"""What any bytes may do to each place that takes bytes from others: one function each, which raises only where a promise is broken.

`SEEDS` has something valid for each, from which a fuzzer starts.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
from collections.abc import Callable

from circusd.cli import arguments
from circusd.cli.terminal import clean, clean_line
from circusd.config.ini import load
from circusd.config.model import watcher_from_options
from circusd.runtime import keyring
from circusd.runtime.curvehandshake import GREETING, ClientSide
from circusd.runtime.handlers import validate
from circusd.runtime.handshake import Handshake
from circusd.runtime.history import History, StreamKey
from circusd.schema import wire
from circusd.schema.commands import COMMANDS, find
from circusd.schema.errors import CircusError, ConfigError, ProtocolError
from circusd.zmtp import Decoder, encode_frame

_UNSAFE = re.compile(r"[\x00-\x08\x0a-\x1a\x1c-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def parts(data: bytes, by: int) -> list[bytes]:
    """The bytes in pieces of some size."""
    size = 1 + by % 97
    return [data[i : i + size] for i in range(0, len(data), size)]


def say(error: CircusError) -> None:
    """It has a sentence for whoever caused it."""
    assert str(error)


def request(data: bytes) -> None:
    """A message on the endpoint of commands is a request, or refused by one of our errors; its properties likewise."""
    try:
        asked = wire.decode_request([data])
    except CircusError as error:
        json.loads(wire.error_reply(None, error, 0.0))
        return
    json.loads(wire.ok_reply(asked.id, {"text": asked.command}, 0.0))
    for row in [found] if (found := find(asked.command)) else COMMANDS:
        try:
            validate(row, asked.properties)
        except CircusError as error:
            json.loads(wire.error_reply(asked.id, error, 0.0))


def options(data: bytes) -> None:
    """Options that come over the wire make a watcher, or are refused with all their problems."""
    try:
        given = json.loads(data)
    except (ValueError, RecursionError):
        return
    if isinstance(given, dict):
        try:
            watcher_from_options("fuzz", {"cmd": "x", **given})
        except ConfigError as error:
            say(error)


def handshake(data: bytes) -> None:
    """What is passed on of a client's first bytes does not depend on the pieces that they come in."""
    seen: list[bytes | None] = []
    for pieces in ([data], parts(data, data[-1] if data else 0)):
        taken = Handshake(b"12345678")
        out = b""
        try:
            for piece in pieces:
                out += taken.feed(piece)
        except ProtocolError:
            seen.append(None)
        else:
            seen.append(out)
    assert seen[0] == seen[1]


def stranger(data: bytes) -> None:
    """What a peer on another machine says first is a handshake in whatever pieces it comes, or refused; never more is passed on."""
    seen: list[list[bytes] | None] = []
    for pieces in ([data], parts(data, data[-1] if data else 0)):
        client = ClientSide()
        out = [b"", b"", b""]
        try:
            for piece in pieces:
                if out[2]:
                    raise ProtocolError("it has not waited for the answer")
                client.feed(piece)
                out[0] += client.answer()
                out[1] = out[1] or client.hello()
                out[2] = out[2] or (client.initiate() if out[1] else b"")
        except ProtocolError:
            seen.append(None)
        else:
            seen.append(out)
            assert len(out[1]) + len(out[2]) < 1 << 13
    assert seen[0] == seen[1]


def keys(data: bytes) -> None:
    """A file of keys is taken whole or not at all, and comes out as it went in."""
    with contextlib.suppress(ValueError):
        content = keyring.parse(data)
        assert keyring.parse(keyring.dump(content)) == content


def frames(data: bytes) -> None:
    """Frames come out the same in whatever pieces the bytes come in, and come out as they went in."""
    seen: list[list[tuple[int, bytes]]] = []
    refused: list[bool] = []
    for pieces in ([data], parts(data, data[-1] if data else 0)):
        decoder = Decoder(1 << 16)
        found: list[tuple[int, bytes]] = []
        bad = False
        for piece in pieces:
            decoder.feed(piece)
            try:
                found.extend(decoder.frames())
            except ProtocolError:
                bad = True
                break
        seen.append(found)
        refused.append(bad)
    assert seen[0] == seen[1] and refused[0] == refused[1]
    for flags, body in seen[0]:
        (again,) = _decoded(encode_frame(body, more=bool(flags & 1), command=bool(flags & 4)))
        assert again[1] == body


def _decoded(data: bytes) -> list[tuple[int, bytes]]:
    decoder = Decoder(1 << 16)
    decoder.feed(data)
    return list(decoder.frames())


def ini(data: bytes) -> None:
    """A file is a configuration or has problems, each of which is one line that names its place."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "circus.ini")
        with open(path, "wb") as file:
            file.write(data)
        loaded = load(path, {"HOME": "/root"})
    assert loaded.configuration is not None or any(p.severity == "error" for p in loaded.problems)
    for problem in loaded.problems:
        assert "\n" not in str(problem) and "\r" not in str(problem)
        assert problem.file


def line(data: bytes) -> None:
    """A command line is read, or refused with a sentence."""
    words = data.decode("utf-8", "surrogateescape").split("\0")
    try:
        found = arguments.read(words)
    except CircusError as error:
        say(error)
        return
    if found.row is not None:
        wire.encode({"command": found.row.name, "properties": found.properties})


def shown(data: bytes) -> None:
    """Nothing that a process writes can command a terminal."""
    text = data.decode("utf-8", "backslashreplace")
    assert not _UNSAFE.search(clean(text)) and "\x1b" not in clean(text)
    for color in (False, True):
        left = clean_line(text.replace("\n", " "), color=color)
        assert not _UNSAFE.search(left)
        assert "\x1b" not in re.sub(r"\x1b\[[0-9;:]*m", "", left)


def history(data: bytes) -> None:
    """What is kept of output is the end of it, whole, numbered without a gap, within its bounds."""
    key = StreamKey("fuzz", 1, "stdout")
    kept = History(4 << 16, 2 << 16)
    try:
        for number, piece in enumerate(parts(data, data[0] if data else 0)):
            kept.append(key, 1 + piece[0] % 2, number / 10, piece)
        kept.end(key)
        lines = kept.page(key, 0, 1 << 20, 1 << 30).lines
        assert [found.number for found in lines] == list(
            range(kept.last_number(key) - len(lines) + 1, kept.last_number(key) + 1)
        )
        together = b"".join(found.text for found in lines)
        assert together == data.replace(b"\n", b"")[len(data.replace(b"\n", b"")) - len(together) :]
    finally:
        kept.close()


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (request, options, handshake, stranger, keys, frames, ini, line, shown, history)
}

_READY = b"\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER\x08Identity\x00\x00\x00\x00"
_GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)

SEEDS: dict[str, tuple[bytes, ...]] = {
    "request": (
        b'{"id":"1","command":"set","properties":{"name":"web","options":{"numprocesses":3,"env":{"A":"b"}}}}',
        b'{"id":[1],"command":"signal","properties":{"name":"web","signum":"HUP","pid":12,"recursive":true}}',
        b'{"command":"add","properties":{"name":"x","cmd":"y","args":["a","b"],"options":{"rlimit_nofile":null}}}',
    ),
    "options": (
        b'{"numprocesses":2,"stdout_stream":{"class":"FileStream","filename":"/x","max_bytes":"1M"},"rlimit_cpu":3}',
        b'{"env":{"A":"b"},"hooks":{"before_start":"a.b,true"},"stop_signal":"SIGRTMIN+1","uid":0,"max_age":"2m"}',
    ),
    "handshake": (
        _GREETING + encode_frame(_READY, command=True) + encode_frame(b"{}"),
        b"\xff\0\0\0\0\0\0\0\1\x7f\1\5\0\0",
    ),
    "stranger": (
        GREETING + b"\x04\xc8\x05HELLO\1\0" + bytes(192) + b"\x06\0\0\0\0\0\0\1\x24\x08INITIATE" + bytes(283),
    ),
    "keys": (
        (
            b'{"version":1,"server":{"public":"c{]P/N{:38]W0duVh9]lC@ENhSRF!=BG%5:gFR{>",'
            b'"secret":">LZkpingOp9o{nq*r^evodAlxco+iea$:Qp>s8Nw"},"keys":[{"name":"a","role":"viewer",'
            b'"public":"0000000000abcdefghij0123456789abcdefghij","added":1.5,"by":"root"}]}'
        ),
    ),
    "frames": (
        encode_frame(b"a" * 300, more=True) + encode_frame(b"b") + encode_frame(b"\4PING\0\0", command=True),
    ),
    "ini": (
        (
            b"[circus]\nwarmup_delay = 1\n[env]\nA = b\n[watcher:web]\ncmd = run $(circus.wid) ; note\nrlimit_nofile = 9\n"
            b"stdout_stream.filename = /x\n  more\nhooks.before_start = a.b,true\n[socket:s]\npath = /y\numask = 022\n"
        ),
        b"[watcher:a]\ncmd=x\n[env:a,b*]\nC = $D ((circus.env.HOME))\n[plugin:p]\nuse = a.B\nk = v\n",
    ),
    "line": (
        b"set\0web\0numprocesses\x003\0--waiting",
        b"--json\0add\0--start\0x\0--\0sleep\x001",
        b"signal\0web\x0012\0HUP",
    ),
    "shown": (b"\x1b[31mred\x1b[0m \x1b]0;title\x07 \xe2\x80\xae \xff",),
    "history": (b"one\ntwo\n\nthree" * 20, b"x" * 200_000),
}
