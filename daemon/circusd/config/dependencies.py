"""What watchers say that they depend on, held against what there is: unknown names, and rings."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from circusd.core.dependencies import COMPLETED, COMPLETED_SUCCESSFULLY, cycle
from circusd.schema.need_values import is_outside

from .problems import Place, Report, did_you_mean, quoted
from .records import WatcherConfig


def needs_of(watchers: Iterable[WatcherConfig]) -> dict[str, list[str]]:
    """The lower-case names of what each needs, by its own."""
    return {
        w.name.lower(): [name.lower() for name, _ in w.depends_on if not is_outside(name)] for w in watchers
    }


def never(name: str, condition: str, scheduled: Collection[str]) -> str:
    """Why that need will not be met; nothing where it may. ``scheduled`` are the lower-case names of those with a schedule."""
    if condition not in (COMPLETED, COMPLETED_SUCCESSFULLY) or name.lower() not in scheduled:
        return ""
    return f"{quoted(name)} has a schedule, and so is never {condition} for good"


def check(
    watchers: Iterable[WatcherConfig], others: Iterable[str], places: Mapping[str, Place], report: Report
) -> None:
    """Problems of ``depends_on`` go to the report. ``others`` are names of watchers that need nothing, ``places`` the options'."""
    known = list(watchers)
    scheduled = {w.name.lower() for w in known if w.schedule}
    names = {w.name.lower(): w.name for w in known} | {name.lower(): name for name in others}
    for watcher in known:
        for name, condition in watcher.depends_on:
            if why := never(name, condition, scheduled):
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
