"""circusd with a window: whoever connects to the socket named first is told what there is in the process."""

from __future__ import annotations

import gc
import json
import socket
import sys
import threading
from typing import Any

from circusd.cli.circusd import main
from circusd.kernel.listenfds import reserve


def count() -> dict[str, int]:
    """Live greenlets, objects that the collector knows, and timers of the loop."""
    import greenlet

    gc.collect()
    objects: list[Any] = gc.get_objects()
    return {
        "greenlets": sum(isinstance(thing, greenlet.greenlet) and bool(thing) for thing in objects),
        "objects": len(objects),
        "timers": sum(type(thing).__name__ == "timer" for thing in objects),
    }


def show(listener: socket.socket) -> None:
    while True:
        conversation, _ = listener.accept()
        with conversation:
            conversation.sendall(json.dumps(count()).encode())


if __name__ == "__main__":
    # Before there is a thread: one that waits in accept has the number of what it will get, and nothing can be put there.
    reserve()
    window = socket.socket(socket.AF_UNIX)
    window.bind(sys.argv.pop(1))
    window.listen()
    threading.Thread(target=show, args=(window,), daemon=True).start()
    sys.exit(main())
