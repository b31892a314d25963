"""Limits by name, and what is left of them."""

from __future__ import annotations

import os
import resource

import pytest

from circusd.kernel import limits
from circusd.kernel.spawn import SpawnSpec, spawn
from circusd.schema.errors import ConfigError
from tests.kernel.conftest import ENV, AsNobody, Run, ended


def test_every_limit_of_this_python_has_its_row() -> None:
    """Nothing that the resource module knows is missing, and the numbers are its own."""
    rows = {limit.name: limit.number for limit in limits.LIMITS}
    known = {
        name.removeprefix("RLIMIT_").lower(): getattr(resource, name)
        for name in dir(resource)
        if name.startswith("RLIMIT_")
    }
    # An older name of nofile.
    known.pop("ofile", None)
    assert rows.items() >= known.items()
    assert set(rows) == {*known, "locks"}


def test_prlimit_knows_every_limit_by_our_name(run: Run) -> None:
    """Each name is an option of prlimit, too."""
    wanted = {limit.name: resource.getrlimit(limit.number) for limit in limits.LIMITS}
    options = [f"--{name}={limits.in_words(s)}:{limits.in_words(h)}" for name, (s, h) in wanted.items()]
    status, text = run.output("/usr/bin/prlimit", *options, "--", "/bin/true")
    assert (status.code, text) == (0, "")


def test_limit_is_found_by_the_names_people_write() -> None:
    """Any case, with the prefix or without; an unknown name lists all."""
    assert limits.find("NOFILE") is limits.find("rlimit_nofile") is limits.find("nofile")
    with pytest.raises(ConfigError, match=r"core.*nofile.*stack"):
        limits.find("files")


def test_raising_returns_the_limits_of_before(as_nobody: AsNobody) -> None:
    """Soft becomes hard, and the children can be given the original back."""

    def attempt() -> list[object]:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 512))
        before = limits.raise_nofile()
        return [before, resource.getrlimit(resource.RLIMIT_NOFILE), limits.raise_nofile()]

    assert as_nobody(attempt) == [[256, 512], [512, 512], [512, 512]]


def test_free_descriptors_are_counted(as_nobody: AsNobody) -> None:
    """As many as can be opened."""

    def attempt() -> list[int]:
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
        free = limits.free_descriptors()
        count = 0
        try:
            while True:
                os.open("/dev/null", os.O_RDONLY)
                count += 1
        except OSError:
            return [free, count]

    free, count = as_nobody(attempt)
    assert free == count > 0


def test_out_of_memory_score_is_set_or_refused(as_nobody: AsNobody) -> None:
    """An ordinary user may be chosen earlier, never later."""

    def attempt() -> list[object]:
        ours = limits.oom_score_adj()
        lower = limits.set_oom_score_adj(-900)
        raised = limits.set_oom_score_adj(ours + 100)
        child = spawn(SpawnSpec(argv=("true",), executable="/bin/true", env=ENV))
        ended(child)
        return [ours, lower, raised, limits.oom_score_adj()]

    ours, lower, raised, now = as_nobody(attempt)
    assert (lower, raised, now) == (False, True, ours + 100)
