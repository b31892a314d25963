"""``circusctl grep``: what matches in memory and log files, page by page, with the exit codes of grep."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from circusd.cli import render
from circusd.cli.arguments import WrongArguments
from circusd.cli.codes import INTERRUPTED
from circusd.cli.session import Session
from circusd.cli.terminal import clean, clean_line, clean_message
from circusd.client import FOREVER, refusal
from circusd.kernel.moments import moment
from circusd.runtime.clock import wall
from circusd.schema.errors import CircusError

FOUND, NONE, ERROR = 0, 1, 2
PAGE: Final = 5000
"""Lines that are asked for at once."""

_COLORS: Final = re.compile(r"\x1b\[[0-9;:]*m")


def grep(properties: dict[str, Any], session: Session) -> int:
    """Print the lines that match, oldest first; all of them unless a limit was given. Returns grep's exit code."""
    try:
        with_moments(properties)
        return _print_all(properties, session)
    except KeyboardInterrupt:
        return INTERRUPTED
    except CircusError as problem:
        session.tell(f"circusctl: {clean_message(problem)}")
        return ERROR


def with_moments(properties: dict[str, Any]) -> None:
    """Moments are those of this machine's time zone; raises WrongArguments."""
    for name in ("since", "until"):
        if name in properties:
            try:
                properties[name] = repr(moment(str(properties[name]), wall()))
            except ValueError as problem:
                raise WrongArguments(f"--{name}: {properties[name]!r} {problem}") from None


def pages(command: str, properties: Mapping[str, Any], session: Session) -> Iterator[dict[str, Any]]:
    """The replies to a request for lines: one if it has a bound, else all, oldest first. What could not be read is told."""
    asked = dict(properties)
    bound = "limit" if command == "grep" else "lines"
    if is_all := bound not in asked:
        # By the key, what reads one page reads the next one too.
        asked |= {bound: PAGE, "order": "oldest", "key": "pages"}
    told: set[str] = set()
    while True:
        limit = FOREVER if session.timeout is None else session.timeout
        reply = session.request(command, asked, timeout=limit)
        if reply.get("status") == "error":
            raise refusal(reply)
        yield reply
        _tell(reply, told, session)
        if not (is_all and reply.get("more")) and reply.get("complete", True):
            return
        asked["cursor"] = reply["newer" if asked.get("order") == "oldest" else "older"]


def _tell(reply: Mapping[str, Any], told: set[str], session: Session) -> None:
    for one in reply.get("unsearched", ()):
        text = f"circusctl: {clean(str(one.get('file')))}: not searched: {clean(str(one.get('reason')))}"
        if text not in told:
            told.add(text)
            session.tell(text)
    # Times are not what a person looks at here; where lines may be missing or twice is.
    for note in reply.get("notes", ()):
        if "no index" not in note and note not in told:
            told.add(note)
            session.tell(f"circusctl: {clean(str(note))}")


def _print_all(properties: dict[str, Any], session: Session) -> int:
    as_json = bool(session.options.get("json"))
    mark = _highlighter(properties, session)
    several = _means_several(properties, session)
    is_found = False
    last: Mapping[str, Any] | None = None
    for reply in pages("grep", properties, session):
        for line in reply.get("lines", ()):
            is_found = is_found or bool(line.get("match"))
            if as_json:
                session.out(json.dumps(line))
                continue
            if (
                last is not None
                and "gap" in line
                and (line["gap"] or render.stream_of(line) != render.stream_of(last))
            ):
                session.out(session.style.paint("--", "dim"))
            last = line
            before = f"{render.before_line(line, session.style)} " if several else ""
            session.out(before + mark(line))
        sys.stdout.flush()
    return FOUND if is_found else NONE


def _means_several(properties: Mapping[str, Any], session: Session) -> bool:
    asked = {key: properties[key] for key in ("name", "match") if key in properties}
    if not asked.get("name"):
        return True
    reply = session.call("explain", asked)
    return len(reply.get("watchers", ())) > 1


def _highlighter(properties: Mapping[str, Any], session: Session) -> Callable[[Mapping[str, Any]], str]:
    """What shows the text of a line: harmless, and what matches in colour where there are colours."""
    pattern = str(properties.get("pattern", ""))
    if not session.style.color or properties.get("invert"):
        return lambda line: clean_line(str(line.get("text", "")), color=session.style.color)
    try:
        flags = re.IGNORECASE if properties.get("ignore_case") else 0
        wanted = re.compile(re.escape(pattern) if properties.get("fixed") else pattern, flags)
    except (re.error, RecursionError, OverflowError):
        # The daemon says what is wrong with it.
        return lambda line: clean_line(str(line.get("text", "")))

    def marked(line: Mapping[str, Any]) -> str:
        text = str(line.get("text", ""))
        if not line.get("match"):
            return clean_line(text, color=True)
        text, shown, at = _COLORS.sub("", text), "", 0
        for found in wanted.finditer(text):
            shown += clean_line(text[at : found.start()])
            shown += session.style.paint(clean_line(found[0]), "bold", "red")
            at = found.end()
        return shown + clean_line(text[at:])

    return marked
