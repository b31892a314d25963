"""In which order watchers are started and stopped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

NO_NEEDS: Mapping[str, frozenset[str]] = {}
_NOBODY: frozenset[str] = frozenset()


def start_order(priorities: Mapping[str, int]) -> list[str]:
    """Names by priority, highest first; names of one priority in alphabetical order."""
    return sorted(priorities, key=lambda name: (-priorities[name], name))


def start_groups(
    priorities: Mapping[str, int], names: Iterable[str], needs: Mapping[str, Iterable[str]] = NO_NEEDS
) -> list[list[str]]:
    """Groups to be taken one after another, highest priority first; those of a group are taken together."""
    return [sorted(group) for group in reversed(stop_groups(priorities, names, needs))]


def stop_groups(
    priorities: Mapping[str, int], names: Iterable[str], needs: Mapping[str, Iterable[str]] = NO_NEEDS
) -> list[list[str]]:
    """Groups to be stopped one after another, lowest priority first; those of a group are stopped together.

    What others need is stopped after them, whatever its priority is: ``needs`` has for a name those that it needs.
    """
    left = set(names)
    users: dict[str, set[str]] = {}
    for name in left:
        for other in needs.get(name, ()):
            users.setdefault(other, set()).add(name)
    groups: list[list[str]] = []
    while left:
        # In a ring nobody is free: then the priority alone decides.
        free = [name for name in left if not users.get(name, _NOBODY) & left] or list(left)
        lowest = min(priorities[name] for name in free)
        group = sorted((name for name in free if priorities[name] == lowest), reverse=True)
        groups.append(group)
        left.difference_update(group)
    return groups
