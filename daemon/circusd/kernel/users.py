"""Users and groups: from a name or a number to what a process needs in order to run as one."""

from __future__ import annotations

import grp
import os
import pwd
from dataclasses import dataclass
from typing import Final

from circusd.schema.errors import ConfigError

# The highest number but one; the highest means "leave it" to the system calls.
LAST_ID: Final = 2**32 - 2
_LONGEST_NAME: Final = 64
"""For a longer one no similar name is looked for."""

CAP_SETGID: Final = 6
CAP_SETUID: Final = 7


@dataclass(frozen=True, slots=True)
class Account:
    """As whom a process runs; ``uid`` None if only the group was asked for, ``groups`` None to keep ours."""

    uid: int | None
    gid: int
    groups: tuple[int, ...] | None
    home: str | None
    name: str | None


def resolve(user: str | int | None, group: str | int | None) -> Account | None:
    """The account for a user and a group, each a name or a number; None if neither is given.

    The group defaults to the user's, and the groups are those that a login of the user would have. Raises
    ConfigError. A directory service may answer in seconds or never: to be called in a thread, with a time limit.
    """
    gid = None if group is None else find_group(group)
    if user is None:
        return None if gid is None else Account(None, gid, None, None, None)
    entry = _find_user(user)
    if isinstance(entry, int):
        if gid is None:
            raise ConfigError(
                [f"no account has the number {entry}, so its group is not known; give gid as well"]
            )
        return Account(entry, gid, (gid,), None, None)
    gid = entry.pw_gid if gid is None else gid
    groups = tuple(sorted(set(os.getgrouplist(entry.pw_name, gid))))
    return Account(entry.pw_uid, gid, groups, entry.pw_dir, entry.pw_name)


def find_group(group: str | int) -> int:
    """The number of a group given by name or number; a number need not have a name. Raises ConfigError."""
    try:
        return grp.getgrnam(str(group)).gr_gid
    except (KeyError, ValueError):
        number = _number(group)
    if number is None:
        raise ConfigError([f'there is no group "{group}"{_nearest(str(group), "/etc/group")}'])
    return number


def find_user(user: str | int) -> int:
    """The number of a user given by name or number; a number need not have a name. Raises ConfigError."""
    entry = _find_user(user)
    return entry if isinstance(entry, int) else entry.pw_uid


def members(gid: int) -> frozenset[int]:
    """The users of a group, by its list and by their own main group, as far as the system lists its users.

    Names in the list that nobody has are passed over. As `resolve`, to be called in a thread.
    """
    found = {entry.pw_uid for entry in pwd.getpwall() if entry.pw_gid == gid}
    try:
        names = grp.getgrgid(gid).gr_mem
    except KeyError:
        return frozenset(found)
    for name in names:
        try:
            found.add(pwd.getpwnam(name).pw_uid)
        except KeyError:
            continue
    return frozenset(found)


def user_name(uid: int) -> str:
    """The user's name, or the number as text if it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def has_capability(number: int) -> bool:
    """Whether this process has that capability in effect."""
    with open("/proc/self/status", "rb") as file:
        for line in file:
            if line.startswith(b"CapEff:"):
                return bool(int(line.split()[1], 16) >> number & 1)
    return os.geteuid() == 0


def _find_user(user: str | int) -> pwd.struct_passwd | int:
    try:
        return pwd.getpwnam(str(user))
    except (KeyError, ValueError):
        number = _number(user)
    if number is None:
        raise ConfigError([f'there is no user "{user}"{_nearest(str(user), "/etc/passwd")}'])
    try:
        return pwd.getpwuid(number)
    except KeyError:
        return number


def _number(text: str | int) -> int | None:
    if not (isinstance(text, int) or (text.isascii() and text.isdigit())):
        return None
    number = int(text)
    return number if 0 <= number <= LAST_ID else None


def _nearest(name: str, path: str) -> str:
    """A question after the nearest local name; a directory service is not asked for all it has."""
    if len(name) > _LONGEST_NAME:
        return ""
    import difflib

    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            names = [line.split(":", 1)[0] for line in file]
    except OSError:
        return ""
    close = difflib.get_close_matches(name, names, n=1)
    return f'; did you mean "{close[0]}"?' if close else ""
