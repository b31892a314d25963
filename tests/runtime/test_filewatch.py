"""When changes of files are acted on."""

from __future__ import annotations

from circusd.runtime.filewatch import AT_REST, LONGEST_WAIT, OFTEN, WALK_SHARE, WITHIN, Eye


def test_it_is_waited_until_files_are_left_alone_but_not_for_ever() -> None:
    """Each change begins the delay anew, up to a bound; a program that writes what is watched is restarted less and less often."""
    eye = Eye((("app",), (), "/srv"))
    eye.first = eye.last = 100.0
    assert eye.quiet_at(0.5) == 100.5
    eye.last = 102.0
    assert eye.quiet_at(0.5) == 102.5
    eye.last = 999.0
    assert eye.quiet_at(0.5) == 100.0 + 0.5 * LONGEST_WAIT
    eye.last = 100.0
    eye.restarts.extend(100.0 - WITHIN / 2 for _ in range(OFTEN))
    assert eye.quiet_at(0.5) == 100.0 + AT_REST
    assert eye.quiet_at(9.0) == 100.0 + 9.0 * LONGEST_WAIT
    eye.cost = 4.0
    assert eye.quiet_at(0.5) == 100.0 + 4.0 / WALK_SHARE * LONGEST_WAIT
    eye.cost = 0.0
    eye.first = eye.last = 100.0 + WITHIN
    assert eye.quiet_at(0.5) == eye.last + 0.5
