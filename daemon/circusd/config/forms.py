"""The forms of configuration files, told apart by the ending of the name, and how a key is written in each."""

from __future__ import annotations

import json
import os
import re

ENDINGS = {"ini": (".ini",), "toml": (".toml",), "yaml": (".yaml", ".yml")}
"""The endings of each form's names; a file with another one is an ini file, as it always was."""

FORMS = tuple(ENDINGS)

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def form_of(path: str) -> str:
    """The form of the file with that name."""
    ending = os.path.splitext(path)[1].lower()
    return next((form for form, endings in ENDINGS.items() if ending in endings), "ini")


def bare(key: str) -> str:
    """The key as a part of a dotted one: in quotes where it has to be."""
    return key if _BARE.fullmatch(key) else json.dumps(key, ensure_ascii=False).replace("\x7f", "\\u007f")


def written(file: str, section: str, option: str) -> str:
    """The option's name as that file writes it: ``[watcher:web] cmd``, or ``watcher.web.cmd``."""
    if form_of(file) == "ini":
        return " ".join(word for word in (f"[{section}]" if section else "", option) if word)
    kind, colon, title = section.partition(":")
    return ".".join(part for part in (kind, bare(title) if colon else "", option) if part)
