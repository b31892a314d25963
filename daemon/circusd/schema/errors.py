"""Every error that a person or a program can be told of: one table, and the exceptions that carry its rows.

The numbers of the original protocol (``errno`` in a reply) and the exit codes of ``circusctl`` belong to a
row, so that no boundary has to decide them again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class ErrorKind(NamedTuple):
    """One row: a stable name, and how each boundary shows it."""

    code: str
    """Stable name, such as ``not_found``; clients may compare it."""
    errno: int
    """The original protocol's number (0 to 6)."""
    http_status: int
    exit_code: int
    """Exit code of ``circusctl`` for its own errors; for the daemon's refusals it is 3."""
    doc: str


ERRORS: tuple[ErrorKind, ...] = (
    ErrorKind(
        "internal",
        5,
        500,
        3,
        "A fault of the program itself; the daemon's log has the traceback under the id given.",
    ),
    ErrorKind("bad_json", 1, 400, 3, "The request is not JSON text."),
    ErrorKind("unknown_command", 2, 404, 3, "No command has that name; the nearest one is named."),
    ErrorKind("bad_request", 3, 400, 3, "A property is missing, unknown or of a wrong form."),
    ErrorKind(
        "config",
        3,
        422,
        3,
        "A value of the configuration is wrong: file, line, option and what was expected.",
    ),
    ErrorKind("not_found", 3, 404, 3, "No watcher, process or socket has that name."),
    ErrorKind(
        "conflict",
        5,
        409,
        3,
        "It can't be done now, or exists already; the text says what stands in the way.",
    ),
    ErrorKind("denied", 5, 403, 3, "The person or user may not do this; the text says which role may."),
    ErrorKind("no_session", 5, 401, 3, "The console's session is missing, unknown or over."),
    ErrorKind("spawn", 4, 500, 3, "A process could not be started: the stage, the errno, the program."),
    ErrorKind(
        "protocol", 1, 400, 1, "Bytes on a connection that are not of the protocol; the connection is closed."
    ),
    ErrorKind("failed", 6, 500, 3, "A command that was waited for did not reach its end; the text says why."),
    ErrorKind("timeout", 6, 504, 1, "No answer, or no end of the command, within the time given."),
    ErrorKind("unavailable", 5, 503, 1, "No daemon answers: which endpoint was tried, and what to check."),
)


def kind(code: str) -> ErrorKind:
    """The row of that name."""
    for row in ERRORS:
        if row.code == code:
            return row
    raise KeyError(code)


class CircusError(Exception):
    """The top of all errors that are told to a person; ``code`` names the row of `ERRORS`."""

    code = "internal"

    def __init__(self, text: str = "", *, hint: str = "") -> None:
        super().__init__(text)
        self.text = text or kind(self.code).doc
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.text}; {self.hint}" if self.hint else self.text

    @property
    def kind(self) -> ErrorKind:
        """The row of this error."""
        return kind(self.code)

    def as_dict(self) -> dict[str, Any]:
        """The error as JSON data: code, text, hint, and what the kind adds."""
        return {"code": self.code, "text": self.text, "hint": self.hint}


class BadJson(CircusError):
    """The request is not JSON."""

    code = "bad_json"


class UnknownCommand(CircusError):
    """No row of the command table has that name."""

    code = "unknown_command"


class BadRequest(CircusError):
    """A property is missing or wrong; ``field`` names it."""

    code = "bad_request"

    def __init__(self, text: str, *, field: str = "", hint: str = "") -> None:
        super().__init__(text, hint=hint)
        self.field = field

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "field": self.field}


class ConfigError(CircusError):
    """One or more problems of a configuration; ``problems`` are one line each."""

    code = "config"

    def __init__(self, problems: Sequence[object]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(p) for p in self.problems))

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "problems": [str(p) for p in self.problems]}


class NotFound(CircusError):
    """No such watcher, process or socket."""

    code = "not_found"


class Conflict(CircusError):
    """Something in progress, or already there, stands in the way."""

    code = "conflict"


class Denied(CircusError):
    """The role does not reach."""

    code = "denied"


class NoSession(CircusError):
    """A session of the console is needed."""

    code = "no_session"


class SpawnError(CircusError):
    """A process could not be started: at which stage, with which errno, which program."""

    code = "spawn"

    def __init__(self, stage: str, errno: int, program: str, text: str) -> None:
        super().__init__(text)
        self.stage = stage
        self.errno = errno
        self.program = program

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "stage": self.stage, "errno": self.errno, "program": self.program}


class ProtocolError(CircusError):
    """Bytes that are not of the protocol."""

    code = "protocol"


class Failed(CircusError):
    """A command that was waited for did not reach its end; ``failed`` says of which of several watchers, and why."""

    code = "failed"

    def __init__(self, text: str = "", *, hint: str = "", failed: Mapping[str, str] | None = None) -> None:
        super().__init__(text, hint=hint)
        self.failed = dict(failed or {})

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), **({"failed": self.failed} if self.failed else {})}


class TimedOut(CircusError):
    """No answer within the time."""

    code = "timeout"


class Unavailable(CircusError):
    """No daemon answers there."""

    code = "unavailable"


class Refused(CircusError):
    """An error reply of the daemon, as a client sees it."""

    code = "failed"

    def __init__(
        self, reason: str, errno: int = 0, code: str = "", traceback: str | None = None, *, hint: str = ""
    ) -> None:
        super().__init__(reason, hint=hint)
        self.reason = reason
        self.errno = errno
        self.code = code or next((k.code for k in ERRORS if k.errno == errno), "failed")
        self.traceback = traceback


EXCEPTIONS: tuple[type[CircusError], ...] = (
    CircusError,
    BadJson,
    UnknownCommand,
    BadRequest,
    ConfigError,
    NotFound,
    Conflict,
    Denied,
    NoSession,
    SpawnError,
    ProtocolError,
    Failed,
    TimedOut,
    Unavailable,
)
