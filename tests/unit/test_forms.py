"""TOML and YAML configurations: the model that an ini file gives, every problem at its place, nothing hostile gets far."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from circusd.config.forms import form_of
from circusd.config.model import Configuration, HookConfig
from circusd.config.tomlfile import Scan
from tests.inifiles import Files

INI = """
[circus]
httpd = yes
umask = 022
httpd_hosts = a.example b.example
env_file = -all.env
[env]
A = 1
B = $HOME/x
[env:w*,db]
VERSION = 1.10
[env:web]
C = no
[socket:Web]
host = 0.0.0.0
port = 8000
[watcher:web]
cmd = run --fd $(circus.sockets.web)
numprocesses = 2
graceful_timeout = 2m
max_age = 1.5
copy_env = on
use_sockets = 1
uid = 1000
stop_signal = QUIT
rlimit_nofile = 100
rlimit_core =
hooks.before_start = my.hook
hooks.after_start = my.other,true
stdout_stream.filename = /tmp/x.log
stdout_stream.max_bytes = 50M
mine = 1
flapping.window = 3
[watcher:no]
cmd = true
[plugin:stats]
use = my.Plugin
loop_rate = 1.10
priority = 5
"""

TOML = """
[circus]
httpd = true
umask = 0o022
httpd_hosts = ["a.example", "b.example"]
env_file = ["-all.env"]

[env]
A = 1
B = "$HOME/x"
"w*,db" = { VERSION = 1.10 }

[socket.Web]
host = "0.0.0.0"
port = 8_000

[watcher.web]
cmd = "run --fd $(circus.sockets.web)"
numprocesses = 2
graceful_timeout = "2m"
max_age = 1.5
copy_env = true
use_sockets = 1
uid = 1000
stop_signal = "QUIT"
rlimits.nofile = 100
rlimits.core = ""
hooks.before_start = "my.hook"
hooks.after_start = { path = "my.other", ignore_failure = true }
mine = 1
env.C = "no"

[watcher.web.stdout_stream]
filename = "/tmp/x.log"
max_bytes = "50M"

[watcher.web.flapping]
window = 3

[watcher.no]
cmd = "true"

[plugin.stats]
use = "my.Plugin"
loop_rate = 1.10
priority = 5
"""

# Everything that TOML has and a configuration seldom needs.
TRICKY = r"""
[circus.x."y z".'k'] # a comment
"a.b" . c = [ 1, # one
  { d = "}", e = [ ']', QQQ\"], ""QQQ, ] },
  qqqit''s #qqqqq
, ]
[[circus.list]]
n = 1979-05-27 07:32:00
[[circus.list]]
n = +1_000.5e-3
[circus.list.inner]
m = -inf
""".replace("Q", '"').replace("q", "'")

YAML = """
circus:
  httpd: true
  umask: 022
  httpd_hosts: [a.example, b.example]
  env_file: -all.env
env:
  A: 1
  B: $HOME/x
  w*,db:
    VERSION: 1.10
socket:
  Web: {host: 0.0.0.0, port: 8000}
watcher:
  web:
    cmd: run --fd $(circus.sockets.web)
    numprocesses: 2
    graceful_timeout: 2m
    max_age: 1.5
    copy_env: yes
    use_sockets: 1
    uid: 1000
    stop_signal: QUIT
    rlimits:
      nofile: 100
      core:
    hooks:
      before_start: my.hook
      after_start:
        path: my.other
        ignore_failure: yes
    mine: 1
    env:
      C: no
    stdout_stream:
      filename: /tmp/x.log
      max_bytes: 50M
    flapping:
      window: 3
  no:
    cmd: true
plugin:
  stats:
    use: my.Plugin
    loop_rate: 1.10
    priority: 5
"""


@pytest.fixture
def toml(tmp_path: Path) -> Files:
    return Files(tmp_path, "circus.toml")


@pytest.fixture
def yaml(tmp_path: Path) -> Files:
    return Files(tmp_path, "circus.yaml")


def model(configuration: Configuration) -> Configuration:
    """The configuration without the names of its files."""
    return dataclasses.replace(configuration, files=())


@pytest.mark.parametrize(
    ("name", "text"), [("circus.toml", TOML), ("circus.yaml", YAML), ("circus.YML", YAML)]
)
def test_each_form_says_the_same(tmp_path: Path, name: str, text: str) -> None:
    """Section by section, native types and texts; and no name of a country becomes a boolean."""
    wanted = Files(tmp_path).good(INI)
    assert model(Files(tmp_path, name).good(text)) == model(wanted)
    web, no = wanted.watchers[1], wanted.watchers[0]
    assert no.name == "no"
    assert web.env == {"A": "1", "B": "/my/home/x", "VERSION": "1.10", "C": "no"}
    assert web.hooks["after_start"] == HookConfig("my.other", ignore_failure=True)
    assert web.extras == {"mine": "1", "flapping.window": "3"}
    assert wanted.circus.umask == 0o022
    assert wanted.plugins[0].options["loop_rate"] == "1.10"


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.ini", "ini"),
        ("a", "ini"),
        ("a.conf", "ini"),
        ("a.TOML", "toml"),
        ("x/a.yaml", "yaml"),
        ("a.yml", "yaml"),
    ],
)
def test_the_ending_says_the_form(name: str, form: str) -> None:
    """And what has none that is known is an ini file, as it always was."""
    assert form_of(name) == form


def test_arguments_are_a_list_of_words(toml: Files) -> None:
    """Each replaced by itself and never split."""
    watcher = toml.watcher(
        '[watcher.a]\ncmd = "run"\nargs = ["a b", "$(circus.env.HOME)", "$(circus.wid)", 5]\n'
    )
    assert watcher.args == ("a b", "/my/home", "$(circus.wid)", "5")


def test_a_watchers_own_variables_win_over_those_of_patterns(yaml: Files) -> None:
    """They are the nearest; spaces in quotes are meant."""
    text = (
        "watcher:\n  web:\n    cmd: x\n    env: {A: own, B: ' b ', C: $(circus.env.D)}\nenv:\n  D: d\n  web: {A: pattern}\n"
        "plugin:\n  p: {use: a.B, env: {A: 1}}\n"
    )
    configuration = yaml.good(text)
    assert configuration.watchers[0].env == {"D": "d", "A": "own", "B": " b ", "C": "d"}
    assert configuration.plugins[0].env == {"D": "d", "A": "1"}


def test_texts_of_plain_scalars_are_kept_as_they_stand(yaml: Files, toml: Files) -> None:
    """No number loses its zeros on its way into a variable."""
    text = "watcher:\n  a:\n    cmd: x\n    env: {ZIP: 007, V: 1.10, N: null, E: 1e3, D: 2026-01-01, T: True, Q: 'null', X: }\n"
    wanted = {
        "ZIP": "007",
        "V": "1.10",
        "N": "",
        "E": "1e3",
        "D": "2026-01-01",
        "T": "True",
        "Q": "null",
        "X": "",
    }
    assert yaml.watcher(text).env == wanted
    lines = "V = 1.10\nE = 1e3\nD = 2026-01-01 10:00:00\nT = true\nO = 0o17\nN = 1_000\nM = '''\na\n'b' '''"
    watcher = toml.watcher(f'[watcher.a]\ncmd = """\nx"""\n[watcher.a.env]\n{lines}\n')
    assert watcher.env == {
        "V": "1.10",
        "E": "1e3",
        "D": "2026-01-01 10:00:00",
        "T": "true",
        "O": "0o17",
        "N": "1000",
        "M": "a\n'b' ",
    }


# Problems

WRONG_TOML = """\
wacher = 5
[circus]
htpd = true
httpd_port = 99999
include = 5
umask.a = 1
[watcher]
text = "x"
" " = {}
[watcher.web]
cmd = ["a"]
numprocesses = "two"
workingdir = "/"
mine = [1]
autostart = {}
hooks = "x.y"
rlimits = { nofile = 1, nofil = 2 }
rlimit_nofile = 3
args = [["x"],
  2]
stdout_stream = [
  { filename = "x" }]
"""

WRONG_YAML = """\
wacher: 5
circus:
  htpd: yes
  httpd_port: 99999
watcher:
  text: x
  web:
    cmd: [a]
    numprocesses:
      two
    hooks:
      before_start: {paths: a.b}
      after_start: {path: a.b, ignore_failure: perhaps}
      before_stopp: a.b
    rlimits:
      nofile: 1
      nofil: 2
    stdout_stream:
      filname: x
    env: [A=1]
env:
  a=b: 1
  L: [1]
"""


def test_every_problem_of_a_toml_file_has_its_line_and_dotted_key(toml: Files) -> None:
    """All at once, with the nearest right name."""
    problems = toml.problems(WRONG_TOML)
    assert [problem.partition(";")[0] for problem in problems] == [
        "circus.toml:1: warning: wacher: is no section that is known, and has no effect",
        "circus.toml:3: warning: circus.htpd: is no option of the daemon, and has no effect",
        'circus.toml:4: error: circus.httpd_port: "99999" is more than 65535',
        "circus.toml:5: warning: circus.include: 5 leads to no file",
        "circus.toml:6: error: circus.umask: is a table",
        "circus.toml:8: error: watcher.text: is a single value",
        'circus.toml:9: error: watcher." ": has no name',
        "circus.toml:10: error: watcher.web.cmd: is missing",
        "circus.toml:11: error: watcher.web.cmd: is a list",
        'circus.toml:12: error: watcher.web.numprocesses: "two" is not a whole number',
        "circus.toml:13: warning: watcher.web.workingdir: is no option of a watcher and has no effect by itself",
        "circus.toml:14: error: watcher.web.mine: is a list",
        "circus.toml:15: error: watcher.web.autostart: is a table",
        "circus.toml:16: error: watcher.web.hooks: is a single value",
        'circus.toml:17: error: watcher.web.rlimits.nofil: "nofil" is no resource limit',
        "circus.toml:18: error: watcher.web.rlimit_nofile: is given twice",
        "circus.toml:19: error: watcher.web.args: holds something that is not a text",
        "circus.toml:21: error: watcher.web.stdout_stream: is a list",
    ]
    for number, hint in {
        0: "did you mean watcher?",
        2: "expected a port, 0 to 65535",
        4: "expected an octal number, such as 022",
        10: "did you mean working_dir?",
        13: "expected a table, [watcher.web.hooks]",
        14: "did you mean nofile?",
        15: "circus.toml:17",
    }.items():
        assert problems[number].endswith(hint)


def test_every_problem_of_a_yaml_file_has_its_line_and_dotted_key(yaml: Files) -> None:
    """All at once, with the nearest right name."""
    problems = yaml.problems(WRONG_YAML)
    assert [problem.partition(";")[0] for problem in problems] == [
        "circus.yaml:1: warning: wacher: is no section that is known, and has no effect",
        "circus.yaml:3: warning: circus.htpd: is no option of the daemon, and has no effect",
        'circus.yaml:4: error: circus.httpd_port: "99999" is more than 65535',
        "circus.yaml:6: error: watcher.text: is a single value",
        "circus.yaml:7: error: watcher.web.cmd: is missing",
        "circus.yaml:8: error: watcher.web.cmd: is a list",
        'circus.yaml:9: error: watcher.web.numprocesses: "two" is not a whole number',
        "circus.yaml:12: error: watcher.web.hooks.before_start.paths: is a single value",
        "circus.yaml:12: error: watcher.web.hooks.before_start: has no path",
        'circus.yaml:13: error: watcher.web.hooks.after_start.ignore_failure: "perhaps" is neither yes nor no',
        'circus.yaml:14: warning: watcher.web.hooks.before_stopp: "before_stopp" is no hook',
        'circus.yaml:17: error: watcher.web.rlimits.nofil: "nofil" is no resource limit',
        "circus.yaml:19: error: watcher.web.stdout_stream: neither a class nor a filename is given",
        "circus.yaml:20: error: watcher.web.env: is a list",
        'circus.yaml:22: error: env."a=b": "a=b" can\'t be the name of a variable',
        "circus.yaml:23: error: env.L: is a list",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[watcher.a]\ncmd = x\n", "circus.toml:2: error: is no TOML: Invalid value"),
        (
            "[watcher.a]\ncmd = 'x'\n\ncmd = 'y'\n",
            "circus.toml:4: error: is no TOML: Cannot overwrite a value",
        ),
        ("[watcher.a]\ncmd = 'x", "circus.toml:2: error: is no TOML: Expected"),
        ("a = [", "circus.toml:1: error: is no TOML: "),
        ("a = 1\0", "circus.toml:1: error: is no TOML: "),
        ("a = " + "1" * 5000, "circus.toml: error: is no TOML: "),
        ("\x7fELF\x02\x01", "circus.toml:1: error: is no TOML: Invalid statement"),
        ("x = 1\na" + ".a" * 60_000 + " = 1", "circus.toml:2: error: a key has more than 32 parts"),
        ("['a'" + ".'a'" * 60_000 + "]", "circus.toml:1: error: a key has more than 32 parts"),
        ("a = " + "[" * 100_000, "circus.toml: error: is nested too deeply"),
        ("\na = " + "[" * 40 + "]" * 40, "circus.toml:2: error: is nested too deeply"),
        ("a = " + "{a = " * 40 + "1" + "}" * 40, "circus.toml:1: error: is nested too deeply"),
    ],
)
def test_what_is_no_toml_is_an_error_at_its_line(toml: Files, text: str, problem: str) -> None:
    """Soon, whatever it is."""
    assert toml.problems(text)[0].startswith(problem)
    assert toml.load(text).configuration is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("watcher:\n  a: {cmd: x\n", "circus.yaml:3: error: is no YAML: while parsing a flow mapping"),
        ("a: b: c", "circus.yaml:1: error: is no YAML: mapping values are not allowed"),
        ("\t- x", "circus.yaml:1: error: is no YAML: "),
        ("a: 1\nb: \x01\n", "circus.yaml:2: error: is no YAML: "),
        ("ä: 1\nb: \0\n", "circus.yaml:2: error: is no YAML: "),
        ("\x7fELF\x02", "circus.yaml:1: error: is no YAML: "),
        ("- a\n", "circus.yaml:1: error: the file is a list; expected a table"),
        ("just words\n", "circus.yaml:1: error: the file is a single value; expected a table"),
        (
            "circus: {}\n---\ncircus: {}\n",
            "circus.yaml:2: error: a second document begins; expected one document",
        ),
        (
            "env:\n  A: 1\n  B: 2\n  A: 3\n",
            'circus.yaml:4: error: "A" is given twice; the first is in line 2',
        ),
        ("env:\n  A: !!python/object/apply:os.system [x]\n", "circus.yaml:2: error: the tag "),
        ("env:\n  A: !secret x\n", 'circus.yaml:2: error: the tag "!secret" is not taken'),
        ("env: {A: *x}\n", "circus.yaml:1: error: the alias *x has no anchor before it"),
        ("env: &x {A: *x}\n", "circus.yaml:1: error: the alias *x has no anchor before it"),
        ("env:\n  ? [a]\n  : 1\n", "circus.yaml:2: error: a list can't be a key; expected a name"),
        ("env:\n  <<: 5\n", "circus.yaml:2: error: << merges a single value"),
        ("a: " + "[" * 100_000, "circus.yaml:1: error: is n"),
        ("a: " + "[" * 40 + "]" * 40, "circus.yaml:1: error: is nested too deeply"),
        ("- " * 40, "circus.yaml:1: error: is nested too deeply"),
    ],
)
def test_what_is_no_yaml_is_an_error_at_its_line(yaml: Files, text: str, problem: str) -> None:
    """Soon, whatever it is; a tag makes nothing and runs nothing."""
    assert yaml.problems(text)[0].startswith(problem)
    assert yaml.load(text).configuration is None


def test_aliases_of_aliases_have_a_bound(yaml: Files) -> None:
    """A short text does not become a billion values."""
    levels = [f"x-{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    text = "x-0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "\n".join(levels)
    (problem,) = yaml.problems(text)
    assert "there are too many values; expected 200000 at most, what aliases repeat included" in problem


def test_anchors_and_merges_are_followed(yaml: Files) -> None:
    """What watchers have in common is written once, under a key that begins with x-."""
    text = (
        "x-base: &base {copy_env: true, numprocesses: 3, env: &vars {A: 1}}\n"
        "watcher:\n  a: {<<: *base, cmd: x, numprocesses: 5}\n"
        "  b: {<<: [{priority: 7}, *base], cmd: y, env: {<<: *vars, B: 2}}\n"
    )
    a, b = yaml.good(text).watchers
    assert (a.copy_env, a.numprocesses, a.env) == (True, 5, {"A": "1"})
    assert (b.copy_env, b.numprocesses, b.priority, b.env) == (True, 3, 7, {"A": "1", "B": "2"})


@pytest.mark.parametrize("name", ["circus.toml", "circus.yaml"])
def test_files_of_other_systems_and_encodings_are_read_or_told(tmp_path: Path, name: str) -> None:
    """Line ends, a byte order mark, a byte that is no text, too many bytes, none at all."""
    files = Files(tmp_path, name)
    text = TOML if name.endswith("toml") else YAML
    wanted = model(files.good(text))
    assert model(files.good("\ufeff" + text.replace("\n", "\r\n"))) == wanted
    assert (
        files.problems(b"# \xe9\n\n")[0]
        == f"{name}:1: error: the byte 0xe9 is not UTF-8; expected text in UTF-8"
    )
    assert files.problems(b"#" * (5 << 20)) == [f"{name}: error: is too large; expected 4 MiB at most"]
    assert files.good("") == Configuration(files=(str(tmp_path / name),))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("circus.toml", "".join(f"[watcher.w{n}]\ncmd = 'x'\nargs = ['a']\n" for n in range(2000))),
        ("circus.toml", "[env]\nA = '''" + "'\n" * 500_000 + "'''\n"),
        ("circus.toml", "[env]\nA = '" + "a.b c" * 200_000 + "'\n"),
        ("circus.yaml", "watcher:\n" + "".join(f"  w{n}: {{cmd: x, args: [a]}}\n" for n in range(2000))),
    ],
)
def test_large_files_are_read_in_a_time_that_grows_with_them(tmp_path: Path, name: str, text: str) -> None:
    """Seconds of work at most, where its square would be hours."""
    before = time.process_time()
    Files(tmp_path, name).good(text)
    assert time.process_time() - before < 20


PIECES = st.sampled_from(
    [
        *"[]{}=.,#'\"\\\n\r\t: -&*!|>%@`~0aä",
        '"""',
        "'''",
        "[[",
        "]]",
        "1_0",
        "1979-05-27 07:32:00",
        "inf",
        r"\u00e4",
        "\0",
        "\ufeff",
    ]
)


@st.composite
def mutated(draw: st.DrawFn, text: str) -> str:
    """The text with some pieces taken out and some put in."""
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 8)))
        text = text[:start] + "".join(draw(st.lists(PIECES, max_size=4))) + text[end:]
    return text


def leaves(value: object, path: tuple[object, ...] = ()) -> Iterator[tuple[tuple[object, ...], object]]:
    """Each value that is no table, list or text, with its path."""
    if isinstance(value, (dict, list)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(inner, (*path, key))
    elif not isinstance(value, str):
        yield path, value


def test_the_tricky_text_is_toml_with_every_kind_of_token() -> None:
    """Otherwise the tests with it would be easy."""
    tables = tomllib.loads(TRICKY)
    assert tables["circus"]["x"]["y z"]["k"]["a.b"]["c"][1]["e"] == ["]", '"], ""']
    assert tables["circus"]["x"]["y z"]["k"]["a.b"]["c"][2] == "it''s #''"


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(text=mutated(TOML + TRICKY))
def test_the_scan_finds_what_the_standard_library_reads(text: str) -> None:
    """Each number, date and boolean with its own token, whatever stands around it."""
    try:
        tables = tomllib.loads(text)
    except ValueError:
        tables = tomllib.loads(TOML + TRICKY)
        text = TOML + TRICKY
    places = Scan(text).places
    for path, value in leaves(tables):
        line, token = places[path]
        again = tomllib.loads(f"x = {token}")["x"]
        assert again == value or (again != again and value != value)
        assert token in text.split("\n")[line - 1] + text.split("\n")[min(line, text.count("\n"))]


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(
    file=st.one_of(
        st.tuples(st.just("c.toml"), mutated(TOML + TRICKY)),
        st.tuples(st.just("c.yaml"), mutated(YAML)),
        st.tuples(st.just("c.ini"), mutated(INI)),
        st.tuples(st.sampled_from(("c.toml", "c.yaml", "c.ini")), st.lists(PIECES, max_size=30).map("".join)),
    )
)
def test_whatever_a_file_holds_it_is_told_and_nothing_breaks(file: tuple[str, str]) -> None:
    """No text makes a traceback, and without an error there is a configuration."""
    name, text = file
    with tempfile.TemporaryDirectory() as folder:
        loaded = Files(Path(folder), name).load(text)
        is_wrong = any(problem.severity == "error" for problem in loaded.problems)
        assert (loaded.configuration is None) == is_wrong
        assert all("\n" not in str(problem) for problem in loaded.problems)


# Several files


def test_files_of_all_forms_include_each_other(tmp_path: Path) -> None:
    """The first value wins, and each problem is written as its file writes it."""
    files = Files(tmp_path, "circus.toml")
    files.write("conf.d/a.ini", "[watcher:a]\ncmd = ini\nnumproceses = 2\n[env:a]\nX = 1\n")
    files.write(
        "conf.d/b.yaml", "watcher:\n  a: {cmd: yaml, env: {Y: 2}}\n  b: {cmd: yaml, numproceses: 2}\n"
    )
    text = "[circus]\ninclude = ['conf.d/*.ini', 'conf.d/*.yaml']\n[watcher.a]\nnumprocesses = 2\n[watcher.a.env]\nZ = 3\n"
    assert [problem.partition(";")[0] for problem in files.problems(text)] == [
        "conf.d/a.ini:3: warning: [watcher:a] numproceses: is no option of a watcher and has no effect by itself",
        "conf.d/b.yaml:2: note: watcher.a.cmd: is given again",
        "conf.d/b.yaml:3: warning: watcher.b.numproceses: is no option of a watcher and has no effect by itself",
    ]
    a, b = files.good(text).watchers
    assert (a.cmd, a.numprocesses, a.env) == ("ini", 2, {"X": "1", "Z": "3", "Y": "2"})
    assert b.cmd == "yaml"


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("circus.ini", "[circus]\ninclude_dir = conf.d\n", ["ini"]),
        ("circus.toml", "[circus]\ninclude_dir = 'conf.d'\n", ["toml"]),
        ("circus.yml", "circus: {include_dir: [conf.d]}\n", ["yaml", "yml"]),
    ],
)
def test_a_folder_gives_the_files_of_the_main_files_form(
    tmp_path: Path, name: str, text: str, wanted: list[str]
) -> None:
    """An old folder of ini files, with other programs' files in it, is read as it always was."""
    files = Files(tmp_path, name)
    files.write("conf.d/a.ini", "[watcher:ini]\ncmd = x\n")
    files.write("conf.d/b.toml", "[watcher.toml]\ncmd = 'x'\n")
    files.write("conf.d/c.yaml", "watcher: {yaml: {cmd: x}}\n")
    files.write("conf.d/d.yml", "watcher: {yml: {cmd: x}}\n")
    assert [watcher.name for watcher in files.good(text).watchers] == wanted


def test_an_ini_file_needs_no_reader_of_another_form(tmp_path: Path) -> None:
    """circusd with an ini file is neither larger nor slower to start."""
    path = Files(tmp_path).write("circus.ini", "[watcher:a]\ncmd = x\n")
    code = (
        "import sys; from circusd.cli.circusd import main; main(['--check', sys.argv[1]]); "
        "print({'yaml', 'tomllib', 'circusd.config.convert'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.splitlines()[-1] == "set()"
