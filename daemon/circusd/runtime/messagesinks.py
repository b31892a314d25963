"""Sinks that are no files: which syslog or journal a stream goes to, and how its lines are written for it."""

from __future__ import annotations

from typing import Final, NamedTuple

from circusd.config.records import StreamConfig
from circusd.schema.syslog_values import syslog_address

from .backlog import Backlog
from .lines import Form
from .messageplace import Link, MessagePlace
from .messages import JournalLines, SyslogLines, journal_message
from .places import Closed
from .writer import Writers

JOURNAL: Final = "journal"


class Target(NamedTuple):
    """Who is sent to; streams of one target share a socket and a thread."""

    kind: str
    """``unix``, ``udp``, ``tcp``, or ``journal``."""
    host: str
    """Or the path."""
    port: int = 0

    @property
    def name(self) -> str:
        """What a person calls it."""
        if self.kind == JOURNAL:
            return f"the journal at {self.host}"
        if self.kind == "unix":
            return f"syslog at {self.host}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"syslog at {self.kind}://{host}:{self.port}"


def target_of(config: StreamConfig) -> Target:
    """Where a stream of a class of messages goes."""
    address = str(config.options["address"])
    return (
        Target(JOURNAL, address) if config.classname == "JournalStream" else Target(*syslog_address(address))
    )


def place_of(target: Target, backlog: Backlog, writers: Writers, closed: Closed) -> MessagePlace:
    """The place for a target; see `MessagePlace`."""
    if target.kind == JOURNAL:
        return MessagePlace(backlog, Link("unix", target.host), writers, closed, journal_message)
    return MessagePlace(backlog, Link(*target), writers, closed)


def form_of(config: StreamConfig, watcher: str, stream: str, target: Target) -> Form:
    """How lines of that stream are written for it."""
    options = config.options
    severity, identifier = str(options["severity"]), str(options["identifier"] or watcher)
    if target.kind == JOURNAL:
        return JournalLines(watcher, stream, severity=severity, identifier=identifier)
    return SyslogLines(
        watcher,
        stream,
        facility=str(options["facility"]),
        severity=severity,
        identifier=identifier,
        older=options["form"] == "rfc3164",
        local=target.kind == "unix",
    )
