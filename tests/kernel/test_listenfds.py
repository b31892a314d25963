"""Sockets by systemd's protocol: their numbers, what a child is told, and what becomes of its environment on the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from circusd.kernel import listenfds
from circusd.kernel.spawn import SpawnSpec, spawn
from circusd.schema.errors import SpawnError

# In a process of its own: here the descriptors from 3 on are the test runner's.
STARTER = """
import json, os, socket, sys
sys.path[:0] = json.loads(sys.argv[1])
from circusd.kernel import listenfds, pidfd
from circusd.kernel.spawn import SpawnSpec, spawn
from circusd.schema.errors import SpawnError
taken = os.open("/dev/zero", os.O_RDONLY)  # as an inherited one would be
assert taken == 3
listenfds.reserve()
before = {fd: os.readlink(f"/proc/self/fd/{fd}") for fd in range(3, 19)}
given = json.loads(sys.argv[2])
socks = {name: socket.create_server(("127.0.0.1", 0)) for name in given["names"]}
assert all(sock.fileno() >= 19 for sock in socks.values())
reader, writer = os.pipe()
try:
    child = spawn(SpawnSpec(argv=("python3", "-c", given["code"]), executable=sys.executable, env=given["env"], cwd="/",
        stdout=writer, limits=given["limits"], listen={name: sock.fileno() for name, sock in socks.items()},
        pass_fds=(writer,) if given["more"] else ()))
except SpawnError as error:
    print(json.dumps({"error": [error.stage, error.text]}))
    sys.exit()
os.close(writer)
with open(reader) as file:
    said = json.load(file)
os.waitid(os.P_PIDFD, child.pidfd, os.WEXITED)
assert before == {fd: os.readlink(f"/proc/self/fd/{fd}") for fd in range(3, 19)}
inodes = [os.fstat(sock.fileno()).st_ino for sock in socks.values()]
print(json.dumps({**said, "pid": child.pid, "inodes": inodes}))
"""

CHILD = """
import json, os, sys
fds = {}
for fd in os.listdir("/proc/self/fd"):
    try:
        fds[int(fd)] = os.fstat(int(fd)).st_ino
    except OSError:
        pass
env = dict(line.split("=", 1) for line in open("/proc/self/environ").read().split("\\0") if line)
print(json.dumps({"env": env, "fds": fds, "own": os.getpid(), "argv": sys.argv}))
"""


def started(
    names: list[str], env: dict[str, str], limits: dict[str, Any] | None = None, *, more: bool = False
) -> dict[str, Any]:
    """What a child says of itself that was started with these sockets and variables."""
    given = {"names": names, "env": env, "code": CHILD, "limits": limits or {}, "more": more}
    done = subprocess.run(
        [sys.executable, "-c", STARTER, json.dumps(sys.path), json.dumps(given)],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def test_sockets_stand_from_3_on_and_the_pid_is_the_child_s() -> None:
    """Consecutive, in their order, each with its name; no other descriptor is passed on, and the daemon's are as before."""
    said = started(["web", "api"], {"HOME": "/x"})
    assert said["env"]["LISTEN_FDS"] == "2"
    assert said["env"]["LISTEN_PID"] == str(said["own"]) == str(said["pid"])
    assert said["env"]["LISTEN_FDNAMES"] == "web:api"
    assert [said["fds"]["3"], said["fds"]["4"]] == said["inodes"]
    assert set(map(int, said["fds"])) == {0, 1, 2, 3, 4}


def test_limits_and_other_descriptors_go_with_it() -> None:
    """Several helpers in a row end in the program."""
    said = started(["web"], {}, {"core": [0, 0]}, more=True)
    assert said["env"]["LISTEN_PID"] == str(said["own"])
    assert said["fds"]["3"] == said["inodes"][0]
    assert len(said["fds"]) == 5


@pytest.mark.parametrize(
    "env",
    [
        {},
        {"PWD": "/somewhere/else", "OLDPWD": "/", "PATH": "/nowhere", "X": "a\nb 'c\" $d", "E": ""},
        {"a.b": "1", "X-Y": "2", "BASH_FUNC_f%%": "() { echo hi; }", "1": "x", "PWD": "/x"},
        {"ENV": "/no/such", "BASH_ENV": "/no/such", "MAIL": "x", "HOME": "relative", "LC_ALL": "no_such"},
    ],
    ids=["empty", "ordinary", "odd names", "read by shells"],
)
def test_the_environment_is_what_it_was(env: dict[str, str]) -> None:
    """Byte by byte, whatever the names are; what a shell adds by itself is bookkeeping that means nothing to a program."""
    got = started(["web"], env)["env"]
    for name in ("LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID"):
        del got[name]
    for name in ("SHLVL", "_"):
        got.pop(name, None)
    assert got == env


def test_the_state_of_a_shell_is_not_passed_on() -> None:
    """A wrong OPTIND would end the shell that tells the pid."""
    got = started(["web"], {"OPTIND": "zz", "IFS": "/", "PPID": "1", "KEPT": "1"})["env"]
    assert got["KEPT"] == "1"
    assert got.get("OPTIND") != "zz"


def test_what_can_not_be_told_is_an_error_that_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """More sockets than there are places, a program that is not there, and a name that no shell passes on."""
    stage, text = started([f"s{n}" for n in range(17)], {})["error"]
    assert stage == "descriptors"
    assert "listen_fds is for 16 at most" in text
    monkeypatch.setattr(listenfds, "BASH", ("/no/such/bash",))
    with pytest.raises(SpawnError, match="does not pass on the variable") as caught:
        listenfds.by_shell({"a.b": "1"}, "/bin/true")
    assert caught.value.stage == "environment"


def test_a_number_that_a_socket_has_is_nobody_else_s() -> None:
    """A descriptor that is asked for by number does not take its place; the error says which are free."""
    spec = SpawnSpec(argv=("true",), executable="/bin/true", env={}, listen={"web": 0}, at={3: 1})
    with pytest.raises(SpawnError, match="let ready name one from 4 on") as caught:
        spawn(spec)
    assert caught.value.stage == "descriptors"


def test_names_that_can_not_be_told_are_unknown() -> None:
    """As systemd has it: a colon would part one name in two."""
    assert listenfds.variables(("web", "a:b", "", "é", "x" * 300, "a b"))["LISTEN_FDNAMES"] == (
        "web:unknown:unknown:unknown:unknown:a b"
    )


def test_a_number_in_the_way_is_moved() -> None:
    """The file stays the same, and goes to no program."""
    fd = os.open("/dev/zero", os.O_RDONLY)
    low = fd if fd < listenfds.FIRST + listenfds.MOST else os.dup(fd)
    moved = listenfds.above(low)
    try:
        assert moved >= listenfds.FIRST + listenfds.MOST
        assert os.readlink(f"/proc/self/fd/{moved}") == "/dev/zero"
        assert not os.get_inheritable(moved)
        assert listenfds.above(moved) == moved
    finally:
        os.close(moved)
