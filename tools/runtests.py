"""Runs the tests in parts, several beside each other, as they wait more than they work: those of the console, which work, one after
the other, and beside them as many others as there are processors.

    .venv/bin/python tools/runtests.py [ARGUMENT ...]

Arguments are pytest's. With a path among them that alone is run. What a part says is shown when it has ended; the exit
code is that of the worst.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Final

ROOT = Path(__file__).resolve().parents[1]
PYTEST: Final = (sys.executable, "-m", "pytest", "-m", "not slow")
FIRST: Final = ("e2e", "faults", "runtime")
"""What takes longest is begun first, a part of each in turns."""
BROWSERS: Final = "web"
"""The folder of those that are run one part after the other."""
PART_BYTES: Final = 160_000
"""A part has test files of about so many bytes: a few minutes at most."""
NOTHING_THERE: Final = 5
"""pytest's exit code when no test was asked for."""


class Part:
    """Tests of one folder that run in one process."""

    def __init__(self, folder: str, number: int) -> None:
        self.folder = folder
        self.number = number
        self.files: list[Path] = []

    @property
    def name(self) -> str:
        """How it is called to people."""
        return f"tests/{self.folder} {self.number}"

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(path.stat().st_size for path in self.files)


def parts() -> Iterator[Part]:
    """All tests. No part has two folders: a browser's loop can't run in the process of anything else."""
    for folder in sorted({path.parent for path in (ROOT / "tests").glob("*/test_*.py")}):
        files = sorted(folder.glob("test_*.py"), key=lambda path: (-path.stat().st_size, path.name))
        count = -(-sum(path.stat().st_size for path in files) // PART_BYTES)
        dealt = [Part(folder.name, number + 1) for number in range(count)]
        for path in files:
            min(dealt, key=lambda part: part.size).files.append(path)
        yield from dealt


def in_turns(part: Part) -> tuple[bool, int, int]:
    """What to sort the parts by."""
    place = FIRST.index(part.folder) if part.folder in FIRST else len(FIRST)
    return place == len(FIRST), part.number, place


class Run:
    """The processes that are under way."""

    def __init__(self, arguments: Sequence[str], folder: Path) -> None:
        self.arguments = arguments
        self.folder = folder
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._over = False

    def part(self, part: Part) -> tuple[Part, int, bytes, float]:
        """Run it to its end: the exit code, what it has said, and how many seconds it took."""
        begun = time.monotonic()
        # A folder of its own: pytest closes the common one to others when it begins, and some tests run as another user.
        # Its name is short: paths of unix sockets have a limit.
        folder = self.folder / f"{part.folder[:2]}{part.number}"
        folder.mkdir()
        with self._lock:
            if self._over:
                return part, 1, b"", 0.0
            process = subprocess.Popen(
                [*PYTEST, *self.arguments, *map(str, sorted(part.files))],
                cwd=ROOT,
                env={**os.environ, "PYTEST_DEBUG_TEMPROOT": str(folder)},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            self._running.add(process)
        said, _ = process.communicate()
        with self._lock:
            self._running.discard(process)
        return part, process.returncode, said, time.monotonic() - begun

    def end(self) -> None:
        """Nothing more is begun, and what runs ends."""
        with self._lock:
            self._over = True
            for process in self._running:
                process.terminate()


def main() -> int:
    """Run them; the exit code of pytest."""
    arguments = sys.argv[1:]
    if any((ROOT / word.partition("::")[0]).exists() for word in arguments):
        return subprocess.call([*PYTEST, *arguments])
    codes = []
    with (
        tempfile.TemporaryDirectory(prefix="t-") as folder,
        ThreadPoolExecutor(1) as browsers,
        ThreadPoolExecutor(os.cpu_count() or 1) as others,
    ):
        os.chmod(folder, 0o755)  # noqa: S103 - for tests as another user
        run = Run(arguments, Path(folder))
        try:
            under_way = [
                (browsers if part.folder == BROWSERS else others).submit(run.part, part)
                for part in sorted(parts(), key=in_turns)
            ]
            for future in as_completed(under_way):
                part, code, said, took = future.result()
                codes.append(code)
                sys.stdout.write(said.decode("utf-8", "replace"))
                print(
                    f"{part.name}: {took:.0f} s, {len(codes)} of {len(under_way)} parts have ended",
                    flush=True,
                )
        except BaseException:
            run.end()
            raise
    failed = [code for code in codes if code not in (0, NOTHING_THERE)]
    return max(failed, default=min(codes))


if __name__ == "__main__":
    sys.exit(main())
