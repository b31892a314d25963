"""The exit codes of ``circusctl``: what each means, as the original has it and with ``--strict``."""

from __future__ import annotations

from typing import NamedTuple

OK, LOCAL, USAGE, REFUSED, DENIED, NOT_FOUND, TIMED_OUT, NO_DAEMON, INTERRUPTED = 0, 1, 2, 3, 4, 5, 6, 69, 130


class Code(NamedTuple):
    """One row: a code and when circusctl exits with it; empty where it never does."""

    number: int
    plain: str
    strict: str


CODES = (
    Code(
        OK, "done; with ``--json`` also when the daemon said no", "done; for ``status``: everything is active"
    ),
    Code(
        LOCAL,
        "no answer in time, no daemon, a wrong argument, ended by Ctrl-C",
        "the daemon said no, for another reason than those below; a wrong argument, ended by Ctrl-C",
    ),
    Code(USAGE, "an unknown command or flag", "the same"),
    Code(REFUSED, "the daemon said no", "``status``: something is not active"),
    Code(DENIED, "", "not allowed"),
    Code(NOT_FOUND, "", "no such watcher or process"),
    Code(TIMED_OUT, "", "no answer in time"),
    Code(NO_DAEMON, "", "no daemon"),
    Code(INTERRUPTED, "``tail -f`` and ``events -f`` ended by Ctrl-C", "the same"),
)

STRICT = {
    "denied": DENIED,
    "no_session": DENIED,
    "not_found": NOT_FOUND,
    "timeout": TIMED_OUT,
    "unavailable": NO_DAEMON,
}
"""With ``--strict``, by the code of an error."""
