"""Start a program by vfork, and say in a sentence what went wrong if it could not be started.

Nothing is run in the child before the exec but what subprocess does in C. What is wrong is found out after a
failure; a spawn that succeeds pays for no check.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from circusd.kernel import limits, listenfds, prlimit, proc, scheduling, users
from circusd.kernel.diagnosis import explain_exec, foresee, in_words
from circusd.kernel.sockets import FIRST_OF_MANAGER
from circusd.schema.errors import ConfigError, SpawnError

NULL_DEVICE: Final = "/dev/null"

# What subprocess opens for one spawn: a pipe in the parent, a folder in the child; and some that threads may take.
DESCRIPTORS_OF_A_SPAWN: Final = 8

# Kept for the daemon itself: with the last descriptor gone it could neither answer nor look up whom to kill.
KEPT_DESCRIPTORS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class SpawnSpec:
    """Everything that a process starts with.

    ``stdin``, ``stdout``, ``stderr``: descriptors of this process, None for the null device. ``pass_fds`` keep their
    numbers in the child. ``listen``: sockets by name that it gets by systemd's protocol, from descriptor 3 on, in that
    order. ``at``: descriptors of this process by the number, from 3 to 18, that they have in the child. ``pid_variables``:
    variables that have its own pid. ``limits``: (soft, hard) by name, -1 for unlimited; they win over ``nofile``, the limits on
    descriptors of before this daemon raised its own. None means "as this process" everywhere else.
    """

    argv: tuple[str, ...]
    executable: str
    env: Mapping[str, str]
    cwd: str | None = None
    uid: int | None = None
    gid: int | None = None
    groups: tuple[int, ...] | None = None
    umask: int | None = None
    limits: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    stdin: int | None = None
    stdout: int | None = None
    stderr: int | None = None
    pass_fds: tuple[int, ...] = ()
    listen: Mapping[str, int] = field(default_factory=dict)
    at: Mapping[int, int] = field(default_factory=dict)
    pid_variables: tuple[str, ...] = ()
    nofile: tuple[int, int] | None = None
    oom_score_adj: int | None = None
    scheduling: scheduling.Scheduling = scheduling.AS_HERE


class Child:
    """A process that has been started: its pid, and the descriptor to signal and to reap it by."""

    __slots__ = ("_start", "pid", "pidfd")

    def __init__(self, pid: int, pidfd: int) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self._start: int | None = None

    @property
    def start(self) -> int:
        """Its start time in ticks, looked up when it is first wanted, which has to be before it is reaped; else 0.

        Raises OSError if we have no descriptor left.
        """
        if self._start is None:
            # Not by `spawn`: while a program is being loaded this waits for it, as long as all the rest takes.
            self._start = proc.start_time(self.pid) or 0
        return self._start

    @property
    def identity(self) -> proc.Identity:
        """This process and no later one with its pid; see `start`."""
        return proc.Identity(self.pid, self.start)


class LimitPlan(NamedTuple):
    """How a child gets its limits: what changes here while it is started, and what prlimit sets before the program."""

    here: tuple[tuple[int, tuple[int, int]], ...]
    by_prlimit: tuple[str, ...]


def spawn(spec: SpawnSpec) -> Child:
    """The program runs in a session of its own, with default signal dispositions and an empty signal mask.

    It has the descriptors 0 to 2, `pass_fds` and those of `listen`, no others. Raises SpawnError with the stage that failed:
    fork, descriptors, environment, limits, scheduling, chdir, user, groups, exec, interpreter or permission. The caller owns the
    pidfd, and nothing
    but the pidfd reaps the process. To be called from one thread at a time.
    """
    program = locate(spec)
    if not spec.argv:
        raise SpawnError("exec", errno.EINVAL, program, "there is no command to start")
    identity = _identity(spec, program)
    with ExitStack() as stack:
        null = _open_null(program)
        stack.callback(os.close, null)
        _keep_some(null, program)
        plan = _plan_limits(spec, program)
        env, before = _before(spec, plan, program)
        argv, executable = list(spec.argv), program
        if before:
            if refusal := foresee(program, spec.cwd):
                raise refusal
            executable = before[0]
            argv = [*before, program, *argv[1:]]
        placed = stack.enter_context(listenfds.placed(_places(spec, program), program))
        _prepare_here(spec, plan, program, stack)
        try:
            popen = subprocess.Popen(
                argv,
                executable=executable,
                env=env,
                cwd=spec.cwd,
                stdin=null if spec.stdin is None else spec.stdin,
                stdout=null if spec.stdout is None else spec.stdout,
                stderr=null if spec.stderr is None else spec.stderr,
                pass_fds=(*placed, *spec.pass_fds),
                start_new_session=True,
                umask=-1 if spec.umask is None else spec.umask,
                **identity,
            )
        except OSError as error:
            raise _failure(error, spec, program, executable, identity) from error
        except (ValueError, OverflowError, subprocess.SubprocessError) as error:
            raise SpawnError("exec", errno.EINVAL, program, f"could not start {program}: {error}") from error
        # The process is reaped by its pidfd: subprocess must neither wait for it nor warn that it still runs.
        popen.returncode = 0
    child = Child(popen.pid, _open_pidfd(popen.pid, program))
    scheduling.give_nice(child.pid, spec.scheduling)
    if before:
        helpers = [word for word in before if word == executable or word in listenfds.SHELLS]
        prlimit.await_exec(child.pid, child.pidfd, helpers, program, spec.cwd, identity.get("user"))
    return child


def _places(spec: SpawnSpec, program: str) -> dict[int, int]:
    """Which descriptor of this process stands at which number in the child."""
    places = {FIRST_OF_MANAGER + number: fd for number, fd in enumerate(spec.listen.values())}
    taken = sorted(places.keys() & spec.at.keys())
    if taken:
        text = (
            f"could not give {program} its descriptor {taken[0]}: a socket has that number, by listen_fds; "
            f"let ready name one from {FIRST_OF_MANAGER + len(places)} on"
        )
        raise SpawnError("descriptors", errno.EEXIST, program, text)
    return {**places, **spec.at}


def _before(spec: SpawnSpec, plan: LimitPlan, program: str) -> tuple[Mapping[str, str], list[str]]:
    """The environment, and the words of what is executed before the program."""
    env, words = spec.env, []
    if plan.by_prlimit:
        words = [prlimit.find_prlimit(program), *plan.by_prlimit, "--"]
    of_pid = spec.pid_variables
    if spec.listen:
        env = {**env, **listenfds.variables(tuple(spec.listen))}
        of_pid = (listenfds.LISTEN_PID, *of_pid)
    if of_pid:
        shell, env = listenfds.by_shell(env, program, of_pid)
        words += shell
    return env, words


def locate(spec: SpawnSpec) -> str:
    """The program's path: as given if it has a slash, else found in the PATH that the process will have.

    Without a PATH the C library's default one counts. Raises SpawnError (exec, or permission if the only ones there
    can't be executed).
    """
    name = spec.executable
    if "/" in name:
        return name
    path = spec.env.get("PATH")
    if path is None:
        path = os.confstr("CS_PATH") or "/bin:/usr/bin"
    barred = ""
    for folder in path.split(":") if name else ():
        candidate = os.path.join(folder or ".", name)
        seen = os.path.join(spec.cwd or "", candidate)
        if os.path.isfile(seen):
            if os.access(seen, os.X_OK):
                return candidate
            barred = barred or seen
    if barred:
        raise SpawnError(
            "permission", errno.EACCES, barred, f"may not execute {barred}: it is not marked as executable"
        )
    raise SpawnError(
        "exec", errno.ENOENT, name, f'could not find a program "{name}" in the folders of PATH ({path})'
    )


def _identity(spec: SpawnSpec, program: str) -> dict[str, Any]:
    """The arguments that change user and groups; empty where nothing changes, because they cost a full fork."""
    changes: dict[str, Any] = {}
    uid, gid = os.geteuid(), os.getegid()
    # With a real uid that differs (a set-uid daemon) the child could take the other one back.
    other_user = spec.uid is not None and (spec.uid, spec.uid) != (uid, os.getuid())
    if other_user:
        if spec.gid is None:
            raise SpawnError("user", errno.EINVAL, program, f"user {spec.uid} was given without its group")
        changes["user"] = spec.uid
    if spec.gid is not None and (spec.gid, spec.gid) != (gid, os.getgid()):
        changes["group"] = spec.gid
    groups = spec.groups
    if groups is None and other_user:
        groups = ()
    if groups is not None:
        wanted = set(groups) | ({spec.gid} if spec.gid is not None else set())
        ours = set(os.getgroups())
        # Who can't change his groups may still start programs as himself, if that gives nothing not asked for.
        if ours - {gid} != wanted - {gid} and (uid == 0 or changes or not ours <= wanted | {gid}):
            # Never an empty list: Python 3.12.0 takes that for "leave them as they are".
            changes["extra_groups"] = sorted(wanted) or [gid]
    return changes


def _plan_limits(spec: SpawnSpec, program: str) -> LimitPlan:
    here: list[tuple[int, tuple[int, int]]] = []
    by_prlimit: list[str] = []
    wanted = dict(spec.limits)
    if spec.nofile is not None:
        wanted.setdefault("nofile", spec.nofile)
    for name, (soft, hard) in wanted.items():
        try:
            limit = limits.find(name)
        except ConfigError as error:
            raise SpawnError("limits", errno.EINVAL, program, str(error)) from error
        if limits.is_lower(hard, soft):
            raise SpawnError(
                "limits",
                errno.EINVAL,
                program,
                f"could not set the limit {limit.name}: the soft one ({limits.in_words(soft)}) is above "
                f"the hard one ({limits.in_words(hard)})",
            )
        ours = resource.getrlimit(limit.number)
        if limit.name == "nofile":
            # The one limit that can't be unlimited: the most there is.
            soft, hard = (ours[1] if value == limits.INFINITY else value for value in (soft, hard))
        if (soft, hard) == ours:
            continue
        if limit.name == "nofile" and hard == ours[1] and _has_room_below(soft):
            here.append((limit.number, (soft, hard)))
            continue
        if limits.is_lower(ours[1], hard):
            # The child is perhaps no longer privileged when prlimit runs in it; a hard limit raised here for a moment
            # does no harm.
            here.append((limit.number, (ours[0], hard)))
        by_prlimit.append(f"--{limit.name}={limits.in_words(soft)}:{limits.in_words(hard)}")
    return LimitPlan(tuple(here), tuple(by_prlimit))


def _has_room_below(soft: int) -> bool:
    """Whether enough descriptors are free below a limit to start a process while it holds.

    A daemon that has more open than its children may have would run into their limit itself.
    """
    if soft == limits.INFINITY:
        return True
    probes: list[int] = []
    try:
        while len(probes) < DESCRIPTORS_OF_A_SPAWN:
            probes.append(os.open("/", os.O_PATH | os.O_CLOEXEC))
            if probes[-1] >= soft:
                return False
    except OSError:
        return False
    finally:
        for probe in probes:
            os.close(probe)
    return True


def _prepare_here(spec: SpawnSpec, plan: LimitPlan, program: str, stack: ExitStack) -> None:
    """What a child can only inherit is changed in this process until the stack is closed."""
    for number, during in plan.here:
        before = resource.getrlimit(number)
        try:
            resource.setrlimit(number, during)
        except (OSError, ValueError) as error:
            name = next(limit.name for limit in limits.LIMITS if limit.number == number)
            raise SpawnError(
                "limits",
                errno.EPERM,
                program,
                f"could not raise the limit {name} to {limits.in_words(during[1])}: the hard limit here is "
                f"{limits.in_words(before[1])}, and only a privileged daemon may exceed it",
            ) from error
        stack.callback(resource.setrlimit, number, before)
    if spec.oom_score_adj is not None and (score := limits.oom_score_adj()) != spec.oom_score_adj:
        if not limits.set_oom_score_adj(spec.oom_score_adj):
            raise SpawnError(
                "limits",
                errno.EACCES,
                program,
                f"could not set the out-of-memory score to {spec.oom_score_adj}: the system refuses it",
            )
        stack.callback(limits.set_oom_score_adj, score)
    if spec.scheduling != scheduling.AS_HERE:
        stack.enter_context(scheduling.taken_on(spec.scheduling, program))
    if signal.pthread_sigmask(signal.SIG_BLOCK, ()):
        stack.enter_context(_nothing_blocked())


@contextmanager
def _nothing_blocked() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _open_null(program: str) -> int:
    try:
        return os.open(NULL_DEVICE, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise SpawnError(
            "descriptors",
            error.errno or errno.EIO,
            program,
            f"could not open the null device for {program}: {in_words(error.errno)}",
        ) from error


def _keep_some(lowest: int, program: str) -> None:
    """Refuse when only the last descriptors are free. They are given out from the lowest, so the newest one tells."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != limits.INFINITY and lowest >= soft - min(KEPT_DESCRIPTORS, soft // 4):
        raise SpawnError(
            "descriptors",
            errno.EMFILE,
            program,
            f"could not start {program}: the last of {soft} file descriptors are kept for the daemon itself; it "
            "needs a higher limit on open files (nofile)",
        )


def _open_pidfd(pid: int, program: str) -> int:
    try:
        return os.pidfd_open(pid)
    except OSError as error:
        # Nobody could be told of its end. It is our child and not reaped, so the pid is still its own.
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED)
        raise SpawnError(
            "descriptors",
            error.errno or errno.EMFILE,
            program,
            f"could not open a descriptor to watch {program}: {in_words(error.errno)}",
        ) from error


def _failure(
    error: OSError, spec: SpawnSpec, program: str, executable: str, identity: Mapping[str, Any]
) -> SpawnError:
    """What the failed spawn was busy with: subprocess tells the errno, and by the file name about where."""
    number = error.errno or errno.EIO
    reason = in_words(number)
    if error.filename == executable != spec.cwd:
        return explain_exec(number, executable, spec.cwd, identity.get("user"))
    if number in (errno.EMFILE, errno.ENFILE, errno.EBADF):
        text = f"could not give {program} its descriptors: {reason}"
        if number != errno.EBADF:
            text += "; this daemon needs a higher limit on open files (nofile)"
        return SpawnError("descriptors", number, program, text)
    if spec.cwd is not None and not _can_enter(spec.cwd):
        text = f"could not change directory to {spec.cwd}: {reason}"
        return SpawnError("chdir", number, program, text)
    if identity and number in (errno.EPERM, errno.EINVAL):
        return _identity_failure(number, program, identity)
    if number in (errno.EAGAIN, errno.ENOMEM):
        what = "the limit on processes is reached (nproc, or pids.max of the control group)"
        if number == errno.ENOMEM:
            what = "memory is short"
        return SpawnError("fork", number, program, f"could not start a process for {program}: {what}")
    if spec.cwd is not None:
        # It can be entered now and could not then: the folder has changed meanwhile.
        text = f"could not change directory to {spec.cwd}: {reason}"
        return SpawnError("chdir", number, program, text)
    return SpawnError("fork", number, program, f"could not start a process for {program}: {reason}")


def _can_enter(folder: str) -> bool:
    return os.path.isdir(folder) and os.access(folder, os.X_OK, effective_ids=True)


def _identity_failure(number: int, program: str, identity: Mapping[str, Any]) -> SpawnError:
    stage = "user"
    if "user" not in identity or (os.geteuid() == 0 and not users.has_capability(users.CAP_SETGID)):
        stage = "groups"
    what = f"become user {identity['user']}" if stage == "user" else "set the groups"
    why = f"this daemon runs as user {os.geteuid()}, and only root may start programs as somebody else"
    if os.geteuid() == 0:
        why = "this daemon is root without the capability for it"
    if number == errno.EINVAL:
        why = "the number has no meaning in this user namespace"
    return SpawnError(stage, number, program, f"could not {what} for {program}: {in_words(number)}; {why}")
