"""The other side of the tour: run by the Python that has the original, never by ours.

It reads orders, one JSON object a line, and answers each with one. Every order is carried out in a forked process, which is
the original as it stands, without the time that its imports take. No module of this project is imported here.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import sys
import tempfile
import traceback
from typing import Any, NoReturn

import circus.circusctl
import circus.client
import circus.config
import zmq
from circus.process import Process
from circus.sockets import CircusSocket
from circus.util import replace_gnu_args
from circus.watcher import Watcher


def circusctl(order: dict[str, Any]) -> None:
    """The original's main() with these words."""
    sys.argv = ["circusctl", *order["words"]]
    circus.circusctl.main()


def call(order: dict[str, Any]) -> None:
    """One request by the original's client; its reply as JSON."""
    client = circus.client.CircusClient(endpoint=order["endpoint"], timeout=order["timeout"])
    try:
        print(json.dumps(client.call(order["message"])))
    except circus.client.CallError as error:
        print(json.dumps({"raised": str(error)}))
    finally:
        client.stop()


def calls(order: dict[str, Any]) -> None:
    """Requests by the original's asynchronous client, one after another; the replies as a list."""

    async def ask() -> list[Any]:
        client = circus.client.AsyncCircusClient(endpoint=order["endpoint"])
        replies = [
            await client.send_message(command, **properties) for command, properties in order["commands"]
        ]
        client.stop()
        return replies

    print(json.dumps(asyncio.run(ask())))


def raw(order: dict[str, Any]) -> None:
    """Messages as they stand, then a question: all that is answered until the answer to that is there."""
    socket = zmq.Context().socket(zmq.DEALER)
    socket.linger = 0
    socket.connect(order["endpoint"])
    for frames in order["messages"]:
        socket.send_multipart([frame.encode() for frame in frames])
    socket.send(json.dumps({"id": "last", "command": "numwatchers"}).encode())
    replies: list[dict[str, Any]] = []
    while not replies or replies[-1].get("id") != "last":
        if not socket.poll(order["timeout"] * 1000):
            raise SystemExit("no answer to the last question")
        replies.append(json.loads(socket.recv_multipart()[-1]))
    print(json.dumps(replies[:-1]))


def model(order: dict[str, Any]) -> None:
    """What the original makes of a file, in that environment: its own options, watchers, sockets and plugins."""
    os.environ.clear()
    os.environ.update(order["environ"])
    os.environ.pop("PWD", None)
    os.chdir(order["folder"])
    sys.path.insert(0, order["folder"])
    config = circus.config.get_config(order["file"])
    sockets = {section["name"]: socket_of(section) for section in config.pop("sockets")}
    watchers = {
        section["name"]: watcher_of(section, order["descriptors"]) for section in config.pop("watchers")
    }
    plugins = {section["name"]: section for section in config.pop("plugins")}
    parts = {"circus": config, "watchers": watchers, "sockets": sockets, "plugins": plugins}
    print(json.dumps({**parts, "sys_path": sys.path}))


def watcher_of(section: dict[str, Any], descriptors: dict[str, int]) -> dict[str, Any]:
    """As the command `options` shows it, what that does not show, and the first process that it would start."""
    watcher = Watcher.load_from_config(dict(section))
    shown = dict(watcher.options())
    shown["rlimits"] = {name.lower(): None if value < 0 else value for name, value in watcher.rlimits.items()}
    shown["hooks"] = section["hooks"]
    for name in ("autostart", "virtualenv", "virtualenv_py_ver", "stdin_socket", "copy_path"):
        shown[name] = getattr(watcher, name)
    for name in ("stdout_stream", "stderr_stream"):
        shown[name] = section[name]
        shown.pop(f"{name}_conf")
    # As in Watcher.spawn_process.
    process = Process(
        watcher.name,
        1,
        replace_gnu_args(watcher.cmd, env=watcher.env),
        args=watcher.args,
        working_dir=watcher.working_dir,
        shell=watcher.shell,
        uid=watcher.uid,
        gid=watcher.gid,
        env=watcher.env,
        rlimits=watcher.rlimits,
        executable=watcher.executable,
        use_fds=watcher.use_sockets,
        watcher=watcher,
        spawn=False,
    )
    argv = process.format_args(sockets_fds=descriptors)
    # As in subprocess.Popen.
    shown["argv"] = ["/bin/sh", "-c", *argv] if watcher.shell else argv
    return shown


def socket_of(section: dict[str, Any]) -> dict[str, Any]:
    """The socket that it would open."""
    socket = CircusSocket.load_from_config({k: v for k, v in section.items() if k != "__name__"})
    names = ("host", "port", "path", "umask", "replace", "backlog", "so_reuseport", "blocking", "interface")
    shown = {name: getattr(socket, name) for name in names}
    shown.update(family=socket.family.name, type=socket.socktype.name)
    socket.detach()
    return shown


ORDERS = {"circusctl": circusctl, "call": call, "calls": calls, "raw": raw, "model": model}


def carry_out(order: dict[str, Any]) -> dict[str, Any]:
    """Exit code and what was written, of a process of its own."""
    with tempfile.TemporaryFile() as stdin:
        stdin.write(order.get("stdin", "").encode())
        stdin.seek(0)
        out, err = os.pipe(), os.pipe()
        pid = os.fork()
        if pid == 0:
            child(order, stdin.fileno(), out[1], err[1])
    os.close(out[1])
    os.close(err[1])
    texts = read_both(out[0], err[0])
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return {"code": code, "out": texts[out[0]], "err": texts[err[0]]}


def child(order: dict[str, Any], stdin: int, out: int, err: int) -> NoReturn:
    """Never returns."""
    code = 1
    try:
        for number, fd in enumerate((stdin, out, err)):
            os.dup2(fd, number)
        # What was buffered is the parent's.
        sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")
        os.environ.update(order.get("environ", {}))
        ORDERS[order["order"]](order)
        code = 0
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        else:
            code = end.code or 0
    except BaseException:  # noqa: BLE001 (as an interpreter that ends by it)
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def read_both(*pipes: int) -> dict[int, str]:
    """All text of the pipes, read side by side."""
    texts = dict.fromkeys(pipes, b"")
    is_open = set(pipes)
    while is_open:
        for fd in select.select(list(is_open), [], [])[0]:
            data = os.read(fd, 65536)
            texts[fd] += data
            if not data:
                is_open.remove(fd)
                os.close(fd)
    return {fd: text.decode(errors="replace") for fd, text in texts.items()}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(carry_out(json.loads(line))), flush=True)
