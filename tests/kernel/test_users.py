"""Users and groups by name and number."""

from __future__ import annotations

import grp
import os
import pwd

import pytest

from circusd.kernel import users
from circusd.schema.errors import ConfigError
from tests.kernel.conftest import AsNobody

DAEMON = pwd.getpwnam("daemon")


def test_user_brings_group_groups_and_home() -> None:
    """A name, its number, and its number as text are the same account."""
    account = users.resolve("daemon", None)
    assert account == users.resolve(DAEMON.pw_uid, None) == users.resolve(str(DAEMON.pw_uid), None)
    assert account is not None
    assert (account.uid, account.gid, account.home, account.name) == (
        DAEMON.pw_uid,
        DAEMON.pw_gid,
        DAEMON.pw_dir,
        "daemon",
    )
    assert account.groups == tuple(sorted(os.getgrouplist("daemon", DAEMON.pw_gid)))


def test_group_alone_changes_only_the_group() -> None:
    """Without a user there is a group, and the groups are left alone."""
    daemon = grp.getgrnam("daemon").gr_gid
    assert users.resolve(None, "daemon") == users.Account(None, daemon, None, None, None)
    assert users.resolve(None, None) is None


def test_group_given_beside_the_user_wins() -> None:
    """The primary group is the one given, and the user's own is not left in the list by mistake."""
    account = users.resolve("daemon", "nogroup")
    nogroup = grp.getgrnam("nogroup").gr_gid
    assert account is not None
    assert account.gid == nogroup
    assert nogroup in (account.groups or ())
    assert DAEMON.pw_gid not in (account.groups or ())


def test_number_without_an_account_needs_its_group() -> None:
    """Never root's group by default."""
    with pytest.raises(ConfigError, match=r"no account has the number 54321.*give gid"):
        users.resolve(54321, None)
    assert users.resolve(54321, 54322) == users.Account(54321, 54322, (54322,), None, None)


@pytest.mark.parametrize("wrong", ["deamon", "", "-1", -1, "4294967295", 2**32, "1.5", "¹"])
def test_unknown_user_is_told(wrong: str | int) -> None:
    """A name or number that is nobody's raises with the name in it."""
    with pytest.raises(ConfigError, match="there is no user"):
        users.resolve(wrong, None)


def test_nearest_name_is_offered() -> None:
    """A slip of the pen gets a question back."""
    with pytest.raises(ConfigError, match='did you mean "daemon"'):
        users.resolve("deamon", None)
    with pytest.raises(ConfigError, match='there is no group "nogruop"; did you mean "nogroup"'):
        users.resolve(None, "nogruop")


def test_user_name_falls_back_to_the_number() -> None:
    """For people: a name, or what there is."""
    assert users.user_name(0) == "root"
    assert users.user_name(54321) == "54321"


def test_capabilities_are_known(as_nobody: AsNobody) -> None:
    """An ordinary user has none."""
    assert as_nobody(lambda: users.has_capability(users.CAP_SETUID)) is False
