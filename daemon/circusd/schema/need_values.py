"""What a watcher may need, read from text and from JSON: other watchers in certain states, and addresses that answer; as `values`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .nearest import nearest
from .probe_values import target_of
from .values import read_filled

CONDITIONS = ("ready", "started", "healthy", "completed", "completed_successfully")
"""In which state a watcher may be needed; the first one where none is named."""
MOST_NEEDS = 100


Need = tuple[str, str]
"""The name of a watcher or an address outside, and the condition; an address has the first one, whatever answering there means."""

_OUTSIDE = re.compile(r"(?:tcp|http)://|unix:/", re.I)


def is_outside(name: str) -> bool:
    """Whether it is the address of something that is no watcher."""
    return _OUTSIDE.match(name) is not None


def read_needs(text: str) -> tuple[Need, ...]:
    """Names of watchers, each with its condition, and addresses outside."""
    return json_needs(text.replace(",", " ").split())


def json_needs(value: Any) -> tuple[Need, ...]:
    """The same from a list of such words, from an object of conditions by name, or from their text."""
    if isinstance(value, str):
        return read_needs(value)
    if isinstance(value, Mapping):
        value = [n if is_outside(str(n)) else f"{n}:{condition}" for n, condition in value.items()]
    if not isinstance(value, (list, tuple)) or not all(isinstance(word, str) for word in value):
        raise ValueError("is no list of names")
    if len(value) > MOST_NEEDS:
        raise ValueError(f"has more than {MOST_NEEDS} names")
    found: dict[str, str] = {}
    for word in value:
        name, colon, condition = read_filled(word).strip().rpartition(":")
        if is_outside(word.strip()):
            found[_address(word.strip())] = CONDITIONS[0]
            continue
        if not colon or condition not in CONDITIONS:
            # The name of a plugin's watcher has a colon of its own.
            if colon and not word.strip().lower().startswith("plugin:"):
                raise ValueError(_no_condition(condition))
            name, condition = word.strip(), CONDITIONS[0]
        found[name] = condition
    return tuple(found.items())


def _no_condition(word: str) -> str:
    # Others write service_healthy or process_healthy.
    near = nearest(re.sub(r"^(?:service|process)_", "", word.lower()), CONDITIONS)
    hint = f"did you mean {near}?" if near else f"it is one of {', '.join(CONDITIONS)}"
    return f"has the condition {word!r}, which there is not: {hint}"


def _address(word: str) -> str:
    try:
        target_of(word)
    except ValueError as problem:
        raise ValueError(f"has {word}, which {problem}") from None
    return word


def format_needs(value: Any) -> str:
    """As in a file."""
    return " ".join(
        name if condition == CONDITIONS[0] else f"{name}:{condition}" for name, condition in value
    )
