"""Asks a web server for a page, to learn whether it comes."""

from __future__ import annotations

import asyncio
import re
import ssl
from urllib.parse import urljoin, urlsplit

REDIRECTIONS = 5
"""How many are followed."""

HEAD_LIMIT = 64 << 10
"""Bytes of the longest head of an answer."""

_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})\b")
_LENGTH = re.compile(rb"\r?\ncontent-length:[ \t]*([0-9]{1,18})[ \t]*\r?\n", re.IGNORECASE)
_LOCATION = re.compile(rb"\r?\nlocation:[ \t]*([^\r\n]+)", re.IGNORECASE)


async def status_of(url: str) -> int:
    """The status of that page, after redirections; the whole page has come when it is returned.

    Raises OSError, EOFError or ValueError when there is none. There is no limit for the time.
    """
    for _ in range(REDIRECTIONS + 1):
        status, location = await _get(url)
        if status not in (301, 302, 303, 307, 308) or not location:
            return status
        url = urljoin(url, location)
    raise ValueError(f"more than {REDIRECTIONS} redirections")


async def _get(url: str) -> tuple[int, str]:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is no address of the web")
    secure = ssl.create_default_context() if parts.scheme == "https" else None
    port = parts.port or (443 if secure else 80)
    reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=secure, limit=HEAD_LIMIT)
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        host = parts.netloc.rpartition("@")[2]
        head = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: circusd\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        writer.write(head.encode("ascii", "replace"))
        answer = await _head(reader)
        found = _STATUS.match(answer)
        if found is None:
            raise ValueError("the answer is no HTTP")
        location = _LOCATION.search(answer)
        await _body(reader, _LENGTH.search(answer))
        return int(found[1]), location[1].decode("latin-1").strip() if location else ""
    finally:
        writer.close()


async def _body(reader: asyncio.StreamReader, length: re.Match[bytes] | None) -> None:
    """Read and forgotten, up to its length or the end of the connection."""
    left = int(length[1]) if length else None
    while left is None or left > 0:
        part = await reader.read(HEAD_LIMIT)
        if not part:
            if left:
                raise EOFError("the page broke off")
            return
        left = None if left is None else left - len(part)


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError as problem:
        raise ValueError(f"the head of the answer is longer than {HEAD_LIMIT} bytes") from problem
