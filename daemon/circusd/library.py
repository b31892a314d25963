"""circusd for a program that has watchers of its own: the original's `get_arbiter`.

The daemon is a process of its own, started by `Arbiter.start` and ended with the program, however that ends. Everything
else is asked of it by its commands: so `circusctl`, the console and `circusd.client` work with it too.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any

from .client import Client, runtime_bases
from .schema.errors import Unavailable
from .schema.nearest import nearest
from .schema.options import CIRCUS, find
from .views import ArbiterView

__all__ = ["Arbiter", "ThreadedArbiter", "Watcher", "get_arbiter"]

SAID = 16 << 10
"""Bytes that are read of what a daemon says that could not start."""

_NUMBERS = count(1)
_MEANINGLESS = ("check_delay", "context", "statsd_close_outputs", "httpd_close_outputs", "stream_backend")
_RENAMED = {"controller": "endpoint", "proc_name": "name"}

Section = dict[str, Any]


def get_arbiter(
    watchers: Iterable[Mapping[str, Any]],
    controller: str | None = None,
    pubsub_endpoint: str | None = None,
    *,
    sockets: Iterable[Mapping[str, Any]] = (),
    plugins: Iterable[Mapping[str, Any]] | None = None,
    env: Mapping[str, str] | None = None,
    background: bool = False,
    **options: Any,
) -> Arbiter:
    """A daemon with these watchers, not started.

    A watcher is a mapping of the options of its section in a file, with ``name`` (default: the name of its program) and
    ``cmd``; ``hooks`` are a mapping from hook to a dotted path or a function of a module, alone or with the flag that
    ignores failures. A socket has a ``name``, a plugin a ``use``. ``controller`` and ``pubsub_endpoint`` are further
    endpoints beside those in the runtime folder. With ``background``, `Arbiter.start` comes back when the daemon runs.
    All others are options of the section ``[circus]``; raises TypeError for one that is not known.
    """
    options = {**options, "controller": controller, "pubsub_endpoint": pubsub_endpoint}
    return Arbiter(
        watchers, sockets=sockets, plugins=plugins or (), env=env or {}, background=background, **options
    )


class Arbiter(ArbiterView):
    """A daemon of this program's own; see `get_arbiter`. The methods that ask need one that runs."""

    def __init__(
        self,
        watchers: Iterable[Mapping[str, Any]],
        endpoint: str | None = None,
        pubsub_endpoint: str | None = None,
        *,
        sockets: Iterable[Mapping[str, Any]] = (),
        plugins: Iterable[Mapping[str, Any]] = (),
        env: Mapping[str, str] | None = None,
        background: bool = False,
        **options: Any,
    ) -> None:
        if options.pop("loop", None) is not None:
            raise TypeError(
                "loop: the daemon runs in a process of its own; use background=True, and a client"
            )
        circus = _circus({"endpoint": endpoint, "pubsub_endpoint": pubsub_endpoint, **options})
        self.name = str(circus.pop("name", "") or f"program-{os.getpid()}-{next(_NUMBERS)}")
        self.background = background
        self.exit_code: int | None = None
        """That of the daemon, once it has ended: 0 after an ordered stop."""
        self._is_named = "name" in options or "proc_name" in options
        self._document = {
            "circus": circus,
            "env": dict(env or {}),
            "watcher": _named(watchers, _watcher),
            "socket": _named(sockets, _socket),
            "plugin": _named(plugins, _plugin),
        }
        self._client: Client | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._link: socket.socket | None = None
        self._folder = ""
        self._lock = threading.Lock()

    # -- life ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """The daemon has started everything, run, and ended; with ``background`` it has only started everything.

        In the main thread, SIGTERM, SIGINT and SIGQUIT end it in order meanwhile, and SIGHUP makes it reload. Raises
        Unavailable, with what it said, if it can't start.
        """
        if self._process is not None:
            raise RuntimeError("it is started already")
        with contextlib.nullcontext() if self.background else self._signals():
            self._start()
            if not self.background:
                self._wait()

    def stop(self) -> None:
        """Everything was stopped in order, and the daemon has ended. May be called from any thread, and again."""
        process = self._process
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            self._wait()

    def is_running(self) -> bool:
        """Whether the daemon runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def daemon(self) -> Client:
        """The connection to the daemon's commands; raises Unavailable while it does not run."""
        if self._client is None:
            raise Unavailable(
                "the arbiter does not run", hint="call its start(); with background=True it comes back"
            )
        return self._client

    def reload(self, graceful: bool = True, sequential: bool = False) -> None:
        """The processes of all watchers that run will be replaced."""
        self.daemon.call("reload", {"graceful": graceful, "sequential": sequential})

    def restart(self) -> None:
        """All watchers that run will be restarted."""
        self.daemon.call("restart")

    def __enter__(self) -> Arbiter:
        """It is started, in the background."""
        self.background = True
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # -- the process -----------------------------------------------------------------------------------------------

    def _start(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="circus-program-")
        config = os.path.join(self._folder, "circus.yaml")
        with open(config, "w", encoding="ascii") as file:
            file.write(_yaml(self._document))
        environ = {**os.environ, "PYTHONPATH": _python_path(os.environ)}
        # Those that this program may have are about itself.
        for name in ("WATCHDOG_USEC", "WATCHDOG_PID"):
            environ.pop(name, None)
        if not self._is_named:
            # Nobody will look for what a daemon of this name has kept.
            environ["CIRCUS_STATE_DIR"] = os.path.join(self._folder, "state")
        self._link, theirs = socket.socketpair()
        with theirs, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
            # In no folder, as the path of one may be too long; nobody guesses the name.
            environ["NOTIFY_SOCKET"] = f"@circus-program-{secrets.token_hex(16)}"
            ready.bind(f"\0{environ['NOTIFY_SOCKET'][1:]}")
            words = [
                sys.executable,
                "-P",
                "-m",
                "circusd.cli.embedded",
                str(theirs.fileno()),
                "--name",
                self.name,
            ]
            # Of a Ctrl C at the terminal this program hears, and decides.
            self._process = subprocess.Popen(
                [*words, config],
                stdin=subprocess.DEVNULL,
                env=environ,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
            theirs.close()
            is_up = self._await(ready)
        if is_up:
            self._client = Client(f"ipc://{self._runtime(environ)}/commands.sock")
            return
        said = self._said()
        self._wait()
        # One that was told to stop while it started has done as it was told.
        if self.exit_code:
            raise Unavailable(said or f"circusd has ended with code {self.exit_code} before it was up")

    def _await(self, ready: socket.socket) -> bool:
        """Whether the daemon has started everything, and not ended before."""
        assert self._process is not None
        assert self._link is not None
        while True:
            readable, _, _ = select.select([ready, self._link], [], [])
            if ready in readable and b"READY=1" in ready.recv(4096).split(b"\n"):
                return True
            if self._link in readable:
                return False

    def _runtime(self, environ: Mapping[str, str]) -> str:
        """The daemon's runtime folder, as it chooses it itself: in the first of those that may be."""
        return os.path.join(runtime_bases(environ, os.geteuid())[0], self.name)

    def _said(self) -> str:
        assert self._link is not None
        self._link.settimeout(1)
        parts: list[bytes] = []
        with contextlib.suppress(OSError):
            while (part := self._link.recv(SAID)) and len(parts) < 16:
                parts.append(part)
        text = b"".join(parts).decode("utf-8", "replace")
        return "\n".join(line.removeprefix("circusd: ") for line in text.splitlines()).strip()

    def _wait(self) -> None:
        """The daemon has ended, and nothing of it is left."""
        process = self._process
        if process is None:
            return
        code = process.wait()
        with self._lock:
            if self._process is not process:
                return
            self._process, self.exit_code = None, code
            if self._client is not None:
                self._client.close()
                self._client = None
            if self._link is not None:
                self._link.close()
                self._link = None
            shutil.rmtree(self._folder, ignore_errors=True)
            if not self._is_named:
                shutil.rmtree(self._runtime(os.environ), ignore_errors=True)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Signals to this program are the daemon's, as far as it has such."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        sent = {
            signal.SIGTERM: signal.SIGTERM,
            signal.SIGINT: signal.SIGTERM,
            signal.SIGQUIT: signal.SIGTERM,
            signal.SIGHUP: signal.SIGHUP,
        }

        def passed_on(signum: int, _frame: object) -> None:
            if self._process is not None and self._process.returncode is None:
                self._process.send_signal(sent[signal.Signals(signum)])

        before = {signum: signal.signal(signum, passed_on) for signum in sent}
        try:
            yield
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)


class ThreadedArbiter(Arbiter):
    """One whose `start` comes back when the daemon runs."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{**options, "background": True})

    def join(self) -> None:
        """The daemon has ended."""
        self._wait()


class Watcher(dict[str, Any]):
    """A watcher for `Arbiter`, in the original's form: its name, its command, its options."""

    def __init__(self, name: str, cmd: str, **options: Any) -> None:
        super().__init__(name=name, cmd=cmd, **options)


# --- from Python's values to a configuration --------------------------------------------------------------------------


def _circus(options: Mapping[str, Any]) -> Section:
    found: Section = {}
    for key, value in options.items():
        name = _RENAMED.get(key, key)
        if key in _MEANINGLESS or value is None:
            continue
        if find(CIRCUS, name) is None:
            near = nearest(key, [*_RENAMED, *(row.name for row in CIRCUS)])
            raise TypeError(f"{key} is no option" + (f"; did you mean {near}?" if near else ""))
        found[name] = value
    return found


def _named(
    rows: Iterable[Mapping[str, Any]], section: Callable[[Mapping[str, Any]], tuple[str, Section]]
) -> Section:
    found: Section = {}
    for row in rows:
        name, options = section(row)
        if name in found:
            raise ValueError(f"two are named {name}; give each a name of its own")
        found[name] = {key: value for key, value in options.items() if value is not None}
    return found


def _watcher(options: Mapping[str, Any]) -> tuple[str, Section]:
    found = {key: value for key, value in options.items() if key not in ("name", *_MEANINGLESS)}
    cmd = found.get("cmd")
    if not cmd:
        raise ValueError(f"a watcher without cmd: {dict(options)!r}")
    name = options.get("name") or os.path.basename(shlex.split(str(cmd))[0])
    if "hooks" in found:
        found["hooks"] = {hook: _hook(given) for hook, given in (found["hooks"] or {}).items()}
    for stream in ("stdout_stream", "stderr_stream"):
        if found.get(stream):
            found[stream] = _stream(stream, found[stream])
    return str(name), found


def _socket(options: Mapping[str, Any]) -> tuple[str, Section]:
    if not options.get("name"):
        raise ValueError(f"a socket without name: {dict(options)!r}")
    return str(options["name"]), {key: value for key, value in options.items() if key != "name"}


def _plugin(options: Mapping[str, Any]) -> tuple[str, Section]:
    use = options.get("use")
    found = dict(options)
    if isinstance(use, type):
        found["use"] = use = _path(use)
    if not use:
        raise ValueError(f"a plugin without use: {dict(options)!r}")
    name = found.pop("name", None) or str(use).rpartition(".")[2].lower()
    return str(name), found


def _hook(given: Any) -> Any:
    """A path, or a path with the flag that ignores failures."""
    flag = False
    if isinstance(given, Sequence) and not isinstance(given, str):
        given, flag = given
    return {"path": given if isinstance(given, str) else _path(given), "ignore_failure": bool(flag)}


def _stream(name: str, given: Mapping[str, Any]) -> Section:
    if "stream" in given:
        raise ValueError(
            f"{name}: an object can't be handed to another process; give its class, by its dotted path"
        )
    return {key: _path(value) if isinstance(value, type) else value for key, value in given.items()}


def _path(thing: Any) -> str:
    """The dotted path of a function or class; raises ValueError for one that can't be imported."""
    module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", "")
    if not module or module == "__main__" or "<" in name or not name:
        raise ValueError(
            f"{thing!r} can't be imported by another process; put it into a module, and give its dotted path"
        )
    return f"{module}.{name}"


_PAIR = re.compile(r"\\ud([89ab][0-9a-f]{2})\\ud([c-f][0-9a-f]{2})")


def _yaml(document: Mapping[str, Any]) -> str:
    """JSON, which is YAML but for characters beyond the sixteen bits of its escapes."""
    text = json.dumps(document, default=_plain)

    def whole(match: re.Match[str]) -> str:
        high, low = (int(part, 16) for part in match.groups())
        return f"\\U{0x10000 + ((high - 0x800) << 10) + (low - 0xC00):08x}"

    return _PAIR.sub(whole, text)


def _plain(value: Any) -> Any:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset, tuple)):
        return list(value)
    raise TypeError(f"{value!r} can't be written into a configuration")


def _python_path(environ: Mapping[str, str]) -> str:
    """Where this program's own modules are found: hooks and plugins are of them."""
    own = [os.path.abspath(sys.path[0])] if sys.path and os.path.isdir(sys.path[0] or ".") else []
    return os.pathsep.join(
        dict.fromkeys([*own, *filter(None, environ.get("PYTHONPATH", "").split(os.pathsep))])
    )
