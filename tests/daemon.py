"""A real circusd for tests: its own runtime folder, its own files, ended by pid."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from circusd.client import Client
from circusd.schema.errors import CircusError
from tests.waiting import eventually

BIN = Path(os.environ.get("CIRCUS_TEST_BIN", Path(sys.executable).parent))


class Daemon:
    """circusd with a configuration, started by entering, stopped by leaving."""

    def __init__(
        self,
        text: str,
        folder: Path,
        *,
        environ: dict[str, str] | None = None,
        args: tuple[str, ...] = (),
        runtime: Path | None = None,
        file: str = "circus.ini",
    ) -> None:
        """``runtime`` is the runtime folder of one that is gone, for its successor."""
        self.folder = folder
        self.config = folder / file
        self.config.write_text(text)
        # Paths of unix sockets have a limit of 107 bytes, which a test's own folder may exceed.
        self.runtime = runtime or Path(tempfile.mkdtemp(prefix="circus-"))
        # Beside the configuration, so that it outlives this daemon as a user's would.
        self.state = folder / "state"
        places = {"CIRCUS_RUNTIME_DIR": str(self.runtime), "CIRCUS_STATE_DIR": str(self.state)}
        self.environ = {**os.environ, **places, **(environ or {})}
        self.environ.pop("CIRCUSCTL_ENDPOINT", None)
        self.args = args
        self.pass_fds: tuple[int, ...] = ()
        """Descriptors that circusd inherits, under the numbers that they have here."""
        self.name = "circus"
        self.log = folder / "circusd.log"
        self.popen: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"ipc://{self.runtime}/{self.name}/commands.sock"

    @property
    def pid(self) -> int:
        assert self.popen is not None
        return self.popen.pid

    def start(self) -> Daemon:
        """The daemon answers, and has started what starts by itself."""
        self.start_only()
        self.wait_until_up()
        return self

    def start_only(self) -> None:
        """The daemon's process runs."""
        with self.log.open("ab") as out:
            self.popen = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=self.environ,
                cwd=self.folder,
                pass_fds=self.pass_fds,
            )

    def wait_until_up(self, within: float = 20) -> None:
        """The daemon answers, and has started what starts by itself; otherwise it is stopped, with all that it has started."""
        try:
            eventually(self.is_up, within=within, what="circusd is up")
        except BaseException:
            with suppress(subprocess.TimeoutExpired):
                self.stop()
            raise

    def program(self, name: str) -> str:
        """Path of one of the project's programs."""
        return str(BIN / name)

    def command(self) -> list[str]:
        """The command line of circusd."""
        return [self.program("circusd"), *self.args, str(self.config)]

    def is_up(self) -> bool:
        """Whether everything that starts by itself has been started."""
        assert self.popen is not None
        if self.popen.poll() is not None:
            raise RuntimeError(f"circusd ended with {self.popen.poll()}: {self.log.read_text()}")
        try:
            events = self.call("events", lines=2000)["events"]
        except CircusError:
            return False
        return any(e["event"] == "daemon.started" for e in events)

    def call(self, command: str, **properties: Any) -> dict[str, Any]:
        """One request over the wire."""
        with Client(self.endpoint, timeout=20) as client:
            return client.call(command, properties)

    def ctl(self, *words: str, check: bool = True, timeout: float = 30) -> subprocess.CompletedProcess[str]:
        """One run of the real circusctl."""
        done = subprocess.run(
            [str(BIN / "circusctl"), *words],
            capture_output=True,
            text=True,
            env=self.environ,
            cwd=self.folder,
            timeout=timeout,
        )
        if check:
            assert done.returncode == 0, (
                f"circusctl {words} exits {done.returncode}: {done.stdout}{done.stderr}"
            )
        return done

    def watcher(self, name: str) -> dict[str, Any]:
        """The watcher as ``inspect`` shows it."""
        found: dict[str, Any] = self.call("inspect", name=name)["watchers"][0]
        return found

    def pids(self, name: str) -> list[int]:
        """The live processes of a watcher."""
        found: list[int] = self.call("list", name=name)["pids"]
        return found

    def stop(self, signum: int = signal.SIGTERM, within: float = 20) -> int:
        """The daemon has ended; its exit code."""
        assert self.popen is not None
        if self.popen.poll() is None:
            self.popen.send_signal(signum)
        try:
            return self.popen.wait(within)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
            raise

    def __enter__(self) -> Daemon:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self.popen is not None:
                self.stop()
        finally:
            if error is not None:
                sys.stderr.write(self.log.read_text(errors="replace")[-5000:])
            if self.name == "circus":
                shutil.rmtree(self.runtime, ignore_errors=True)


def lines_of(text: str) -> list[Any]:
    """JSON lines as data."""
    return [json.loads(line) for line in text.splitlines() if line.strip()]
