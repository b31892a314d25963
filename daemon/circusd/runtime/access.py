"""Whom circusd obeys beside its own user and root: the users and groups that ``allow_viewer`` and its like name.

They are looked up when the file is read. A group counts by its members as they were then, and at a unix socket also by
the groups that the process has: the kernel tells them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from circusd.config.access import OPTIONS, group_of
from circusd.config.problems import Place, Report
from circusd.config.records import Configuration
from circusd.kernel import users
from circusd.schema.commands import highest
from circusd.schema.errors import ConfigError

NOBODY: Final = 65534
"""The number of those who have none, and what the kernel shows of users of another namespace: let in by no group either."""


@dataclass(frozen=True, slots=True)
class Access:
    """Roles by number, of users and of groups. Callable as the policy of the doors."""

    users: Mapping[int, str] = field(default_factory=dict)
    groups: Mapping[int, str] = field(default_factory=dict)
    names: Mapping[int, str] = field(default_factory=dict)
    """What the users are called."""

    def __call__(self, uid: int, groups: tuple[int, ...]) -> str | None:
        """The role of a peer, the highest that something gives it; None for who is not let in."""
        if uid in (0, os.geteuid()):
            return "admin"
        if uid == NOBODY:
            return None
        return highest([self.users.get(uid), *(self.groups.get(gid) for gid in groups)])

    @property
    def is_open(self) -> bool:
        """Whether anybody is let in who would not be by himself."""
        return bool(self.users or self.groups)


def resolve(configuration: Configuration) -> Access:
    """The users and groups of a configuration; raises ConfigError with all that are not there, each with its place.

    To be called in a thread: a directory service may answer slowly.
    """
    report = Report()
    found_users: dict[int, str] = {}
    found_groups: dict[int, str] = {}
    for role, option in OPTIONS.items():
        place = configuration.places.get(option, Place(section="circus", option=option))
        for word in getattr(configuration.circus, option):
            group = group_of(word)
            try:
                if group is None:
                    found_users[_only(users.find_user(word), word)] = role
                    continue
                gid = _only(users.find_group(group), word)
            except ConfigError as error:
                for problem in error.problems:
                    report.error(place, str(problem))
                continue
            found_groups[gid] = role
            # From the least role to the most: the last one counts.
            found_users.update(dict.fromkeys(users.members(gid), role))
    _check_console(configuration, found_users, report)
    report.raise_errors()
    names = {uid: users.user_name(uid) for uid in (0, os.geteuid(), *found_users)}
    return Access(found_users, found_groups, names)


def _check_console(configuration: Configuration, found: Mapping[int, str], report: Report) -> None:
    """The console's own user may do nothing by itself: it is who browsers talk to."""
    circus = configuration.circus
    if not (circus.httpd and circus.httpd_user and found):
        return
    try:
        role = found.get(users.find_user(circus.httpd_user))
    except ConfigError:
        # Told when the console is started.
        return
    if role is not None:
        option = OPTIONS[role]
        place = configuration.places.get(option, Place(section="circus", option=option))
        report.error(
            place,
            f"{circus.httpd_user} is the user of the console, who may do nothing by itself",
            "another httpd_user, or a list without that one",
        )


def _only(number: int, word: str) -> int:
    if number == NOBODY:
        problem = f'"{word}" is who has no number of his own: programs that should be able to do nothing'
        raise ConfigError([problem])
    return number
