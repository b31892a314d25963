"""``endpoint_owner``: another user commands at the file's endpoint, and gains nothing by it but processes of his own."""

from __future__ import annotations

import os
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from circusd.client import Client
from circusd.schema.errors import CircusError, Refused
from tests.daemon import BIN, Daemon
from tests.faults.measures import descriptors
from tests.waiting import eventually

NOBODY, STRANGER = 65534, 12345

root = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can give an endpoint away, and be another user"
)


@contextmanager
def as_user(uid: int) -> Iterator[None]:
    """Connections that are made within are that user's."""
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may look into, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="circus-") as name:
        os.chmod(name, 0o755)
        yield Path(name)


class Owned(Daemon):
    """A daemon whose endpoint is given to nobody."""

    def __init__(self, folder: Path, open_folder: Path, owner: object = "nobody") -> None:
        self.own_endpoint = f"ipc://{open_folder}/own.sock"
        ini = f"[circus]\nendpoint = {self.own_endpoint}\nendpoint_owner = {owner}\n"
        ini += "[socket:s]\nport = 0\n[watcher:web]\ncmd = sleep 1000\n"
        super().__init__(ini, folder)

    def ask(self, uid: int, command: str, **properties: Any) -> dict[str, Any]:
        """One request of that user, at the endpoint of the file."""
        with as_user(uid), Client(self.own_endpoint, timeout=10, patience=0) as client:
            return client.call(command, properties)


@pytest.fixture
def owned(tmp_path: Path, open_folder: Path) -> Iterator[Owned]:
    """See `Owned`."""
    with Owned(tmp_path, open_folder) as daemon:
        yield daemon


@root
def test_the_owner_is_an_operator_there_and_nobody_elsewhere(owned: Owned) -> None:
    """The socket's file is his; a third user can't come in, and root may everything as before."""
    status = os.stat(owned.own_endpoint.removeprefix("ipc://"))
    assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (NOBODY, 0o600)
    assert owned.ask(NOBODY, "whoami")["role"] == "operator"
    owned.ask(NOBODY, "restart", name="web", waiting=True)
    for command, properties in (
        ("reloadconfig", {}),
        ("rm", {"name": "web"}),
        ("weblink", {}),
        ("set", {"name": "web", "options": {"cmd": "id"}}),
    ):
        with pytest.raises(Refused, match="is for the role admin"):
            owned.ask(NOBODY, command, **properties)
    with pytest.raises(CircusError):
        owned.ask(STRANGER, "ping")
    with as_user(NOBODY), pytest.raises(CircusError), Client(owned.endpoint, timeout=5, patience=0) as client:
        client.call("ping", {})
    assert owned.ask(0, "whoami")["role"] == "admin"
    owned.ask(0, "add", name="roots", cmd="sleep 1000", options={"uid": STRANGER, "gid": STRANGER})


@root
@pytest.mark.parametrize("given", [{}, {"uid": "nobody"}, {"uid": NOBODY}, {"uid": str(NOBODY)}])
def test_what_the_owner_adds_runs_as_himself(owned: Owned, given: dict[str, Any]) -> None:
    """With his groups, whether he says so or not."""
    options = {**given, "env": {"A": "b"}, "working_dir": "/", "numprocesses": 2, "shell": True}
    owned.ask(NOBODY, "add", name="mine", cmd="exec sleep 1000", options=options, start=True, waiting=True)
    for pid in owned.pids("mine"):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        fields = {line.split(":")[0]: line.split()[1:] for line in lines}
        assert fields["Uid"] == [str(NOBODY)] * 4
        assert fields["Gid"] == [str(NOBODY)] * 4
        assert set(fields["Groups"]) <= {str(NOBODY)}
        assert "socket:" not in "".join(descriptors(pid).values())


@root
@pytest.mark.parametrize(
    "options",
    [
        {"uid": "root"},
        {"uid": 0},
        {"uid": STRANGER},
        {"uid": True},
        {"gid": 0},
        {"gid": "root"},
        {"copy_env": True},
        {"copy_path": True},
        {"virtualenv": "/tmp/x"},
        {"stdout_stream": {"class": "FileStream", "filename": "/etc/cron.d/x"}},
        {"stdout_stream.filename": "/etc/cron.d/x"},
        {"stderr_stream.class": "his.code.Stream"},
        {"hooks": {"before_start": "his.code"}},
        {"hooks.before_start": "his.code"},
        {"use_sockets": True},
        {"stdin_socket": "s"},
        {"rlimit_nproc": 1 << 20},
        {"rlimits": {"nproc": 1 << 20}},
        {"key_of_his_own": "x"},
    ],
    ids=lambda o: "-".join(f"{k}={v}" for k, v in o.items())[:40],
)
def test_what_would_give_him_more_is_refused_and_adds_nothing(owned: Owned, options: dict[str, Any]) -> None:
    """Another user or group, circusd's environment, files, code, sockets or limits."""
    with pytest.raises(Refused) as refused:
        owned.ask(NOBODY, "add", name="mine", cmd="sleep 1000", options=options, start=True)
    assert refused.value.code == "denied"
    assert owned.call("list")["watchers"] == ["web"]


@root
def test_sockets_of_the_daemon_are_not_his(owned: Owned) -> None:
    """Not by their name in a command either, nor by a later change."""
    for words in ({"cmd": "x $(circus.sockets.s)"}, {"cmd": "x", "args": ["((CIRCUS.sockets.s))"]}):
        with pytest.raises(Refused, match="is not for the owner of an endpoint"):
            owned.ask(NOBODY, "add", name="mine", **words)
    owned.ask(NOBODY, "add", name="mine", cmd="sleep 1000", start=True, waiting=True)
    owned.ask(NOBODY, "set", name="mine", options={"numprocesses": 2}, waiting=True)
    for options in (
        {"use_sockets": True},
        {"stdin_socket": "s"},
        {"rlimit_nofile": 1 << 20},
        {"rlimits": {"nofile": 1 << 20}},
        {"rlimits": {}},
    ):
        with pytest.raises(Refused, match="is not for the owner of an endpoint"):
            owned.ask(NOBODY, "set", name="mine", options=options, waiting=True)
    eventually(lambda: len(owned.pids("mine")) == 2)


def failing(daemon: Daemon) -> str:
    """What a circusd says that does not start."""
    done = subprocess.run(
        [BIN / "circusd", daemon.config],
        env=daemon.environ,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    daemon.__exit__(None, None, None)
    assert done.returncode == 1
    return done.stderr


def test_an_owner_that_there_is_not_is_told(tmp_path: Path, open_folder: Path) -> None:
    """circusd does not start with an endpoint that is not as it should be."""
    told = failing(Owned(tmp_path, open_folder, "nobdy"))
    assert 'endpoint_owner: there is no user "nobdy"; did you mean "nobody"?' in told
    assert not (open_folder / "own.sock").exists()


def test_at_an_endpoint_that_is_no_file_it_has_no_effect_and_that_is_told(tmp_path: Path) -> None:
    """As in Circus; over TCP only circusd's own user and root are obeyed."""
    ini = "[circus]\nendpoint = tcp://127.0.0.1:0\nendpoint_owner = nobody\n[watcher:web]\ncmd = sleep 1000\n"
    with Daemon(ini, tmp_path) as daemon:
        assert "endpoint_owner has no effect" in daemon.log.read_text()
        if os.geteuid() == 0:
            endpoint = daemon.call("globaloptions")["options"]["endpoint"]
            with (
                as_user(NOBODY),
                pytest.raises(CircusError),
                Client(endpoint, timeout=5, patience=0) as client,
            ):
                client.call("ping", {})
