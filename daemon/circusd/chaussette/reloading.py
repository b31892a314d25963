"""``--use-reloader``: the program starts anew, in its own place, when a source file that it has loaded changes."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Mapping

LOOK_SECONDS = 0.5


def watch(environ: Mapping[str, str]) -> None:
    """From now on the program starts anew after a change, with that environment and the socket that it was given.

    What is under way then is cut off. The process stays the same: circusd sees no end of it.
    """
    threading.Thread(target=_look, args=(_times(), environ), name="reloader", daemon=True).start()


def _look(known: dict[str, int], environ: Mapping[str, str]) -> None:
    changed = ""
    while not changed:
        # By its module, as gevent and eventlet put their own there.
        time.sleep(LOOK_SECONDS)
        changed = next((path for path, at in _times().items() if known.setdefault(path, at) != at), "")
    sys.stderr.write(f"chaussette: {changed} has changed, starting anew\n")
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environ)  # noqa: S606 (the program that this is)


def _times() -> dict[str, int]:
    """When the file of each loaded module was written; without those that are not there, as while they are written."""
    found = {}
    for module in list(sys.modules.values()):
        path = getattr(module, "__dict__", {}).get("__file__")
        try:
            if isinstance(path, str):
                found[path] = os.stat(path).st_mtime_ns
        except OSError:
            continue
    return found
