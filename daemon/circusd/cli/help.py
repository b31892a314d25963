"""Help, from the command table."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from circusd.cli.arguments import GLOBAL, flag_name, flags_of, positionals_of, usage
from circusd.cli.terminal import Style, columns
from circusd.schema.commands import COMMANDS, WAITING, Command, Field
from circusd.schema.option import Option

_SIDE_BY_SIDE = 60

WIDEST = 100
"""Text is not set wider than this, however wide the terminal."""


def overview(style: Style) -> str:
    """How circusctl is called, its options, and every command with its summary."""
    rows = [(row.name, row.summary) for row in COMMANDS if row.where != "door"]
    lines = [
        *_wrapped("usage: circusctl [options] command [args]", style),
        "",
        *_wrapped("Controls circusd. Without a command it shows the status and asks for commands.", style),
        "",
        "Options:",
        *_flags(GLOBAL, style),
        "",
        "Commands:",
        *(
            columns(rows, style, indent="  ", colors=[("bold", "")] * len(rows))
            if style.width >= _SIDE_BY_SIDE
            else _pairs(rows, style)
        ),
        "",
        *_wrapped(
            "circusctl help COMMAND tells all of one command. CIRCUSCTL_ENDPOINT names the endpoint when --endpoint does not.",
            style,
        ),
    ]
    return "\n".join(lines)


def of_command(row: Command, style: Style) -> str:
    """Everything that the table knows of a command."""
    form = f"usage: circusctl {usage(row)}"
    lines = [
        *(_wrapped(form, style) if style.terminal else [form]),
        "",
        *_wrapped(row.doc.replace("``", ""), style),
    ]
    if row.aliases:
        lines += ["", f"Also: {', '.join(row.aliases)}"]
    positional = positionals_of(row)
    if positional:
        pairs = [(_word(field), _doc(field)) for field in positional]
        lines += ["", "Arguments:", *_pairs(pairs, style)]
    flags = flags_of(row)
    if flags:
        lines += ["", "Options:", *_flags(flags, style)]
    if row.options:
        from circusd.cli.optionflags import rows

        lines += [
            "",
            f"Options of the {row.options}:",
            *_pairs([(flag, _of(o)) for flag, o in rows(row.options)], style),
        ]
    if row.name == "add":
        lines += ["", *_wrapped(_ADD, style)]
    if row.example:
        lines += ["", "Example:", f"  {row.example}"]
    return "\n".join(lines)


def as_data(row: Command | None) -> dict[str, Any]:
    """What the table says of a command, or of all, for programs."""
    if row is None:
        return {"commands": [as_data(row) for row in COMMANDS if row.where != "door"]}
    return row.as_data()


_ADD = (
    "Options behind CMD belong to CMD, save where CMD is one quoted line, and save --start and --waiting where they stand "
    "last; with -- before CMD everything behind it belongs to it."
)


def _flags(fields: Sequence[Field], style: Style) -> list[str]:
    pairs = []
    for field in fields:
        names = f"--{flag_name(field)}"
        if field.type == "bool" and field.default is True:
            continue  # what switches it off has a flag of its own
        if field is WAITING:
            names += ", --wait"
        if field.short:
            names = f"-{field.short}, {names}"
        if field.type != "bool":
            names += " " + (field.metavar or "|".join(field.choices) or field.name.upper())
        pairs.append((names, _doc(field)))
    return _pairs(pairs, style)


def _of(option: Option) -> str:
    doc = option.doc.replace("``", "")
    if option.told:
        doc = f"{doc} ({option.told})"
    elif option.default is True:
        doc = f"Switches off: {doc}"
    elif (
        option.default not in (None, "", False, True, ())
        and not option.pattern
        and option.type.widget != "env"
    ):
        doc += f" (default {option.type.format(option.default)})"
    return doc


def _word(field: Field) -> str:
    word = field.metavar or field.name.upper()
    return word if field.required else f"[{word}]"


def _doc(field: Field) -> str:
    doc = field.doc.replace("``", "")
    if field.type not in ("bool", "object") and field.default not in (None, ""):
        doc += f" (default {field.default})"
    return doc


def _pairs(pairs: Sequence[tuple[str, str]], style: Style) -> list[str]:
    left = max(len(name) for name, _ in pairs) + 2
    lines = []
    if style.width < left + 24:
        # Side by side there is no room for a sentence.
        for name, doc in pairs:
            lines.append(f"  {style.paint(name, 'bold')}")
            lines += [" " * 6 + part for part in textwrap.wrap(doc, max(20, style.width - 6))]
        return lines
    for name, doc in pairs:
        wrapped = textwrap.wrap(doc, max(20, min(style.width, WIDEST) - left - 2)) or [""]
        lines.append(f"  {style.paint(name, 'bold')}{' ' * (left - len(name))}{wrapped[0]}".rstrip())
        lines += [" " * (left + 2) + rest for rest in wrapped[1:]]
    return lines


def _wrapped(text: str, style: Style) -> list[str]:
    return textwrap.wrap(text, min(style.width, WIDEST), break_on_hyphens=False) or [""]
