"""A configuration can name the folder that it lies in, wherever the daemon is started."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from circusd.config.ini import load


def test_file_can_name_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``$(circus.env.circus_config_dir)`` is absolute, also when the file is named by a relative path."""
    folder = tmp_path / "etc" / "stack"
    folder.mkdir(parents=True)
    text = "[watcher:a]\ncmd = $(circus.env.CIRCUS_CONFIG_DIR)/run\nworking_dir = $(circus.env.circus_config_dir)\n"
    folder.joinpath("circus.ini").write_text(f"{text}[env]\nBASE = $CIRCUS_CONFIG_DIR/data\n")
    monkeypatch.chdir(tmp_path / "etc")
    loaded = load(os.path.join("stack", "circus.ini"), {})
    assert loaded.problems == ()
    assert loaded.configuration is not None
    (watcher,) = loaded.configuration.watchers
    assert (watcher.cmd, watcher.working_dir) == (f"{folder}/run", str(folder))
    assert watcher.env == {"BASE": f"{folder}/data"}
