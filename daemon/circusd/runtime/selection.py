"""Which watchers a request means: one by its name, those of a pattern, or those that have a tag."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from circusd.schema.errors import BadRequest, CircusError, Failed, NotFound
from circusd.schema.nearest import nearest

from .arbiter import Arbiter, in_background
from .requests import Context, Later, Reply, matching_glob, matching_regex
from .watcher import Watcher

MATCHES: Final = ("simple", "glob", "regex", "list")

_COMMA = re.compile(r"(?<!\\),")


class Seen(Protocol):
    """What watchers are chosen from: the arbiter, or those of its watchers that somebody may see."""

    @property
    def watchers(self) -> Mapping[str, Watcher]: ...


@dataclass(frozen=True, slots=True)
class _Some:
    watchers: Mapping[str, Watcher]


def seen(arbiter: Arbiter, context: Context) -> Seen:
    """The watchers that who asks may see and command."""
    scope = context.person.scope
    return arbiter if scope.is_all else _Some(scope.of_those(arbiter.watchers))


def named(arbiter: Arbiter, properties: Mapping[str, Any], context: Context) -> list[Watcher]:
    """The watchers of the request's ``name``; without one all that who asks may see. Raises as `select`."""
    mine = seen(arbiter, context)
    return select(mine, properties) if properties.get("name") else list(mine.watchers.values())


def select(arbiter: Seen, properties: Mapping[str, Any], name: object = None) -> list[Watcher]:
    """The watchers of the request's ``name`` (or of that one), read as its ``match`` says; never none.

    A name that some watcher has means that one alone, unless it is to be a regular expression or a list; ``@WORD`` means
    those with that tag. Raises NotFound with the nearest name (also when one of a list is not there: then none of them is
    meant), and BadRequest for a pattern that can't be used.
    """
    name = properties.get("name") if name is None else name
    match = properties.get("match") or "glob"
    if match not in MATCHES:
        raise BadRequest(
            f"unknown match method {match}", field="match", hint=f"expected one of {', '.join(MATCHES)}"
        )
    if not isinstance(name, str):
        raise BadRequest(f"name must be a text, not {name!r}", field="name")
    wanted = name.lower()
    if match == "regex":
        found = matching_regex(name, list(arbiter.watchers))
    elif match == "list":
        found = _listed(arbiter, name)
    elif wanted in arbiter.watchers:
        found = [wanted]
    elif wanted.startswith("@"):
        found = _tagged(arbiter, wanted.removeprefix("@"))
    else:
        found = matching_glob(wanted, list(arbiter.watchers)) if match == "glob" else []
    if not found:
        raise _not_found(arbiter, name)
    return [arbiter.watchers[n] for n in sorted(found)]


def chosen(arbiter: Arbiter, properties: Mapping[str, Any], context: Context) -> list[Watcher]:
    """The same for a command that takes time: its progress is counted in these watchers."""
    watchers = select(seen(arbiter, context), properties)
    context.order.total = len(watchers)
    return watchers


def several(watchers: Iterable[Watcher], run: Callable[[Watcher], Reply]) -> Reply:
    """The reply for one watcher as it is, and for several ``results`` by name.

    What can be refused is to be refused before: when one of several fails, the others are carried out all the same, and
    the reply is the error.
    """
    replies = {w.name: run(w) for w in watchers}
    if len(replies) == 1:
        return next(iter(replies.values()))
    if all(isinstance(reply, dict) for reply in replies.values()):
        return {"results": replies}
    at_once = not any(isinstance(reply, Later) and not reply.at_once for reply in replies.values())
    return Later(in_background(lambda: _gathered(replies)), lambda results: {"results": results}, at_once)


def _gathered(replies: Mapping[str, Reply]) -> dict[str, dict[str, Any]]:
    results: dict[str, dict[str, Any]] = {}
    problems: dict[str, str] = {}
    for name, reply in replies.items():
        try:
            results[name] = reply if isinstance(reply, dict) else reply.payload(reply.result.get())
        except CircusError as error:
            problems[name] = str(error).removeprefix(f"{name}: ")
    if problems:
        raise Failed("; ".join(f"{name}: {text}" for name, text in problems.items()), failed=problems)
    return results


def _listed(arbiter: Seen, text: str) -> list[str]:
    """The names between the commas, each once."""
    names = [one.replace("\\,", ",") for one in _COMMA.split(text)]
    for name in names:
        if name.lower() not in arbiter.watchers:
            raise _not_found(arbiter, name)
    return list({name.lower(): None for name in names})


def _tagged(arbiter: Seen, tag: str) -> list[str]:
    tags = {name: {t.lower() for t in watcher.config.tags} for name, watcher in arbiter.watchers.items()}
    found = [name for name, given in tags.items() if tag in given]
    if not found:
        close = nearest(tag, sorted(set().union(*tags.values())))
        raise NotFound(f"no watcher has the tag {tag}", hint=f"did you mean @{close}?" if close else "")
    return found


def _not_found(arbiter: Seen, name: str) -> NotFound:
    close = nearest(name.lower().strip("*?^$.+"), list(arbiter.watchers))
    return NotFound(f"program {name} not found", hint=f"did you mean {close}?" if close else "")
