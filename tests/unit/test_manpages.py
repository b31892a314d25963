"""The manual pages: whole, accepted by the programs that show them, and named by the wheel."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from circusd.cli.arguments import GLOBAL, flags_of
from circusd.cli.codes import CODES
from circusd.cli.completion import flag_words
from circusd.schema.commands import COMMANDS
from circusd.schema.options import STREAM_CLASSES, TABLES

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs" / "man").iterdir())


def shown(name: str) -> str:
    """The source of a page, its escapes taken out."""
    text = (ROOT / "docs" / "man" / name).read_text()
    return re.sub(r"\\f[BIP]|\\&", "", text).replace("\\-", "-").replace("\\(ti", "~").replace("\\(aq", "'")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_mandoc_finds_nothing_to_say(page: Path) -> None:
    """Not even of style above the least."""
    if not shutil.which("mandoc"):
        pytest.skip("mandoc is not installed")
    done = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", str(page)], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_groff_renders_it_without_a_warning(page: Path) -> None:
    """As man(1) on Linux has it done, on a wide and a narrow terminal."""
    if not shutil.which("groff"):
        pytest.skip("groff is not installed")
    for width in ("100n", "40n"):
        done = subprocess.run(
            ["groff", "-ww", "-man", "-Tutf8", f"-rLL={width}", str(page)],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        )
        # A long word on a narrow terminal can't be set evenly, and that is no fault of the page.
        told = [
            line
            for line in done.stderr.splitlines()
            if "adjust line" not in line and "break line" not in line
        ]
        assert told == []
        assert "SEE ALSO" in re.sub(".\b", "", done.stdout)


def test_every_command_flag_and_code_is_in_circusctl_1() -> None:
    """With what --help knows."""
    text = shown("circusctl.1")
    missing = [
        f".SS {row.name}" for row in COMMANDS if row.where != "door" and f"\n.SS {row.name}\n" not in text
    ]
    rows = [row for row in COMMANDS if row.where != "door"]
    flags = [word for fields in (GLOBAL, *map(flags_of, rows)) for word, _ in flag_words(fields)]
    missing += [word for word in flags if word not in text]
    missing += [str(code.number) for code in CODES if f"\n.TP\n{code.number}\n" not in text]
    assert missing == []


def test_every_option_is_in_circus_ini_5() -> None:
    """As a term of its own, or among the old ones."""
    text = shown("circus.ini.5")
    rows = [
        *(row for table in TABLES.values() for row in table),
        *(o for c in STREAM_CLASSES for o in c.options),
    ]
    assert [
        row.name
        for row in rows
        if f"\n.TP\n{row.name}\n" not in text and not (row.legacy and re.search(rf"\b{row.name}\b", text))
    ] == []


def test_the_wheel_installs_every_page() -> None:
    """Below share/man, in the folder of its section."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", "utf-8")
    listed = {folder: files.split() for folder, files in setup["options.data_files"].items()}
    wanted: dict[str, list[str]] = {}
    for page in PAGES:
        wanted.setdefault(f"share/man/man{page.suffix[1:]}", []).append(f"docs/man/{page.name}")
    assert listed == wanted
