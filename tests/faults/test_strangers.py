"""Another user of the machine, at every endpoint of a root's circusd: refused, told with the uid, and none the wiser."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from circusd import zmtp
from tests.daemon import Daemon
from tests.faults.measures import Pings, events, leaves_nothing, report
from tests.faults.test_scarcity import as_user
from tests.waiting import eventually

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="there is no border to cross for an ordinary user")

NOBODY = 65534
ANY_PYTHON = "/usr/bin/python3"
TRIES = 25
SECRETS = ("hush-in-the-environment", "hush-in-the-arguments")

# What a stranger can run: the standard library of the system, nothing of ours.
STRANGER = r"""
import json, os, socket, sys, urllib.error, urllib.request

asked = json.load(sys.stdin)
found = {"uid": os.getuid()}


def say(address, family):
    got = b""
    try:
        with socket.socket(family) as sock:
            sock.settimeout(10)
            sock.connect(address)
            for word in asked["words"]:
                sock.sendall(bytes.fromhex(word))
            while data := sock.recv(65536):
                got += data
    except OSError as error:
        return got.hex() or error.__class__.__name__
    return got.hex()


for name, endpoint in asked["endpoints"].items():
    if endpoint.startswith("ipc://"):
        address, family = endpoint[6:], socket.AF_UNIX
    else:
        host, _, port = endpoint[6:].rpartition(":")
        address = (host.strip("[]"), int(port))
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    found[name] = [say(address, family) for _ in range(asked["tries"])]

for path in asked["paths"]:
    try:
        with urllib.request.urlopen(asked["console"] + path, timeout=10) as answer:
            found[path] = [answer.status, answer.read().decode()]
    except urllib.error.HTTPError as error:
        found[path] = [error.code, error.read().decode()]

files = {}
for folder, _, names in os.walk(asked["runtime"]):
    for name in names:
        files[os.path.join(folder, name)] = True
found["files"] = list(files)
for path in asked["files"]:
    try:
        with open(path, "rb") as file:
            found[path] = file.read().decode("utf-8", "replace")
    except OSError as error:
        found[path] = error.__class__.__name__
print(json.dumps(found))
"""


def has_ipv6() -> bool:
    """Whether this machine has an IPv6 loopback."""
    return "00000000000000000000000000000001" in Path("/proc/net/if_inet6").read_text()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """Root's circusd with every kind of endpoint, some where every user can see them."""
    open_folder = Path(tempfile.mkdtemp(prefix="circus-open-"))
    open_folder.chmod(0o755)
    loopback = "[::1]" if has_ipv6() else "127.0.0.1"
    ini = (
        "[circus]\nendpoint = tcp://127.0.0.1:0\n"
        f"pubsub_endpoint = tcp://{loopback}:0\nstats_endpoint = ipc://{open_folder}/stats.sock\n"
        "httpd = 1\nhttpd_host = 127.0.0.1\nhttpd_port = 0\n"
        f"[watcher:web]\ncmd = sleep 100000\n[watcher:secret]\ncmd = sh -c 'exec sleep 99999' {SECRETS[1]}\n"
        f"[env:secret]\nTOKEN = {SECRETS[0]}\n"
    )
    daemon = Daemon(ini, tmp_path)
    # Only circusd's own folder in it is closed.
    daemon.runtime.chmod(0o755)
    try:
        with daemon:
            yield daemon
    finally:
        shutil.rmtree(open_folder)


def words(kind: bytes) -> list[str]:
    """All that a client says, without waiting for an answer: the greeting, READY, a subscription, commands."""
    ready = b"\x05READY\x0bSocket-Type" + len(kind).to_bytes(4, "big") + kind
    said = [zmtp._GREETING, zmtp.encode_frame(ready, command=True)]
    if kind == b"SUB":
        said.append(zmtp.encode_frame(b"\x01"))
    else:
        for command in ("list", "options", "dstats", "stats", "quit"):
            request = {"id": command, "command": command, "properties": {"name": "secret"}}
            said.append(zmtp.encode_frame(json.dumps(request).encode()))
    return [word.hex() for word in said]


def as_stranger(daemon: Daemon, kind: bytes, endpoints: dict[str, str], tries: int = TRIES) -> dict[str, Any]:
    """What another user gets."""
    address = daemon.call("inspect")["daemon"]["httpd"]
    (secret,) = daemon.pids("secret")
    asked = {
        "words": words(kind),
        "endpoints": endpoints,
        "tries": tries,
        "console": f"http://{address}",
        "paths": PATHS,
        "runtime": str(daemon.runtime),
        "files": [f"/proc/{pid}/environ" for pid in (daemon.pid, secret, *daemon.pids("circushttpd"))]
        + [f"/proc/{daemon.pid}/fd/1"],
    }
    done = subprocess.run(
        as_user(NOBODY, ANY_PYTHON, "-I", "-c", STRANGER),
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        cwd="/",
        timeout=60,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["uid"] == NOBODY
    return found


PATHS = [
    f"/d/circus/api/v1/{command}?name=secret"
    for command in ("options", "inspect", "stats", "dstats", "list", "globaloptions", "events", "output")
] + ["/d/circus/", "/d/circus/w/secret", "/socket.io/?EIO=4&transport=polling", "/"]


def test_f47_another_user_is_refused_at_every_endpoint_and_reads_no_secret(daemon: Daemon) -> None:
    """Unix sockets, loopback TCP of both families, one that an administrator has opened too wide, the console's port."""
    own = {channel: f"ipc://{daemon.runtime}/circus/{channel}.sock" for channel in CHANNELS}
    shown = daemon.call("inspect")["daemon"]["endpoints"]
    wide = shown["stats"].removeprefix("ipc://")
    with leaves_nothing(daemon), Pings(daemon) as pings:
        # A file of mode 0600 is not all that stands in the way: the owner of the connection counts.
        closed = as_stranger(daemon, b"SUB", {"stats": shown["stats"]}, tries=1)
        assert closed["stats"] == ["PermissionError"]
        os.chmod(wide, 0o777)
        requests = as_stranger(daemon, b"DEALER", {**own, "tcp": shown["commands"]})
        listens = as_stranger(daemon, b"SUB", {"tcp": shown["events"], "wide": shown["stats"]})
    report(f"{3 * TRIES} connections of another user over TCP and a wide socket; meanwhile {pings}")
    for channel in CHANNELS:
        assert set(requests[channel]) <= {"PermissionError", "FileNotFoundError"}, channel
    # Closed without a byte, not even a greeting.
    for tries in (requests["tcp"], listens["tcp"], listens["wide"]):
        assert set(tries) <= {"", "ConnectionResetError", "BrokenPipeError"}
    whole = json.dumps([closed, requests, listens])
    assert not [secret for secret in SECRETS if secret in whole]
    for path in PATHS:
        status, body = requests[path]
        assert status in (401, 403, 404) or "login" in body, (path, status, body[:200])
        assert "sleep" not in body
    assert requests["files"] == []
    for path, found in requests.items():
        if path.startswith("/proc/"):
            assert found == "PermissionError", path
    assert daemon.call("list")["watchers"] == ["circushttpd", "secret", "web"]
    told = events(daemon, "client.refused")
    assert {e["uid"] for e in told} == {NOBODY}
    assert len(told) <= 6
    daemon.stop()
    _logged(daemon.log.read_text())


CHANNELS = ("commands", "events", "stats", "output")


def _logged(log: str) -> None:
    """Every try was counted, in few lines that name the uid."""
    lines = re.findall(
        r"refused door=(.*) uid=(\d+) from=.* reason='it belongs to another user' count=(\d+)", log
    )
    assert {uid for _, uid, _ in lines} == {str(NOBODY)}
    counts: dict[str, int] = {}
    for door, _, count in lines:
        counts[door] = counts.get(door, 0) + int(count)
    assert counts == dict.fromkeys(("commands of the file", "events of the file", "stats of the file"), TRIES)
    # One at once, the others together within ten seconds of it or at the end.
    assert len(lines) <= 9


def test_f47_circusctl_of_another_user_says_why_it_is_not_answered(daemon: Daemon) -> None:
    """Whoever may not is told so, and not that no daemon runs."""
    shown = daemon.call("inspect")["daemon"]["endpoints"]
    ctl = [daemon.program("circusctl"), "--endpoint", shown["commands"], "list"]
    done = subprocess.run(
        as_user(NOBODY, *ctl), capture_output=True, text=True, cwd="/", timeout=60, check=False
    )
    if "Permission denied" in done.stderr and "circusctl" not in done.stderr:
        pytest.skip("this checkout can't be read by other users")
    assert done.returncode != 0
    assert "obeys only the user it runs as, and root" in done.stdout + done.stderr
    eventually(lambda: events(daemon, "client.refused"))
