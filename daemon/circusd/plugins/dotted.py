"""From a dotted path to what it names, for hooks and plugins."""

from __future__ import annotations

import importlib
from typing import Any


def resolve(path: str) -> Any:
    """What the path names: modules are imported as far as they go, the rest are attributes.

    Raises ImportError or AttributeError, or whatever a module raises that is imported.
    """
    names = path.split(".")
    for count in range(len(names) - 1, 0, -1):
        module_name = ".".join(names[:count])
        try:
            found: Any = importlib.import_module(module_name)
        except ModuleNotFoundError as problem:
            # Of a module that is there and misses another one, that is the news.
            if count == 1 or problem.name is None or not f"{module_name}.".startswith(f"{problem.name}."):
                raise
            continue
        for name in names[count:]:
            found = getattr(found, name)
        return found
    raise ImportError(f"{path!r} is not a dotted path")


def in_words(path: str, problem: BaseException) -> str:
    """Why `resolve` failed, as a sentence."""
    if isinstance(problem, ModuleNotFoundError) and problem.name:
        return f"could not import {path}: there is no module named {problem.name}"
    if isinstance(problem, AttributeError | ImportError):
        return f"could not import {path}: {problem}"
    return f"could not import {path}: {type(problem).__name__}: {problem}"
