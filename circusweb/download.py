"""Output as a file: pages of lines, one after the other, as text or as JSON lines; never more than one page is held."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from bottle import HTTPResponse

from circusd.schema.commands import Field, find
from circusd.schema.errors import CircusError

from .bridge import Bridge
from .exchange import need_credential, query
from .inputs import fields_of, typed

PAGE_SECONDS: Final = 180.0
"""Seconds for one page; the daemon answers in a third of that with what it has found."""
PAGE_LINES: Final = 10_000

KINDS: Final = {"text": ("text/plain; charset=utf-8", "log"), "jsonl": ("application/x-ndjson", "jsonl")}
_OWN: Final = (
    Field("format", doc="what comes", choices=tuple(KINDS), default="text"),
    Field("prefix", "bool", "a line of text begins with its time, process and stream"),
    Field("text", doc="as that of grep, and not as JSON"),
)
_TAKEN: Final = ("name", "names", "match", "cursor", "order", "key", "limit", "lines", "around", "text")
"""Properties that are the download's own matter."""
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")


def download(bridge: Bridge, watcher: str) -> HTTPResponse:
    """The output of a watcher, or what of it matches, oldest first; takes the parameters of ``grep`` and ``output``.

    The first page is asked for before anything is sent, so that what is refused has its status. Raises CircusError.
    """
    session = need_credential()
    given = query()
    command = "grep" if {"pattern", "text"} & dict(given).keys() else "output"
    asked = typed(_fields(command), given, "a download")
    kind, prefix = asked.pop("format", "text"), asked.pop("prefix", False)
    asked |= {"match": "simple", "order": "oldest"}
    # By its key circusd goes on where the page before has ended, also in the middle of a compressed file.
    asked["key"] = f"download {secrets.token_hex(8)}"
    if command == "grep":
        asked |= {"name": watcher, "limit": PAGE_LINES}
    else:
        asked |= {"names": [watcher], "lines": PAGE_LINES}
    shown = _as_json if kind == "jsonl" else _as_text(prefix=prefix)
    first = bridge.call(command, asked, session=session, timeout=PAGE_SECONDS)
    media, ending = KINDS[kind]
    return HTTPResponse(
        _pages(bridge, command, asked, session, first, shown),
        200,
        {"Content-Type": media, "Content-Disposition": _disposition(watcher, ending)},
    )


def _fields(command: str) -> Iterable[Field]:
    """What a download may be asked with."""
    row = find(command)
    assert row is not None
    return (*(field for name, field in fields_of(row).items() if name not in _TAKEN), *_OWN)


def _pages(
    bridge: Bridge,
    command: str,
    asked: Mapping[str, Any],
    session: str,
    page: dict[str, Any],
    shown: Callable[[Mapping[str, Any]], str],
) -> Iterator[bytes]:
    """The pages, each as it is sent; the next one is asked for when this one has been taken."""
    told: set[str] = set()
    try:
        while True:
            yield "".join(map(shown, page["lines"])).encode()
            yield from _told(page, told, shown)
            if not page.get("more"):
                return
            try:
                page = bridge.call(
                    command, {**asked, "cursor": page["newer"]}, session=session, timeout=PAGE_SECONDS
                )
            except CircusError as problem:
                # The status was sent long ago.
                yield shown({"error": f"the download ends early: {problem}"}).encode()
                return
    finally:
        # Of one that nobody takes any more nothing goes on.
        bridge.cast("grep", {"limit": 0, "key": asked["key"]}, session=session)


def _told(
    page: Mapping[str, Any], told: set[str], shown: Callable[[Mapping[str, Any]], str]
) -> Iterable[bytes]:
    """What could not be read, each once."""
    for one in page.get("unsearched", ()):
        text = f"{one.get('file')} was not read: {one.get('reason')}"
        if text not in told:
            told.add(text)
            yield shown({"error": text}).encode()


def _as_json(line: Mapping[str, Any]) -> str:
    return json.dumps(line, separators=(",", ":")) + "\n"


def _as_text(*, prefix: bool) -> Callable[[Mapping[str, Any]], str]:
    def shown(line: Mapping[str, Any]) -> str:
        if "error" in line:
            return f"circus: {line['error']}\n"
        text = str(line.get("text", ""))
        if not prefix:
            return text + "\n"
        when = _iso(line.get("time"))
        return f"{when} {line.get('watcher') or '?'}.{line.get('wid') or '?'} {line.get('stream') or '?'} {text}\n"

    return shown


def _iso(seconds: Any) -> str:
    if not isinstance(seconds, int | float):
        return "-"
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _disposition(watcher: str, ending: str) -> str:
    """A file name that is safe everywhere, and the right one for who understands it."""
    plain = _UNSAFE.sub("_", watcher).strip("._-")[:100] or "output"
    exact = quote(f"{watcher[:100].replace('/', '_')}.{ending}", safe="")
    return f"attachment; filename=\"{plain}.{ending}\"; filename*=UTF-8''{exact}"
