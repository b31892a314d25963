"""Secrets on their way into a request: from a file, from standard input, or asked for; never from an argument."""

from __future__ import annotations

import os
import sys
from typing import Any

from circusd.cli.arguments import WrongArguments, secret_flag
from circusd.schema.commands import Command, Field

LIMIT_BYTES = 4096


def fill(row: Command, properties: dict[str, Any]) -> None:
    """The properties hold the command's secrets in place of the files that were named. Raises WrongArguments."""
    for field in row.args:
        if field.type != "secret":
            continue
        path = properties.pop(secret_flag(field).name, None)
        if path is not None:
            properties[field.name] = _first_line(_read(path), path)
        elif field.required:
            properties[field.name] = _asked(field) if sys.stdin.isatty() else _first_line(_read("-"), "-")


def _read(path: str) -> bytes:
    if path == "-":
        return sys.stdin.buffer.readline(LIMIT_BYTES)
    try:
        with open(os.path.expanduser(path), "rb") as file:
            return file.readline(LIMIT_BYTES)
    except OSError as problem:
        raise WrongArguments(f"{path}: {(problem.strerror or 'it can not be read').lower()}") from None


def _first_line(data: bytes, path: str) -> str:
    where = "standard input" if path == "-" else path
    try:
        text = data.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise WrongArguments(f"the first line of {where} is no text") from None
    if not text:
        raise WrongArguments(f"the first line of {where} is empty")
    return text


def _asked(field: Field) -> str:
    """What a person types, twice and unseen."""
    from getpass import getpass

    try:
        first = getpass(f"{field.name}: ")
        if getpass(f"{field.name} again: ") != first:
            raise WrongArguments("they were not the same; nothing was changed")
    except EOFError:
        first = ""
    if not first:
        raise WrongArguments("nothing was typed; nothing was changed")
    return first
