"""Writes the pages of docs/reference and docs/man from the tables, or checks that they are fresh.

``python tools/gendocs.py`` writes them; with ``--check`` it writes nothing, prints the difference, and exits with 1 when
there is one.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "daemon"), str(ROOT / "tools")]

import apireference  # noqa: E402  (found by the line above)
import manpages  # noqa: E402
import reference  # noqa: E402

DOCS = ROOT / "docs"


def pages() -> dict[str, str]:
    """Every generated page by its path below docs."""
    return {
        **{f"reference/{name}": text for name, text in reference.pages().items()},
        **{f"reference/{name}": text for name, text in apireference.pages().items()},
        **{f"man/{name}": text for name, text in manpages.pages().items()},
    }


def difference(path: Path, text: str) -> str:
    """What would change in the file, as a unified diff; nothing when it is fresh."""
    there = path.read_text("utf-8") if path.exists() else ""
    return "".join(
        difflib.unified_diff(
            there.splitlines(keepends=True),
            text.splitlines(keepends=True),
            f"{path.name} (there)",
            f"{path.name} (from the tables)",
        )
    )


def main(arguments: list[str] | None = None) -> int:
    """Write or check the pages; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 if a page is not fresh"
    )
    parser.add_argument("--folder", type=Path, default=DOCS, help="where the folders of the pages are")
    chosen = parser.parse_args(arguments)
    stale = False
    for name, text in pages().items():
        path = chosen.folder / name
        change = difference(path, text)
        stale = stale or bool(change)
        if change and chosen.check:
            print(change, end="")
        elif change:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
            print(f"written: {path}")
    return 1 if stale and chosen.check else 0


if __name__ == "__main__":
    sys.exit(main())
