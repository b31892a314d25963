"""One crash report put together: what was noted at the end of the process, and what is looked up afterwards."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from circusd.config.model import WatcherConfig, describe
from circusd.core.crash import SIGKILL, differences, killed_by, meaning
from circusd.core.process import Exit
from circusd.core.words import ending, signal_word
from circusd.kernel import aftermath
from circusd.kernel.aftermath import Died, Kills
from circusd.schema.options import WATCHER
from circusd.schema.secrets import masked
from circusd.schema.wire import encode

from . import clock
from .crashfile import REPORT_BYTES
from .history import History, StreamKey

if TYPE_CHECKING:
    from .failures import Failure
    from .goodstarts import GoodStart
    from .watcher import Watcher

LINES: Final = 40
"""Of each stream."""
LINES_BYTES: Final = 16 << 10
"""Of each stream."""
LINE_BYTES: Final = 2000
LOAD_SECONDS: Final = 900.0
VALUE_LIMIT: Final = 300
"""Characters of the value of an option."""
CHANGES: Final = 50


def begun(watcher: Watcher, failure: Failure, by: str) -> dict[str, Any]:
    """What is known without looking anything up."""
    event = failure.event
    lived = None if failure.started is None else round(failure.ended - failure.started, 3)
    stage, text = (
        (event.stage, event.text) if failure.amiss is None else (failure.amiss.stage, failure.amiss.text)
    )
    end = Exit(at=0.0, code=event.code, signal=event.signal, stage=stage, text=text)
    return {
        "watcher": watcher.name,
        "wid": failure.wid,
        "pid": failure.pid,
        "started": None if failure.started is None else round(clock.wall(failure.started), 3),
        "ended": round(clock.wall(failure.ended), 3),
        "lived": lived,
        "code": event.code,
        "signal": event.signal,
        "signal_name": "" if event.signal is None else signal_word(event.signal),
        "stage": stage,
        "errno": event.errno,
        "how": ending(end),
        "means": "" if stage else meaning(event.code, event.signal),
        "core": failure.core,
        "sent": [
            {"signal": signal_word(one.signum), "time": round(clock.wall(one.at), 3), "by": one.by}
            for one in failure.sent
        ],
        "stop": {"command": failure.stop, "by": by} if failure.stop else None,
        "usage": _usage(failure),
    }


def _usage(failure: Failure) -> dict[str, Any] | None:
    used = failure.usage
    if used is None:
        return None
    return {
        "user": round(used.ru_utime, 3),
        "system": round(used.ru_stime, 3),
        # Linux counts it in KiB, and begins with what the parent had when it started the process.
        "max_rss": used.ru_maxrss << 10,
        "is_bound": used.ru_maxrss <= resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "minor_faults": used.ru_minflt,
        "major_faults": used.ru_majflt,
        "voluntary": used.ru_nvcsw,
        "involuntary": used.ru_nivcsw,
        "blocks_in": used.ru_inblock,
        "blocks_out": used.ru_oublock,
    }


def died(watcher: Watcher, failure: Failure, base_dir: str) -> Died | None:
    """What a core dump is found by, where there is one."""
    if not failure.core or failure.pid is None or failure.event.signal is None:
        return None
    config, who = failure.config, watcher.credentials
    cwd = os.path.join(base_dir, config.working_dir) if config.working_dir else base_dir
    good = watcher.health.good_start
    program = watcher.health.launched[1][0] if watcher.health.launched is not None else ""
    if not program and good is not None:
        program = next((mark.path for mark in good.files if mark.what == "executable"), "")
    return Died(
        failure.pid,
        program or config.executable or config.cmd.split(" ")[0],
        cwd,
        os.getuid() if who.uid is None else who.uid,
        os.getgid() if who.gid is None else who.gid,
        failure.event.signal,
        clock.wall(failure.ended),
    )


def looked_up(
    dead: Died | None, good: GoodStart | None, counts: bool
) -> tuple[dict[str, Any] | None, list[dict[str, Any]], Kills | None]:
    """In a thread: where the core is, which files are others than at the last good start, and kills for want of memory."""
    return (
        None if dead is None else aftermath.core_dump(dead),
        [] if good is None else aftermath.changed(good.files),
        aftermath.kills() if counts else None,
    )


def was_killed(failure: Failure) -> bool:
    """Whether it was ended by a SIGKILL that circusd has not sent."""
    return failure.event.signal == SIGKILL and SIGKILL not in [one.signum for one in failure.sent]


def killer(before: tuple[float, Kills] | None, now: Kills | None) -> str:
    """What is known of such a SIGKILL."""
    if before is None or now is None:
        return killed_by([], "")
    since, was = before
    told = []
    if was.group is not None and now.group is not None:
        told.append(("circusd's control group", now.group - was.group))
    if was.machine is not None and now.machine is not None:
        told.append(("this machine", now.machine - was.machine))
    return killed_by(told, clock.of_day(since))


def changes(config: WatcherConfig, good: GoodStart | None) -> list[dict[str, Any]]:
    """Options that are others than at the last good start; secrets are hidden, and that they differ is told."""
    if good is None or good.config == config:
        return []
    was, now = describe(good.config), describe(config)
    hidden_was, hidden_now = masked(was, WATCHER), masked(now, WATCHER)
    found = []
    for path, _, _ in differences(was, now)[:CHANGES]:
        if path[0].endswith("_conf"):
            # The same in one piece, as the original has it.
            continue
        found.append(
            {"option": ".".join(path), "was": _value(hidden_was, path), "now": _value(hidden_now, path)}
        )
    return found


def _value(options: Mapping[str, Any], path: tuple[str, ...]) -> str | None:
    value: Any = options
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= VALUE_LIMIT else text[:VALUE_LIMIT] + "…"


def last_lines(history: History, watcher: str, failure: Failure) -> list[dict[str, Any]]:
    """The last that the process wrote, oldest first."""
    found: list[dict[str, Any]] = []
    for stream, after in failure.after.items():
        size = 0
        for line in islice(_own(history, StreamKey(watcher, failure.wid, stream), after, failure.pid), LINES):
            size += len(line.text)
            if size > LINES_BYTES:
                break
            text = line.text[:LINE_BYTES].decode("utf-8", "replace")
            found.append({"time": round(line.time, 3), "stream": stream, "number": line.number, "text": text})
    return sorted(found, key=lambda one: (one["time"], one["stream"], one["number"]))


def _own(history: History, key: StreamKey, after: int, pid: int | None) -> Iterator[Any]:
    for _, line in history.backwards({key: after}):
        if line.pid != pid:
            # From here on it was the one before.
            return
        yield line


def packed(report: dict[str, Any]) -> bytes:
    """The report as JSON, which is no longer than allowed: for that its oldest lines go first."""
    data = encode(report)
    while len(data) > REPORT_BYTES and report["lines"]:
        report = {**report, "lines": report["lines"][len(report["lines"]) // 2 + 1 :]}
        data = encode(report)
    return data
