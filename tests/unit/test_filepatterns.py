"""Which files the words of ``watch`` mean."""

from __future__ import annotations

import pytest

from circusd.core.filepatterns import Patterns, States, patterns


def counts(found: Patterns, path: str) -> bool:
    """Whether the absolute path counts, as a walk finds it: folder by folder."""
    for entry in found.entries:
        inside = path.removeprefix(entry.base.rstrip("/") + "/")
        if inside == path:
            continue
        states: States = entry.begin()
        whole = False
        for name in inside.split("/"):
            states = frozenset({-1}) if whole else entry.step(states, name)
            whole = bool(states) and entry.is_whole(states)
        if whole:
            return True
    return False


@pytest.mark.parametrize(
    ("words", "yes", "no"),
    [
        ("app", ("/srv/app", "/srv/app/a/b.py"), ("/srv/apps/x", "/srv/b/app/x")),
        ("./app/ *.cfg", ("/srv/app/x", "/srv/a.cfg"), ("/srv/b/a.cfg", "/srv/cfg")),
        ("app/**/*.py", ("/srv/app/a.py", "/srv/app/b/c/a.py"), ("/srv/a.py", "/srv/app/a.pyc")),
        ("app/**", ("/srv/app/a", "/srv/app/a/b"), ("/srv/x",)),
        ("**/**/*.[ch]", ("/srv/a.c", "/srv/x/y/z/a.h"), ("/srv/a.o",)),
        ("lib-?/*", ("/srv/lib-1/x", "/srv/lib-2/x/y"), ("/srv/lib-10/x",)),
        ("/etc/app.conf", ("/etc/app.conf",), ("/etc/app.conf.d/x", "/srv/etc/app.conf")),
        ("../shared", ("/shared/x",), ("/srv/shared/x",)),
        (".", ("/srv/a", "/srv/b/c"), ("/srw/a",)),
    ],
)
def test_words_are_files_folders_and_patterns(words: str, yes: tuple[str, ...], no: tuple[str, ...]) -> None:
    """Relative to the folder; a folder with all below it, also where a pattern names it."""
    found = patterns(words.split(), (), "/srv")
    assert [path for path in yes if not counts(found, path)] == []
    assert [path for path in no if counts(found, path)] == []


def test_what_is_ignored_is_named_by_name_or_by_path() -> None:
    """A word with a slash is a path in the folder; what is elsewhere is shown with its whole path."""
    found = patterns(("app",), ("*.pyc", ".*", "app/static/*", "build/"), "/srv")
    assert found.ignores("/srv/app/x.pyc")
    assert found.ignores("/srv/app/.git")
    assert found.ignores("/srv/app/static/x/y.css")
    assert found.ignores("/srv/app/build")
    assert not found.ignores("/srv/app/static")
    assert not found.ignores("/srv/app/x.py")
    assert (found.shown("/srv/app/x.py"), found.shown("/srvx/y")) == ("app/x.py", "/srvx/y")


def test_many_stars_cost_no_time() -> None:
    """However often a pattern could match, each name is looked at once."""
    found = patterns(("/".join(["**", "a*"] * 20 + ["x"]),), (), "/srv")
    assert not counts(found, "/srv/" + "/".join(["aaaa"] * 60) + "/b")
    assert counts(found, "/srv/" + "/".join(["aaaa"] * 60) + "/x")
