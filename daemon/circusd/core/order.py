"""In which order watchers are started and stopped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def start_order(priorities: Mapping[str, int]) -> list[str]:
    """Names by priority, highest first; names of one priority in alphabetical order."""
    return sorted(priorities, key=lambda name: (-priorities[name], name))


def start_groups(priorities: Mapping[str, int], names: Iterable[str]) -> list[list[str]]:
    """Groups to be taken one after another, highest priority first; those of a group are taken together."""
    return [sorted(group) for group in reversed(stop_groups(priorities, names))]


def stop_groups(priorities: Mapping[str, int], names: Iterable[str]) -> list[list[str]]:
    """Groups to be stopped one after another, lowest priority first; those of a group are stopped together."""
    groups: dict[int, list[str]] = {}
    for name in names:
        groups.setdefault(priorities[name], []).append(name)
    return [sorted(groups[p], reverse=True) for p in sorted(groups)]
