"""The process table: descent, identity, killing a tree whole, samples."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from circusd.kernel import pidfd, proc, usage
from circusd.kernel.proc import Identity
from circusd.kernel.spawn import Child
from circusd.kernel.usage import Sampler
from tests.kernel.conftest import NOBODY, AsNobody, Run
from tests.waiting import eventually

# Keys of the original's process info; the watcher adds wid and started.
ORIGINAL_KEYS = {
    "mem_info1",
    "mem_info2",
    "cpu",
    "mem",
    "ctime",
    "pid",
    "username",
    "nice",
    "create_time",
    "age",
    "cmdline",
    "children",
}


def identity(child: Child) -> Identity:
    return Identity(child.pid, child.start)


def is_alive(one: Identity) -> bool:
    found = proc.row(one.pid)
    return found is not None and found.start == one.start and found.is_alive


def family(run: Run) -> tuple[Child, list[Identity]]:
    """A shell, its child, and that one's child."""
    shell = run.start("/bin/sh", "-c", "sh -c 'sleep 1000 & wait' & wait; sleep 1000")

    def complete() -> list[Identity] | None:
        members = proc.members_of_sessions({shell.pid})
        names = sorted(Path(f"/proc/{one.pid}/comm").read_text().strip() for one in members)
        return members if names == ["sh", "sh", "sleep"] else None

    members = eventually(complete)
    assert members
    return shell, members


def test_row_tells_parent_session_state_and_start(run: Run) -> None:
    """One line of the table has what identifies a process and where it belongs."""
    child = run.start("/bin/sleep", "1000")
    found = eventually(lambda: (row := proc.row(child.pid)) and row.state == "S" and row)
    assert found == proc.Row(child.pid, os.getpid(), child.pid, "S", child.start)
    assert found.is_alive
    assert proc.sweep()[child.pid] == found


def test_name_with_spaces_and_parentheses_is_no_trap(run: Run, tmp_path: Path) -> None:
    """A program may be called anything, also what looks like other fields of its line."""
    name = tmp_path / ") Z 1 1 (1"
    name.symlink_to("/bin/sleep")
    child = run.start(str(name), "1000")
    found = proc.row(child.pid)
    assert found is not None
    assert (found.ppid, found.session) == (os.getpid(), child.pid)


def test_missing_process_has_no_row() -> None:
    """None, and no start time."""
    assert proc.row(2**22 - 1) is None
    assert proc.start_time(2**22 - 1) is None


def test_age_counts_from_the_start(run: Run) -> None:
    """A process that was just started is as old as a moment."""
    child = run.start("/bin/sleep", "1000")
    assert 0 <= proc.age(child.start) < 5


def test_descendants_and_children_are_told_in_one_sweep(run: Run) -> None:
    """All below a process, parents first; direct children alone; several roots at once."""
    shell, members = family(run)
    single = run.start("/bin/sleep", "1000")
    table = proc.sweep()
    below = proc.descendants([shell.pid, single.pid], table)
    assert below[single.pid] == []
    assert {shell.pid} | {one.pid for one in below[shell.pid]} == {one.pid for one in members}
    (child,) = proc.children([shell.pid], table)[shell.pid]
    assert below[shell.pid][0] == child
    assert proc.children([child.pid], table)[child.pid] == below[shell.pid][1:]


def test_orphans_are_found_by_their_session(run: Run, inherits_orphans: None) -> None:
    """A process whose parents are all gone still belongs to the session of the one we started."""
    shell = run.start("/bin/sh", "-c", "sleep 1000 & exit 0")
    run.wait(shell)
    (orphan,) = eventually(lambda: proc.members_of_sessions({shell.pid}))
    assert proc.descendants([shell.pid])[shell.pid] == []
    assert proc.tree([identity(shell)]) == [orphan]
    assert proc.kill_tree([identity(shell)]) == [orphan]
    assert eventually(lambda: not is_alive(orphan))


def test_kill_ends_the_whole_tree_and_nobody_else(run: Run) -> None:
    """Each process of the tree is named once, and is gone; another one lives."""
    shell, members = family(run)
    other = run.start("/bin/sleep", "1000")
    assert set(proc.kill_tree([identity(shell)])) == set(members)
    assert run.wait(shell).signal == signal.SIGKILL
    assert eventually(lambda: not any(is_alive(one) for one in members))
    assert is_alive(identity(other))


def test_kill_reaches_those_who_left_the_session(run: Run, inherits_orphans: None) -> None:
    """A grandchild with a session of its own, and its orphans, die with the tree."""
    daemon = "setsid sh -c 'setsid sleep 1000 & wait' & wait"
    shell = run.start("/bin/sh", "-c", daemon)
    below = eventually(lambda: len(found := proc.descendants([shell.pid])[shell.pid]) >= 2 and found)
    assert below
    eventually(lambda: {proc.row(one.pid).session for one in below} - {shell.pid})  # type: ignore[union-attr]
    killed = proc.kill_tree([identity(shell)])
    assert {identity(shell), *below} <= set(killed)
    run.wait(shell)
    assert eventually(lambda: not any(is_alive(one) for one in killed))


def test_kill_wins_against_a_process_that_forks_all_the_time(run: Run, inherits_orphans: None) -> None:
    """Children that are born while the tree is killed die as well."""
    forker = "while :; do sh -c 'sleep 1000 & sleep 1000' & sleep 0.001; done"
    shell = run.start("/bin/sh", "-c", forker, limits={"nproc": (400, 400)}, uid=NOBODY, gid=NOBODY)
    eventually(lambda: len(proc.members_of_sessions({shell.pid})) > 40)
    killed = proc.kill_tree([identity(shell)])
    assert len(killed) > 40
    run.wait(shell)
    assert eventually(lambda: not proc.members_of_sessions({shell.pid}))


def test_stopped_processes_of_a_tree_hear_a_signal_and_die_of_kill(run: Run) -> None:
    """After SIGSTOP a tree still ends on SIGTERM, and on SIGKILL."""
    for signum in (signal.SIGTERM, signal.SIGKILL):
        shell, members = family(run)
        assert set(proc.kill_tree([identity(shell)], signal.SIGSTOP)) == set(members)
        eventually(lambda: all(proc.row(one.pid).state == "T" for one in members))  # type: ignore[union-attr] # noqa: B023
        assert set(proc.kill_tree([identity(shell)], signum)) == set(members)
        assert run.wait(shell).signal == signum
        assert eventually(lambda: not any(is_alive(one) for one in members))  # noqa: B023


def test_pid_that_was_given_to_another_is_left_alone(run: Run) -> None:
    """A root, or a signal, with another start time than the process has now touches nobody."""
    child = run.start("/bin/sleep", "1000")
    former = Identity(child.pid, child.start - 1)
    assert proc.tree([former]) == []
    assert proc.kill_tree([former]) == []
    assert not proc.signal_process(former, signal.SIGKILL)
    assert is_alive(identity(child))


def test_we_and_our_session_are_never_in_a_tree() -> None:
    """Whatever is asked for, this process, init and who shares our session are spared."""
    ours = proc.row(os.getpid())
    init = proc.row(1)
    assert ours is not None
    assert init is not None
    spared = {ours.pid, 1, *(row.pid for row in proc.sweep().values() if row.session == ours.session)}
    leader = proc.row(ours.session)
    roots = [ours.identity] + ([leader.identity] if leader else [])
    assert not {one.pid for one in proc.tree(roots)} & {os.getpid(), 1}
    # Without roots that are their ancestors, the members of our session are not looked for.
    assert proc.tree([Identity(ours.session, 0)]) == [] or leader is not None
    assert os.getpid() in spared


def test_processes_of_others_are_left_out(as_nobody: AsNobody, run: Run) -> None:
    """What may not be signalled is not named, and raises nothing."""
    child = run.start("/bin/sleep", "1000")
    assert as_nobody(lambda: proc.kill_tree([identity(child)])) == []
    assert is_alive(identity(child))


def test_dead_root_that_is_not_reaped_counts_with_its_session(run: Run, inherits_orphans: None) -> None:
    """Between death and reaping the tree is still found, without the zombie."""
    shell = run.start("/bin/sh", "-c", "sleep 1000 & exit 0")
    eventually(lambda: not is_alive(identity(shell)))
    (orphan,) = proc.tree([identity(shell)])
    assert proc.kill_tree([identity(shell)]) == [orphan]
    run.wait(shell)


# --- the original's information ------------------------------------------------------------------------------------

BUSY = ("/bin/sh", "-c", "while :; do :; done")


def test_share_of_the_processor_is_measured_between_looks(run: Run) -> None:
    """The first look is 0; then per cent of one processor since the last, for each who looks by himself."""
    busy, idle = run.start(*BUSY), run.start("/bin/sleep", "1000")
    one, other = Sampler(), Sampler()
    for sampler in (one, other):
        assert [share(sampler, child.pid) for child in (busy, idle)] == [0, 0]
    eventually(lambda: share(one, busy.pid) > 0, every=0.1, within=20)
    assert share(one, idle.pid) == 0
    eventually(lambda: share(other, busy.pid) > 0, every=0.1, within=20)


def test_process_that_is_gone_has_no_info(run: Run) -> None:
    """It is left out, and nothing of it is kept."""
    child = run.start("/bin/sleep", "1000")
    sampler = Sampler()
    assert sampler.alone(child.pid) is not None
    pidfd.send(child.pidfd, signal.SIGKILL)
    run.wait(child)
    assert sampler.alone(child.pid) is None
    assert sampler.info(child.pid) is None


def test_program_that_a_process_has_become_is_told(run: Run, tmp_path: Path) -> None:
    """What is remembered of a process is not that of the program before exec."""
    go = tmp_path / "go"
    os.mkfifo(go)
    shell = run.start("/bin/sh", "-c", f"read _ < {go}; exec sleep 1000")
    sampler = Sampler()
    eventually(lambda: program(sampler, shell.pid) == "sh")
    go.write_text("\n")
    eventually(lambda: program(sampler, shell.pid) == "sleep")


def share(sampler: Sampler, pid: int) -> float:
    info = sampler.alone(pid)
    assert info is not None
    return float(info["cpu"])


def program(sampler: Sampler, pid: int) -> str:
    info = sampler.alone(pid)
    assert info is not None
    return str(info["cmdline"])


def test_info_has_the_shape_of_the_original(run: Run) -> None:
    """Keys, forms and nesting are what the original's clients read."""
    shell = run.start("/bin/sh", "-c", "sleep 1000 & wait")
    # It is there before it has become the other program.
    eventually(lambda: psutil.Process(proc.children([shell.pid])[shell.pid][0].pid).name() == "sleep")
    sampler = Sampler()
    info = sampler.info(shell.pid)
    assert info is not None
    assert set(info) == ORIGINAL_KEYS
    assert info["pid"] == shell.pid
    assert info["cpu"] == 0
    assert info["cmdline"] == "sh"
    assert info["username"] == psutil.Process(shell.pid).username()
    assert info["nice"] == os.nice(0)
    assert 0 < info["mem"] < 100
    assert info["mem_info1"][-1] in "KM"
    assert info["mem_info2"][-1] in "KMG"
    assert info["ctime"].startswith("0:0")
    assert len(info["ctime"]) == len("0:00.00")
    assert info["create_time"] == pytest.approx(time.time(), abs=60)
    assert 0 <= info["age"] < 60
    (child,) = info["children"]
    assert set(child) == ORIGINAL_KEYS
    assert (child["cmdline"], child["children"]) == ("sleep", [])


def test_extended_info_adds_and_takes_nothing_away(run: Run) -> None:
    """State, threads and descriptors come on top."""
    child = run.start("/bin/sleep", "1000")
    info = Sampler().info(child.pid, extended=True)
    assert info is not None
    assert set(info) == ORIGINAL_KEYS | {"status", "threads", "fds"}
    assert (info["threads"], info["fds"]) == (1, 3)


def test_zombie_has_an_info(run: Run) -> None:
    """A dead process that nobody reaped says Zombie where the original does."""
    child = run.start("/bin/true")
    eventually(lambda: not is_alive(identity(child)))
    info = Sampler().info(child.pid, extended=True)
    assert info is not None
    assert (info["nice"], info["cmdline"], info["mem_info1"]) == ("Zombie", "N/A", "0B")


def test_infos_of_many_cost_one_sweep(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table is read once however many are asked for, and those that are gone are left out."""
    pids = [run.start("/bin/sleep", "1000").pid for _ in range(5)]
    sweeps = []
    real = proc.sweep

    def counted() -> dict[int, proc.Row]:
        sweeps.append(1)
        return real()

    monkeypatch.setattr(usage, "sweep", counted)
    infos = Sampler().infos([*pids, 2**22 - 1])
    assert list(infos) == pids
    assert len(sweeps) == 1


def test_info_of_another_user_s_process_is_not_refused(as_nobody: AsNobody, run: Run) -> None:
    """What may not be read is N/A; the rest is there."""
    child = run.start("/bin/sleep", "1000")
    info = as_nobody(lambda: Sampler().info(child.pid, extended=True))
    assert info["username"] == "root"
    assert info["fds"] == "N/A"
    assert info["mem_info1"] != "N/A"


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0B"),
        (1023, "1023B"),
        (1024, "1.00K"),
        (1_855_979, "1.77M"),
        (3 << 30, "3.00G"),
        (1 << 40, "1.00T"),
    ],
)
def test_memory_is_written_as_the_original_writes_it(amount: int, text: str) -> None:
    """Two digits and a letter."""
    assert usage._human(amount) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00.00"), (0.05, "0:00.05"), (61.5, "1:01.50"), (3600 + 125.25, "2:05.25")]
)
def test_processor_time_is_written_as_the_original_writes_it(seconds: float, text: str) -> None:
    """Minutes without hours, seconds, hundredths."""
    assert usage._processor_time(seconds) == text


def test_looking_is_cheap(run: Run) -> None:
    """The info of 100 processes takes a few milliseconds, so 500 are far below a hundredth of a second's core."""
    pids = [run.start("/bin/sleep", "1000").pid for _ in range(100)]
    sampler = Sampler()
    looked = [sampler.alone(pid) for pid in pids]
    assert len(looked) == 100
    best = min(timed(lambda: [sampler.alone(pid) for pid in pids]) for _ in range(5))
    assert best < 0.03


def timed(function: object) -> float:
    started = time.perf_counter()
    function()  # type: ignore[operator]
    return time.perf_counter() - started


def test_start_time_is_the_same_for_everybody(run: Run) -> None:
    """Ticks since boot agree with what others read (and so survive in a state file)."""
    child = run.start("/bin/sleep", "1000")
    boot = psutil.boot_time()
    assert psutil.Process(child.pid).create_time() == pytest.approx(boot + child.start / proc.TICKS, abs=1.1)
