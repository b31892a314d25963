"""A real sshd for tests: on a port of its own, with keys, configuration and log in a folder, as the user of the tests."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
from pathlib import Path
from types import TracebackType

from tests.waiting import eventually

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"

MISSING = ", ".join(
    name
    for name, path in (("openssh-server", SSHD), ("openssh-client", shutil.which("ssh") or ""))
    if not os.access(path, os.X_OK)
)
"""Debian's packages that a test by ssh would need and that are not here."""

# Where sshd as root wants an empty folder, which Debian makes at boot.
_PRIVILEGE_SEPARATION = Path("/run/sshd")


class Sshd:
    """sshd, started by entering and stopped by leaving; ``environ`` is for who comes there.

    ``path`` is a folder with a program ``ssh`` that is the real one with a configuration of its own, so that nobody's
    keys and known hosts are used or changed.
    """

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        self.folder = folder
        self.user = getpass.getuser()
        self.key = self._new_key("id")
        self.other_key = self._new_key("other")
        self._host_key = self._new_key("host")
        self._made: Path | None = None
        (folder / "authorized").write_text((folder / "id.pub").read_text())
        self.port = 0
        self._environ = environ
        self._popen: subprocess.Popen[bytes] | None = None
        self.path = folder / "bin"
        self.path.mkdir()
        program = self.path / "ssh"
        program.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/config "$@"\n')
        program.chmod(0o755)

    @property
    def server(self) -> str:
        """As it is given to ``--ssh``."""
        return f"{self.user}@127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What sshd said."""
        return (self.folder / "sshd.log").read_text()

    def know(self, *, right: bool = True) -> None:
        """The client knows the host's key, or takes another for it."""
        key = (self.folder / ("host.pub" if right else "other.pub")).read_text()
        (self.folder / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {key}")

    def know_nobody(self) -> None:
        """The client has never been there."""
        (self.folder / "known_hosts").write_text("")

    def clients(self) -> list[str]:
        """Command lines of ssh processes that go there and run."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    words = (entry / "cmdline").read_bytes().split(b"\0")
                except OSError:
                    continue
                if f"{self.folder}/config".encode() in words:
                    found.append(b" ".join(words).decode())
        return found

    def __enter__(self) -> Sshd:
        # Another may take the port between the look and the start.
        for _ in range(5):
            self._start()
            eventually(self._has_tried, within=20, what="sshd listens, or says why not")
            if "Server listening" in self.log:
                return self
            self._end()
        raise RuntimeError(f"sshd does not start: {self.log}")

    def _has_tried(self) -> bool:
        assert self._popen is not None
        return "Server listening" in self.log or self._popen.poll() is not None

    def _start(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        variables = " ".join(f'"{name}={value}"' for name, value in self._environ.items())
        (self.folder / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {self._host_key}\nPidFile none\n"
            f"AuthorizedKeysFile {self.folder}/authorized\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n"
            f"PasswordAuthentication no\nKbdInteractiveAuthentication no\nSetEnv {variables}\nLogLevel VERBOSE\n"
        )
        (self.folder / "config").write_text(
            f"UserKnownHostsFile {self.folder}/known_hosts\nGlobalKnownHostsFile /dev/null\n"
            f"IdentityFile {self.key}\nIdentitiesOnly yes\nIdentityAgent none\n"
        )
        self.know()
        if os.geteuid() == 0 and not _PRIVILEGE_SEPARATION.exists():
            _PRIVILEGE_SEPARATION.mkdir(mode=0o755)
            self._made = _PRIVILEGE_SEPARATION
        with (self.folder / "sshd.log").open("wb") as log:
            self._popen = subprocess.Popen(
                [SSHD, "-D", "-e", "-f", str(self.folder / "sshd_config")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        assert self._popen is not None
        self._popen.terminate()
        self._popen.wait(10)
        if self._made is not None:
            self._made.rmdir()
            self._made = None

    def _new_key(self, name: str) -> Path:
        path = self.folder / name
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)],
            check=True,
            stdin=subprocess.DEVNULL,
        )
        return path
