"""What is going on, in words: the sentences of ``explain``, of events, and of the console's first line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from circusd.schema.values import signal_name

from .health import UNHEALTHY
from .judging import missing
from .outside import with_looks
from .process import (
    ALIVE,
    FAILURE,
    GONE,
    HEALTH,
    READY,
    SCHEDULE,
    SOCKET,
    UP,
    Exit,
    Policy,
    Process,
    State,
    is_held,
)

if TYPE_CHECKING:
    from .watcher import Job, Planner

WORST_FIRST: tuple[State, ...] = (
    State.FAILED,
    State.BACKOFF,
    State.WAITING,
    State.STARTING,
    State.STOPPING,
    State.EXITED,
    State.FROZEN,
    State.RUNNING,
    State.READY,
    State.COMPLETED,
    State.STOPPED,
)
"""What needs a person comes first."""


def worst(states: Iterable[State]) -> State:
    """The state that says most about the need of help; stopped when there is none."""
    found = set(states)
    return next((s for s in WORST_FIRST if s in found), State.STOPPED)


def duration(seconds: float) -> str:
    """A time span as people say it: ``0.4 s``, ``12 s``, ``3 min``, ``2 h 05``, ``3 d 4 h``."""
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes:02d}"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h"


def size(number: float) -> str:
    """An amount of memory as people say it: ``900 B``, ``4.2 MiB``, ``612 MiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1000 or unit == "GiB":
            break
        number /= 1024
    digits = 1 if number < 9.95 and unit != "B" else 0
    return f"{number:.{digits}f}".removesuffix(".0") + f" {unit}"


def signal_word(number: int) -> str:
    """``SIGTERM``, or ``signal 70`` where there is no name."""
    name = signal_name(number)
    return f"signal {name}" if name.isdigit() else name


def ending(end: Exit) -> str:
    """How it ended: ``exited with code 1 after 0.4 s``, ``was ended by SIGKILL``, ``could not be started: …``."""
    if end.stage in (READY, HEALTH):
        return f"was {end.text}"
    if end.stage:
        return f"could not be started: {end.text}"
    after = f" after {duration(end.lived)}" if end.lived is not None else ""
    if end.text:
        return f"did not end{after}, not even by SIGKILL: {end.text}"
    if end.signal is not None:
        return f"was ended by {signal_word(end.signal)}{after}"
    if end.code is not None:
        return f"exited with code {end.code}{after}"
    return f"ended{after}, its exit status is not known"


def count(number: int, noun: str) -> str:
    """``1 process``, ``3 processes``."""
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun}{'es' if noun.endswith('s') else 's'}"


def detail(planner: Planner) -> str:
    """What differs from the plain word of the state: ``1 in backoff``, ``reloading 3 of 5``."""
    parts: list[str] = []
    job = planner.job
    if job is not None and job.kind == "reload":
        parts.append(f"reloading {job.done} of {job.total}")
    elif planner.setback:
        parts.append("reload failed")
    waiting = len(planner.awaited)
    if waiting and not (job is not None and job.kind == "reload"):
        parts.append(f"{waiting} not ready")
    ill = sum(p.is_ill for p in planner.processes.values())
    if ill:
        parts.append(f"{ill} unhealthy")
    if planner.asleep:
        parts.append(_awaited(planner))
    slots = [p for p in planner.processes.values() if not is_held(p)]
    for state, words in (
        (State.FAILED, "failed"),
        (State.BACKOFF, "in backoff"),
        (State.WAITING, "waiting"),
        (State.FROZEN, "frozen"),
    ):
        n = sum(p.state is state for p in slots)
        if n:
            parts.append(f"{n} {words}")
    going = sum(bool(p.replaced) and p.state is State.STOPPING for p in slots)
    if going:
        parts.append(f"{going} being replaced")
    if planner.blind:
        parts.append("watch failed")
    if planner.failure:
        parts.append(planner.failure)
    return ", ".join(parts)


def _awaited(planner: Planner) -> str:
    if not planner.policy.scheduled:
        return "waits for a connection"
    at, _ = planner.next_run()
    ill = "last run failed, " if planner.ill_run else ""
    return ill + (f"next run {at}" if at else "waits for its schedule")


def watcher_state(planner: Planner) -> str:
    """The state whose shape stands for the whole watcher: that of its worst process."""
    status = planner.status()
    if planner.failure:
        return State.FAILED.value
    if planner.waits_for_others:
        return State.WAITING.value
    if status in ("starting", "stopping"):
        return status
    if planner.asleep and planner.ill_run:
        return State.EXITED.value
    # One that runs and is not ready is on its way, whatever else is.
    states = [State.STARTING if p.is_awaited else p.state for p in planner.processes.values()]
    if status == "stopped":
        return worst(s for s in states if s in (State.FAILED, State.EXITED, State.COMPLETED)).value
    found = worst(states) if states else State.RUNNING
    if found is not State.FAILED and any(p.is_ill for p in planner.processes.values()):
        return UNHEALTHY
    return found.value


def explain(planner: Planner, now: float) -> str:
    """One or two sentences: why the watcher is in this state, and what happens next."""
    n = planner.policy.numprocesses
    status = planner.status()
    job = planner.job
    if status == "stopped":
        return _why_stopped(planner)
    if planner.waits_for_others:
        gate = with_looks(planner.gate, planner.asked, now, duration)
        return f"It is to be started, and waits for {gate}."
    if status == "stopping":
        left = [p for p in planner.processes.values() if p.state is State.STOPPING]
        if left:
            killed = [p.kill_by for p in left if p.kill_by is not None]
            if len(killed) == len(left):
                return (
                    f"{count(len(left), 'process')} still to end after SIGKILL; what is left in "
                    f"{duration(max(0.0, max(killed) - now))} is given up."
                )
            by = max((p.stop_by or now) for p in left)
            how = " by stop_command" if any(p.commanded for p in left) else ""
            return (
                f"{count(len(left), 'process')} still to end{how}; what is left in {duration(max(0.0, by - now))} "
                "is ended with SIGKILL."
            )
        return "It is being stopped."
    if planner.asleep and status == "active":
        return _why_asleep(planner)
    still = sum(p.state is State.FROZEN for p in planner.processes.values())
    up = sum(p.state in UP for p in planner.processes.values()) - still
    parts: list[str] = []
    if job is not None and job.kind == "reload":
        parts.append(_reloading(planner, job))
    elif status == "starting":
        parts.append(f"It is being started: {up} of {n} run.")
    if n == 0:
        parts.append("It is active with no process, as numprocesses is 0.")
    elif still and up + still == n and not parts:
        if n > 1:
            parts.append(f"{still} of {n} processes {'stands' if still == 1 else 'stand'} still.")
    elif up == n and not parts:
        parts.append("The process runs." if n == 1 else f"All {n} processes run.")
    elif not parts:
        parts.append(
            "The process does not run."
            if n == 1
            else f"{up} of {n} processes {'runs' if up == 1 else 'run'}."
        )
    tried = [p for p in planner.processes.values() if p.state is State.BACKOFF]
    if tried:
        # The next one to be tried stands for all: its time is the one that counts.
        parts.append(_process_sentence(min(tried, key=_next_try), now, planner.policy))
    if len(tried) > 1:
        parts.append(f"{len(tried) - 1} more {'is' if len(tried) == 2 else 'are'} in backoff.")
    others = [p for p in planner.processes.values() if p.state is not State.BACKOFF]
    for process in sorted(others, key=lambda p: p.wid):
        if len(parts) >= 4:
            break
        if said := _process_sentence(process, now, planner.policy):
            parts.append(said)
    parts += _health_sentences(planner, now)
    replaced = [p for p in planner.processes.values() if p.replaced]
    if replaced and len(parts) < 4:
        parts.append(_replaced(max(replaced, key=lambda p: p.since)))
    if planner.cause[1] and len(parts) < 4:
        parts.append(_caused(planner))
    if planner.blind:
        parts.append(f"It is not seen when its files change: {planner.blind}.")
    if planner.setback and job is None:
        parts.append(f"Its last reload was given up: {planner.setback}.")
    return " ".join(parts)


def _reloading(planner: Planner, job: Job) -> str:
    if job.phase == "stopping new":
        return f"Its reload is being undone: {job.error}."
    left = len(planner.leaving)
    going = f", {count(left, 'old process')} still to end" if left else ""
    return f"It is being reloaded: {job.done} of {job.total} new processes are ready{going}."


def progress(planner: Planner) -> str:
    """What the command under way waits for, in a few words without a clock; nothing where its count says it all."""
    job = planner.job
    if job is None:
        return ""
    if planner.waits_for_others:
        return f"waits for {planner.gate}"
    if job.phase == "stopping new":
        return f"undone, as {job.error}"
    if job.phase == "stopping old":
        return f"{count(len(planner.leaving), 'old process')} still to end"
    awaited = min(planner.awaited, key=lambda p: p.wid, default=None)
    return "" if awaited is None else f"process {awaited.wid} is not ready yet: {missing(awaited)}"


def _process_sentence(p: Process, now: float, policy: Policy) -> str:
    if p.state is State.BACKOFF and p.exit is not None and p.next_try is not None:
        if not p.attempts:
            return f"Process {p.wid} {ending(p.exit)}; it is started again {_later(p.next_try, now)}."
        ran = p.exit.stage in ("", READY, HEALTH)
        tries = f", try {p.attempts + 1}" if ran else _tries(p, policy.max_retry)
        return f"Process {p.wid} {ending(p.exit)}; it is tried again {_later(p.next_try, now)}{tries}."
    if p.state is State.FAILED and p.exit is not None:
        return f"Process {p.wid} {_lost(p)}; {_what_next(p, now)}."
    if p.state is State.FROZEN:
        return f"Process {p.wid} {_frozen(p, now)}."
    if p.is_awaited:
        left = f", and has {duration(max(0.0, p.ready_by - now))} left" if p.ready_by is not None else ""
        return f"Process {p.wid} is not ready yet{left}: {missing(p)}."
    if p.state is State.RUNNING and p.reason:
        return f"Process {p.wid} says that it is {p.reason}."
    if p.state is State.STOPPING and p.amiss and p.exit is not None:
        return f"Process {p.wid} {ending(p.exit)}; it is being stopped."
    if p.state is State.WAITING:
        return f"Process {p.wid} waits for its {p.reason}."
    if p.state in (State.EXITED, State.COMPLETED) and p.exit is not None:
        return f"Process {p.wid} {ending(p.exit)}; it is not started again, {_why_not_again(policy)}."
    return ""


def _next_try(p: Process) -> tuple[float, int]:
    return (p.next_try or 0.0, p.wid)


def _replaced(p: Process) -> str:
    being = "is being" if p.state is State.STOPPING else "was"
    return f"Process {p.wid} {being} replaced because {p.replaced}."


def _caused(planner: Planner) -> str:
    kind, why = planner.cause
    being = "is being" if planner.job is not None and planner.job.why == why else "was"
    return f"It {being} {kind}ed because {why}."


def _health_sentences(planner: Planner, now: float) -> list[str]:
    """What is known of the one that has been unhealthy longest, and how many are so beside it; else of one that soon will be."""
    looked = [p for p in planner.processes.values() if p.health is not None]
    looked.sort(key=lambda p: (not p.is_ill, p.health.since if p.health is not None else 0.0, p.wid))
    found = [sentence for p in looked if (sentence := _health_sentence(p, now, planner))][:1]
    more = sum(p.is_ill for p in looked) - 1
    if more > 0:
        found.append(f"{count(more, 'more process')} {'is' if more == 1 else 'are'} unhealthy.")
    return found


def _health_sentence(p: Process, now: float, planner: Planner) -> str:
    """What is known of one that is unhealthy, or soon will be."""
    rules, found = planner.policy.alive, p.health
    if rules is None or found is None or not found.text:
        return ""
    if p.is_ill:
        since = f"Process {p.wid} has been unhealthy for {duration(now - found.since)}: {found.text}"
        if rules.at_once <= 0:
            return f"{since}; as alive_replace is 0, nobody replaces it."
        if planner.job is not None and planner.job.kind == "reload":
            return f"{since}; it is replaced when the reload is over."
        others = [str(other.wid) for other in planner.active if other.is_coming]
        first = f"once it is known how process {others[0]} is" if others else "now"
        return f"{since}; it is replaced {first}."
    if not found.failures:
        spared = duration(max(0.0, found.spared_until - now))
        return f"Process {p.wid} has {spared} left in which that does not count: {found.text}."
    looks = "its last look" if found.failures == 1 else f"its last {found.failures} looks"
    return f"Process {p.wid} has failed {looks}, and is unhealthy after {rules.failures}: {found.text}."


def _frozen(p: Process, now: float) -> str:
    by = f" by {p.frozen_by}" if p.frozen_by else ""
    then = "until somebody thaws it" if p.thaw_at is None else f"for another {duration(p.thaw_at - now)}"
    return f"has been frozen{by} for {duration(now - p.since)}, and stands still {then}"


def _later(at: float, now: float) -> str:
    return f"in {duration(max(0.0, at - now))}"


def _lost(p: Process) -> str:
    """How it ended, and why it was given up for that."""
    assert p.exit is not None
    return f"{ending(p.exit)}, and was given up: {p.reason}" if p.reason else ending(p.exit)


def _what_next(p: Process, now: float) -> str:
    if p.next_try is not None:
        return f"it is tried again {_later(p.next_try, now)}"
    return "nothing more happens until somebody starts it"


def _why_not_again(policy: Policy) -> str:
    return f"as it has ended well and respawn_on is {FAILURE}" if policy.respawn else "as respawn is off"


def _why_asleep(planner: Planner) -> str:
    n = planner.policy.numprocesses
    if planner.policy.scheduled:
        at, left = planner.next_run()
        if not at:
            return "Its schedule has no time to come."
        return f"It waits for its schedule; next run {at}, in {duration(left)}.{_last_run(planner)}"
    if not planner.waits_at:
        return (
            "It waits for a connection, and none can come: there is no socket that it names. "
            "Add one, or set on_demand to false."
        )
    where = f"socket{'s' if len(planner.waits_at) > 1 else ''} {' or '.join(planner.waits_at)}"
    then = "starts its process" if n == 1 else f"starts its {n} processes"
    return f"It waits for a connection to {where}; the first one {then}."


def _last_run(planner: Planner) -> str:
    last = planner.last_run()
    return f" Its last run {last}." if last else ""


def _tries(p: Process, max_retry: int) -> str:
    return f", try {p.refusals + 1} of {max_retry + 1}" if max_retry >= 0 else f", try {p.refusals + 1}"


def _why_stopped(planner: Planner) -> str:
    if planner.failure:
        return f"It was given up: {planner.failure}. Nothing more happens until somebody starts it."
    if planner.policy.scheduled:
        return f"It is stopped, and so its schedule is not in force until somebody starts it.{_last_run(planner)}"
    failed = [p for p in planner.processes.values() if p.state is State.FAILED and p.exit is not None]
    if failed and failed[0].exit is not None:
        tried = "" if failed[0].reason else f" It was tried {count(failed[0].refusals, 'time')};"
        said = f"It {_lost(failed[0])}{'.' if tried else ';'}{tried}"
        return f"{said} nothing more happens until somebody starts it."
    ended = [p for p in planner.processes.values() if p.state in (State.EXITED, State.COMPLETED) and p.exit]
    if ended and ended[0].exit is not None and not planner.policy.always:
        return f"It {ending(ended[0].exit)}, and is not started again, {_why_not_again(planner.policy)}."
    left = [p for p in planner.processes.values() if p.left is not None and p.exit is not None]
    if left and left[0].exit is not None:
        return (
            f"It is stopped, but process {left[0].left} {ending(left[0].exit)}. Nobody waits for it any more."
        )
    return "It is stopped, and stays so until somebody starts it."


def lead(planners: Mapping[str, Planner], now: float) -> dict[str, str]:
    """The console's first lines: a title, one text, and a level (``calm``, ``busy`` or ``needs``)."""
    ill: list[str] = []
    busy: list[str] = []
    processes = 0
    for name, planner in sorted(planners.items()):
        state = watcher_state(planner)
        processes += sum(p.state in ALIVE for p in planner.processes.values())
        undone = planner.setback and planner.job is None
        if (
            state == State.FAILED
            or undone
            or (planner.ill_run and planner.asleep)
            or planner.blind
            or any(_is_ill(p) for p in planner.processes.values())
        ):
            ill.append(f"{name}: {explain(planner, now)}")
        elif state in (State.STARTING, State.STOPPING, State.WAITING) and not planner.asleep:
            busy.append(name)
    rest = f"{count(processes, 'process')} of {count(len(planners), 'watcher')} run."
    if ill:
        title = "One thing needs you" if len(ill) == 1 else f"{len(ill)} things need you"
        more = f" And {len(ill) - 2} more." if len(ill) > 2 else ""
        return {"title": title, "text": " ".join(ill[:2]) + more, "level": "needs"}
    if busy:
        return {"title": "Something is on its way", "text": f"{', '.join(busy[:5])}. {rest}", "level": "busy"}
    if not planners:
        return {"title": "Nothing to run yet", "text": "Add a watcher to begin.", "level": "calm"}
    stopped = sum(planner.status() == "stopped" for planner in planners.values())
    asleep = sum(planner.asleep and not planner.policy.scheduled for planner in planners.values())
    scheduled = sum(planner.asleep and planner.policy.scheduled for planner in planners.values())
    tail = f" {count(stopped, 'watcher')} stopped." if stopped else ""
    frozen = sum(p.state is State.FROZEN for planner in planners.values() for p in planner.processes.values())
    if frozen:
        tail += f" {count(frozen, 'process')} {'is' if frozen == 1 else 'are'} frozen."
    if asleep:
        tail += f" {count(asleep, 'watcher')} {'waits' if asleep == 1 else 'wait'} for a connection."
    if scheduled:
        tail += f" {count(scheduled, 'watcher')} {'waits' if scheduled == 1 else 'wait'} for {'its' if scheduled == 1 else 'their'} time."
    return {"title": "All is well", "text": rest + tail, "level": "calm"}


def _is_ill(p: Process) -> bool:
    # A pause before each start (restart_delay) is nothing that a person is needed for.
    return (
        p.is_ill or p.state in (State.FAILED, State.EXITED) or (p.state is State.BACKOFF and p.attempts > 0)
    )


def event_text(event: str, fields: Mapping[str, Any]) -> str:
    """An event as a short phrase; the watcher's name stands beside it, not in it."""
    wid = fields.get("wid")
    match event:
        case "process.started":
            return f"{wid} started, pid {fields.get('pid')}"
        case "process.exited":
            end = Exit(
                at=0.0, code=fields.get("code"), signal=fields.get("signal"), lived=fields.get("lived")
            )
            return f"{wid} {ending(end)}"
        case "process.crashed":
            return f"{wid} {fields.get('reason')}: crash report {fields.get('report')}"
        case "process.replaced":
            return f"{wid} is replaced because {fields.get('reason')}, pid {fields.get('pid')}"
        case "process.refused":
            return f"{wid} could not be started: {fields.get('reason')}"
        case "process.backoff" if not fields.get("attempt"):
            return f"{wid} is started again in {duration(float(fields.get('delay') or 0))}"
        case "process.ready":
            return f"{wid} ready after {duration(float(fields.get('after') or 0))}, pid {fields.get('pid')}"
        case "process.frozen":
            by = f" by {fields['by']}" if fields.get("by") else ""
            limit = f" for {duration(float(fields['seconds']))}" if fields.get("seconds") else ""
            return f"{wid} frozen{by}{limit}, pid {fields.get('pid')}"
        case "process.thawed":
            by = f", thawed by {fields['by']}" if fields.get("by") else ""
            return f"{wid} goes on after {duration(float(fields.get('after') or 0))}{by}, pid {fields.get('pid')}"
        case "process.unready":
            return f"{wid} is {fields.get('reason')}"
        case "process.unhealthy":
            return f"{wid} is unhealthy: {fields.get('reason')}"
        case "process.healthy":
            return f"{wid} is healthy"
        case "process.followed":
            return f"{wid} is pid {fields.get('pid')} now, in place of pid {fields.get('before')}, which has ended"
        case "process.backoff":
            return f"{wid} is tried again in {duration(float(fields.get('delay') or 0))}, failure {fields.get('attempt')}"
        case "process.failed":
            later = fields.get("retry_in")
            again = f", tried again in {duration(float(later))}" if later else ""
            return f"{wid} given up: {fields.get('reason')}{again}"
        case "process.abandoned":
            return f"{wid} given up, pid {fields.get('pid')} does not end: {fields.get('reason')}"
        case "process.asked":
            return f"{wid} is to end by its stop_command, pid {fields.get('pid')}"
        case "process.stop_failed":
            return f"{wid}: stop_command: {fields.get('reason')}"
        case "process.signalled":
            return f"{wid} got {signal_word(int(fields.get('signum') or 0))}, pid {fields.get('pid')}"
        case "watcher.scaled":
            return f"numprocesses {fields.get('before')} → {fields.get('after')}"
        case "watcher.updated":
            return f"{fields.get('key')} changed"
        case "watcher.files_changed":
            files, others = list(fields.get("files") or ()), int(fields.get("count") or 0)
            more = f" and {count(others - len(files), 'more file')}" if others > len(files) else ""
            return f"{fields.get('action')}, as files have changed: {', '.join(map(str, files))}{more}"
        case "watcher.watch_failed":
            return f"files are not watched: {fields.get('reason')}"
        case "watcher.reload_failed":
            return f"reload given up: {fields.get('reason')}"
        case "watcher.waiting":
            reason = fields.get("reason")
            known = {SOCKET: "waits for a connection", SCHEDULE: "waits for its schedule"}
            return known.get(str(reason), f"waits for {reason}")
        case "run.started":
            by = f" by {fields['by']}" if fields.get("by") else ""
            return f"run {fields.get('run')} began, {fields.get('why')}{by}"
        case "run.ended":
            took = duration(float(fields.get("took") or 0))
            reason = fields.get("reason")
            return f"run {fields.get('run')} {fields.get('result')} after {took}" + (
                f": {reason}" if reason else ""
            )
        case "run.skipped":
            return f"run left out: {fields.get('reason')}"
        case "run.missed":
            return f"run missed: {fields.get('reason')}"
        case "watcher.failed":
            return f"given up: {fields.get('reason')}"
        case "hook.succeeded":
            return f"hook {fields.get('hook')} passed"
        case "hook.failed":
            error = fields.get("error")
            return f"hook {fields.get('hook')} refused" + (f": {error}" if error else "")
        case "output.dropped":
            told = f"{fields.get('stream')} can't be written to {fields.get('place')}: {fields.get('reason')}"
            return f"{told}, {fields.get('count')} bytes lost"
        case "output.recovered":
            told = f"{fields.get('stream')} is written to {fields.get('place')} again"
            return f"{told}, {fields.get('count')} bytes were lost"
        case "output.rotated":
            return f"{fields.get('stream')} file rotated: {fields.get('file')}"
        case "socket.opened":
            return f"socket {fields.get('socket')} listens on {fields.get('address')}"
        case "socket.closed":
            return f"socket {fields.get('socket')} closed"
        case "daemon.started":
            return f"circusd runs, pid {fields.get('pid')}"
        case "daemon.stopping":
            return f"circusd is stopping: {fields.get('reason')}"
        case "daemon.reloaded":
            return f"configuration read again: {fields.get('summary')}"
        case "audit.failed":
            return f"commands are not recorded: {fields.get('reason')}"
        case "client.refused":
            return f"refused uid {fields.get('uid')} at {fields.get('door')}: {fields.get('reason')}"
    return event.rpartition(".")[2]


def mermaid(rows: Iterable[Mapping[str, Any]]) -> str:
    """A flowchart of watchers with what they need: its text, in which names are nothing but labels."""
    listed = list(rows)
    numbers = {row["name"]: f"w{at}" for at, row in enumerate(listed)}
    boxes = [f"    {numbers[row['name']]}{_box(row)}" for row in listed]
    lines = ["flowchart LR", *boxes]
    for row in listed:
        for need in row["needs"]:
            arrow = "-->" if need["met"] else "-.->"
            lines.append(f"    {numbers[need['name']]} {arrow}|{need['condition']}| {numbers[row['name']]}")
    return "\n".join(lines)


def _box(row: Mapping[str, Any]) -> str:
    text = f'"{_label(row["name"])}<br>{_label(row["state"])}"'
    return f"([{text}])" if row.get("status") == "outside" else f"[{text}]"


def _label(name: str) -> str:
    # Mermaid reads markup in labels; its own escapes are numbers of characters.
    return "".join(c if c.isalnum() or c in " _.-" else f"#{ord(c)};" for c in name)


def is_down(process: Process) -> bool:
    """Nothing of it runs and nothing will come by itself."""
    return process.state in GONE
