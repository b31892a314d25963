"""``circusctl input NAME -``: what comes on standard input goes on to processes, as fast as they take it."""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Mapping
from typing import Any, Final

from circusd.cli.session import Session
from circusd.schema.errors import Refused

PIECE: Final = 16 << 10
"""Bytes that are sent at once; the next ones when these were taken."""


def send_all(properties: Mapping[str, Any], session: Session) -> dict[str, Any]:
    """All of standard input has been sent, and its end where that was asked for; the last reply, an error among them.

    Raises Refused for what is no text in UTF-8.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    common = {**properties, "bare": True}
    common.pop("text", None)
    wants_end = bool(common.pop("eof", False))
    sent = 0
    reply: dict[str, Any] = {"status": "ok", "sent": [], "bytes": 0}
    while True:
        data = os.read(sys.stdin.fileno(), PIECE)
        try:
            text = decoder.decode(data, final=not data)
        except UnicodeDecodeError:
            raise Refused("only text in UTF-8 can be sent, and this is none", code="bad_request") from None
        more: dict[str, Any] = {"text": text} if text else {}
        if not data and wants_end:
            more["eof"] = True
        if more:
            reply = session.request("input", {**common, **more}, waiting=True)
            if reply.get("status") == "error":
                return reply
            sent += int(reply.get("bytes") or 0)
        if not data:
            return {**reply, "bytes": sent}
