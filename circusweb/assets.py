"""Where static files and templates are: beside the package in a wheel, beside its folder in a checkout."""

from __future__ import annotations

import gzip
import hashlib
import posixpath
import re
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import jinja2

from . import tables
from .words import SAY

_HERE = Path(__file__).resolve().parent

KINDS = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".png": "image/png",
}
"""What is served, by the end of its name; other files in the folder are not."""

NEEDED = ("app.css", "js/app.js", "js/login.js", "js/theme.js", "vendor/preact.js", "vendor/socket.io.js")
"""Without these there is no console."""

TABLES = "tables.json"
"""Under this name the page asks for the tables that its forms are made from."""

ROWS = "js/rows.js"
"""The module with the part of them that the first view needs."""

_IMPORT = re.compile(r"""^(?:import|export)\b[^;'"]*?["'](\.[^"']+)["'];""", re.MULTILINE)
"""A module that is needed before the one that names it can run; what is imported later is a call, and not found by this."""


def folder(name: str) -> Path:
    """The folder ``static`` or ``templates``."""
    inside = _HERE / name
    return inside if inside.is_dir() else _HERE.parent / name


@dataclass(frozen=True, slots=True)
class Asset:
    """One file, ready to be sent."""

    body: bytes
    packed: bytes
    """The same by gzip; empty where that saves nothing."""
    kind: str


@dataclass(frozen=True, slots=True)
class Assets:
    """All static files in memory, under a name for the whole: it changes when any of them does.

    ES modules import each other by relative address, so only a common folder can carry the version.
    """

    files: dict[str, Asset] = field(default_factory=dict)
    version: str = ""

    @classmethod
    def load(cls, place: Path | None = None) -> Assets:
        """The files as they are now."""
        place = place or folder("static")
        files: dict[str, Asset] = {}
        digest = hashlib.sha256()
        for path in sorted(place.rglob("*")):
            name = path.relative_to(place).as_posix()
            if not path.is_file() or path.suffix not in KINDS or any(p.startswith(".") for p in path.parts):
                continue
            body = path.read_bytes()
            packed = gzip.compress(body, 9, mtime=0)
            digest.update(name.encode() + b"\0" + hashlib.sha256(body).digest())
            files[name] = Asset(body, packed if len(packed) < len(body) else b"", KINDS[path.suffix])
        # Made and not a file, yet one with the others: pages and tables of one version belong together.
        made = ((TABLES, tables.as_json(), "application/json"), (ROWS, tables.as_module(), KINDS[".js"]))
        for name, body, kind in made:
            digest.update(body)
            files[name] = Asset(body, gzip.compress(body, 9, mtime=0), kind)
        return cls(files, digest.hexdigest()[:16])

    def missing(self) -> list[str]:
        """What the console needs and is not there, as in a build without the third-party JavaScript."""
        return [name for name in NEEDED if name not in self.files]

    def modules(self) -> list[str]:
        """What the console's first view is made of: asked for at once, and not when the one that imports it has come."""
        found: dict[str, None] = {}
        waiting = ["js/app.js"]
        while waiting:
            name = waiting.pop()
            if name in found or name not in self.files:
                continue
            found[name] = None
            text = self.files[name].body.decode("utf-8", "replace")
            waiting += [
                posixpath.normpath(f"{posixpath.dirname(name)}/{path}") for path in _IMPORT.findall(text)
            ]
        return sorted(found, key=lambda name: (not name.startswith("vendor/"), name))

    def address(self, name: str, prefix: str = "") -> str:
        """The path of a file in a URL, below that of the console; it may be kept for ever."""
        return f"{prefix}/static/{self.version}/{name}"


class Templates:
    """The pages. Everything that is put into them is escaped, and what they do not get is an error."""

    def __init__(self, assets: Assets, place: Path | None = None) -> None:
        """All of them are read and compiled here: later this process may not be allowed to read its own files."""
        place = place or folder("templates")
        sources = {p.relative_to(place).as_posix(): p.read_text("utf-8") for p in place.rglob("*.html")}
        self._environment = jinja2.Environment(
            loader=jinja2.DictLoader(sources),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._assets = assets
        for name in sources:
            self._environment.get_template(name)

    def page(self, name: str, prefix: str, **values: Any) -> str:
        """The text of a page of a console that is below that path."""
        asset = partial(self._assets.address, prefix=prefix)
        return self._environment.get_template(name).render(prefix=prefix, asset=asset, say=SAY, **values)
