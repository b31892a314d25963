"""The users' hook functions, called outside the daemon: one process for each watcher that has hooks.

The process is started when the first hook is called. Calls of one watcher run one after another, each with its time
limit; one that does not come back is ended together with everything that it started, and the next call gets a new
process. The daemon itself imports nothing of the user's.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

import gevent
from gevent.event import Event

from circusd.config.model import HookConfig

from . import clock
from .hookprocess import END_LIMIT, Broken, HookProcess, Surroundings
from .reaper import Reaper

log = logging.getLogger("circusd.hooks")

T = TypeVar("T")

DECIDING: Final = ("before_start", "after_start", "before_spawn", "after_spawn", "before_signal")
"""The hooks whose result decides; of the others only an error counts as failure."""

START_LIMIT: Final = 30.0
"""Seconds that the process has to come up in; not counted against a hook."""

PATIENCE: Final = 2.0
"""Seconds that hooks which are under way have to end in when the daemon ends."""


@dataclass(frozen=True, slots=True)
class HookResult:
    """How a hook ended."""

    ok: bool
    """What should follow may follow: it returned truth, or raised and its failures are to be ignored."""
    error: str = ""
    """What went wrong, also where it is ignored."""
    changed: Mapping[str, Any] = field(default_factory=dict)
    """What the hook changed: ``stats`` (whole), ``env`` (by name, None for what it removed), ``options`` of its watcher."""


@dataclass(slots=True)
class _Call:
    message: dict[str, Any]
    timeout: float | None
    done: Callable[[dict[str, Any]], None]


class Hooks:
    """Calls hooks. ``endpoint`` tells where the functions reach the daemon's commands.

    ``python_path`` are folders in which hook modules are found beside the installed ones. ``output`` gets, with the
    watcher's name, each line that a hook prints; without it they are logged.
    """

    def __init__(
        self,
        reaper: Reaper,
        base_env: Mapping[str, str],
        python_path: Sequence[str] = (),
        endpoint: Callable[[], str] = str,
        *,
        nofile: tuple[int, int] | None = None,
        oom_score_adj: int | None = None,
        output: Callable[[str, bytes], None] | None = None,
    ) -> None:
        self.around = Surroundings(
            reaper, base_env, tuple(python_path), endpoint, nofile, oom_score_adj, output or _log_line
        )
        self._lanes: dict[str, _Lane] = {}
        self._retired: set[_Lane] = set()
        self._ended = False

    def call(
        self,
        snapshot: dict[str, Any],
        hook: str,
        config: HookConfig,
        extra: dict[str, Any],
        timeout: float,
        done: Callable[[HookResult], None],
    ) -> None:
        """``done`` is called later with the result, never before this returns. ``snapshot["name"]`` is the watcher.

        ``timeout`` is seconds from the moment on which the function is called; 0 for no limit.
        """

        def answered(answer: dict[str, Any]) -> None:
            result = _result(hook, config, answer)
            if answer.get("raised"):
                log.warning("hook failed watcher=%r hook=%s error=%s", snapshot["name"], hook, result.error)
            done(result)

        message = {"call": hook, "path": config.path, "watcher": snapshot, "extra": extra}
        self._lane(snapshot["name"]).put(_Call(message, timeout if timeout > 0 else None, answered))

    def check(
        self, watcher: str, hooks: Mapping[str, HookConfig], timeout: float = START_LIMIT
    ) -> dict[str, str]:
        """What is wrong with the paths of these hooks, by hook; empty if all can be imported and called.

        Waits for the answer, in a greenlet that is not the hub; starts the watcher's process.
        """
        if not hooks:
            return {}
        answer: dict[str, Any] = {}
        over = Event()

        def answered(given: dict[str, Any]) -> None:
            answer.update(given)
            over.set()

        message = {"check": {name: config.path for name, config in hooks.items()}}
        self._lane(watcher).put(_Call(message, timeout, answered))
        over.wait()
        problems = answer.get("problems")
        if not isinstance(problems, dict):
            return dict.fromkeys(hooks, str(answer.get("error", "")))
        return {str(name): str(problem) for name, problem in problems.items()}

    def close(self, watcher: str) -> None:
        """The watcher's process ends when what was asked of it is done; a later call starts a new one."""
        lane = self._lanes.pop(watcher.lower(), None)
        if lane is not None:
            self._retired.add(lane)
            lane.retire()

    def close_all(self, patience: float = PATIENCE) -> None:
        """All processes have ended: of themselves within so many seconds, else killed. Waits, in a greenlet."""
        self._ended = True
        for name in list(self._lanes):
            self.close(name)
        until = clock.now() + patience
        for lane in list(self._retired):
            if not lane.gone.wait(max(0.0, until - clock.now())):
                lane.kill()
        for lane in list(self._retired):
            lane.gone.wait(END_LIMIT)

    def pids(self) -> dict[str, int]:
        """The processes that run hooks now, by the watcher's name in lower case."""
        return {name: lane.runner.child.pid for name, lane in self._lanes.items() if lane.runner is not None}

    def forget(self, lane: _Lane) -> None:
        """A lane that was retired has nothing left."""
        self._retired.discard(lane)

    def _lane(self, watcher: str) -> _Lane:
        lane = self._lanes.get(watcher.lower())
        if lane is None:
            lane = _Lane(self, watcher)
            if self._ended:
                # Nobody would end a process that is started now.
                lane.kill()
            else:
                self._lanes[watcher.lower()] = lane
        return lane


class _Lane:
    """The calls of one watcher, in their order, and the process that carries them out."""

    def __init__(self, hooks: Hooks, watcher: str) -> None:
        self.hooks = hooks
        self.watcher = watcher
        self.runner: HookProcess | None = None
        self.gone = Event()
        """Set when a retired lane holds nothing any more."""
        self._calls: deque[_Call] = deque()
        self._busy = False
        self._retired = False
        self._killed = False
        self._runners = 0

    def put(self, call: _Call) -> None:
        """The call is carried out when those before it are done."""
        self._calls.append(call)
        if not self._busy:
            # No greenlet stays behind for a watcher whose hooks have nothing to do.
            self._busy = True
            gevent.spawn(self._run)

    def retire(self) -> None:
        """After the last call the process ends."""
        self._retired = True
        self._settle()

    def kill(self) -> None:
        """Nothing more is carried out; who waits is told so."""
        self._killed = True
        if self.runner is not None:
            self.runner.kill()

    def _run(self) -> None:
        while self._calls:
            call = self._calls.popleft()
            try:
                answer = self._carry_out(call)
            except Broken as problem:
                answer = {"ok": False, "raised": True, "error": str(problem)}
            try:
                call.done(answer)
            except Exception:
                log.exception("the result of a hook could not be delivered watcher=%r", self.watcher)
        self._busy = False
        self._settle()

    def _carry_out(self, call: _Call) -> dict[str, Any]:
        if self._killed:
            raise Broken("the daemon ends")
        runner = self.runner
        if runner is None or runner.unusable:
            runner = self._start()
        answer = _within(call.timeout, partial(runner.ask, call.message))
        if answer is None:
            runner.kill()
            raise Broken(f"it did not come back within {call.timeout:g} s and was ended")
        return answer

    def _start(self) -> HookProcess:
        runner = self.runner = HookProcess(self.hooks.around, self.watcher, self._ended)
        self._runners += 1
        if _within(START_LIMIT, runner.await_hello) is None:
            runner.kill()
            raise Broken(f"the process for hooks did not come up within {START_LIMIT:g} s")
        return runner

    def _ended(self, runner: HookProcess) -> None:
        self._runners -= 1
        if self.runner is runner:
            self.runner = None
        self._settle()

    def _settle(self) -> None:
        """Once retired and without a call: no process either."""
        if not self._retired or self._busy:
            return
        if self.runner is not None:
            self.runner.dismiss()
        if not self._runners:
            self.gone.set()
            self.hooks.forget(self)


def _within(seconds: float | None, run: Callable[[], T]) -> T | None:
    """What it returns, or None when so many seconds were over first; None for as long as it takes."""
    limit = gevent.Timeout(seconds)
    try:
        with limit:
            return run()
    except gevent.Timeout as over:
        if over is not limit:
            raise
        return None


def _result(hook: str, config: HookConfig, answer: Mapping[str, Any]) -> HookResult:
    """The truth table: a false result fails where the result decides, an error everywhere unless it is ignored."""
    error = str(answer.get("error", ""))
    if answer.get("raised"):
        return HookResult(config.ignore_failure, error)
    changed = answer.get("changed")
    changed = changed if isinstance(changed, dict) else {}
    if hook in DECIDING and not answer.get("ok"):
        return HookResult(False, error or "it returned a false value", changed)
    return HookResult(True, "", changed)


def _log_line(watcher: str, line: bytes) -> None:
    log.info("hook of %s: %s", watcher, line.decode("utf-8", "backslashreplace"))
