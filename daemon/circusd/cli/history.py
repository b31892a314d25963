"""The lines that a person gave at the prompt of ``circusctl``, kept for the next time; never one that looks like a secret."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Mapping

LINES = 1000
"""How many are kept."""

LINE_BYTES = 4096
"""A longer line is not kept."""

FILE_BYTES = 1 << 20
"""Of a file that is longer than ours can be, only the end is read."""

# What is sent to a process is its own affair.
_SENT = re.compile(r"\s*input\b")
# Whoever types one of these may have typed what nobody else is to read. Rather one line too few than one too many.
_SECRET = re.compile(
    r"(?i)pass(?:word|wd|phrase|code)?\b|pass(?:word|wd|phrase)|pwd|secret|token|credential|api.?key|private.?key|auth(?:orization)?\b|"
    r"://[^/\s:@]*:[^/\s@]+@"
)


class History:
    """A file of lines, oldest first; what can't be read or written is done without."""

    def __init__(self, path: str) -> None:
        self._path = path

    def lines(self) -> list[str]:
        """The last lines that were kept, of this prompt or another."""
        try:
            with open(self._open(os.O_RDONLY), "rb") as file:
                size = os.fstat(file.fileno()).st_size
                file.seek(max(0, size - FILE_BYTES))
                text = file.read(FILE_BYTES).decode("utf-8", "replace")
        except OSError:
            return []
        kept = [line for line in text.split("\n") if line and line.isprintable()]
        return kept[-LINES:]

    def add(self, line: str) -> bool:
        """The line is kept, also if this program is killed now; tells whether."""
        if not is_kept(line):
            return False
        try:
            os.makedirs(os.path.dirname(self._path), 0o700, exist_ok=True)
            with open(self._open(os.O_WRONLY | os.O_APPEND | os.O_CREAT), "ab") as file:
                file.write(line.encode() + b"\n")
        except OSError:
            return False
        return True

    def trim(self) -> None:
        """The file holds no more than `LINES`."""
        kept = self.lines()
        # Now and then is enough: at most twice as many are there meanwhile.
        with contextlib.suppress(OSError):
            with open(self._open(os.O_RDONLY), "rb") as file:
                count = sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 16), b""))
            if count <= 2 * LINES:
                return
            beside = f"{self._path}.{os.getpid()}"
            fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                with open(fd, "w", encoding="utf-8") as file_beside:
                    file_beside.write("".join(line + "\n" for line in kept))
                os.rename(beside, self._path)
            except OSError:
                os.unlink(beside)

    def _open(self, flags: int) -> int:
        """A descriptor of the file, which is ours alone; raises OSError for any other."""
        fd = os.open(self._path, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            os.close(fd)
            raise OSError(f"{self._path} is not a file of this user")
        if found.st_mode & 0o077:
            os.fchmod(fd, 0o600)
        return fd


def history_file(environ: Mapping[str, str]) -> str:
    """Where a person's history is: in the state folder of XDG."""
    base = environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(base):
        base = os.path.join(os.path.expanduser("~"), ".local", "state")
    return os.path.join(base, "circus", "circusctl.history")


def is_kept(line: str) -> bool:
    """Whether a line may be kept: neither begun with a space, nor one that could hold a secret."""
    if not line or line[0].isspace() or not line.isprintable() or len(line.encode()) > LINE_BYTES:
        return False
    return _SENT.match(line) is None and _SECRET.search(line) is None and not _secret_keys().search(line)


def _secret_keys() -> re.Pattern[str]:
    """The options whose values are masked wherever they are shown, as words."""
    from circusd.schema.options import WATCHER

    names = {re.escape(option.name) for option in WATCHER if option.secret}
    return re.compile(rf"(?i)(?<![\w-])-*(?:{'|'.join(sorted(names))})(?![\w-])")
