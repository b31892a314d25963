"""Runs the tests in two halves beside each other, as both wait more than they work: those of the console and the short ones, and all
others.

    .venv/bin/python tools/runtests.py [ARGUMENT ...]

Arguments are pytest's. With a path among them that alone is run. Otherwise what the first half says is
shown as it comes, and what the second says when both have ended; the exit code is that of the worse.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BESIDE = ("tests/unit", "tests/web")


def others() -> list[str]:
    """The folders of the first half."""
    found = sorted(path for path in (ROOT / "tests").iterdir() if any(path.glob("test_*.py")))
    return [folder for path in found if (folder := f"tests/{path.name}") not in BESIDE]


def main() -> int:
    """Run them; the exit code of pytest."""
    pytest = [sys.executable, "-m", "pytest", "-m", "not slow"]
    arguments = sys.argv[1:]
    if any((ROOT / word.partition("::")[0]).exists() for word in arguments):
        return subprocess.call([*pytest, *arguments])
    with tempfile.TemporaryFile() as said, tempfile.TemporaryDirectory(prefix="web-") as folder:
        # A folder of its own: pytest closes the common one to others when it begins, and some tests run as another user.
        environ = {**os.environ, "PYTEST_DEBUG_TEMPROOT": folder}
        # One after the other, each in a process of its own: a browser's loop runs in that of the console's.
        parts = [shlex.join([*pytest, *arguments, part]) for part in BESIDE]
        second = "; ".join(f"{part} || worst=$?" for part in parts)
        beside = subprocess.Popen(
            ["sh", "-c", f"worst=0; {second}; exit $worst"],
            cwd=ROOT,
            env=environ,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        try:
            codes = [subprocess.call([*pytest, *arguments, *others()], cwd=ROOT), beside.wait()]
        finally:
            beside.terminate()
            beside.wait()
        said.seek(0)
        sys.stdout.write(said.read().decode("utf-8", "replace"))
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
