"""What is wrong with the options of a shipped plugin, by its table."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec

from circusd.schema.options import WATCHER, PluginClass, find, near_miss

from .problems import Place, Report
from .values import Raw, read


def check_plugin(known: PluginClass, raw: Mapping[str, Raw], place: Place, report: Report) -> None:
    """Wrong values are errors, keys that mean nothing are warnings with the nearest right one; ``place`` is the section."""
    for name, given in raw.items():
        option = find(known.options, name)
        if option is not None:
            read(option, given, report)
        elif find(WATCHER, name) is None:
            near = near_miss(known.options, name) or near_miss(WATCHER, name)
            hint = f"did you mean {near}?" if near else ""
            report.warning(given.place, f"is no option of {known.name}, and has no effect", hint=hint)
    if known.needs and not any(name in raw and raw[name].value for name in known.needs):
        option = find(known.options, known.needs[0])
        assert option is not None
        report.error(place, f"has no {option.name}, which {known.name} needs", option.type.expected)
    if known.library and find_spec(known.library) is None:
        hint = f"pip install 'circusweb[{known.extra}]'"
        report.warning(
            place, f"{known.name} needs the library {known.library}, which is not installed", hint=hint
        )
