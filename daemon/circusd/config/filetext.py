"""The text of a file that belongs to the configuration: bounded, in UTF-8, and with words for what is wrong with it."""

from __future__ import annotations

import errno
import os
import stat

from .problems import Place, Report

MOST_BYTES = 4 << 20
"""No configuration is as large; a device or a data file that was named by mistake is."""


def read_text(path: str, place: Place, report: Report, *, regular: bool = False) -> str | None:
    """The text of the file, or None when it can't be had; what is wrong goes to the report.

    `place` is where the file is named, or the file itself. With `regular` a pipe or device is refused without waiting for
    it.
    """
    try:
        data = _bytes(path, regular)
    except (OSError, ValueError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else str(problem)
        told = f"can't be read: {reason}"
        report.error(place, told if place.file == path else f"{path} {told}")
        return None
    if len(data) > MOST_BYTES:
        report.error(Place(path), "is too large", f"{MOST_BYTES >> 20} MiB at most")
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = data.count(b"\n", 0, problem.start) + 1
        report.error(Place(path, line), f"the byte 0x{data[problem.start]:02x} is not UTF-8", "text in UTF-8")
        return data.decode("utf-8-sig", "replace")


def _bytes(path: str, regular: bool) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | (os.O_NONBLOCK if regular else 0))
    try:
        mode = os.fstat(fd).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if regular and not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        data = bytearray()
        while len(data) <= MOST_BYTES and (block := os.read(fd, 1 << 20)):
            data += block
        return bytes(data)
    finally:
        os.close(fd)
