"""Lines as messages: JSON objects, and what a syslog or systemd's journal takes. Each is one line here, too."""

from __future__ import annotations

import re
import socket
from datetime import UTC, datetime
from json.encoder import encode_basestring_ascii as quoted
from typing import Final

from circusd.schema.syslog_values import SYSLOG_FACILITIES, SYSLOG_SEVERITIES

from .lines import ISO, Moments, Strand

_ENTERPRISE: Final = "circus@32473"
"""The name of the structured data; the number is the one that is reserved for those who have none."""
_NOT_A_WORD: Final = re.compile(r"[^!-~]+")
_CONTROL: Final = re.compile(r"[\x00-\x1f]")
_MONTHS: Final = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_JOURNAL_FIELDS: Final = ("SYSLOG_PID", "CIRCUS_WID", "CIRCUS_STREAM", "CIRCUS_TIME", "CIRCUS_CONTINUES")


class JsonLines:
    """Each line as a JSON object, in ASCII."""

    def __init__(self, watcher: str, stream: str, *, utc: bool = False) -> None:
        self._time = Moments(ISO, utc=utc)
        self._watcher = quoted(watcher)
        self._stream = quoted(stream)

    def __call__(self, strand: Strand, wall: float, data: bytes, divided: bool) -> bytes:
        """See `lines.Form`."""
        begin = (
            f'{{"time":"{self._time(wall)}","watcher":{self._watcher},"wid":{strand.wid},"pid":{strand.pid},'
            f'"stream":{self._stream},'
        )
        texts = data[:-1].decode("utf-8", "backslashreplace").split("\n")
        lines = [f'{begin}"message":{quoted(text)}}}\n' for text in texts]
        if divided:
            lines[0] = f'{begin}"continues":true,"message":{quoted(texts[0])}}}\n'
        return "".join(lines).encode("ascii")


class SyslogLines:
    """Each line as a message of syslog, by RFC 5424 or in the older form; its bytes are the process's."""

    def __init__(
        self,
        watcher: str,
        stream: str,
        *,
        facility: str,
        severity: str,
        identifier: str,
        older: bool = False,
        local: bool = True,
    ) -> None:
        """To another machine the older form too has the name of this one."""
        self._priority = SYSLOG_FACILITIES[facility] * 8 + SYSLOG_SEVERITIES.index(severity)
        self._tag = _word(identifier, 48)
        self._host = _word(socket.gethostname(), 255)
        self._stream = stream
        self._watcher = re.sub(r'(["\\\]])', r"\\\1", _CONTROL.sub("_", watcher))
        self._older = older
        self._local = local
        self._time = Moments(ISO)

    def __call__(self, strand: Strand, wall: float, data: bytes, divided: bool) -> bytes:
        """See `lines.Form`."""
        begin = self._old(strand, wall) if self._older else self._begin(strand, wall, divided=False)
        lines = begin + data[:-1].replace(b"\n", b"\n" + begin) + b"\n"
        if divided and not self._older:
            lines = self._begin(strand, wall, divided=True) + lines[len(begin) :]
        return lines

    def _begin(self, strand: Strand, wall: float, *, divided: bool) -> bytes:
        more = ' continues="1"' if divided else ""
        told = f'[{_ENTERPRISE} watcher="{self._watcher}" wid="{strand.wid}"{more}]'
        return (
            f"<{self._priority}>1 {self._time(wall)} {self._host} {self._tag} {strand.pid} {self._stream} {told} "
        ).encode("utf-8", "backslashreplace")

    def _old(self, strand: Strand, wall: float) -> bytes:
        moment = datetime.fromtimestamp(wall, UTC).astimezone()
        host = "" if self._local else f"{self._host} "
        time = f"{_MONTHS[moment.month - 1]} {moment.day:2d} {moment:%H:%M:%S}"
        return f"<{self._priority}>{time} {host}{self._tag[:32]}[{strand.pid}]: ".encode("ascii")


class JournalLines:
    """Each line with what the journal is told of it before it, until `journal_message` makes the message."""

    def __init__(self, watcher: str, stream: str, *, severity: str, identifier: str) -> None:
        fields = {
            "PRIORITY": str(SYSLOG_SEVERITIES.index(severity)),
            "SYSLOG_IDENTIFIER": _CONTROL.sub("_", identifier),
            "CIRCUS_WATCHER": _CONTROL.sub("_", watcher),
        }
        self._stream = stream
        self._fields = "\t".join(f"{name}={value}" for name, value in fields.items())

    def __call__(self, strand: Strand, wall: float, data: bytes, divided: bool) -> bytes:
        """See `lines.Form`."""
        begin = f"{strand.pid} {strand.wid} {self._stream} {wall:.6f} "
        plain = f"{begin}- {self._fields}\t\t".encode("utf-8", "backslashreplace")
        lines = plain + data[:-1].replace(b"\n", b"\n" + plain) + b"\n"
        if divided:
            first = f"{begin}1 {self._fields}\t\t".encode("utf-8", "backslashreplace")
            lines = first + lines[len(plain) :]
        return lines


def journal_message(line: bytes) -> bytes:
    """What is sent to the journal for a line of `JournalLines`: its fields, in the native protocol."""
    told, _, message = line.partition(b"\t\t")
    head, _, named = told.partition(b"\t")
    *values, first = head.split(b" ", len(_JOURNAL_FIELDS))
    fields = [
        name.encode("ascii") + b"=" + value
        for name, value in zip(_JOURNAL_FIELDS, values, strict=True)
        if value != b"-"
    ]
    fields += [first, *named.split(b"\t")]
    # With its length: a message may hold anything.
    return b"\n".join([*fields, b"MESSAGE", len(message).to_bytes(8, "little") + message, b""])


def _word(text: str, longest: int) -> str:
    """The text as syslog's headers can have it; never empty."""
    return _NOT_A_WORD.sub("_", text)[:longest] or "-"
