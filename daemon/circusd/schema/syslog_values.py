"""What a syslog knows: facilities, severities, and where it may be; as `values`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

SYSLOG_FACILITIES: Final[Mapping[str, int]] = {
    "kern": 0,
    "user": 1,
    "mail": 2,
    "daemon": 3,
    "auth": 4,
    "syslog": 5,
    "lpr": 6,
    "news": 7,
    "uucp": 8,
    "cron": 9,
    "authpriv": 10,
    "ftp": 11,
    **{f"local{number}": 16 + number for number in range(8)},
}
SYSLOG_SEVERITIES: Final = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
"""Each at its number."""
SYSLOG_PORTS: Final[Mapping[str, int]] = {"udp": 514, "tcp": 601}
"""Where a syslog is asked for when no port is given."""


def syslog_address(text: str) -> tuple[str, str, int]:
    """``unix``, ``udp`` or ``tcp``, with the path or host, and the port; raises ValueError."""
    if text.startswith(("/", "unix:///")):
        return "unix", text.removeprefix("unix://"), 0
    parts = urlsplit(text)
    if parts.scheme not in SYSLOG_PORTS or not parts.hostname or parts.path not in ("", "/"):
        raise ValueError("is no address of a syslog")
    try:
        port = parts.port or SYSLOG_PORTS[parts.scheme]
    except ValueError:
        raise ValueError("has a port that is none") from None
    return parts.scheme, parts.hostname, port


def read_syslog_address(text: str) -> str:
    """The address as it stands, if it is one."""
    text = text.strip()
    syslog_address(text)
    return text
