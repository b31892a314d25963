"""What watchers say that they depend on, held against what there is: unknown names, and rings."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from circusd.core.dependencies import COMPLETED, COMPLETED_SUCCESSFULLY, cycle
from circusd.core.health import HEALTHY
from circusd.schema.need_values import is_outside

from .problems import Place, Report, did_you_mean, quoted
from .records import WatcherConfig


def needs_of(watchers: Iterable[WatcherConfig]) -> dict[str, list[str]]:
    """The lower-case names of what each needs, by its own."""
    return {
        w.name.lower(): [name.lower() for name, _ in w.depends_on if not is_outside(name)] for w in watchers
    }


def never(name: str, condition: str, scheduled: Collection[str], unwatched: Collection[str]) -> str:
    """Why that need will not be met; nothing where it may.

    The lower-case names are those of watchers with a schedule, and of those without ``alive``.
    """
    if condition == HEALTHY and name.lower() in unwatched:
        return (
            f"nobody looks whether {quoted(name)} is alive, and so it is never found healthy: set its option alive, "
            f"or write {name}:ready"
        )
    if condition not in (COMPLETED, COMPLETED_SUCCESSFULLY) or name.lower() not in scheduled:
        return ""
    return f"{quoted(name)} has a schedule, and so is never {condition} for good"


def check(
    watchers: Iterable[WatcherConfig], others: Mapping[str, bool], places: Mapping[str, Place], report: Report
) -> None:
    """Problems of ``depends_on`` go to the report. ``others`` are names of watchers that need nothing, each with whether
    it has ``alive``; ``places`` those of the options."""
    known = list(watchers)
    scheduled = {w.name.lower() for w in known if w.schedule}
    unwatched = {w.name.lower() for w in known if not w.alive}
    unwatched |= {name.lower() for name, is_watched in others.items() if not is_watched}
    names = {w.name.lower(): w.name for w in known} | {name.lower(): name for name in others}
    for watcher in known:
        for name, condition in watcher.depends_on:
            if why := never(name, condition, scheduled, unwatched):
                report.error(places.get(watcher.name, _place(watcher.name)), why)
            if name.lower() not in names and not is_outside(name):
                hint = did_you_mean(name, tuple(names.values()))
                place = places.get(watcher.name, _place(watcher.name))
                report.error(place, f"there is no watcher {quoted(name)}", "names of watchers", hint)
    ring = cycle({name: [o for o in needed if o in names] for name, needed in needs_of(known).items()})
    if ring:
        shown = " → ".join(names[name] for name in ring)
        place = places.get(names[ring[0]], _place(names[ring[0]]))
        report.error(place, f"none of these could be started, as each waits for the next: {shown}")


def _place(name: str) -> Place:
    return Place(section=f"watcher:{name}", option="depends_on")
