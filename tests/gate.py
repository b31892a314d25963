"""A gate with everything behind it: doors, controller and publisher in this process, real clients in others."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gevent
import gevent.socket
import zmq.green

import circusd
from circusd.runtime import clock
from circusd.runtime.controller import Caller, Controller
from circusd.runtime.doors import Doors, Policy, Refusal, own_and_root
from circusd.runtime.publisher import Publisher
from circusd.schema import wire
from tests.waiting import eventually

SOURCE = Path(circusd.__file__).parents[1]

PRELUDE = """
import json, os, socket, struct, sys, time
import zmq
context = zmq.Context()

def dealer(endpoint, identity=None):
    sock = context.socket(zmq.DEALER)
    sock.linger = 0
    sock.rcvtimeo = 5000
    sock.ipv6 = True
    if identity is not None:
        sock.setsockopt(zmq.IDENTITY, identity)
    sock.connect(endpoint)
    return sock

def raw(endpoint):
    from circusd import zmtp
    return zmtp.dial(endpoint, 5.0)

def call(sock, command, id="0123456789abcdef0123", **properties):
    sock.send(json.dumps({"id": id, "command": command, "properties": properties}).encode())
    return json.loads(sock.recv())

def subscriber(endpoint, *topics):
    sock = context.socket(zmq.SUB)
    sock.linger = 0
    sock.rcvtimeo = 5000
    sock.ipv6 = True
    for topic in topics:
        sock.setsockopt(zmq.SUBSCRIBE, topic.encode())
    sock.connect(endpoint)
    return sock
"""


@dataclass
class Program:
    """A client in a process of its own."""

    process: subprocess.Popen[bytes]

    def line(self, within: float = 10.0) -> str:
        """Its next line of output."""
        assert self.process.stdout is not None
        fd = self.process.stdout.fileno()
        data = b""
        with gevent.Timeout(within, AssertionError(f"no line within {within} s, only {data!r}")):
            while not data.endswith(b"\n"):
                gevent.socket.wait_read(fd)
                byte = os.read(fd, 1)
                assert byte, f"it ended with {self.process.wait()} after {data!r}"
                data += byte
        return data.decode().rstrip("\n")

    def say(self, text: str) -> None:
        """A line on its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()

    def output(self, within: float = 20.0) -> str:
        """All of its output, after it has ended well."""
        assert self.process.stdout is not None
        lines = b""
        fd = self.process.stdout.fileno()
        with gevent.Timeout(within, AssertionError(f"not over within {within} s")):
            while True:
                gevent.socket.wait_read(fd)
                data = os.read(fd, 1 << 16)
                if not data:
                    break
                lines += data
        assert eventually(lambda: self.process.poll() is not None, sleep=gevent.sleep)
        assert self.process.returncode == 0, lines.decode()
        return lines.decode()

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


@dataclass
class Gate:
    """What a test has before it; ``dispatch`` and ``policy`` may be replaced."""

    folder: Path
    dispatch: Callable[[wire.Request, Caller], None]
    policy: Policy = own_and_root
    requests: list[tuple[wire.Request, Caller]] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    ended: list[bytes] = field(default_factory=list)
    programs: list[Program] = field(default_factory=list)
    doors: Doors = field(init=False)
    controller: Controller = field(init=False)
    publisher: Publisher = field(init=False)

    def open(self, context: zmq.green.Context[Any], **limits: Any) -> None:
        inner = self.folder / "inner"
        inner.mkdir(mode=0o700)
        self.controller = Controller(context, str(inner), self._dispatch, self.ended.append)
        self.publisher = Publisher(context, str(inner))
        entrances = {"commands": self.controller} | {
            name: self.publisher.entrance(name) for name in ("events", "stats", "output")
        }
        self.doors = Doors(
            entrances, lambda uid, groups: self.policy(uid, groups), self.refusals.append, **limits
        )

    def _dispatch(self, request: wire.Request, caller: Caller) -> None:
        self.requests.append((request, caller))
        self.dispatch(request, caller)

    def close(self) -> None:
        self.doors.close()
        self.controller.close()
        self.publisher.close()
        for program in self.programs:
            program.end()

    def door(self, channel: str = "commands", endpoint: str = "") -> str:
        """A door of that channel; by default a unix socket in the folder."""
        return self.doors.open_door(channel, endpoint or f"ipc://{self.folder}/{channel}.sock", channel)

    def client(
        self, script: str, *args: str, python: str = sys.executable, prelude: str = PRELUDE, **options: Any
    ) -> Program:
        """A process that runs the script after the prelude; options are those of Popen."""
        process = subprocess.Popen(
            [python, "-c", prelude + script, *args],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(SOURCE)},
            **options,
        )
        program = Program(process)
        self.programs.append(program)
        return program


def until(condition: Callable[[], object], within: float = 5.0) -> None:
    """The condition holds; the hub goes on meanwhile."""
    eventually(condition, within=within, sleep=gevent.sleep)


def answer(request: wire.Request, caller: Caller) -> None:
    """A dispatch that tells what came."""
    if not request.cast:
        told = {"command": request.command, "properties": request.properties}
        caller.send(wire.ok_reply(request.id, told, clock.wall()))
