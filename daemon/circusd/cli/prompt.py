"""The prompt of ``circusctl`` without a command: the status, then lines of commands until the end of the input."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from circusd.cli.arguments import GLOBAL
from circusd.cli.history import History, history_file
from circusd.cli.names import LISTED, listed
from circusd.cli.session import Session
from circusd.cli.terminal import prose
from circusd.client import running_daemons, runtime_bases
from circusd.schema.commands import find
from circusd.schema.errors import CircusError
from circusd.version import __version__

PROMPT = "(circusctl) "

MORE = "> "
"""Asks for the rest of a line whose quotes are still open."""

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
        self._history = History(history_file(session.environ))
        self._code = 0

    def run(self) -> int:
        """Everything was read; 0."""
        self._session.out(f"circusctl {__version__}")
        self._run(["status"], self._session)
        if self._person:
            self._edit_lines()
        while True:
            try:
                lines = self._read()
            except EOFError:
                self._session.out("")
                return 0
            except KeyboardInterrupt:
                self._session.out("")
                if not self._person:
                    return 0
                continue
            for line in lines:
                if line.strip() in ("exit", "EOF"):
                    return 0
                self._carry_out(line)

    def _read(self) -> list[str]:
        """The next line, or several that were pasted as one; a person can end open quotes on the next."""
        if not self._person:
            return [input(PROMPT)]
        failed = f"(circusctl: {self._code}) " if self._code else PROMPT
        text = input(failed)
        while (lines := parted(text)) and not _is_whole(lines[-1]):
            text += "\n" + input(MORE)
        for line in lines:
            self._remember(line)
        return lines

    def _carry_out(self, line: str) -> None:
        try:
            words = shlex.split(line)
        except ValueError as problem:
            self._session.tell(f"circusctl: {problem}")
            return
        if not words or (words[0] in _ASK_FIRST and not self._is_meant()):
            return
        try:
            self._code = self._run(words, self._session)
        except KeyboardInterrupt:
            self._session.out("")
        sys.stdout.flush()

    def _is_meant(self) -> bool:
        """Whether a person, who may have meant to leave the prompt, wants the daemon to end."""
        if not self._person:
            return True
        try:
            asked = prose("stop everything and end circusd? (to leave: exit) [y/N]", self._session.style)
            *above, last = asked.split("\n")
            for line in above:
                self._session.out(line)
            return input(last + " ").strip().lower() in ("y", "yes")
        except (EOFError, KeyboardInterrupt):
            self._session.out("")
            return False

    def _edit_lines(self) -> None:
        """Lines are edited, completed with Tab, and found again with the arrow keys, where readline is there."""
        try:
            import readline
        except ImportError:
            return
        readline.set_completer_delims(" \t\n")
        readline.set_completer(self._completion)
        readline.parse_and_bind("tab: complete")
        # Which lines are kept is decided here; with nothing kept, an answer to a question is none either.
        readline.set_auto_history(False)
        self._history.trim()
        for line in self._history.lines():
            readline.add_history(line)

    def _remember(self, line: str) -> None:
        """The line can be had again: in this prompt, and if it may be kept, in later ones."""
        if line.strip() in ("", "exit", "EOF"):
            return
        try:
            import readline
        except ImportError:
            return
        last = readline.get_history_item(readline.get_current_history_length())
        if line != last:
            readline.add_history(line)
            self._history.add(line)

    def _completion(self, begun: str, number: int) -> str | None:
        import readline

        found = self.completions(readline.get_line_buffer()[: readline.get_begidx()], begun)
        return shlex.quote(found[number]) + " " if number < len(found) else None

    def completions(self, before: str, begun: str) -> list[str]:
        """What may follow: commands, then names, values and flags of the command; nothing if the daemon is silent."""
        from circusd.cli import completion

        try:
            words = shlex.split(before)
        except ValueError:
            return []
        command, kinds, given = completion.wanted(words)
        if begun.startswith("-") and kinds != "signals":
            row = find(command) if command else None
            flags = [*(completion.own_words(row) if row else ()), *completion.flag_words(GLOBAL)]
            names = [flag for flag, _ in flags if flag.startswith("--")]
        else:
            names = [name for kind in kinds.split("+") for name in self._names(kind, given)]
            names += [] if command or words else ["exit"]
        return sorted({name for name in names if name.startswith(begun) and name.isprintable()})

    def _names(self, kind: str, given: Sequence[str]) -> list[str]:
        from circusd.cli import completion

        if kind.startswith("="):
            return kind[1:].split(",")
        if kind in LISTED:
            return self._asked(kind)
        if kind == "processes":
            return self._asked(kind, given[0]) if given else []
        if kind == "daemons":
            return list(running_daemons(runtime_bases(self._session.environ, os.geteuid())))
        return completion.lists().get(kind, [])

    def _asked(self, kind: str, *names: str) -> list[str]:
        """What the daemon has of that kind, or the processes of a watcher; kept for a moment."""
        moment, known = self._known.get((kind, *names), (0.0, []))
        if time.monotonic() - moment > _FRESH_SECONDS or not moment:
            try:
                if names:
                    known = [
                        str(pid) for pid in self._session.call("list", {"name": names[0]}).get("pids", ())
                    ]
                else:
                    known = listed(kind, self._session.call(LISTED[kind][0], {}))
            except CircusError:
                known = []
            self._known[kind, *names] = (time.monotonic(), known)
        return known


def parted(text: str) -> list[str]:
    """The lines of a text that was pasted; one with open quotes goes on with the next."""
    lines: list[str] = []
    for part in text.split("\n"):
        if lines and not _is_whole(lines[-1]):
            lines[-1] += "\n" + part
        else:
            lines.append(part)
    return lines


def _is_whole(line: str) -> bool:
    try:
        shlex.split(line)
    except ValueError:
        return False
    return True


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
