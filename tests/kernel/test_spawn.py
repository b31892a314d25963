"""What a child starts with, and what is told when it can't be started."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

from circusd.kernel import limits, pidfd, proc, users
from circusd.kernel.spawn import Child, SpawnSpec, spawn
from circusd.schema.errors import SpawnError
from tests.kernel.conftest import ENV, LIBC_SIGNALS, NOBODY, AsNobody, Run, ended, status_field
from tests.waiting import eventually

CAP_SYS_RESOURCE = 24
SLEEP = ("/bin/sleep", "1000")


def refused(run: Run, *argv: str, **what: object) -> SpawnError:
    """The error of a spawn that must fail."""
    with pytest.raises(SpawnError) as caught:
        run.start(*argv, **what)
    return caught.value


def script(folder: Path, text: str, mode: int = 0o755, name: str = "script") -> str:
    path = folder / name
    path.write_text(text)
    path.chmod(mode)
    return str(path)


# --- what a child starts with --------------------------------------------------------------------------------------


def test_child_leads_a_session_of_its_own(run: Run) -> None:
    """Session and process group of a child are its own pid."""
    child = run.start(*SLEEP)
    assert os.getsid(child.pid) == child.pid == os.getpgid(child.pid)
    assert child.start == proc.start_time(child.pid)


def test_child_has_only_the_descriptors_it_was_given(run: Run) -> None:
    """Beside 0 to 2 a child has the named descriptors, under their numbers, whatever else is inheritable here."""
    leak, given = os.open("/dev/zero", os.O_RDONLY), os.open("/dev/full", os.O_RDONLY)
    os.set_inheritable(leak, True)
    try:
        _, text = run.output("/bin/sh", "-c", "ls -l /proc/$$/fd", pass_fds=(given,))
    finally:
        os.close(leak)
        os.close(given)
    found = {
        int(line.split()[-3]): line.split()[-1] for line in text.splitlines() if line.split()[-2:-1] == ["->"]
    }
    assert sorted(found) == [0, 1, 2, given]
    assert found[0] == "/dev/null"
    assert found[given] == "/dev/full"


def test_a_descriptor_given_to_a_child_stays_closed_on_exec_here(run: Run) -> None:
    """Naming a descriptor for one child does not make it inheritable for others."""
    given = os.open("/dev/full", os.O_RDONLY)
    try:
        run.start(*SLEEP, pass_fds=(given,))
        assert not os.get_inheritable(given)
    finally:
        os.close(given)


def test_streams_default_to_the_null_device(run: Run) -> None:
    """A child without streams reads nothing and writes nowhere."""
    child = run.start(*SLEEP)
    assert {os.readlink(f"/proc/{child.pid}/fd/{fd}") for fd in (0, 1, 2)} == {"/dev/null"}


def test_a_socket_can_be_the_standard_input(run: Run) -> None:
    """The descriptor given as stdin is the child's descriptor 0."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b"through a socket")
        ours.shutdown(socket.SHUT_WR)
        status, text = run.output("/bin/cat", stdin=theirs.fileno())
    assert (status.code, text) == (0, "through a socket")


def test_signals_are_default_and_unblocked_in_a_child(run: Run) -> None:
    """Python's ignored signals and a mask of this thread do not reach the child."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR1])
    try:
        status = run.report("/proc/self/status")
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == {
            *before,
            signal.SIGTERM,
            signal.SIGUSR1,
        }
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    for name in ("SigBlk", "SigIgn", "SigCgt"):
        assert int(status_field(status, name)[0], 16) & ~LIBC_SIGNALS == 0, name


def test_environment_is_exactly_the_one_given(run: Run) -> None:
    """Nothing of this process's environment reaches a child."""
    status, text = run.output("/usr/bin/env", env={"ONLY": "this"})
    assert (status.code, text) == (0, "ONLY=this\n")


def test_working_directory_and_umask_are_set(run: Run, tmp_path: Path) -> None:
    """The child starts in its folder and with its umask, and ours stay."""
    here = os.getcwd()
    _, text = run.output("/bin/sh", "-c", "pwd; umask", cwd=str(tmp_path), umask=0o027)
    assert text.split() == [str(tmp_path), "0027"]
    assert os.getcwd() == here


def test_argv_0_is_as_given(run: Run) -> None:
    """The name that the program sees may differ from the file that is executed."""
    child = run.start("other-name", "1000", executable="/bin/sleep")
    # A start does not wait for the program to be loaded.
    line = Path(f"/proc/{child.pid}/cmdline")
    eventually(lambda: line.read_bytes() == b"other-name\x001000\0")


def test_bare_name_is_found_in_the_path_of_the_child(run: Run, tmp_path: Path) -> None:
    """A name without a slash is looked up in the child's PATH, or in the C library's without one."""
    script(tmp_path, "#!/bin/sh\necho mine\n", name="cat")
    assert run.output("cat", env={"PATH": f"{tmp_path}:/bin"})[1] == "mine\n"
    assert run.output("true", env={})[0].code == 0
    relative = {"env": {"PATH": "sub"}, "cwd": str(tmp_path)}
    (tmp_path / "sub").mkdir()
    script(tmp_path / "sub", "#!/bin/sh\necho sub\n", name="program")
    assert run.output("program", **relative)[1] == "sub\n"
    missing = refused(run, "no-such-program", env={"PATH": str(tmp_path)})
    assert (missing.stage, missing.errno) == ("exec", errno.ENOENT)
    assert f'"no-such-program" in the folders of PATH ({tmp_path})' in str(missing)
    script(tmp_path, "", 0o644, name="barred")
    assert refused(run, "barred", env={"PATH": str(tmp_path)}).stage == "permission"


def test_nothing_waits_for_or_warns_about_a_child() -> None:
    """The object that started a child leaves it to its pidfd: no warning, no lost exit status."""
    spec = SpawnSpec(argv=("sh", "-c", "exit 7"), executable="/bin/sh", env=ENV)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        child = spawn(spec)
        gc.collect()
        eventually(lambda: (row := proc.row(child.pid)) and not row.is_alive)
        # Each new Popen polls those that were left behind.
        assert ended(spawn(spec)).code == 7
    assert ended(child).code == 7


# --- limits --------------------------------------------------------------------------------------------------------


def soft_and_hard(run: Run, name: str, **what: object) -> list[str]:
    text = run.report("/proc/self/limits", **what)
    return next(line[26:].split()[:2] for line in text.splitlines() if line.startswith(name))


def test_child_has_the_original_limit_on_descriptors(run: Run) -> None:
    """A daemon that raised its own soft limit starts children with the one of before, without prlimit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft_and_hard(run, "Max open files", nofile=(soft - 100, hard)) == [str(soft - 100), str(hard)]
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (soft, hard)


def test_a_daemon_with_more_open_than_its_children_may_have_starts_them(run: Run) -> None:
    """Above the children's limit they are started all the same, with their limit, and nothing leaks to them."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    many = [os.open("/dev/null", os.O_RDONLY) for _ in range(120)]
    try:
        assert soft_and_hard(run, "Max open files", nofile=(100, hard)) == ["100", str(hard)]
        _, text = run.output("/bin/sh", "-c", "ls /proc/$$/fd", nofile=(100, hard))
    finally:
        for fd in many:
            os.close(fd)
    assert text.split() == ["0", "1", "2"]


def test_unlimited_descriptors_are_as_many_as_there_can_be(run: Run) -> None:
    """The limit on descriptors can't be infinite: the child gets this process's hard one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft_and_hard(run, "Max open files", limits={"nofile": (-1, -1)}) == [str(hard), str(hard)]


def test_limits_are_set_for_the_child_alone(run: Run) -> None:
    """Soft and hard limits hold in the child from its first instruction; ours are as before."""
    before = [resource.getrlimit(limit.number) for limit in limits.LIMITS]
    wanted = {"nproc": (5000, 6000), "core": (0, 0), "nofile": (64, 65)}
    status, text = run.output("/bin/cat", "/proc/self/limits", limits=wanted, nofile=(1, 2))
    assert status.code == 0
    rows = {line[:26].strip(): line[26:].split()[:2] for line in text.splitlines()}
    assert rows["Max processes"] == ["5000", "6000"]
    assert rows["Max core file size"] == ["0", "0"]
    assert rows["Max open files"] == ["64", "65"]
    assert before == [resource.getrlimit(limit.number) for limit in limits.LIMITS]


def test_limits_do_not_change_what_is_told_about_a_quick_death(run: Run) -> None:
    """A program under limits that ends at once has its own exit code, also one that looks like prlimit's."""
    for code in (0, 1, 126, 127):
        status, _ = run.output("/bin/sh", "-c", f"exit {code}", limits={"core": (0, 0)})
        assert status.code == code


def test_limit_that_this_system_refuses_is_told(run: Run) -> None:
    """Soft above hard, an unknown name: stage limits, before anything was started."""
    error = refused(run, *SLEEP, limits={"nproc": (20, 10)})
    assert error.stage == "limits"
    assert "the soft one (20) is above the hard one (10)" in str(error)
    assert refused(run, *SLEEP, limits={"nonsense": (1, 1)}).stage == "limits"


def test_raising_a_hard_limit_without_privilege_is_refused(as_nobody: AsNobody) -> None:
    """An ordinary user's daemon says what its hard limit is."""

    def attempt() -> list[object]:
        resource.setrlimit(resource.RLIMIT_NPROC, (900, 900))
        try:
            spawn(SpawnSpec(argv=SLEEP, executable=SLEEP[0], env=ENV, limits={"nproc": (1000, 1000)}))
        except SpawnError as error:
            return [error.stage, error.errno, str(error)]
        return []

    stage, number, text = as_nobody(attempt)
    assert (stage, number) == ("limits", errno.EPERM)
    assert "nproc to 1000: the hard limit here is 900" in text


def test_hard_limit_is_raised_for_a_child_of_another_user(run: Run, root: None) -> None:
    """Root's daemon gives an unprivileged child more than the daemon itself has, and keeps its own limit."""
    if not users.has_capability(CAP_SYS_RESOURCE):
        pytest.skip("root here may not raise limits")
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 4096))
    try:
        who = {"uid": NOBODY, "gid": NOBODY}
        assert soft_and_hard(run, "Max core file size", limits={"core": (8192, 8192)}, **who) == [
            "8192",
            "8192",
        ]
        assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 4096)
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)


def test_child_has_its_own_out_of_memory_score(run: Run) -> None:
    """The score is right from the start, and this process has its own again."""
    before = limits.oom_score_adj()
    child = run.start(*SLEEP, oom_score_adj=before + 7)
    assert int(Path(f"/proc/{child.pid}/oom_score_adj").read_text()) == before + 7
    assert limits.oom_score_adj() == before


# --- users ---------------------------------------------------------------------------------------------------------


def test_child_of_another_user_keeps_no_right_of_ours(run: Run, root: None) -> None:
    """All four uids and gids and the groups are those asked for, and no capability is left."""
    status = run.report("/proc/self/status", uid=NOBODY, gid=NOBODY, groups=(NOBODY, 4321))
    assert status_field(status, "Uid") == [str(NOBODY)] * 4
    assert status_field(status, "Gid") == [str(NOBODY)] * 4
    assert status_field(status, "Groups") == ["4321", str(NOBODY)]
    assert int(status_field(status, "CapEff")[0], 16) == 0


@pytest.mark.parametrize("groups", [None, ()])
def test_root_s_groups_never_reach_another_user(run: Run, root: None, groups: tuple[int, ...] | None) -> None:
    """Without groups a child of another user has its own group only."""
    before = os.getgroups()
    os.setgroups([7, 8])
    try:
        status = run.report("/proc/self/status", uid=NOBODY, gid=NOBODY, groups=groups)
    finally:
        os.setgroups(before)
    assert status_field(status, "Groups") == [str(NOBODY)]


def test_user_without_group_is_refused(run: Run, root: None) -> None:
    """A change of user alone would leave the program in root's group."""
    assert refused(run, *SLEEP, uid=NOBODY).stage == "user"


def test_becoming_somebody_else_is_refused_to_ordinary_users(as_nobody: AsNobody) -> None:
    """An ordinary user's daemon tells that only root could do that; as itself it starts programs."""

    def attempt(**who: object) -> list[object]:
        spec = SpawnSpec(argv=("true",), executable="/bin/true", env=ENV, **who)  # type: ignore[arg-type]
        try:
            return ["started", ended(spawn(spec)).code, ""]
        except SpawnError as error:
            return [error.stage, error.errno, str(error)]

    assert as_nobody(lambda: attempt(uid=NOBODY, gid=NOBODY, groups=(NOBODY, 4321)))[:2] == ["started", 0]
    stage, number, text = as_nobody(lambda: attempt(uid=12, gid=12, groups=(12,)))
    assert (stage, number) == ("user", errno.EPERM)
    assert "could not become user 12 for /bin/true" in text
    assert "runs as user 65534" in text
    assert as_nobody(lambda: attempt(gid=12))[0] == "groups"


def test_own_user_never_keeps_groups_that_were_not_asked_for(as_nobody: AsNobody) -> None:
    """What an ordinary user's daemon can't give up it tells; fewer groups than asked for do no harm."""

    def attempt() -> list[str]:
        told = []
        for ours, asked in (([], (NOBODY, 4321)), ([4321], (NOBODY, 4321)), ([4321], ())):
            os.seteuid(0)
            os.setgroups(ours)
            os.seteuid(NOBODY)
            spec = SpawnSpec(argv=("true",), executable="/bin/true", env=ENV, gid=NOBODY, groups=asked)
            try:
                ended(spawn(spec))
                told.append("started")
            except SpawnError as error:
                told.append(error.stage)
        return told

    # The saved uid 0 lets the test change its groups; the daemon sees an ordinary user all the same.
    assert as_nobody(attempt, saved_uid=0) == ["started", "started", "groups"]


# --- failures ------------------------------------------------------------------------------------------------------


def test_missing_folder_is_stage_chdir(run: Run, tmp_path: Path) -> None:
    """A working directory that is not there is told as such, in a sentence."""
    missing = str(tmp_path / "missing")
    error = refused(run, *SLEEP, cwd=missing)
    assert (error.stage, error.errno, error.program) == ("chdir", errno.ENOENT, "/bin/sleep")
    assert str(error) == f"could not change directory to {missing}: no such file or directory"
    file = tmp_path / "file"
    file.touch()
    assert refused(run, *SLEEP, cwd=str(file)).stage == "chdir"


FAILURES = [
    ("missing", "exec", errno.ENOENT, "there is no such file"),
    ("dangling", "exec", errno.ENOENT, "a symbolic link to /no/such/target, which does not exist"),
    ("no/folder/program", "exec", errno.ENOENT, "there is no folder"),
    ("interpreterless", "interpreter", errno.ENOENT, "its interpreter /no/such/interpreter does not exist"),
    ("windows", "interpreter", errno.ENOENT, "carriage return"),
    ("plain", "permission", errno.EACCES, "chmod +x"),
    ("folder", "permission", errno.EACCES, "it is a folder"),
    ("barred-interpreter", "interpreter", errno.EACCES, "may not be executed"),
    ("circle", "exec", errno.ELOOP, "in a circle"),
]


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    """One file for each way in which an exec fails."""
    script(tmp_path, "#!/no/such/interpreter\n", name="interpreterless")
    script(tmp_path, "#!/bin/sh\r\n", name="windows")
    plain = script(tmp_path, "#!/bin/sh\n", 0o644, name="plain")
    script(tmp_path, f"#!{plain}\n", name="barred-interpreter")
    script(tmp_path, "echo no first line\n", name="shapeless")
    (tmp_path / "folder").mkdir()
    (tmp_path / "dangling").symlink_to("/no/such/target")
    (tmp_path / "circle").symlink_to("circle")
    return tmp_path


@pytest.mark.parametrize("limited", [False, True], ids=["plain", "with limits"])
@pytest.mark.parametrize(("name", "stage", "number", "words"), FAILURES)
def test_program_that_can_t_be_executed_is_told_exactly(
    run: Run, zoo: Path, name: str, stage: str, number: int, words: str, limited: bool
) -> None:
    """Stage, errno, program and sentence are the same whether limits are set first or not."""
    wanted = {"core": (0, 0)} if limited else {}
    program = str(zoo / name)
    error = refused(run, program, limits=wanted)
    assert (error.stage, error.errno, error.program) == (stage, number, program)
    assert words in str(error)
    assert program in str(error)


def test_file_without_a_format_is_stage_exec(run: Run, zoo: Path) -> None:
    """A script without a first line that names its interpreter is not given to a shell."""
    error = refused(run, str(zoo / "shapeless"))
    assert (error.stage, error.errno) == ("exec", errno.ENOEXEC)
    assert "#!/bin/sh" in str(error)


def test_program_that_is_being_written_is_told(run: Run, tmp_path: Path) -> None:
    """ETXTBSY says what to do: try again."""
    copy = tmp_path / "copy"
    shutil.copy("/bin/true", copy)
    with copy.open("ab"):
        error = refused(run, str(copy))
    assert (error.stage, error.errno) == ("exec", errno.ETXTBSY)


def test_too_long_arguments_are_told(run: Run) -> None:
    """E2BIG names what is too long."""
    error = refused(run, "/bin/true", *["x" * 100_000] * 40)
    assert (error.stage, error.errno) == ("exec", errno.E2BIG)


def test_null_byte_is_told_and_not_raised_as_something_else(run: Run) -> None:
    """What can't be given to exec at all is a SpawnError too."""
    assert refused(run, "/bin/true", "a\0b").stage == "exec"
    assert refused(run, "/bin/true", env={"A=B": "c"}).stage == "exec"
    with pytest.raises(SpawnError, match="there is no command"):
        spawn(SpawnSpec(argv=(), executable="/bin/true", env=ENV))


def test_permission_is_looked_at_as_the_user_who_will_run_it(run: Run, root: None, tmp_path: Path) -> None:
    """A program in a folder that its user may not enter is told with the user's number, with limits or without."""
    tmp_path.chmod(0o700)
    program = script(tmp_path, "#!/bin/sh\nexit 0\n")
    for wanted in ({}, {"core": (0, 0)}):
        error = refused(run, program, uid=NOBODY, gid=NOBODY, limits=wanted)
        assert (error.stage, error.errno) == ("permission", errno.EACCES)
        assert f"user {NOBODY}" in str(error)


def test_last_descriptors_are_kept_for_the_daemon(run: Run) -> None:
    """As many children as fit are started; then it is told why no more, and all can still be looked up and killed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(fd) for fd in os.listdir("/proc/self/fd") if int(fd) < 200)
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 120, hard))
    children: list[Child] = []
    try:
        with pytest.raises(SpawnError, match="kept for the daemon itself") as caught:
            children.extend(run.start(*SLEEP) for _ in range(200))
        assert limits.free_descriptors() >= 25
        killed = proc.kill_tree([proc.Identity(child.pid, child.start) for child in children])
        assert {one.pid for one in killed} == {child.pid for child in children}
        for child in children:
            run.wait(child)
        run.start(*SLEEP)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (caught.value.stage, caught.value.errno) == ("descriptors", errno.EMFILE)
    assert len(children) > 20


def test_no_descriptors_left_is_told_and_harms_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever in a spawn the descriptors run out, it fails with stage descriptors; with room again it works."""
    # Others, in threads, may have taken those that were kept.
    monkeypatch.setattr("circusd.kernel.spawn.KEPT_DESCRIPTORS", 0)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(fd) for fd in os.listdir("/proc/self/fd"))
    told: list[SpawnError | None] = []
    for spare in range(6):
        full = []
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 50, hard))
        try:
            with contextlib.suppress(OSError):
                while True:
                    full.append(os.open("/dev/null", os.O_RDONLY))
            for _ in range(spare):
                os.close(full.pop())
            run.start(*SLEEP)
            told.append(None)
        except SpawnError as error:
            told.append(error)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for fd in full:
                os.close(fd)
    failed = [error for error in told if error is not None]
    assert [(error.stage, error.errno) for error in failed] == [("descriptors", errno.EMFILE)] * len(failed)
    assert 2 <= len(failed) < len(told)
    assert run.output("/bin/true")[0].code == 0


def test_bad_descriptor_is_told(run: Run) -> None:
    """A descriptor that is not open is stage descriptors."""
    assert refused(run, *SLEEP, stdout=987).stage == "descriptors"
    assert refused(run, *SLEEP, pass_fds=(987,)).stage == "descriptors"


def test_too_many_processes_is_stage_fork(as_nobody: AsNobody) -> None:
    """A fork that the limit on processes refuses says so, and the daemon lives on."""

    def attempt() -> list[object]:
        spec = SpawnSpec(argv=("true",), executable="/bin/true", env=ENV)
        before = resource.getrlimit(resource.RLIMIT_NPROC)
        resource.setrlimit(resource.RLIMIT_NPROC, (0, before[1]))
        try:
            ended(spawn(spec))
        except SpawnError as error:
            told = [error.stage, error.errno, str(error)]
        else:
            told = ["started"]
        resource.setrlimit(resource.RLIMIT_NPROC, before)
        return [*told, ended(spawn(spec)).code]

    stage, number, text, after = as_nobody(attempt)
    assert (stage, number, after) == ("fork", errno.EAGAIN, 0)
    assert "nproc" in text


def test_failed_spawn_leaves_no_process_and_no_descriptor(run: Run, tmp_path: Path) -> None:
    """A hundred failures of each kind cost nothing that stays (the leak check of all tests looks after it)."""
    children = list(pidfd.children())
    descriptors = os.listdir("/proc/self/fd")
    for what in ({"executable": "/no/such"}, {"cwd": "/no/such"}, {"limits": {"core": (2, 1)}}):
        for _ in range(100):
            refused(run, "/bin/true", **what)
    assert list(pidfd.children()) == children
    assert os.listdir("/proc/self/fd") == descriptors


# --- cost ----------------------------------------------------------------------------------------------------------


def test_spawning_does_not_copy_this_process(run: Run) -> None:
    """A spawn takes about as long beside a large heap as beside a small one: vfork, on the common path."""

    def fastest() -> float:
        times = []
        for _ in range(8):
            started = time.perf_counter()
            child = run.start(*SLEEP, nofile=resource.getrlimit(resource.RLIMIT_NOFILE))
            times.append(time.perf_counter() - started)
            os.kill(child.pid, signal.SIGKILL)
            run.wait(child)
        return min(times)

    small = fastest()
    heap = bytearray(300 << 20)
    heap[::4096] = b"x" * len(heap[::4096])
    large = fastest()
    del heap
    assert large < small * 3 + 0.002


def test_the_program_is_never_started_by_a_shell_or_a_helper(run: Run) -> None:
    """The pid that is told is the program's own, with limits and without."""
    for wanted in ({}, {"core": (0, 0)}):
        child = run.start(*SLEEP, limits=wanted)
        assert os.path.samefile(f"/proc/{child.pid}/exe", "/bin/sleep")


def test_new_python_interpreters_work_too(run: Run) -> None:
    """A real program with a real environment: this interpreter."""
    status, text = run.output(sys.executable, "-c", "import os; print(os.getsid(0) == os.getpid())")
    assert (status.code, text) == (0, "True\n")


def test_set_uid_program_under_limits_counts_as_executed(as_nobody: AsNobody, shared_folder: Path) -> None:
    """What an ordinary user's daemon may not look at any more is not prlimit any more."""
    program = shared_folder / "setuid-sleep"
    shutil.copy("/bin/sleep", program)
    program.chmod(0o4755)
    assert program.stat().st_mode & stat.S_ISUID

    def attempt() -> float:
        started = time.monotonic()
        child = spawn(SpawnSpec(argv=("s", "0.2"), executable=str(program), env=ENV, limits={"core": (0, 0)}))
        took = time.monotonic() - started
        assert ended(child).code == 0
        return took

    assert as_nobody(attempt) < 5


def test_subprocess_of_others_is_not_disturbed(run: Run) -> None:
    """Programs started beside ours by the standard library keep their exit codes."""
    run.start(*SLEEP)
    assert subprocess.run(["/bin/sh", "-c", "exit 5"], check=False).returncode == 5
