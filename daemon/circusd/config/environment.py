"""The environment that files give to processes.

From below: files of variables (``env_file`` of ``[circus]``, then of the watcher), ``[env]`` for all, ``[env:NAME,PATTERN*]``
for some watchers, and the table ``env`` in a watcher's own table. What the configuration itself says wins over the files
that it names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from .document import Section
from .interpolate import expand, expand_dollars, from_env
from .problems import Report


class Layers:
    """The environment sections of the files, in their order; later ones win."""

    def __init__(
        self,
        sections: Iterable[Section],
        own: Mapping[str, Section],
        base: Mapping[str, str],
        environ: Mapping[str, str],
        report: Report,
    ) -> None:
        """`own` are the variables in watchers' own tables by their sections' names, `base` what lies below all."""
        self._own = own
        self._base = base
        self._environ = environ
        self._report = report
        self._layers = [(patterns_of(section.name), section) for section in sections if section.kind == "env"]
        # [env] is for all, and so below each [env:…] wherever it stands
        self._layers.sort(key=lambda layer: layer[0] is not None)

    def common(self) -> dict[str, str]:
        """The variables for all watchers."""
        return self._merge(self._base, (section for patterns, section in self._layers if patterns is None))

    def of(self, section: Section, files: Mapping[str, str]) -> dict[str, str]:
        """The variables for the watcher or plugin of that section, over those of the files that it names.

        Patterns are held against its name with the case of its letters; a plugin's is ``plugin:NAME``.
        """
        name = section.title if section.kind == "watcher" else f"{section.kind}:{section.title}"
        layers = [
            layer
            for patterns, layer in self._layers
            if patterns is None or any(fnmatchcase(name, pattern) for pattern in patterns)
        ]
        own = self._own.get(section.name)
        return self._merge({**self._base, **files}, [*layers, own] if own else layers)

    def check(self, watchers: Iterable[str]) -> None:
        """Sections that are for no watcher go to the report."""
        names = tuple(watchers)
        for patterns, section in self._layers:
            for pattern in patterns or ():
                if not any(fnmatchcase(name, pattern) for name in names):
                    self._report.warning(section.place(), f"no watcher is named {pattern}")

    def _merge(self, base: Mapping[str, str], sections: Iterable[Section]) -> dict[str, str]:
        env = dict(base)
        for section in sections:
            lookup = from_env({**self._environ, **env})
            layer: dict[str, str] = {}
            for name, entry in section.entries.items():
                text = entry.value if isinstance(entry.value, str) else " ".join(entry.value)
                value = expand_dollars(expand(text, lookup), self._environ)
                if "\0" in value or "\0" in name:
                    self._report.error(section.place(name), "holds a NUL byte")
                layer[name] = _trimmed(value, text if entry.exact else "")
            env.update(layer)
        return env


def _trimmed(value: str, written: str) -> str:
    """Without the spaces at its ends, unless they stand there in the file: those that a reference leaves are nobody's."""
    value = value if written[:1].isspace() else value.lstrip()
    return value if written[-1:].isspace() else value.rstrip()


def patterns_of(name: str) -> tuple[str, ...] | None:
    """The patterns of an ``[env:…]`` section, None for ``[env]``."""
    if name == "env":
        return None
    return tuple(pattern.strip() for pattern in name.removeprefix("env:").split(",") if pattern.strip())


def python_path(envs: Iterable[Mapping[str, str]]) -> tuple[str, ...]:
    """The folders of their ``PYTHONPATH``, each once, in order."""
    folders: dict[str, None] = {}
    for env in envs:
        folders.update((folder, None) for folder in env.get("PYTHONPATH", "").split(":") if folder)
    return tuple(folders)
