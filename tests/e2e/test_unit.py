"""The unit that circusd prints: what systemd takes, and what the manual shows."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from circusd.cli.unit import unit
from tests.daemon import BIN

ROOT = Path(__file__).resolve().parents[2]


def printed(config: Path, *words: str) -> str:
    """The unit for a configuration."""
    done = subprocess.run(
        [BIN / "circusd", "--print-unit", *words, config],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert done.stderr == ""
    return done.stdout


def test_the_manual_shows_it_as_it_is_printed() -> None:
    """Word for word, with the places of an example."""
    shown = (ROOT / "docs" / "operators.rst").read_text()
    text = unit("/opt/circus/bin", "/etc/circus/circus.ini")
    assert "\n".join(f"    {line}".rstrip() for line in text.splitlines()) in shown


def test_it_names_this_installation_and_the_daemon(tmp_path: Path) -> None:
    """Absolute paths; the name of the flag or of the file, so that a reload finds the right daemon."""
    config = tmp_path / "circus.ini"
    config.write_text("[watcher:web]\ncmd = sleep 1\n")
    assert f"ExecStart={BIN}/circusd {config}\n" in printed(config)
    assert f"ExecReload={BIN}/circusctl reloadconfig" in printed(config)
    assert f"ExecStart={BIN}/circusd --name shop {config}\n" in printed(config, "--name", "shop")
    config.write_text("[circus]\nname = shop\n[watcher:web]\ncmd = sleep 1\n")
    assert f"ExecReload={BIN}/circusctl --name shop reloadconfig" in printed(config)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("folder", ["plain", "with space", "50% $HOME 'it\\s\""])
def test_systemd_finds_nothing_wrong_with_it(folder: str, tmp_path: Path) -> None:
    """Also where the configuration lies in a folder of an odd name."""
    place = tmp_path / folder
    place.mkdir()
    config = place / "circus.ini"
    config.write_text("[watcher:web]\ncmd = sleep 1\n")
    file = tmp_path / "circusd.service"
    file.write_text(printed(config))
    done = subprocess.run(
        ["systemd-analyze", "verify", file], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
