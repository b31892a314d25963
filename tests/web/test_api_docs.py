"""The examples of docs/api.rst, typed as they stand there, before a real circusd."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from tests.daemon import BIN, Daemon
from tests.e2e.test_cases import CONFIGURATION
from tests.waiting import eventually

PAGE = Path(__file__).parents[2] / "docs" / "api.rst"
STREAM_IS_CUT = 28
"""curl's exit code after --max-time."""


def examples() -> Iterator[tuple[str, list[str]]]:
    """Each line that is typed, with what the page says comes of it."""
    typed, told = "", list[str]()
    for line in [*PAGE.read_text("utf-8").splitlines(), "end"]:
        if line.startswith("    $ ") or (line and not line.startswith("    ")):
            if typed:
                yield typed, told
            typed, told = line.removeprefix("    $ ") if line.startswith("    $ ") else "", []
        elif typed and line.strip():
            told.append(line.strip())


def pattern(line: str) -> str:
    """The line, with any number where it has one, and anything where it has an ellipsis."""
    return re.sub(r"\d+(?:\\\.\d+)?", r"\\d+(?:\\.\\d+)?", re.escape(line)).replace("…", ".*")


def test_examples_of_the_page_work(tmp_path: Path) -> None:
    """Each line of the page does what the page says, in one shell from the first to the last."""
    ini = CONFIGURATION.format(circus="httpd = 1\nhttpd_port = 0")
    with Daemon(ini, tmp_path) as daemon:
        eventually(lambda: "tick" in daemon.ctl("output", "loud").stdout, what="there is something to follow")
        port = urlsplit(daemon.call("weblink")["link"]).port
        found = list(examples())
        assert len(found) > 10
        script = "".join(
            f"{typed.replace('localhost:8080', f'localhost:{port}')}\necho \" exit $?\"; echo '--- next'\n"
            for typed, _ in found
        )
        environ = {**daemon.environ, "PATH": f"{BIN}:{daemon.environ['PATH']}"}
        done = subprocess.run(
            ["sh", "-c", script], capture_output=True, text=True, env=environ, cwd=tmp_path, timeout=50
        )
        answers = done.stdout.split("--- next\n")
        for (typed, told), answer in zip(found, answers, strict=False):
            code = int(answer.rpartition(" exit ")[2])
            assert code in ((0, STREAM_IS_CUT) if "--max-time" in typed else (0,)), (
                typed,
                answer,
                done.stderr,
            )
            for line in told:
                assert re.search(pattern(line), answer), (typed, line, answer)
        assert (tmp_path / "token.curl").stat().st_mode & 0o077 == 0
