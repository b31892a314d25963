"""Runs the tests: those of the console beside all others, as both wait more than they work.

    .venv/bin/python tools/runtests.py [ARGUMENT ...]

Arguments are pytest's. With a path among them that alone is run. Otherwise what the first half says is
shown as it comes, and what the second says when both have ended; the exit code is that of the worse.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONSOLE = "tests/web"


def others() -> list[str]:
    """The folders of all other tests."""
    found = sorted(path for path in (ROOT / "tests").iterdir() if any(path.glob("test_*.py")))
    return [f"tests/{path.name}" for path in found if path.name != Path(CONSOLE).name]


def main() -> int:
    """Run them; the exit code of pytest."""
    pytest = [sys.executable, "-m", "pytest", "-m", "not slow"]
    arguments = sys.argv[1:]
    if any((ROOT / word.partition("::")[0]).exists() for word in arguments):
        return subprocess.call([*pytest, *arguments])
    with tempfile.TemporaryFile() as said, tempfile.TemporaryDirectory(prefix="web-") as folder:
        # A folder of its own: pytest closes the common one to others when it begins, and some tests run as another user.
        environ = {**os.environ, "PYTEST_DEBUG_TEMPROOT": folder}
        beside = subprocess.Popen(
            [*pytest, *arguments, CONSOLE], cwd=ROOT, env=environ, stdout=said, stderr=subprocess.STDOUT
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
