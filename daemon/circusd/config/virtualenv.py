"""What a virtual environment adds to the environment of a process."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

DEFAULT_PATH = "/bin:/usr/bin"
"""Where the C library looks for a program when there is no PATH."""


def enter(env: Mapping[str, str], folder: str, version: str | None = None) -> dict[str, str]:
    """The environment with that of the virtual environment in the folder before it.

    `version` is that of its Python (``3.11``); the newest one there when not given. A folder that is none only adds its
    ``bin``: the process tells best what is missing.
    """
    inside = dict(env)
    inside.pop("PYTHONHOME", None)
    inside["VIRTUAL_ENV"] = folder
    inside["PATH"] = ":".join((os.path.join(folder, "bin"), env.get("PATH") or DEFAULT_PATH))
    folders = list(_site_folders(folder, version))
    if env.get("PYTHONPATH"):
        folders.append(env["PYTHONPATH"])
    if folders:
        inside["PYTHONPATH"] = ":".join(folders)
    return inside


def _site_folders(folder: str, version: str | None) -> Iterator[str]:
    """The folder of its packages, and those that its ``.pth`` files name."""
    pattern = os.path.join(
        glob.escape(folder), "lib", f"python{glob.escape(version) if version else '3*'}", "site-packages"
    )
    found = sorted(glob.glob(pattern), key=lambda name: (len(name), name))
    if not found:
        return
    site = found[-1]
    yield site
    for file in sorted(glob.glob(os.path.join(glob.escape(site), "*.pth"))):
        try:
            lines = Path(file).read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        for line in lines:
            # lines of code (import …) and comments are not folders
            name = os.path.normpath(os.path.join(site, line.strip()))
            if line.strip() and not line.startswith(("#", "import ", "import\t")) and os.path.isdir(name):
                yield name
