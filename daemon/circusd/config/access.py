"""The words of ``allow_viewer``, ``allow_operator`` and ``allow_admin``: users, and groups with a mark before them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from circusd.schema.commands import ROLES

from .problems import Place, Report
from .records import CircusConfig

OPTIONS: Final = {role: f"allow_{role}" for role in ROLES}
"""The options by role, from the least to the most."""

_MARKS = ("@", "group:")


def group_of(word: str) -> str | None:
    """The group that a word names: ``@NAME`` or ``group:NAME``; None if it names a user."""
    for mark in _MARKS:
        if word.startswith(mark):
            return word.removeprefix(mark)
    return None


def check_access(circus: CircusConfig, places: Mapping[str, Place], report: Report) -> None:
    """What is wrong with the words, and with naming somebody who can reach nothing, goes to the report."""
    given = [option for option in OPTIONS.values() if getattr(circus, option)]
    for option in given:
        for word in getattr(circus, option):
            if word in _MARKS:
                report.error(
                    places[option], f'"{word}" names no group', "names of users, and @NAME for a group"
                )
            elif word == "*":
                report.error(
                    places[option], '"*" is nobody\'s name: not everybody can be let in', "users and @groups"
                )
    _check_console(circus, places, report)
    if given and not circus.endpoint:
        report.warning(
            places[given[0]],
            "has no effect on commands: the endpoint in the private runtime folder is closed to others",
            hint="give them one of their own, such as endpoint = ipc:///run/circus-ops.sock",
        )


def _check_console(circus: CircusConfig, places: Mapping[str, Place], report: Report) -> None:
    if circus.httpd_proxy_header and not circus.httpd_trusted_proxies:
        report.error(
            places["httpd_proxy_header"],
            "needs httpd_trusted_proxies: without it nobody may set that header",
            "the addresses of the proxies",
        )
    if circus.httpd_proxy_role_header and not circus.httpd_proxy_header:
        report.error(
            places["httpd_proxy_role_header"],
            "needs httpd_proxy_header: a role is somebody's",
            "both or none",
        )
    if circus.httpd_key and not circus.httpd_certificate:
        report.error(places["httpd_key"], "needs httpd_certificate", "both or none")
