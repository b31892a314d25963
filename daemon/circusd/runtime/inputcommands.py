"""The command that sends text to the standard input of processes."""

from __future__ import annotations

from typing import Any, Final

from circusd.schema.errors import BadRequest, Conflict

from .arbiter import Arbiter, in_background
from .inputs import QUEUE_BYTES, InputPipe
from .requests import Context, Later, Reply, as_int, truthy
from .selection import seen, select
from .watcher import Watcher

MOST: Final = QUEUE_BYTES
"""Bytes in one request."""


class InputCommands:
    """What is said to processes. Nothing of it is in any log."""

    arbiter: Arbiter

    def cmd_input(self, p: dict[str, Any], c: Context) -> Reply:
        (watcher,) = select(seen(self.arbiter, c), {"name": p["name"], "match": "simple"})
        text, end = p.get("text"), truthy(p.get("eof"))
        if text is None and not end:
            raise BadRequest(
                "there is nothing to send", field="text", hint="a text, or eof for the end of input"
            )
        try:
            data = (text or "").encode()
        except UnicodeEncodeError:
            raise BadRequest("the text is no Unicode text", field="text") from None
        if text is not None and not truthy(p.get("bare")):
            data += b"\n"
        if len(data) > MOST:
            raise BadRequest(f"the text has {len(data)} bytes; {MOST} can be sent at once", field="text")
        pipes = _pipes(watcher, None if p.get("pid") is None else as_int(p["pid"], "pid"))
        # All or none of them: what was sent to some could not be sent once more.
        for pipe in pipes.values():
            pipe.check(len(data))
        results = [pipe.send(data, end=end) for pipe in pipes.values()]
        reply = {"sent": list(pipes), "bytes": len(data)}
        if not c.waiting:
            # What is known at once is told: that one has closed its end.
            for result in results:
                if result.ready():
                    result.get()
            return reply

        def taken() -> dict[str, Any]:
            for result in results:
                result.get()
            return reply

        return Later(in_background(taken), dict)


def _pipes(watcher: Watcher, pid: int | None) -> dict[int, InputPipe]:
    """By pid, the inputs of those that are meant; raises Conflict where one of them has none, and where none is meant."""
    if not watcher.config.stdin_pipe:
        raise Conflict(
            f"{watcher.name} takes no input",
            hint=f"circusctl set {watcher.name} stdin_pipe true gives it a pipe",
        )
    found: dict[int, InputPipe] = {}
    for wid, process in sorted(watcher.planner.processes.items()):
        if process.pid is None or pid not in (None, process.pid):
            continue
        pipe = watcher.inputs.find(wid) if watcher.inputs is not None else None
        if pipe is None:
            raise Conflict(f"process {wid} of {watcher.name} was started before stdin_pipe was set")
        found[process.pid] = pipe
    if not found:
        raise Conflict(f"nothing of {watcher.name} runs" if pid is None else f"no such process: {pid}")
    return found
