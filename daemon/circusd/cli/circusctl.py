"""``circusctl``: the command line of circusd, for people and scripts.

Made to start fast: a module is imported when what it is for is asked for.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from circusd.cli import arguments, render
from circusd.cli.codes import LOCAL, OK, REFUSED, STRICT, USAGE
from circusd.cli.session import Session
from circusd.cli.terminal import clean_message
from circusd.client import refusal
from circusd.schema.commands import Command
from circusd.schema.errors import CircusError, Refused, TimedOut
from circusd.version import __version__

_PATIENCE_SECONDS = 5.0
"""Beyond a time limit that the daemon keeps."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the line; returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        # Names and output may hold what this terminal's encoding has not.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    session = Session({}, os.environ)
    try:
        code = run(sys.argv[1:] if argv is None else argv, session)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return LOCAL
    except BrokenPipeError:
        # Nobody reads any more; Python would complain about that at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return LOCAL
    finally:
        session.close()


def run(words: Sequence[str], session: Session) -> int:
    """Carry out one line and print what came of it; returns the exit code."""
    strict = bool(session.options.get("strict"))
    try:
        line = arguments.read(words)
        session = session.with_options(line.options)
        strict = strict or bool(line.options.get("strict"))
        return _carry_out(line, session)
    except arguments.Usage as problem:
        session.tell(f"circusctl: {clean_message(problem)}")
        return USAGE
    except Refused as problem:
        session.tell(render.error_of("", str(problem), session.error_style))
        return _strict(problem.code, REFUSED) if strict else REFUSED
    except TimedOut as problem:
        session.tell(f"Timed out. {clean_message(problem)}")
        return _strict(problem.code, LOCAL) if strict else LOCAL
    except CircusError as problem:
        session.tell(f"circusctl: {clean_message(problem)}")
        return _strict(problem.code, LOCAL) if strict else LOCAL


def _carry_out(line: arguments.Line, session: Session) -> int:
    if session.options.get("help"):
        return _help(line, session)
    if session.options.get("version") and line.row is None:
        session.out(f"circusctl {__version__}")
        return OK
    if session.options.get("bridge") and line.row is None:
        from circusd.cli.bridge import join

        return join(session.endpoint())
    for note in line.notes:
        session.tell(f"circusctl: {note}")
    if line.row is None:
        from circusd.cli.prompt import Prompt

        return Prompt(session, run).run()
    return _OWN.get(line.row.name, _ask)(line, session)


def _ask(line: arguments.Line, session: Session) -> int:
    row = _row(line)
    if any(field.type == "secret" for field in row.args):
        from circusd.cli.secrets import fill

        fill(row, line.properties)
    try:
        reply = session.request(row.name, line.properties, waiting=line.waiting)
    except KeyboardInterrupt:
        if line.waiting:
            session.tell("circusctl: no longer waiting; the daemon goes on with it")
        raise
    return _show(row.name, reply, session)


def _show(command: str, reply: dict[str, Any], session: Session) -> int:
    is_error = reply.get("status") == "error"
    strict = bool(session.options.get("strict"))
    if session.options.get("json"):
        session.out(render.json_of(reply, pretty=bool(session.options.get("prettify"))))
        if not strict:
            return OK
    elif is_error:
        session.tell(render.error_of(command, str(refusal(reply)), session.error_style))
    else:
        session.out(render.text_of(command, reply, session.style))
        # Beside what scripts read: the command has done what it could.
        for pid in reply.get("abandoned", ()):
            session.tell(
                f"circusctl: process {pid} does not end, not even by SIGKILL; nobody waits for it any more"
            )
    if is_error:
        return _strict(refusal(reply).code, REFUSED) if strict else REFUSED
    return _not_running(reply) if strict and command == "status" else OK


def _strict(code: str, other: int) -> int:
    return STRICT.get(code, LOCAL if other == REFUSED else other)


def _not_running(reply: Mapping[str, Any]) -> int:
    states = reply["statuses"].values() if "statuses" in reply else [reply.get("status")]
    return OK if all(state == "active" for state in states) else REFUSED


def _row(line: arguments.Line) -> Command:
    assert line.row is not None
    return line.row


def _help(line: arguments.Line, session: Session) -> int:
    from circusd.cli import help as texts

    row = line.row
    wanted = line.properties.get("command", "")
    if wanted:
        row = arguments.command_named(wanted)
    elif row is not None and row.name == "help" and not session.options.get("help"):
        row = None
    if session.options.get("json"):
        session.out(render.json_of(texts.as_data(row), pretty=bool(session.options.get("prettify"))))
        return OK
    session.out(texts.of_command(row, session.style) if row else texts.overview(session.style))
    return OK


def _save(line: arguments.Line, session: Session) -> int:
    """Shown first, and written when a person says so."""
    is_meant = line.properties.pop("yes", False)
    if is_meant or line.properties.get("dry_run"):
        return _ask(line, session)
    if not sys.stdin.isatty():
        raise arguments.WrongArguments(
            "nobody can be asked here: give --yes, or --dry-run to see what it would do"
        )
    shown = session.request("save", {**line.properties, "dry_run": True})
    if shown.get("status") == "error" or not shown.get("changes"):
        return _show("save", shown, session)
    session.out(render.text_of("save", {**shown, "dry_run": False}, session.style))
    try:
        answer = input("write this? [y/N] ")
    except EOFError:
        answer = ""
    if answer.strip().lower() not in ("y", "yes"):
        session.tell("circusctl: nothing was written")
        return LOCAL
    reply = session.request("save", {**line.properties, "digest": shown.get("digest")})
    if reply.get("status") == "error":
        return _show("save", reply, session)
    session.out(f"written: {', '.join(map(str, reply.get('files', ())))}")
    return OK


def _run(line: arguments.Line, session: Session) -> int:
    """Who waits for a run gets its exit code."""
    if not line.waiting:
        return _ask(line, session)
    from circusd.cli.scheduleviews import exit_code

    try:
        reply = session.request("run", line.properties, waiting=True)
    except KeyboardInterrupt:
        session.tell("circusctl: no longer waiting; the run goes on")
        raise
    shown = _show("run", reply, session)
    code = exit_code(reply)
    return shown if code is None or reply.get("status") == "error" else code


def _set(line: arguments.Line, session: Session) -> int:
    if line.waiting and session.style.terminal:
        line.properties["report"] = True
    return _ask(line, session)


def _wait(line: arguments.Line, session: Session) -> int:
    """The time is the daemon's to keep: it says what it saw last."""
    from circusd.client import FOREVER

    seconds = line.properties.get("timeout", session.timeout)
    if seconds is not None:
        line.properties["timeout"] = seconds
    limit = FOREVER if seconds is None else seconds + _PATIENCE_SECONDS
    reply = session.request("wait", line.properties, timeout=limit)
    code = _show("wait", reply, session)
    late = reply.get("status") == "error" and refusal(reply).code == TimedOut.code
    return LOCAL if late and code == REFUSED else code


def _status(line: arguments.Line, session: Session) -> int:
    """For people with more than the original shows; the original's daemon has no more."""
    if not session.style.terminal or session.options.get("json") or session.options.get("strict"):
        return _ask(line, session)
    reply = session.request("inspect", line.properties)
    if reply.get("status") == "error":
        if refusal(reply).code == "unknown_command":
            return _ask(line, session)
        return _show("status", reply, session)
    is_one = line.properties.get("name") and len(reply.get("watchers", ())) == 1
    shown = render.watcher_text if is_one else render.status_table
    session.out(shown(reply, session.style))
    return OK


def _version(line: arguments.Line, session: Session) -> int:
    if session.options.get("json"):
        return _ask(line, session)
    session.out(f"circusctl {__version__}")
    reply = session.request("version", {})
    if reply.get("status") == "error":
        return _show("version", reply, session)
    session.out(f"circusd {render.text_of('version', reply, session.style)}")
    return OK


def _events(line: arguments.Line, session: Session) -> int:
    follow = line.properties.pop("follow", False)
    if not follow:
        return _ask(line, session)
    from circusd.cli.tail import follow_events

    return follow_events(line.properties, session)


def _grep(line: arguments.Line, session: Session) -> int:
    from circusd.cli.grep import grep

    return grep(line.properties, session)


def _tail(line: arguments.Line, session: Session) -> int:
    from circusd.cli.tail import tail

    return tail(line.properties, session)


def _listen(line: arguments.Line, session: Session) -> int:
    from circusd.cli.tail import listen

    return listen(line.properties.get("topic", []), session)


def _input(line: arguments.Line, session: Session) -> int:
    if line.properties.get("text") != "-":
        return _ask(line, session)
    from circusd.cli.inputs import send_all

    return _show("input", send_all(line.properties, session), session)


def _add_key(line: arguments.Line, session: Session) -> int:
    from circusd.cli.keys import add

    reply = add(line.properties, session)
    return _show("addkey", reply, session)


def _new_key(line: arguments.Line, session: Session) -> int:
    from circusd.cli.keys import new

    made = new(line.properties)
    session.out(
        render.json_of(made) if session.options.get("json") else render.text_of("newkey", made, session.style)
    )
    return OK


def _completion(line: arguments.Line, session: Session) -> int:
    from circusd.cli.completion import script

    text = script(line.properties["shell"])
    as_json = {"shell": line.properties["shell"], "script": text}
    session.out(render.json_of(as_json) if session.options.get("json") else text)
    return OK


_OWN: Mapping[str, Callable[[arguments.Line, Session], int]] = {
    "addkey": _add_key,
    "completion": _completion,
    "events": _events,
    "grep": _grep,
    "help": _help,
    "input": _input,
    "listen": _listen,
    "newkey": _new_key,
    "run": _run,
    "save": _save,
    "set": _set,
    "status": _status,
    "tail": _tail,
    "version": _version,
    "wait": _wait,
}
"""What is not just asked and shown."""


if __name__ == "__main__":
    sys.exit(main())
