"""Files of keys, endpoints that are reached by them, and the form of what a stranger says first."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import stat
import string
import subprocess
import sys
from pathlib import Path

import pytest
import zmq.auth
from hypothesis import example, given
from hypothesis import strategies as st
from zmq.utils.z85 import Z85CHARS

from circusd import curve, keyfile
from circusd.cli import keys
from circusd.keyfile import KeyFile
from circusd.runtime import keyring
from circusd.runtime.curvehandshake import GREETING, INITIATE_LIMIT_BYTES, ClientSide, ServerSide
from circusd.schema.errors import BadRequest, ProtocolError, Unavailable

PUBLIC, SECRET = curve.new_pair()
SERVER, SERVERS_SECRET = curve.new_pair()


def written(path: Path, key: KeyFile) -> str:
    fd = keyfile.create(str(path))
    os.write(fd, keyfile.dump(key))
    os.close(fd)
    return str(path)


@pytest.mark.parametrize("server", [SERVER, ""], ids=["whole", "without the server's"])
def test_a_key_is_read_as_it_was_written(tmp_path: Path, server: str) -> None:
    """By us and by ZeroMQ's own reader; the file is its owner's alone, whatever the umask."""
    before = os.umask(0)
    try:
        path = written(tmp_path / "a.key", KeyFile("laptop", PUBLIC, SECRET, server))
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert keyfile.read(path) == KeyFile("laptop", PUBLIC, SECRET, server)
    assert zmq.auth.load_certificate(path) == (PUBLIC.encode(), SECRET.encode())


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602])
def test_a_key_that_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    """With the line that mends it."""
    path = written(tmp_path / "a.key", KeyFile("laptop", PUBLIC, SECRET, SERVER))
    os.chmod(path, mode)
    with pytest.raises(BadRequest, match=f"chmod 600 {path}"):
        keyfile.read(path)


@pytest.mark.parametrize(
    "text", [b"", b"\xff\xfe", b'curve\n    public-key = "short"\n    secret-key = "short"\n', bytes(100_000)]
)
def test_what_is_no_key_is_told(tmp_path: Path, text: bytes) -> None:
    """Whatever is in the file; and a folder, a pipe or nothing at all is no file."""
    path = tmp_path / "a.key"
    path.write_bytes(text)
    path.chmod(0o600)
    with pytest.raises(BadRequest, match="is no key of circusctl"):
        keyfile.read(str(path))
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name in ("pipe", "", "nothing"):
        with pytest.raises(BadRequest):
            keyfile.read(str(tmp_path / name))


def test_no_file_is_written_over(tmp_path: Path) -> None:
    """A link counts as a file that is there, wherever it leads."""
    (tmp_path / "link.key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BadRequest, match="is there already"):
        keyfile.create(str(tmp_path / "link.key"))
    assert not (tmp_path / "elsewhere").exists()


def test_an_endpoint_with_a_key_is_one_text(tmp_path: Path) -> None:
    """It can be read back, and only a tcp:// endpoint can have one."""
    endpoint = curve.with_key("tcp://server:5555", "/a b/c&d?.key")
    assert curve.read(endpoint) == curve.There("server:5555", "/a b/c&d?.key")
    for other in ("ipc:///run/x", "/run/x", "ssh://there"):
        with pytest.raises(BadRequest, match="--endpoint tcp://HOST:PORT"):
            curve.with_key(other, "x.key")
    for wrong in ("curve://", "curve://host:1", "curve://host:1?key=", "curve://host:1?key=a&more=b"):
        with pytest.raises(BadRequest):
            curve.read(wrong)


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        ("tcp://0.0.0.0:5556", "server:5556"),
        ("tcp://[::]:5556", "server:5556"),
        ("tcp://10.0.0.7:5556", "10.0.0.7:5556"),
        ("tcp://127.0.0.1:5556", None),
        ("ipc:///run/circus/circus/events.sock", None),
    ],
)
def test_the_other_endpoints_are_found_beside(told: str, meant: str | None) -> None:
    """At the machine that was named where they are open to all; one that only that machine reaches is told as that."""
    reached = "curve://server:5555?key=/x.key"
    if meant is None:
        with pytest.raises(Unavailable, match="pubsub_endpoint"):
            curve.beside(reached, told)
    else:
        assert curve.beside(reached, told) == f"curve://{meant}?key=/x.key"


def test_a_file_that_could_not_be_written_is_not_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the next try, when the disk has room again, does not find half a key in its place."""

    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "a.key"
    properties = {"name": "laptop", "out": str(path)}
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(BadRequest, match="No space left"):
            keys.new(properties)
    assert not path.exists()
    made = keyfile.read(keys.new(properties)["file"])
    assert made.name == "laptop"
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(BadRequest, match="No space left"):
            keys.new({**properties, "server": SERVER})
    assert keyfile.read(str(path)) == made


def test_a_library_without_curve_is_told_as_that(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not as a daemon that has closed the connection."""
    monkeypatch.setattr(zmq, "has", lambda capability: False)
    for use in (curve.new_pair, lambda: curve.dial("curve://server:5555?key=/x.key")):
        with pytest.raises(BadRequest, match="no CURVE"):
            use()


# -- what is kept -----------------------------------------------------------------------------------------------------


@given(st.binary(max_size=300) | st.text(string.printable, max_size=300).map(str.encode))
def test_no_file_of_keys_is_taken_by_halves(data: bytes) -> None:
    """Whatever its bytes are, it is read whole or refused with a sentence."""
    with contextlib.suppress(ValueError):
        content = keyring.parse(data)
        assert keyring.parse(keyring.dump(content)) == content


@given(
    st.text(string.printable, min_size=40, max_size=40)
    | st.text("".join(map(chr, Z85CHARS)), min_size=40, max_size=40)
)
@example("#" * 40)
@example(" " * 40)
def test_a_text_is_a_key_or_wrong(text: str) -> None:
    """Whatever its letters are: signs that no key has, and numbers that are too large."""
    with contextlib.suppress(ValueError):
        assert len(keyring.raw(text)) == 32


def test_a_key_is_there_once() -> None:
    """Two of one name or with one public key are no list of keys."""
    key = keyring.Key("laptop", "viewer", PUBLIC, 1.0, "root")
    content = keyring.Content(SERVER, SERVERS_SECRET, (key,))
    assert keyring.parse(keyring.dump(content)) == content
    for other in (key._replace(public=SERVER), key._replace(name="desk")):
        with pytest.raises(ValueError, match="twice"):
            keyring.parse(keyring.dump(content._replace(keys=(key, other))))
    with pytest.raises(ValueError, match="no pair"):
        keyring.parse(keyring.dump(content._replace(secret=SECRET)))


# -- what a stranger says ---------------------------------------------------------------------------------------------

HELLO = b"\x04\xc8\x05HELLO\x01\x00" + bytes(192)
INITIATE = b"\x06" + (300).to_bytes(8, "big") + b"\x08INITIATE" + bytes(291)


def said(pieces: list[bytes]) -> tuple[bytes, bytes, bytes] | None:
    """What is answered and passed on, in the order of a connection; None where it was refused."""
    client = ClientSide()
    answered = hello = initiate = b""
    try:
        for piece in pieces:
            client.feed(piece)
            answered += client.answer()
            hello = hello or client.hello()
            initiate = initiate or (client.initiate() if hello else b"")
    except ProtocolError:
        return None
    return answered, hello, initiate


@given(st.lists(st.integers(0, 600), max_size=8))
def test_a_handshake_may_come_in_any_pieces(cuts: list[int]) -> None:
    """The same is passed on wherever it is cut, and our greeting is said once."""
    whole = GREETING + HELLO + INITIATE
    ends = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    pieces = [whole[a:b] for a, b in itertools.pairwise(ends)]
    assert said(pieces) == (GREETING, GREETING + HELLO, INITIATE)


def test_a_client_is_greeted_only_as_far_as_it_has_to_be() -> None:
    """Up to the version for the beginning of a greeting, and whole for one with the right mechanism."""
    client = ClientSide()
    client.feed(GREETING[:9])
    assert client.answer() == b""
    client.feed(GREETING[9:10])
    assert client.answer() == GREETING[:11]
    client.feed(GREETING[10:63])
    assert client.answer() == b""
    client.feed(GREETING[63:])
    assert client.answer() == GREETING[11:]


@given(st.binary(max_size=700), st.sampled_from([b"", GREETING, GREETING + HELLO]))
def test_whatever_a_stranger_says_is_bounded(data: bytes, begin: bytes) -> None:
    """It is a handshake or none, the same in pieces as in one, and nothing longer than one is passed on."""
    whole = said([begin + data])
    assert whole == said([bytes([byte]) for byte in begin + data])
    if whole is not None:
        assert len(whole[1]) in (0, len(GREETING + HELLO))
        assert len(whole[2]) <= INITIATE_LIMIT_BYTES + 9


@given(st.integers(0, 400), st.integers(0, 300), st.binary(max_size=50), st.integers(1, 60))
def test_what_comes_after_the_handshake_is_counted(first: int, second: int, rest: bytes, step: int) -> None:
    """Of the server's bytes, all behind its second command, however long the commands are and in whatever pieces they come."""
    frames = b""
    for size in (first, second):
        frames += bytes((4, size)) if size < 256 else bytes((6,)) + size.to_bytes(8, "big")
        frames += bytes(size)
    server = ServerSide()
    data = frames + rest
    assert sum(server.feed(data[at : at + step]) for at in range(0, len(data), step)) == len(rest)
    assert server.done


def test_who_has_no_key_loads_nothing_for_it() -> None:
    """Neither the daemon nor circusctl imports what is for keys before there is one."""
    code = (
        "import sys, circusd.runtime.daemon, circusd.cli.circusctl\n"
        "print([name for name in sys.modules if name in ('circusd.curve', 'circusd.keyfile') "
        "or name.rpartition('.')[2] in ('far', 'guard', 'keyring', 'curvehandshake', 'z85')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"
