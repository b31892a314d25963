"""A folder of configuration files, written and read back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from circusd.config.ini import Loaded, load
from circusd.config.model import Configuration, WatcherConfig

ENVIRON = {"HOME": "/my/home", "PATH": "/usr/bin", "PORT": "9000", "Mixed": "case"}


class Files:
    """A folder of configuration files."""

    def __init__(self, folder: Path, name: str = "circus.ini") -> None:
        self.folder = folder
        self.name = name
        """Of the main file; its ending says which form it has."""

    def write(self, name: str, text: str | bytes) -> str:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    def load(self, text: str | bytes, environ: Mapping[str, str] = ENVIRON) -> Loaded:
        return load(self.write(self.name, text), environ)

    def good(self, text: str, environ: Mapping[str, str] = ENVIRON) -> Configuration:
        loaded = self.load(text, environ)
        assert loaded.configuration is not None, [str(problem) for problem in loaded.problems]
        return loaded.configuration

    def watcher(self, text: str, environ: Mapping[str, str] = ENVIRON) -> WatcherConfig:
        (watcher,) = self.good(text, environ).watchers
        return watcher

    def problems(self, text: str | bytes) -> list[str]:
        """Each problem in one line, with the folder cut off."""
        return [str(problem).replace(f"{self.folder}/", "") for problem in self.load(text).problems]
