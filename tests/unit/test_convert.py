"""Converting configurations: whichever way around, what they say stays the same, or it is told why it can't."""

from __future__ import annotations

import dataclasses
import itertools
import os
import shlex
import stat
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from circusd.cli.circusd import main
from circusd.config.convert import Converted, convert
from circusd.config.ini import load
from circusd.config.model import Configuration, WatcherConfig
from tests.inifiles import ENVIRON, Files
from tests.unit.configurations import CONFIGURATIONS, as_json, as_toml, as_yaml

ROOT = Path(__file__).resolve().parents[2]
FORMS = ("ini", "toml", "yaml")
EXAMPLES = sorted([*ROOT.glob("tests/fixtures/ini/*.ini"), *ROOT.glob("examples/*/circus.ini")])


def words(value: str | tuple[str, ...] | None) -> Any:
    """Arguments as a process gets them: one text and a list are two ways to write them."""
    return tuple(shlex.split(value)) if isinstance(value, str) else value or ()


def meaning(configuration: Configuration | None) -> Configuration:
    """The typed model, without what is only a way of writing."""
    assert configuration is not None
    watchers = [
        dataclasses.replace(w, cmd=w.cmd.strip(), args=words(w.args), shell_args=words(w.shell_args))
        for w in configuration.watchers
    ]
    return dataclasses.replace(configuration, watchers=tuple(watchers), files=())


def step(path: str, form: str) -> tuple[str, Converted]:
    """The file in another form, beside it."""
    converted = convert(path, form, ENVIRON)
    target = os.path.join(os.path.dirname(path), f"{os.path.basename(path).partition('.')[0]}x.{form}")
    if converted.text is not None:
        Path(target).write_text(converted.text, "utf-8", newline="")
    return target, converted


@pytest.mark.parametrize("way", list(itertools.permutations(FORMS)), ids="-".join)
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name if isinstance(path, Path) else "")
def test_the_examples_go_around(tmp_path: Path, example: Path, way: tuple[str, ...]) -> None:
    """Real configurations, through all forms and back to ini."""
    path = str(tmp_path / "c.ini")
    Path(path).write_text(example.read_text())
    wanted = meaning(load(path, ENVIRON).configuration)
    for form in (*way, "ini"):
        path, converted = step(path, form)
        assert converted.text is not None, converted.problems
        assert meaning(load(path, ENVIRON).configuration) == wanted


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(
    tables=CONFIGURATIONS,
    writer=st.sampled_from([("c.yaml", as_yaml), ("c.yaml", as_json), ("c.toml", as_toml)]),
    way=st.permutations(FORMS),
)
def test_random_configurations_go_around(
    tables: dict[str, Any], writer: tuple[str, Any], way: tuple[str, ...]
) -> None:
    """Every option with every kind of text; only an ini file may refuse, and says which value it was."""
    name, write = writer
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, name)
        Path(path).write_text(write(tables), "utf-8", newline="")
        loaded = load(path, ENVIRON)
        # names that differ only in case, and quotes that are not closed
        assume(loaded.configuration is not None)
        wanted = meaning(loaded.configuration)
        for form in (*way, *way):
            target, converted = step(path, form)
            if converted.text is None:
                assert form == "ini"
                assert all("ini file" in p.problem and p.line and p.option for p in converted.problems)
                continue
            path = target
            assert meaning(load(path, ENVIRON).configuration) == wanted


def test_the_random_configurations_are_of_all_kinds() -> None:
    """Most of them are valid and most pass through ini: otherwise the test before would promise little."""
    seen = {"valid": 0, "ini": 0, "all": 0}

    @settings(max_examples=150, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(tables=CONFIGURATIONS)
    def look(tables: dict[str, Any]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Files(Path(folder)).write("c.yaml", as_yaml(tables))
            seen["all"] += 1
            seen["valid"] += load(path, ENVIRON).configuration is not None
            seen["ini"] += convert(path, "ini", ENVIRON).text is not None

    look()
    assert seen["valid"] > seen["all"] / 2
    assert seen["ini"] > seen["all"] / 4


# What is carried over, and what is told


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def converted(files: Files, text: str, form: str, name: str = "c.ini") -> Converted:
    return convert(files.write(name, text), form, ENVIRON)


def text_of(files: Files, text: str, form: str, name: str = "c.ini") -> str:
    result = converted(files, text, form, name)
    assert result.text is not None, [str(problem) for problem in result.problems]
    return result.text


INI = (
    "; a comment\n[DEFAULT]\ncopy_env = yes\n[circus]\nhttpd = 0\n[env]\nA = $HOME\n[env:web]\nB = $(circus.env.PORT)\n"
    "[watcher:web]\ncmd = run\n  --fast\nnumprocesses = 2\nautostart = $(circus.env.PORT)\nrlimit_nofile = 100\n"
    "hooks.before_start = a.b\nmax_age = 2m\nenv_file = a.env -b.env\n"
)


def test_names_and_references_stay_as_they_are_written(files: Files) -> None:
    """Nothing of the environment in which it is converted gets into the file; defaults go where they counted."""
    files.write("a.env", "SECRET=x\n")
    text = INI.replace("autostart = $(circus.env.PORT)", "numprocesses2 = $(circus.env.PORT)")
    assert text_of(files, text, "toml").splitlines() == [
        "[circus]",
        "httpd = false",
        'copy_env = "yes"',
        "",
        "[env]",
        'A = "$HOME"',
        "",
        "[env.web]",
        'B = "$(circus.env.PORT)"',
        "",
        "[watcher.web]",
        'cmd = "run\\n--fast"',
        "numprocesses = 2",
        'numprocesses2 = "$(circus.env.PORT)"',
        'max_age = "2m"',
        'env_file = ["a.env", "-b.env"]',
        "copy_env = true",
        "",
        "[watcher.web.rlimits]",
        "nofile = 100",
        "",
        "[watcher.web.hooks]",
        'before_start = "a.b"',
    ]


def test_a_file_with_an_error_is_not_converted(files: Files) -> None:
    """It is told what circusd would tell."""
    result = converted(files, "[watcher:a]\ncmd = x\nnumprocesses = two\n", "yaml")
    assert result.text is None
    assert "is not a whole number" in str(result.problems[0])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "[watcher.a]\ncmd = 'x'\n[watcher.a.env]\nA = ' x'\n",
            "c.toml:4: error: watcher.a.env.A: begins or ends with a space, which can't be written in an ini file",
        ),
        (
            "[watcher.a]\ncmd = 'x'\nenv_file = ['-a b']\n",
            "c.toml:3: error: watcher.a.env_file: has a word with a space",
        ),
        ("[watcher.'a,b']\ncmd = 'x'\nenv.A = 1\n", 'watcher."a,b": has variables, and a name'),
        (
            "[watcher.'a*']\ncmd = 'x'\nenv.A = 1\n[watcher.ab]\ncmd = 'x'\n",
            'watcher."a*": has variables, and a name',
        ),
        (
            "[watcher.'a]b']\ncmd = 'x'\n",
            'c.toml:2: error: watcher."a]b".cmd: can\'t be written in an ini file',
        ),
        (
            "[watcher.a]\ncmd = 'x'\nmine = 'a ; b'\n",
            "c.toml:3: error: watcher.a.mine: can't be written in an ini file",
        ),
        (
            '[watcher.a]\ncmd = "x"\nmine = "a\\n\\n  b"\n',
            "c.toml:3: error: watcher.a.mine: can't be written in an ini file",
        ),
        (
            "[watcher.a]\ncmd = 'x'\n'a=b' = 1\n",
            'c.toml:3: error: watcher.a."a=b": can\'t be written in an ini file',
        ),
    ],
)
def test_what_an_ini_file_cannot_say_is_told(files: Files, text: str, told: str) -> None:
    """With its place, and nothing is written that says something else."""
    result = converted(files, text, "ini", "c.toml")
    assert result.text is None
    assert told in str(result.problems[0]).replace(f"{files.folder}/", "")


def test_own_variables_become_a_section_that_wins(files: Files) -> None:
    """Behind those that fit the same name, and only for that one."""
    text = "[watcher.'a*']\ncmd='x'\nenv={A=2}\n[watcher.b]\ncmd='x'\nenv={A=3}\n[plugin.p]\nuse='a.B'\nenv={A=4}\n[env.'*']\nA=1\n"
    path = files.write("b.ini", text_of(files, text, "ini", "c.toml"))
    configuration = load(path, {}).configuration
    assert configuration is not None
    first, second = configuration.watchers
    assert (first.env, second.env, configuration.plugins[0].env) == ({"A": "2"}, {"A": "3"}, {"A": "4"})


def test_a_variable_and_a_pattern_of_one_name_both_stay(files: Files) -> None:
    """In a table a key is there once; a comma tells them apart."""
    text = "[env:web]\nA = 1\n[env]\nweb = x\n[watcher:web]\ncmd = x\n"
    for form in ("toml", "yaml"):
        path = files.write(f"b.{form}", text_of(files, text, form))
        configuration = load(path, {}).configuration
        assert configuration is not None
        assert configuration.watchers[0].env == {"web": "x", "A": "1"}


def test_included_files_are_named_and_not_converted(files: Files) -> None:
    """A folder of ini files is one in the new form too."""
    files.write("conf.d/a.ini", "[watcher:a]\ncmd = x\n")
    files.write("conf.d/b.toml", "[watcher.b]\ncmd = 'x'\n")
    text = "[circus]\ninclude_dir = conf.d\n"
    path = files.write("b.toml", text_of(files, text, "toml"))
    configuration = load(path, {}).configuration
    assert configuration is not None
    assert [watcher.name for watcher in configuration.watchers] == ["a"]
    assert text_of(files, text, "ini").splitlines() == ["[circus]", "include_dir = conf.d"]


def test_defaults_for_included_files_are_not_lost_in_silence(files: Files) -> None:
    """Only an ini file can have them: it is an error."""
    files.write("a.ini", "[watcher:a]\ncmd = x\n")
    result = converted(files, "[DEFAULT]\ncopy_env = 1\n[circus]\ninclude = a.ini\n", "toml")
    assert result.text is None
    assert "counts for the included files too" in str(result.problems[0])


def test_a_section_without_effect_is_left_out_and_told(files: Files) -> None:
    """As circusd tells it."""
    result = converted(files, "[mine]\na = 1\n[watcher:a]\ncmd = x\n", "yaml")
    assert result.text == "watcher:\n  a:\n    cmd: x\n"
    assert "[mine] is no section that is known, and is left out" in str(result.problems[0])


# The command line


def run(*arguments: object) -> int:
    return main(["--convert", *map(str, arguments)])


def test_the_other_form_goes_to_standard_output(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    """TOML when nothing else is said, and ini when it is TOML already."""
    path = files.write("c.ini", "[watcher:a]\ncmd = x\n")
    assert run(path) == 0
    text = capsys.readouterr().out
    assert text == '[watcher.a]\ncmd = "x"\n'
    assert run(files.write("c.toml", text)) == 0
    assert capsys.readouterr().out == "[watcher:a]\ncmd = x\n"
    assert run(path, "--to", "yaml") == 0
    assert capsys.readouterr().out == "watcher:\n  a:\n    cmd: x\n"


def test_a_file_that_is_there_is_kept(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    """Unless --force is given; the new one is as closed as the old one."""
    path = files.write("c.ini", "[watcher:a]\ncmd = x\n[env]\nSECRET = 1\n")
    os.chmod(path, 0o640)
    target = files.folder / "new.yaml"
    assert run(path, "-o", target) == 0
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert target.read_text().startswith("env:\n")
    target.write_text("mine")
    assert run(path, "-o", target) == 1
    assert "is there already; --force replaces it" in capsys.readouterr().err
    assert target.read_text() == "mine"
    assert run(path, "-o", target, "--force") == 0
    assert target.read_text().startswith("env:\n")
    link = files.folder / "dangling.toml"
    link.symlink_to(files.folder / "nowhere.toml")
    assert run(path, "-o", link) == 1


def test_names_that_contradict_are_refused(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    """A file whose ending says another form would not be read."""
    path = files.write("c.ini", "[watcher:a]\ncmd = x\n")
    assert run(path, "--to", "toml", "-o", files.folder / "x.ini") == 2
    assert "would be read as ini: its name should end in .toml" in capsys.readouterr().err
    assert run(path, "-o", files.folder / "none" / "x.toml") == 1
    assert "can't be written: No such file" in capsys.readouterr().err
    for words in ([path, "--to", "toml"], ["--convert"]):
        with pytest.raises(SystemExit):
            main(words)


def test_a_file_in_another_folder_is_told_what_it_names(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    """Names in it are relative to where it lies."""
    path = files.write("c.ini", "[watcher:a]\ncmd = x\nenv_file = -a.env\n")
    (files.folder / "other").mkdir()
    assert run(path, "-o", files.folder / "other" / "c.toml") == 0
    assert f"names files relative to {files.folder}" in capsys.readouterr().err


def test_nothing_is_written_when_the_file_has_an_error(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the file that was to be replaced stays as it was."""
    path = files.write("c.ini", "[watcher:a]\n")
    bad = files.write("bad.ini", "[watcher:a]\nnumprocesses = x\n")
    assert run(bad, "-o", path, "--force") == 1
    assert Path(path).read_text() == "[watcher:a]\n"
    assert "is not a whole number" in capsys.readouterr().err


def test_a_watchers_model_has_no_part_that_is_compared_by_nothing() -> None:
    """The comparison here knows every attribute by which two watchers can differ."""
    one = WatcherConfig("a", "x")
    for field in dataclasses.fields(WatcherConfig):
        if field.name not in ("args", "shell_args"):
            other = dataclasses.replace(one, **{field.name: "y"})
            assert meaning(Configuration(watchers=(one,))) != meaning(Configuration(watchers=(other,)))


@pytest.mark.parametrize("form", ["ini", "toml", "yaml"])
def test_a_space_that_a_reference_leaves_at_an_edge_is_in_no_form(tmp_path: Path, form: str) -> None:
    """Of a variable that is not there nothing comes, and the space behind it is nobody's; one that is written is meant."""
    path = tmp_path / "c.ini"
    path.write_text("[env]\nA = $NOT_THERE 0\nB = 0 $NOT_THERE\n[watcher:a]\ncmd = x\n")
    _, converted = step(str(path), form)
    assert converted.text is not None, converted.problems
    other = tmp_path / f"other.{form}"
    other.write_text(converted.text)
    for name in (path, other):
        configuration = load(str(name), {}).configuration
        assert configuration is not None
        assert configuration.env == {"A": "0", "B": "0"}
    exact = tmp_path / "exact.toml"
    exact.write_text('env = { A = " $NOT_THERE 0 ", B = " 1" }\n')
    configuration = load(str(exact), {}).configuration
    assert configuration is not None
    assert configuration.env == {"A": "  0 ", "B": " 1"}
