"""From the name of an application or a hook to the object: ``package.module.attribute``, ``package.module:attribute``, ``paste:FILE``."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from typing import Any

from circusd.schema.nearest import nearest


class NotLoaded(Exception):
    """There is no such object; the text says what was found and what not."""


def load(name: str) -> Any:
    """The object of that name. Raises `NotLoaded`; what the module itself raises goes through."""
    if name.startswith("paste:"):
        return from_paste(name.removeprefix("paste:"))
    path, colon, attributes = name.partition(":")
    if colon:
        return _attribute(_module(path, name), attributes.split("."), name)
    parts = name.split(".")
    if len(parts) < 2 or not all(parts):
        raise NotLoaded(f"{name!r} names no object: expected module.attribute, or module:attribute")
    # The longest part of it that is a module; the rest are attributes.
    for end in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:end])
        if _is_there(module):
            return _attribute(_module(module, name), parts[end:], name)
    raise NotLoaded(_missing(parts[0], name))


def _is_there(module: str) -> bool:
    """Whether there is a module of that name; the packages around it are imported, and what they raise goes through."""
    package = module.rpartition(".")[0]
    if package:
        if not _is_there(package):
            return False
        importlib.import_module(package)
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        # What it is in is no package, or the name is none of a module.
        return False


def _module(module: str, name: str) -> Any:
    if not _is_there(module):
        raise NotLoaded(_missing(module, name))
    return importlib.import_module(module)


def _missing(module: str, name: str) -> str:
    places = os.pathsep.join(sys.path[:3])
    return (
        f"{name}: there is no module {module!r}; the folder that it is in can be named with --python-path, "
        f"working_dir or PYTHONPATH (looked at first: {places})"
    )


def _attribute(found: Any, attributes: list[str], name: str) -> Any:
    for attribute in attributes:
        if not hasattr(found, attribute):
            near = nearest(attribute, [known for known in dir(found) if not known.startswith("_")])
            where = getattr(found, "__name__", type(found).__name__)
            hint = f"; did you mean {near}?" if near else ""
            raise NotLoaded(f"{name}: {where} has no {attribute!r}{hint}")
        found = getattr(found, attribute)
    return found


def from_paste(name: str) -> Any:
    """The application that a PasteDeploy file describes: ``FILE``, or ``FILE#SECTION``. Raises `NotLoaded`."""
    try:
        from paste.deploy import loadapp
    except ImportError:
        raise NotLoaded("paste: files need the package PasteDeploy: pip install PasteDeploy") from None
    path, mark, section = name.partition("#")
    if not os.path.isfile(path):
        raise NotLoaded(f"there is no file {path!r}")
    try:
        return loadapp(f"config:{os.path.abspath(path)}{mark}{section}")
    except LookupError as problem:
        raise NotLoaded(f"{path}: {str(problem).splitlines()[0]}") from None


def hello(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """What is served when no application is named: shows that the socket and the server work."""
    body = b"hello world\n"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
