"""Nice values, processors and I/O priorities: a child has them from its start, and this process is as it was."""

from __future__ import annotations

import os

import psutil
import pytest

from circusd.kernel.scheduling import Scheduling
from circusd.kernel.spawn import SpawnSpec, spawn
from circusd.schema.errors import SpawnError
from tests.kernel.conftest import ENV, AsNobody, Run

TELL = "echo $(cut -d' ' -f19 /proc/self/stat) $(grep Cpus_allowed_list /proc/self/status) $(ionice -p $$)"
CPU = min(os.sched_getaffinity(0))


def ours() -> tuple[object, ...]:
    """What this process has of all that."""
    return os.getpriority(os.PRIO_PROCESS, 0), os.sched_getaffinity(0), psutil.Process().ionice()


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (Scheduling(nice=7), "7 "),
        (Scheduling(cpus=frozenset({CPU})), f"Cpus_allowed_list: {CPU} "),
        (Scheduling(io=(2, 6)), "best-effort: prio 6"),
        (Scheduling(io=(3, 0)), "idle"),
        (Scheduling(10, frozenset({CPU}), (2, 7)), f"10 Cpus_allowed_list: {CPU} best-effort: prio 7"),
    ],
)
def test_child_has_it_and_this_process_does_not(run: Run, wanted: Scheduling, told: str) -> None:
    """Also what the child starts in turn."""
    before = ours()
    status, text = run.output("/bin/sh", "-c", TELL, scheduling=wanted)
    assert status.code == 0
    assert told in text
    assert ours() == before


def test_what_is_refused_is_told_and_nothing_stays_changed(run: Run) -> None:
    """Processors that are not there: with those that are."""
    before = ours()
    with pytest.raises(SpawnError) as caught:
        run.start("/bin/true", scheduling=Scheduling(nice=3, cpus=frozenset({8000})))
    assert caught.value.stage == "scheduling"
    assert "the processor 8000: there are only" in caught.value.text
    assert ours() == before


def test_ordinary_users_may_give_less_and_not_more(as_nobody: AsNobody) -> None:
    """A higher nice value comes without that theirs grows; a lower one is refused, and real-time reads too."""

    def attempt(**what: object) -> list[object]:
        reader, writer = os.pipe()
        out, end = os.pipe()
        try:
            child = spawn(
                SpawnSpec(
                    argv=("/bin/sh", "-c", "read line; cut -d' ' -f19 /proc/self/stat"),
                    executable="/bin/sh",
                    env=ENV,
                    stdin=reader,
                    stdout=end,
                    scheduling=Scheduling(**what),  # type: ignore[arg-type]
                )
            )
        except SpawnError as error:
            return [error.stage, error.text, os.getpriority(os.PRIO_PROCESS, 0)]
        os.write(writer, b"\n")
        os.close(end)
        text = os.read(out, 100).decode()
        os.waitpid(child.pid, 0)
        return ["started", text.strip(), os.getpriority(os.PRIO_PROCESS, 0)]

    ours = os.getpriority(os.PRIO_PROCESS, 0)
    assert as_nobody(lambda: attempt(nice=ours + 3)) == ["started", str(ours + 3), ours]
    stage, text, nice = as_nobody(lambda: attempt(nice=ours - 3))
    assert (stage, nice) == ("scheduling", ours)
    assert "only a privileged daemon may" in text
    assert as_nobody(lambda: attempt(io=(1, 0)))[0] == "scheduling"
