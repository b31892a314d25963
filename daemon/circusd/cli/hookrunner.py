"""The process that runs the hook functions of one watcher: ``python -m circusd.cli.hookrunner --fd N NAME``.

circusd starts it and asks it over an inherited socket: a length of four bytes and a JSON object each way. What the
functions do to the process (print, fork, exit, hang) is theirs; circusd reads only the socket.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import socket
import sys
import traceback
from collections.abc import Callable
from typing import Any

from circusd import original
from circusd.plugins.dotted import in_words, resolve

from .hookviews import ArbiterView, WatcherView


def main(argv: list[str] | None = None) -> int:
    """Answers until circusd closes the connection."""
    parser = argparse.ArgumentParser(description="Run the hook functions of a watcher; started by circusd.")
    parser.add_argument("--fd", type=int, required=True, help="the connection to circusd")
    parser.add_argument("watcher", help="whose hooks")
    arguments = parser.parse_args(argv)
    # Programs that a hook starts must not hold the connection.
    os.set_inheritable(arguments.fd, False)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")
    original.install()
    with socket.socket(fileno=arguments.fd) as connection:
        serve(connection)
    return 0


def serve(connection: socket.socket) -> None:
    """One message after another is answered; ends with the connection, and in a child that a hook forked."""
    ours = os.getpid()
    try:
        _send(connection, {"hello": ours})
        while (message := _receive(connection)) is not None:
            answer = _answer(message)
            if os.getpid() != ours:
                # A hook forked, and its child came out of the function as well: the answer is the parent's to give.
                _leave()
            _send(connection, {**answer, "number": message.get("number")})
    except (BrokenPipeError, ConnectionResetError):
        # circusd is gone, or wants no answer any more.
        return


def _answer(message: dict[str, Any]) -> dict[str, Any]:
    if "check" in message:
        found = {name: _check(path) for name, path in message["check"].items()}
        return {"problems": {name: problem for name, problem in found.items() if problem}}
    return _call(message)


def _check(path: str) -> str:
    try:
        _function(path)
    except BaseException as problem:  # noqa: BLE001 (a module may raise anything, SystemExit too)
        return in_words(path, problem)
    return ""


def _function(path: str) -> Callable[..., Any]:
    found = resolve(path)
    if not callable(found):
        raise TypeError(f"{path} is not a function")
    return found  # type: ignore[no-any-return]


def _call(message: dict[str, Any]) -> dict[str, Any]:
    path = str(message["path"])
    extra: dict[str, Any] = message.get("extra", {})
    watcher = WatcherView.of_snapshot(message["watcher"])
    try:
        function = _function(path)
    except BaseException as problem:  # noqa: BLE001 (as in _check)
        traceback.print_exc()
        return {"ok": False, "raised": True, "error": in_words(path, problem)}
    try:
        result = function(watcher=watcher, arbiter=ArbiterView(watcher), hook_name=message["call"], **extra)
        if inspect.iscoroutine(result):
            import asyncio

            result = asyncio.run(result)
    except BaseException as problem:  # noqa: BLE001 (the user's code may raise anything, SystemExit too)
        traceback.print_exc()
        return {"ok": False, "raised": True, "error": f"{type(problem).__name__}: {problem}"}
    finally:
        _flush()
    changed = watcher.changes()
    if "stats" in extra:
        changed["stats"] = extra["stats"]
    return {
        "ok": bool(result),
        "error": "" if result else f"it returned {result!r}"[:500],
        "changed": changed,
    }


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            # A hook closed it; it is the hook's.
            continue


def _leave() -> None:
    _flush()
    os._exit(0)


def _send(connection: socket.socket, answer: dict[str, Any]) -> None:
    try:
        body = json.dumps(answer, default=str).encode("ascii")
    except (TypeError, ValueError, RecursionError) as problem:
        failed = {"ok": False, "raised": True, "error": f"its result can't be passed on: {problem}"}
        body = json.dumps({**failed, "number": answer.get("number")}).encode("ascii")
    connection.sendall(len(body).to_bytes(4, "big") + body)


def _receive(connection: socket.socket) -> dict[str, Any] | None:
    head = _take(connection, 4)
    body = _take(connection, int.from_bytes(head, "big")) if head else b""
    return json.loads(body) if body else None


def _take(connection: socket.socket, count: int) -> bytes:
    parts = []
    while count:
        part = connection.recv(count)
        if not part:
            return b""
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


if __name__ == "__main__":
    sys.exit(main())
