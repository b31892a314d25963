"""The socket by which processes tell circusd of themselves, as services tell systemd; the kernel says who has sent what."""

from __future__ import annotations

import array
import contextlib
import os
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

MESSAGE_BYTES: Final = 4096
"""Of the longest message, as systemd has it; a longer one is nobody's."""
FIELDS: Final = 32
"""More are passed over."""
SO_PASSCRED: Final = socket.SO_PASSCRED
SCM_CREDENTIALS: Final = socket.SCM_CREDENTIALS
CREDENTIALS: Final = struct.Struct("=iII")
FD: Final = struct.Struct("=i")
# Room for the credentials and for the one descriptor of BARRIER=1: the kernel hands over no more than what there is room for.
ANCILLARY: Final = socket.CMSG_SPACE(CREDENTIALS.size) + socket.CMSG_SPACE(FD.size)


@dataclass(frozen=True, slots=True)
class Message:
    """What one process has told."""

    pid: int
    """Of the sender, as the kernel has seen it; 0 for one that we can't see, of another pid namespace."""
    fields: Mapping[str, str] = field(default_factory=dict)
    descriptors: tuple[int, ...] = ()
    """Sent along; the receiver's to close, which is what the sender of ``BARRIER=1`` waits for."""

    def close(self) -> None:
        """What was sent along is closed."""
        for fd in self.descriptors:
            with contextlib.suppress(OSError):
                os.close(fd)


class NotifySocket:
    """An abstract socket: processes of any user reach it, whatever folders they may enter, and each is known by its pid."""

    def __init__(self) -> None:
        kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._socket = socket.socket(socket.AF_UNIX, kind)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_PASSCRED, 1)
        name = f"circus/{os.getpid()}/{os.urandom(8).hex()}"
        self._socket.bind(f"\0{name}")
        self.address = f"@{name}"
        """As ``NOTIFY_SOCKET`` has it."""

    def fileno(self) -> int:
        """The descriptor, to wait for what comes."""
        return self._socket.fileno()

    def receive(self) -> Message | None:
        """The next message, without fields where it is none of ours; None when nothing is there now."""
        flags = socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
        try:
            data, ancillary, told, _ = self._socket.recvmsg(MESSAGE_BYTES, ANCILLARY, flags)
        except BlockingIOError:
            return None
        pid = 0
        descriptors: list[int] = []
        for level, kind, value in ancillary:
            if level == socket.SOL_SOCKET and kind == SCM_CREDENTIALS and len(value) >= CREDENTIALS.size:
                pid = CREDENTIALS.unpack_from(value)[0]
            elif level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                found = array.array("i")
                found.frombytes(value[: len(value) - len(value) % found.itemsize])
                descriptors += found
        fields = {} if told & socket.MSG_TRUNC else parse(data)
        return Message(pid, fields, tuple(descriptors))

    def close(self) -> None:
        """Nothing is received any more."""
        self._socket.close()


def parse(data: bytes) -> dict[str, str]:
    """The lines ``KEY=VALUE`` of a message; others are passed over, and of two with one key the last counts."""
    fields: dict[str, str] = {}
    for line in data.split(b"\n")[:FIELDS]:
        key, equals, value = line.partition(b"=")
        if equals and key:
            fields[key.decode("ascii", "replace")] = value.decode("utf-8", "replace")
    return fields
