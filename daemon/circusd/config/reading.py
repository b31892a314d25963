"""Reading one file of the configuration into a document, whichever form it has."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from .document import Document
from .filetext import read_text
from .forms import form_of
from .inifile import read_ini
from .problems import Place

NOTHING: Mapping[str, str] = MappingProxyType({})


def read_file(document: Document, path: str, place: Place, texts: Mapping[str, str] = NOTHING) -> bool:
    """Whether the file could be had; what it says is added to the document, and what is wrong goes to its report.

    `place` is where the file is named, or the file itself. A file in `texts` is taken to hold that text.
    """
    text = texts[path] if path in texts else read_text(path, place, document.report)
    if text is None:
        return False
    add_text(document, path, text)
    return True


def add_text(document: Document, path: str, text: str) -> None:
    """What the text of that file says is added to the document; what is wrong goes to its report."""
    form = form_of(path)
    if form == "ini":
        read_ini(document, path, text)
        return
    # imported when there is such a file: a daemon with an ini file has neither in its memory
    if form == "toml":
        from .tomlfile import read_toml as read
    else:
        from .yamlfile import read_yaml as read
    root = read(text, path, document.report)
    if root is not None:
        from .tree import plant

        plant(document, path, root)
