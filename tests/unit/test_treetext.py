"""The text of a TOML or YAML file while options are changed in it: what was not meant stays letter by letter."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circusd.config.document import Document
from circusd.config.editing import Text, text_of
from circusd.config.problems import Report, Unwritable
from circusd.config.reading import add_text

TOML = """\
# what it is
[circus]
check_delay = 5

[watcher.web]
# the shop
cmd   = './shop'  # by hand before
args = [
    "--port", "80",   # a port
]
numprocesses=2
rlimits = { nofile = 10 }
stdout_stream.class = "FileStream"

[watcher.web.env]
TOKEN = "old"

# the queue
[watcher."worker 2"]
cmd = "./worker"

[socket]
front = { host = "127.0.0.1", port = 0 }
# The end.
"""

YAML = """\
# what it is
circus:
    check_delay:   5

x-common: &common
    graceful_timeout: 7

watcher:
    web:
        # the shop
        cmd:   './shop'  # by hand before
        args:
        - --port
        - "80"   # a port
        numprocesses: 2
        rlimits: {nofile: 10}
        <<: *common
        env:
            TOKEN: old

    # the queue: größer als 1
    worker 2: {cmd: ./worker}

socket:
    front: {host: 127.0.0.1, port: 0}
# The end.
"""

Change = tuple[str, ...]


def edited(path: str, whole: str, *changes: Change) -> str:
    text = text_of(path, whole)
    for verb, *words in changes:
        getattr(text, verb)(*words)
    return text.text


def read(path: str, text: str) -> dict[tuple[str, str], object]:
    """What the text says."""
    report = Report()
    document = Document(report)
    add_text(document, path, text)
    assert not report.errors, (report.errors, text)
    return {
        (section.name + ("*" if sections is document.variables else ""), key): entry.value
        for sections in (document.sections, document.variables)
        for section in sections.values()
        for key, entry in section.entries.items()
    }


@pytest.mark.parametrize(
    ("change", "old", "new"),
    [
        (("set", "watcher:web", "numprocesses", "3"), "numprocesses=2\n", "numprocesses=3\n"),
        (("set", "watcher:web", "cmd", "./new"), "cmd   = './shop' ", "cmd   = './new' "),
        (("set", "watcher:web", "cmd", "it's"), "cmd   = './shop' ", 'cmd   = "it\'s" '),
        (
            ("set", "watcher:web", "args", "--port '8 1'"),
            'args = [\n    "--port", "80",   # a port\n]\n',
            'args = ["--port", "8 1"]\n',
        ),
        (
            ("set", "watcher:web", "shell", "true"),
            'class = "FileStream"\n',
            'class = "FileStream"\nshell = true\n',
        ),
        (
            ("set", "watcher:web", "stdout_stream.filename", "/x"),
            'class = "FileStream"\n',
            'class = "FileStream"\nstdout_stream.filename = "/x"\n',
        ),
        (
            ("set", "watcher:worker 2", "stdout_stream.class", "FileStream"),
            'cmd = "./worker"\n',
            'cmd = "./worker"\nstdout_stream.class = "FileStream"\n',
        ),
        (("set", "watcher:worker 2", "tags", "a b"), './worker"\n', './worker"\ntags = ["a", "b"]\n'),
        (("set", "watcher:web", "rlimit_nofile", "11"), "{ nofile = 10 }", "{ nofile = 11 }"),
        (("set", "watcher:web", "rlimit_core", "0"), "{ nofile = 10 }", "{ nofile = 10, core = 0 }"),
        (("set", "watcher:worker 2", "rlimit_core", "0"), './worker"\n', './worker"\nrlimits.core = 0\n'),
        (("take_away", "watcher:web", "rlimit_nofile"), "{ nofile = 10 }", "{  }"),
        (("take_away", "watcher:web", "numprocesses"), "numprocesses=2\n", ""),
        (("take_away", "watcher:web", "args"), 'args = [\n    "--port", "80",   # a port\n]\n', ""),
        (("take_away", "watcher:web", "nothing"), "", ""),
        (("set_variable", "web", "TOKEN", "new"), 'TOKEN = "old"', 'TOKEN = "new"'),
        (("set_variable", "web", "MORE", "x y"), 'TOKEN = "old"\n', 'TOKEN = "old"\nMORE = "x y"\n'),
        (("set_variable", "worker 2", "A", ""), './worker"\n', './worker"\nenv.A = ""\n'),
        (("take_variable", "web", "TOKEN"), 'TOKEN = "old"\n', ""),
        (("set", "watcher:n.w", "cmd", "x"), "# The end.\n", '# The end.\n\n[watcher."n.w"]\ncmd = "x"\n'),
        (("set", "socket:front", "backlog", "7"), "port = 0 }", "port = 0, backlog = 7 }"),
        (("take_away", "socket:front", "host"), '{ host = "127.0.0.1", port', "{ port"),
        (("take_away", "socket:front", "port"), ", port = 0 }", " }"),
        (("remove", "socket:front"), 'front = { host = "127.0.0.1", port = 0 }\n', ""),
        (
            ("remove", "watcher:web"),
            TOML[TOML.index("[watcher.web]") : TOML.index("# the queue")],
            "",
        ),
    ],
)
def test_one_change_in_toml_leaves_every_other_line(change: Change, old: str, new: str) -> None:
    """Comments, order, the way of writing, and the comment behind the value; and what is written is read."""
    after = edited("x.toml", TOML, change)
    assert after == TOML.replace(old, new)
    _is_read("x.toml", change, after)


@pytest.mark.parametrize(
    ("change", "old", "new"),
    [
        (("set", "watcher:web", "numprocesses", "3"), "numprocesses: 2\n", "numprocesses: 3\n"),
        (("set", "watcher:web", "cmd", "./new"), "cmd:   './shop' ", "cmd:   './new' "),
        (("set", "watcher:web", "cmd", "it's: # one"), "cmd:   './shop' ", "cmd:   'it''s: # one' "),
        (
            ("set", "watcher:web", "args", "--port '8 1'"),
            '- --port\n        - "80"   # a port\n',
            "- --port\n        - 8 1   # a port\n",
        ),
        (
            ("set", "watcher:web", "shell", "true"),
            "            TOKEN: old\n",
            "            TOKEN: old\n        shell: true\n",
        ),
        (
            ("set", "watcher:web", "stdout_stream.filename", "/x"),
            "            TOKEN: old\n",
            "            TOKEN: old\n        stdout_stream:\n            filename: /x\n",
        ),
        (("set", "watcher:worker 2", "tags", "a b"), "{cmd: ./worker}", "{cmd: ./worker, tags: [a, b]}"),
        (
            ("set", "watcher:worker 2", "rlimit_core", "0"),
            "{cmd: ./worker}",
            "{cmd: ./worker, rlimits: {core: 0}}",
        ),
        (("set", "watcher:web", "rlimit_nofile", "11"), "{nofile: 10}", "{nofile: 11}"),
        (("set", "watcher:web", "graceful_timeout", "9"), "TOKEN: old\n", "TOKEN: old\n        graceful_timeout: 9\n"),
        (("take_away", "watcher:web", "rlimit_nofile"), "{nofile: 10}", "{}"),
        (("take_away", "watcher:web", "args"), 'args:\n        - --port\n        - "80"   # a port\n        ', ""),
        (("take_away", "watcher:web", "graceful_timeout"), "", ""),
        (("set_variable", "web", "TOKEN", "1"), "TOKEN: old", "TOKEN: '1'"),
        (("set_variable", "web", "MORE", "x\ny"), "TOKEN: old\n", 'TOKEN: old\n            MORE: "x\\ny"\n'),
        (("set_variable", "worker 2", "A", ""), "{cmd: ./worker}", "{cmd: ./worker, env: {A: ''}}"),
        (("take_variable", "web", "TOKEN"), "            TOKEN: old\n", ""),
        (
            ("set", "watcher:new", "cmd", "x"),
            "    worker 2: {cmd: ./worker}\n",
            "    worker 2: {cmd: ./worker}\n    new:\n        cmd: x\n",
        ),
        (("take_away", "socket:front", "host"), "{host: 127.0.0.1, port", "{port"),
        (("take_away", "socket:front", "port"), ", port: 0}", "}"),
        (("remove", "socket:front"), "    front: {host: 127.0.0.1, port: 0}\n", ""),
        (
            ("remove", "watcher:web"),
            YAML[YAML.index("    web:") : YAML.index("\n    # the queue")],
            "",
        ),
    ],
)  # fmt: skip
def test_one_change_in_yaml_leaves_every_other_line(change: Change, old: str, new: str) -> None:
    """Comments, order, the way of writing, and the comment behind the value; and what is written is read."""
    after = edited("x.yaml", YAML, change)
    assert after == YAML.replace(old, new)
    _is_read("x.yaml", change, after)


def _is_read(path: str, change: Change, text: str) -> None:
    verb, section, *words = change
    said = read(path, text)
    if verb == "set":
        found = said[section, words[0]]
        assert found in (words[1], tuple(words[1].split(" ")), ("--port", "8 1"))
    elif verb == "set_variable":
        assert said[f"watcher:{section}*", words[0]] == words[1]
    elif verb == "remove":
        assert not any(name.startswith(section) for name, _ in said)
    else:
        assert (section, words[0]) not in said or words[0] == "graceful_timeout"


@pytest.mark.parametrize(
    ("path", "text", "changes", "new"),
    [
        ("x.toml", "", [("set", "watcher:a", "cmd", "x")], '[watcher.a]\ncmd = "x"\n'),
        (
            "x.toml",
            'watcher.a.cmd = "x"',
            [("set", "watcher:a", "shell", "true"), ("set", "watcher:b", "cmd", "y")],
            'watcher.a.cmd = "x"\nwatcher.a.shell = true\n\n[watcher.b]\ncmd = "y"\n',
        ),
        (
            "x.toml",
            '[watcher]\n  a.cmd = "x"\n',
            [("set", "watcher:a", "hooks.before_start", "m.f")],
            '[watcher]\n  a.cmd = "x"\n  a.hooks.before_start = "m.f"\n',
        ),
        (
            "x.toml",
            'watcher = { a = { cmd = "x" } }\n',
            [("set", "watcher:b", "cmd", "y"), ("set", "watcher:b", "shell", "true")],
            'watcher = { a = { cmd = "x" }, b.cmd = "y", b.shell = true }\n',
        ),
        (
            "x.toml",
            '[watcher.a.env]\nA = "1"\n',
            [("set", "watcher:a", "cmd", "x")],
            '[watcher.a]\ncmd = "x"\n\n[watcher.a.env]\nA = "1"\n',
        ),
        (
            "x.toml",
            '[watcher.a]\ncmd = "x"\n[watcher.a.hooks.before_start]\npath = "m.f"\nignore_failure = true\n',
            [("set", "watcher:a", "hooks.before_start", "m.g")],
            '[watcher.a]\ncmd = "x"\nhooks.before_start = "m.g"\n[watcher.a.hooks.before_start]\n',
        ),
        ("x.yaml", "", [("set", "watcher:a", "cmd", "x")], "watcher:\n  a:\n    cmd: x\n"),
        ("x.yaml", "---\n# nothing\n", [("set", "watcher:a", "cmd", "x")], "---\n# nothing\nwatcher:\n  a:\n    cmd: x\n"),
        ("x.yaml", "watcher:", [("set", "watcher:a", "cmd", "x")], "watcher:\n  a:\n    cmd: x\n"),
        ("x.yaml", "watcher: {}\n", [("set", "watcher:a", "cmd", "x")], "watcher: {a: {cmd: x}}\n"),
        (
            "x.yaml",
            "watcher:\n  a:\n    cmd: |\n      one\n      two\n    # why\n    shell: yes\n...\n",
            [("set", "watcher:a", "cmd", "x"), ("set", "watcher:a", "tags", "t")],
            "watcher:\n  a:\n    cmd: x\n    # why\n    shell: yes\n    tags: [t]\n...\n",
        ),
        (
            "x.yaml",
            "x-n: &n 3\nwatcher:\n  a:\n    cmd: x\n    numprocesses: *n\n",
            [("set", "watcher:a", "numprocesses", "4")],
            "x-n: &n 3\nwatcher:\n  a:\n    cmd: x\n    numprocesses: 4\n",
        ),
        (
            "x.yaml",
            "watcher:\n  a:\n    cmd:\n      x\n    user:\n",
            [("set", "watcher:a", "user", "me")],
            "watcher:\n  a:\n    cmd:\n      x\n    user: me\n",
        ),
        ("x.yml", "env:\n  a: {A: 1}\n", [("set_variable", "a", "B", "2")], "env:\n  a: {A: 1, B: '2'}\n"),
    ],
)  # fmt: skip
def test_however_a_file_is_written_there_is_a_place_for_what_is_new(
    path: str, text: str, changes: list[Change], new: str
) -> None:
    """Dotted keys, braces, tables that are only named, block texts, aliases, and a file with nothing in it."""
    assert edited(path, text, *changes) == new


def test_what_an_alias_stands_for_is_not_changed() -> None:
    """It may be there for others too."""
    text = text_of("x.yaml", "x-a: &a {cmd: x}\nwatcher:\n  one: *a\n  two: *a\n")
    with pytest.raises(Unwritable, match=r"watcher\.one is no table that is written there"):
        text.set("watcher:one", "shell", "true")


@pytest.mark.parametrize("path", ["x.toml", "x.yaml"])
def test_ends_of_lines_stay_as_they_are(path: str) -> None:
    """Of a file from another system too."""
    whole = (TOML if path == "x.toml" else YAML).replace("\n", "\r\n")
    after = edited(
        path, whole, ("set", "watcher:web", "numprocesses", "3"), ("set", "watcher:web", "tags", "a")
    )
    assert after.count("\r\n") == after.count("\n") == whole.count("\n") + 1


def secrets(text: Text) -> list[str]:
    """The lines as they are shown."""
    return [
        line if seen is None else seen + "***" for line, seen in zip(text.lines, text.secrets(), strict=True)
    ]


def test_of_a_secret_its_name_may_be_seen() -> None:
    """For the difference that is shown: variables, what is named like a secret, and what is defined for aliases."""
    toml = 'env = { A = "s1", B = "s2" }\n[watcher.a]\ncmd = "x"\ndb_password = """s3\ns4"""\n[watcher.a.env]\nC = "s5" # why\n'
    assert secrets(text_of("x.toml", toml)) == [
        "env = { A = ***", "[watcher.a]", 'cmd = "x"', "db_password = ***", "    ***", "[watcher.a.env]", "C = ***", "",
    ]  # fmt: skip
    yaml = "x-e: &e\n  K: s1\nwatcher:\n  a:\n    cmd: x\n    env: {<<: *e, T: s2}\n    api_token: |\n      s3\n      s4\n"
    assert secrets(text_of("x.yaml", yaml)) == [
        "x-e: &e", "  K: ***", "watcher:", "  a:", "    cmd: x", "    env: {<<: ***", "    api_token: ***", "    ***", "    ***", "",
    ]  # fmt: skip
    for path in ("x.yaml", "x.toml"):
        assert secrets(text_of(path, "a: [\n\nb")) == [" ***", "", " ***"]


VALUES = st.text(st.characters(exclude_characters="\0\r", exclude_categories=["Cs"]), max_size=12)


@pytest.mark.parametrize("path", ["x.toml", "x.yaml"])
@settings(max_examples=150, deadline=None)
@given(first=VALUES, second=VALUES, name=st.from_regex(r"[A-Za-z_]\w{0,8}", fullmatch=True))
def test_whatever_is_written_is_read_again(path: str, first: str, second: str, name: str) -> None:
    """Any text, as a new value and in the place of another one, in braces or not; and nothing else changes."""
    before = read(path, TOML if path == "x.toml" else YAML)
    text = text_of(path, TOML if path == "x.toml" else YAML)
    for value in (first, second):
        for watcher in ("web", "worker 2"):
            text.set(f"watcher:{watcher}", "cmd", value)
            text.set_variable(watcher, name, value)
        said = read(path, text.text)
        expected = dict(before)
        for watcher in ("web", "worker 2"):
            expected |= {(f"watcher:{watcher}", "cmd"): value, (f"watcher:{watcher}*", name): value}
        assert said == expected
