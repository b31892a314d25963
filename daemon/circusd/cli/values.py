"""Values of ``circusctl set``, as the option table types them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from circusd.cli.optionflags import WrongValue
from circusd.cli.optionflags import typed as value_of
from circusd.schema.errors import BadRequest
from circusd.schema.options import WATCHER, near_miss, watcher_option


def typed(texts: Mapping[str, str]) -> dict[str, Any]:
    """The values as JSON has them; raises BadRequest, with what was expected, for one that is none."""
    values: dict[str, Any] = {}
    for key, text in texts.items():
        if key == "hooks":
            values.update(_hooks(text))
            continue
        option = watcher_option(key)
        if option is None:
            near = near_miss(WATCHER, key)
            raise BadRequest(f"unknown key {key!r}", field=key, hint=f"did you mean {near}?" if near else "")
        try:
            values[key] = value_of(key, option, text)
        except WrongValue as problem:
            raise BadRequest(problem.text, field=key) from None
    return values


def _hooks(text: str) -> dict[str, str]:
    """The original's form for several hooks: ``before_start:module.function,after_stop:module.other``."""
    hooks: dict[str, str] = {}
    for pair in filter(None, text.split(",")):
        name, colon, path = pair.partition(":")
        if not colon:
            raise BadRequest(f"hooks: {pair!r} is not NAME:PATH", field="hooks")
        hooks[f"hooks.{name.strip()}"] = path.strip()
    return hooks
