"""Connections to another machine by OpenSSH's own client: one process for each, which ends with its connection.

An endpoint there is written ``ssh://USER@HOST:PORT?endpoint=tcp://127.0.0.1:5555``. One that is TCP is forwarded by ssh;
a unix socket, and whatever is found when no endpoint is named, is joined to by the ``circusctl`` of that machine.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import shlex
import shutil
import socket
import subprocess
from dataclasses import dataclass, replace

from circusd.schema.errors import BadRequest, Unavailable

SCHEME = "ssh"

TIMEOUT = 15.0
"""Seconds until an answer when nothing else is said: two machines and their keys come before it."""

FAR_PATH = "$PATH:$HOME/.local/bin:/usr/local/bin:/opt/circus/bin"
"""Where circusctl is looked for there: what a login without a terminal has as PATH is mostly short."""

NOT_FOUND = 127

# ssh hands both to programs that its configuration names, some of them by a shell: what could mean something to one, or
# be taken for an option, is refused here, whatever the version of ssh does about it.
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]*")
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*|[0-9A-Fa-f:]+:[0-9A-Fa-f:.]*(?:%[A-Za-z0-9_.-]+)?")
_FORM = "USER@HOST:PORT, where USER@ and :PORT may be left out"

_END_SECONDS = 2.0
_STDERR_BYTES = 1 << 16
_NOISE = ("stdio forwarding failed", "Connection closed", "Warning: Permanently added")


@dataclass(frozen=True, slots=True)
class Remote:
    """A daemon on another machine: how to get there, and which endpoint of which daemon is meant."""

    host: str
    user: str = ""
    port: int | None = None
    keyfile: str = ""
    endpoint: str = ""
    """Of the daemon, as that machine knows it; empty: found there."""
    name: str = ""
    """Which daemon there, where no endpoint is named."""

    def __str__(self) -> str:
        """The endpoint as text, which `read` reads."""
        from urllib.parse import quote

        more = {"endpoint": self.endpoint, "name": self.name, "key": self.keyfile}
        query = "&".join(f"{key}={quote(value, safe=':/@')}" for key, value in more.items() if value)
        return f"{SCHEME}://{self.server}" + (f"?{query}" if query else "")

    @property
    def server(self) -> str:
        """The machine and who comes there, as it was given."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (f"{self.user}@" if self.user else "") + host + (f":{self.port}" if self.port else "")

    def command(self, program: str, timeout: float) -> list[str]:
        """The words that start the client, whose standard input and output then are the connection."""
        words = [program, "-T", "-a", "-x"]
        for option in (
            "BatchMode=yes",  # nothing is asked for: there is nobody to answer
            "ClearAllForwardings=yes",
            "ControlMaster=no",  # it may go by a connection that is there, and never stays as one
            "PermitLocalCommand=no",
            "RemoteCommand=none",
            "LogLevel=INFO",
            "ServerAliveInterval=15",
            # Later than ours, which says more of it.
            f"ConnectTimeout={math.ceil(timeout) + 1}",
        ):
            words += ["-o", option]
        if self.keyfile:
            words += ["-i", self.keyfile, "-o", "IdentitiesOnly=yes"]
        if self.port:
            words += ["-p", str(self.port)]
        if self.user:
            words += ["-l", self.user]
        if self.endpoint.startswith("tcp://"):
            return [*words, "-W", self.endpoint.removeprefix("tcp://"), "--", self.host]
        return [*words, "--", self.host, self._far_command()]

    def _far_command(self) -> str:
        far = ["--bridge"]
        if self.endpoint:
            far += ["--endpoint", self.endpoint]
        if self.name:
            far += ["--name", self.name]
        script = f'PATH={FAR_PATH}; export PATH; exec circusctl "$@"'
        # Whatever shell the account has reads these words; in it all is between single quotes.
        return shlex.join(["sh", "-c", script, "circusctl", *far])


def read(endpoint: str) -> Remote:
    """What an endpoint ``ssh://…`` means; raises BadRequest."""
    from urllib.parse import parse_qsl

    where, _, query = endpoint.removeprefix(f"{SCHEME}://").partition("?")
    try:
        more = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=True)) if query else {}
    except ValueError:
        raise BadRequest(f"{query!r} can't be read", hint="expected endpoint=…, name=… or key=…") from None
    if unknown := set(more) - {"endpoint", "name", "key"}:
        raise BadRequest(f"{', '.join(sorted(unknown))}: not known", hint="expected endpoint, name or key")
    return remote(where, more.get("key", ""), more.get("endpoint", ""), more.get("name", ""))


def remote(server: str, keyfile: str = "", endpoint: str = "", name: str = "") -> Remote:
    """The daemon meant by ``USER@HOST:PORT``; raises BadRequest for what is no name of a user or machine."""
    user, at, place = server.removeprefix(f"{SCHEME}://").rstrip("/").rpartition("@")
    bracketed = re.fullmatch(r"\[(.*)\](?::(.*))?", place)
    if bracketed:
        host, port = bracketed[1], bracketed[2]
    elif place.count(":") > 1:
        host, port = place, None
    else:
        host, colon, text = place.partition(":")
        port = text if colon else None
    if (at and not _USER.fullmatch(user)) or not _HOST.fullmatch(host):
        raise BadRequest(f"{server!r} is not a place that ssh is sent to", hint=f"expected {_FORM}")
    if port is not None and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise BadRequest(f"{port!r} is not a port (of {server!r})", hint=f"expected {_FORM}")
    if "\0" in keyfile or (keyfile and not os.path.isfile(keyfile)):
        raise BadRequest(f"there is no key file {keyfile!r}")
    if endpoint and not re.fullmatch(r"ipc://[^\0\r\n]+|tcp://[A-Za-z0-9_.:%*\[\]-]+:[0-9]+", endpoint):
        raise BadRequest(f"{endpoint!r} is not an endpoint", hint="expected ipc:///path or tcp://host:port")
    if endpoint.startswith("tcp://*:"):
        endpoint = endpoint.replace("*", "127.0.0.1", 1)
    return Remote(host, user, int(port) if port else None, keyfile, endpoint, name)


def beside(reached: str, told: str) -> str:
    """Another endpoint of a daemon, as it told of it, reached by the same way."""
    return str(replace(read(reached), endpoint=told, name=""))


def dial(endpoint: str, timeout: float | None = None) -> socket.socket:
    """A socket whose other end is carried to the endpoint; raises Unavailable where there is no ssh."""
    there = read(endpoint)
    program = shutil.which("ssh")
    if program is None:
        raise Unavailable("the program ssh is not installed here", hint="Debian's package is openssh-client")
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            process = subprocess.Popen(
                there.command(program, TIMEOUT if timeout is None else timeout),
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.PIPE,
                # Ctrl-C is for us: we end it, and by the end of its input it ends also when we can't.
                start_new_session=True,
            )
    except OSError as problem:
        ours.close()
        raise Unavailable(f"ssh could not be started: {problem.strerror}") from problem
    return Tunnel(ours, process, there)


class Tunnel(socket.socket):
    """The near end of a connection that ssh carries."""

    def __init__(self, end: socket.socket, process: subprocess.Popen[bytes], there: Remote) -> None:
        super().__init__(end.family, end.type, end.proto, end.detach())
        self._process = process
        self._there = there

    def why_ended(self) -> Unavailable | None:
        """What ssh or the machine there says of a connection that has ended; None when they say nothing."""
        try:
            code = self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            return None
        return explanation(code, self._said(), self._there) if code else None

    def close(self) -> None:
        """The connection and the process that carried it are gone."""
        super().close()
        # Unless it has ended already, also where it waits for a machine that answers no more.
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stderr is not None:
            self._process.stderr.close()

    def _said(self) -> str:
        stderr = self._process.stderr
        if stderr is None or stderr.closed:
            return ""
        os.set_blocking(stderr.fileno(), False)
        try:
            return (os.read(stderr.fileno(), _STDERR_BYTES) or b"").decode("utf-8", "replace")
        except BlockingIOError:
            return ""


def explanation(code: int, said: str, there: Remote) -> Unavailable:
    """What it means that ssh ended with that code and those words, and what to do about it."""
    lines = [printable(line) for line in said.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(_NOISE)] or lines
    last = lines[-1] if lines else f"ssh ended with code {code}"
    place = there.host + (f" port {there.port}" if there.port else "")
    by_hand = shlex.join(
        [
            "ssh",
            *(["-i", there.keyfile] if there.keyfile else []),
            *(["-p", str(there.port)] if there.port else []),
            (f"{there.user}@" if there.user else "") + there.host,
        ]
    )
    if "Host key verification failed" in said:
        changed = "IDENTIFICATION HAS CHANGED" in said
        text = f"the host key of {place} {'is another than the one that is known' if changed else 'is not known here'}"
        hint = "make sure that it is right, then: " + (
            f"ssh-keygen -R {_known_as(there)}, and {by_hand}" if changed else by_hand
        )
        return Unavailable(text, hint=hint)
    if code == 255 and "Permission denied" in said:
        text = f"{place} lets {there.user or 'this user'} in by no key that ssh has here ({last})"
        return Unavailable(
            text, hint="no password is asked for: name a key with --ssh_keyfile, or load one with ssh-add"
        )
    if code == 255:
        what = f"{there.endpoint} at {place}" if "open failed" in said else place
        return Unavailable(f"no way to {what} by ssh: {last}", hint=f"see what this says: {by_hand}")
    if code == NOT_FOUND:
        hint = "install it there, or name an endpoint that ssh reaches by itself: --endpoint tcp://127.0.0.1:5555"
        return Unavailable(f"circusctl is not found on {place}", hint=f"{hint}; {last}")
    return Unavailable(f"{place} says: {last.removeprefix('circusctl: ')}")


def printable(text: str) -> str:
    """A line from elsewhere without what could command a terminal, and not without end."""
    return "".join(c if c.isprintable() else "?" for c in text.strip())[:500]


def _known_as(there: Remote) -> str:
    return shlex.quote(f"[{there.host}]:{there.port}" if there.port and there.port != 22 else there.host)
