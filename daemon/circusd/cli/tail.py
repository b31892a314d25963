"""What goes on until it is interrupted: output of processes, events, and the raw messages of the event endpoint."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from circusd.cli import render
from circusd.cli.codes import INTERRUPTED
from circusd.cli.session import Session
from circusd.cli.terminal import clean_message
from circusd.client import TIMEOUT, subscribe
from circusd.schema.errors import ProtocolError, Refused, TimedOut, Unavailable
from circusd.schema.events import EventFilter
from circusd.schema.wire import escape_name

ORIGINAL_TOPICS = ("watcher.",)
"""What is listened to when nothing is named: all that the original publishes, without what only we do."""

_AGAIN_SECONDS = 0.5
_EVERYWHERE = ("0.0.0.0", "*", "[::]", "127.0.0.1", "localhost")


def tail(properties: Mapping[str, Any], session: Session) -> int:
    """The last lines of the watchers named, then with ``follow`` what comes."""
    names: list[str] = properties.get("names", [])
    lines = properties.get("lines", 10)
    asked: dict[str, Any] = {"names": names, "lines": lines}
    if properties.get("match"):
        asked["match"] = properties["match"]
    if properties.get("stream"):
        asked["stream"] = properties["stream"]
    printer = _Printer(session, timestamps=bool(properties.get("timestamps")))
    if any(properties.get(name) for name in ("files", "since", "until")):
        return _from_before(properties, asked, printer, session)
    if not properties.get("follow"):
        printer.print(session.call("output", asked).get("lines", ()))
        return 0
    # An unknown name is refused here; a stream of a watcher that comes later is none of an error.
    meant = session.call("output", {**asked, "lines": 0}).get("watchers") or names
    topics = [f"output.{escape_name(name)}." for name in meant] or ["output."]
    try:
        with session.follow(topics, lines=lines, stream=properties.get("stream", "")) as stream:
            for _, data in stream:
                if data.get("skipped"):
                    session.tell(f"circusctl: {data['skipped']} lines passed over, as they came too fast")
                printer.print(_lines(data))
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _from_before(
    properties: Mapping[str, Any], asked: dict[str, Any], printer: _Printer, session: Session
) -> int:
    """Lines of a span of time, or of files; then with ``follow`` what has come since they were read."""
    from circusd.cli.grep import pages, with_moments

    asked |= {name: properties[name] for name in ("files", "since", "until") if properties.get(name)}
    if "lines" not in properties and "since" in asked:
        del asked["lines"]
    with_moments(asked)
    if not properties.get("follow"):
        for reply in pages("output", asked, session):
            printer.print(reply.get("lines", ()))
        return 0
    meant = session.call("output", {"names": asked["names"], "lines": 0}).get("watchers") or asked["names"]
    topics = [f"output.{escape_name(name)}." for name in meant] or ["output."]
    shown: dict[tuple[Any, ...], int] = {}
    try:
        # Opened before they are read, and read to its beginning: nothing falls between, and numbers tell what came twice.
        with session.follow(topics, stream=properties.get("stream", "")) as stream:
            for reply in pages("output", asked, session):
                lines = reply.get("lines", ())
                printer.print(lines)
                shown |= {render.stream_of(line): line["number"] for line in lines if line.get("number")}
            for _, data in stream:
                printer.print(
                    line for line in _lines(data) if line["number"] > shown.get(render.stream_of(line), 0)
                )
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def follow_events(properties: Mapping[str, Any], session: Session) -> int:
    """The last events, then those that come."""
    name = properties.get("name", "")
    meant = session.call("events", {**properties, "lines": 0}).get("watchers") or [name] if name else []
    topics = [f"event.{escape_name(watcher)}." for watcher in meant] or ["event."]
    kind, level, text = (str(properties.get(key, "")).lower() for key in ("kind", "level", "text"))
    which = EventFilter(None, kind, level, text)
    shown = 0
    try:
        with session.follow(topics) as stream:
            # Asked once the stream is open: nothing falls between, and numbers tell what came twice.
            for event in session.call("events", properties).get("events", ()):
                shown = max(shown, event.get("number", 0))
                _print_event(event, session)
            sys.stdout.flush()
            for _, event in stream:
                if event.get("number", shown + 1) > shown and which.passes(event):
                    _print_event(event, session)
                    sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def listen(topics: Sequence[str], session: Session) -> int:
    """Each message of the event endpoint as the original prints it; a daemon that went away is waited for."""
    endpoint = events_endpoint(session)
    was_connected = False
    while True:
        try:
            with subscribe(endpoint, topics or ORIGINAL_TOPICS, session.limit or TIMEOUT) as messages:
                if was_connected:
                    session.tell(f"circusctl: {endpoint} is there again")
                was_connected = True
                for topic, body in messages:
                    session.out(
                        _message(topic, body) if session.options.get("json") else f"{topic!r}: {body!r}"
                    )
                    sys.stdout.flush()
        except Unavailable as problem:
            if not was_connected:
                raise
            session.tell(f"circusctl: {clean_message(problem.text)}; waiting for it to come back")
            _wait_for(endpoint)


def events_endpoint(session: Session) -> str:
    """Where events are published: asked from the daemon; the original's way is to give it as --endpoint."""
    endpoint = session.endpoint()
    try:
        options = session.call("globaloptions", {"option": "pubsub_endpoint"})["options"]
    except (ProtocolError, Unavailable, Refused, TimedOut):
        return endpoint
    return _beside(str(options.get("pubsub_endpoint") or endpoint), endpoint)


def _beside(told: str, reached: str) -> str:
    """What a daemon on another machine calls its own address, as seen from here."""
    if reached.startswith(("ssh://", "curve://")):
        from circusd.cli.remote import beside

        return beside(reached, told) if told != reached else reached
    host = reached.removeprefix("tcp://").rpartition(":")[0]
    theirs, _, port = told.removeprefix("tcp://").rpartition(":")
    if told.startswith("tcp://") and reached.startswith("tcp://") and theirs in _EVERYWHERE:
        return f"tcp://{host}:{port}"
    return told


def _wait_for(endpoint: str) -> None:
    while True:
        try:
            subscribe(endpoint, ["none."]).close()
        except (Unavailable, TimedOut):
            time.sleep(_AGAIN_SECONDS)
        else:
            return


def _message(topic: bytes, body: bytes) -> str:
    data: Any
    try:
        data = json.loads(body)
    except ValueError:
        data = body.decode("utf-8", "backslashreplace")
    return json.dumps({"topic": topic.decode("utf-8", "backslashreplace"), "data": data})


def _print_event(event: Mapping[str, Any], session: Session) -> None:
    as_json = session.options.get("json")
    session.out(json.dumps(event) if as_json else render.event_line(event, session.style))


def _lines(data: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """A push of output as lines like those of the command ``output``."""
    common = {key: data.get(key) for key in ("watcher", "wid", "stream", "pid")}
    for number, moment, text in data.get("lines", ()):
        yield {**common, "number": number, "time": moment, "text": text}


class _Printer:
    """Prints lines; the column of names grows with the longest name seen."""

    def __init__(self, session: Session, *, timestamps: bool) -> None:
        self._session = session
        self._timestamps = timestamps
        self._width = 0

    def print(self, lines: Iterable[Mapping[str, Any]]) -> None:
        for line in lines:
            if self._session.options.get("json"):
                self._session.out(json.dumps(line))
                continue
            self._width = max(self._width, len(render.process_of(line)))
            self._session.out(
                render.output_line(line, self._session.style, timestamps=self._timestamps, width=self._width)
            )
        sys.stdout.flush()
