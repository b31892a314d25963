"""A client in a process of another user: it imports ours as root, becomes that user for good, and asks what it is told to."""

from __future__ import annotations

import json
import select
import subprocess
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any

from tests.daemon import BIN

SCRIPT = """
import json, os, sys
from circusd.client import Client, refusal, subscribe
from circusd.schema.errors import CircusError

endpoint, uid, gid, groups = json.loads(sys.argv[1])
client = Client(endpoint, timeout=20)
os.setgroups(groups)
os.setresgid(gid, gid, gid)
os.setresuid(uid, uid, uid)
print(os.getuid(), flush=True)
for line in sys.stdin:
    command, properties = json.loads(line)
    try:
        if command == "hear":
            with subscribe(properties["endpoint"], [], 20) as messages:
                topic, body = messages.receive(20)
            print(json.dumps({"topic": topic.decode()}), flush=True)
            continue
        reply = client.request(command, properties)
        if reply["status"] == "error":
            reply["code"] = refusal(reply).code
    except CircusError as error:
        reply = {"status": "error", "code": error.code, "reason": str(error)}
    print(json.dumps(reply), flush=True)
client.close()
"""


class OtherUser:
    """Somebody with that uid and those groups, who has a connection to an endpoint; only root can be somebody else."""

    def __init__(self, endpoint: str, uid: int, gid: int | None = None, groups: tuple[int, ...] = ()) -> None:
        who = [endpoint, uid, uid if gid is None else gid, list(groups)]
        self._process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, json.dumps(who)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd="/",
            env={"PATH": str(BIN)},
        )
        assert self._line() == uid

    def _line(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"it ended with {self._process.wait()}"
        return json.loads(line)

    def _say(self, command: str, properties: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([command, properties]).encode() + b"\n")
        self._process.stdin.flush()

    def ask(self, command: str, **properties: Any) -> dict[str, Any]:
        """The daemon's reply, or an error with what became of the request."""
        self._say(command, properties)
        reply: dict[str, Any] = self._line()
        return reply

    def hear(self, endpoint: str, happens: Callable[[], object]) -> dict[str, Any]:
        """The topic of a message that is published there while something happens, or an error."""
        self._say("hear", {"endpoint": endpoint})
        while not select.select([self._process.stdout], [], [], 0.1)[0]:
            happens()
        reply: dict[str, Any] = self._line()
        return reply

    def __enter__(self) -> OtherUser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
