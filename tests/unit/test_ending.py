"""When a container's daemon has nothing more to do, decided with plain values."""

from __future__ import annotations

from circusd.core.ending import has_ended, has_failed, is_over, verdict
from circusd.core.process import Policy
from tests.fakes import World

ONCE = Policy(respawn=False)


def world(policy: Policy = ONCE, *, start: bool = True) -> World:
    """A watcher, started or not."""
    found = World(1, policy)
    if start:
        found.command("start")
        found.settle()
    return found


def after(code: int, policy: Policy = ONCE) -> World:
    """A watcher whose process has ended with that code."""
    found = world(policy)
    found.now += 5
    found.die(1, code=code)
    return found


def test_what_has_completed_is_over_and_has_not_failed() -> None:
    """Exit code 0, and not started again."""
    done = after(0).planner
    assert (is_over(done), has_ended(done), has_failed(done)) == (True, True, False)


def test_another_exit_code_is_a_failure() -> None:
    """Without respawn, whatever it is."""
    ill = after(7).planner
    assert (is_over(ill), has_ended(ill), has_failed(ill)) == (True, True, True)


def test_what_is_started_again_is_not_over() -> None:
    """It lives, or waits for its next try."""
    assert not is_over(after(1, Policy()).planner)
    assert not is_over(after(1, Policy(settle_time=60)).planner)


def test_one_of_two_processes_does_not_end_a_watcher() -> None:
    """As long as the other one runs."""
    found = world(Policy(respawn=False, numprocesses=2))
    found.die(1, code=0)
    assert not is_over(found.planner)
    found.die(2, code=3)
    assert has_failed(found.planner)
    assert has_ended(found.planner)


def test_the_code_tells_whether_one_has_failed() -> None:
    """Only when all are over."""
    done, ill, runs = after(0).planner, after(1).planner, world().planner
    assert verdict([(done, False), (runs, False)]) is None
    assert verdict([(done, False), (done, False)]) == 0
    assert verdict([(done, False), (ill, False)]) == 1


def test_an_essential_one_ends_all_others() -> None:
    """With its own outcome."""
    runs = world().planner
    assert verdict([(after(0).planner, True), (runs, False)]) == 0
    assert verdict([(after(1).planner, True), (runs, False)]) == 1
    assert verdict([(after(1).planner, False), (runs, True)]) is None
    assert verdict([(after(1).planner, False), (after(0).planner, True)]) == 0


def test_what_a_person_has_stopped_or_never_started_does_not_end_anything() -> None:
    """But it does not hold the daemon either, once something has ended by itself."""
    stopped, never = world(), world(start=False)
    stopped.command("stop")
    stopped.die(1, signal=15)
    assert is_over(stopped.planner)
    assert not has_ended(stopped.planner)
    assert verdict([(stopped.planner, False), (never.planner, False)]) is None
    assert verdict([(stopped.planner, True)]) is None
    assert verdict([]) is None
    assert verdict([(never.planner, False), (after(0).planner, False)]) == 0
