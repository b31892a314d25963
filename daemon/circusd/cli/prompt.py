"""The prompt of ``circusctl`` without a command: the status, then lines of commands until the end of the input."""

from __future__ import annotations

import contextlib
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from circusd.cli.arguments import flag_name, flags_of, positionals_of
from circusd.cli.session import Session
from circusd.schema.commands import COMMANDS, find
from circusd.schema.errors import CircusError
from circusd.version import __version__

PROMPT = "(circusctl) "

_FRESH_SECONDS = 3.0
"""Names for completion are asked anew after that."""

_ASK_FIRST = ("quit",)


class Prompt:
    """Reads lines and has each carried out by ``run``; what goes wrong in one does not end it."""

    def __init__(self, session: Session, run: Callable[[Sequence[str], Session], int]) -> None:
        self._session = session
        self._run = run
        self._person = sys.stdin.isatty()
        self._known: dict[tuple[str, ...], tuple[float, list[str]]] = {}

    def run(self) -> int:
        """Everything was read; 0."""
        self._session.out(f"circusctl {__version__}")
        self._run(["status"], self._session)
        if self._person:
            self._complete_with_tab()
        while True:
            try:
                line = input(PROMPT)
            except EOFError:
                self._session.out("")
                return 0
            except KeyboardInterrupt:
                self._session.out("")
                if not self._person:
                    return 0
                continue
            if line.strip() in ("exit", "EOF"):
                return 0
            self._carry_out(line)

    def _carry_out(self, line: str) -> None:
        try:
            words = shlex.split(line)
        except ValueError as problem:
            self._session.tell(f"circusctl: {problem}")
            return
        if not words or (words[0] in _ASK_FIRST and not self._is_meant()):
            return
        try:
            self._run(words, self._session)
        except KeyboardInterrupt:
            self._session.out("")
        sys.stdout.flush()

    def _is_meant(self) -> bool:
        """Whether a person, who may have meant to leave the prompt, wants the daemon to end."""
        if not self._person:
            return True
        try:
            return input("stop everything and end circusd? (to leave: exit) [y/N] ").strip().lower() in (
                "y",
                "yes",
            )
        except (EOFError, KeyboardInterrupt):
            self._session.out("")
            return False

    def _complete_with_tab(self) -> None:
        try:
            import readline
        except ImportError:
            return
        readline.set_completer_delims(" \t\n")
        readline.set_completer(self._completion)
        readline.parse_and_bind("tab: complete")

    def _completion(self, begun: str, number: int) -> str | None:
        import readline

        found = self.completions(readline.get_line_buffer()[: readline.get_begidx()], begun)
        return found[number] + " " if number < len(found) else None

    def completions(self, before: str, begun: str) -> list[str]:
        """What may follow: commands, then names, options and flags of the command; nothing if the daemon is silent."""
        words = before.split()
        if not words:
            names = [row.name for row in COMMANDS if row.where != "door"]
            return sorted(name for name in [*names, "exit"] if name.startswith(begun))
        row = find(words[0])
        if row is None:
            return []
        if begun.startswith("-"):
            flags = [f"--{flag_name(field)}" for field in flags_of(row)]
            return sorted(flag for flag in flags if flag.startswith(begun))
        given = [word for word in words[1:] if not word.startswith("-")]
        fields = positionals_of(row)
        if not fields:
            return []
        field = fields[min(len(given), len(fields) - 1)]
        target = "command" if row.name == "help" else field.target
        return [name for name in self._names(target, given) if name.startswith(begun)]

    def _names(self, target: str, given: Sequence[str]) -> list[str]:
        if target == "command":
            return sorted(row.name for row in COMMANDS if row.where != "door")
        if target == "option":
            from circusd.schema.options import WATCHER

            return sorted(option.name for option in WATCHER if not option.legacy)
        if target == "watcher":
            return self._asked("watchers")
        return self._asked("pids", given[0]) if target == "process" and given else []

    def _asked(self, key: str, *names: str) -> list[str]:
        """What ``list`` answers, kept for a moment."""
        moment, known = self._known.get((key, *names), (0.0, []))
        if time.monotonic() - moment > _FRESH_SECONDS or not moment:
            try:
                reply = self._session.call("list", {"name": names[0]} if names else {})
                known = [str(item) for item in reply.get(key, ())]
            except CircusError:
                known = []
            self._known[key, *names] = (time.monotonic(), known)
        return known


def complete_for_the_original(environ: Mapping[str, str]) -> int:
    """What the original prints for its bash script, which counts on an exit code of 1."""
    words = environ.get("COMP_WORDS", "").split()[1:]
    number = environ.get("COMP_CWORD", "")
    at = int(number) - 1 if number.isdecimal() and int(number) else len(words)
    begun = words[at] if at < len(words) else ""
    with contextlib.closing(Session({"timeout": 0.5}, environ)) as session:
        found = Prompt(session, lambda *_: 0).completions(" ".join(words[:at]), begun)
    print(" ".join(found))
    return 1
