"""The hand-written documents: they name what there is, their links and examples work, and every reader can parse them."""

from __future__ import annotations

import ast
import configparser
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from circusd.cli import arguments
from circusd.cli.circusd import parser as circusd_parser
from circusd.cli.codes import CODES
from circusd.config.ini import load
from circusd.core.process import State
from circusd.schema.commands import COMMANDS, ROLES
from circusd.schema.errors import ERRORS
from circusd.schema.events import EVENTS
from circusd.schema.options import STREAM_CLASSES, TABLES, Option

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
BY_HAND = sorted([*DOCS.glob("*.rst"), *ROOT.glob("*.rst")])
PAGES = sorted([*BY_HAND, *DOCS.glob("reference/*.rst")])


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def text_of(path: Path) -> str:
    return path.read_text("utf-8")


def by_hand() -> str:
    return "\n".join(text_of(path) for path in BY_HAND)


# --- readers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=place)
def test_a_page_parses_without_a_warning(page: Path) -> None:
    """Any reader of reStructuredText shows it as it is meant."""
    from docutils.core import publish_string
    from docutils.utils import Reporter

    told: list[str] = []

    class Told:
        def write(self, text: str) -> None:
            told.append(text)

    publish_string(
        text_of(page),
        source_path=place(page),
        writer="null",
        settings_overrides={
            "report_level": Reporter.WARNING_LEVEL,
            "halt_level": Reporter.SEVERE_LEVEL + 1,
            "warning_stream": Told(),
            "_disable_config": True,
            "file_insertion_enabled": False,
            "raw_enabled": False,
        },
    )
    assert told == []


# --- links -------------------------------------------------------------------------------------------------------

LINK = re.compile(r"`[^`<]*<([^`>]+)>`__?")
IMAGE = re.compile(r"^\.\. (?:image|figure):: (\S+)", re.M)


def links(page: Path) -> Iterator[Path]:
    """The files that a page links to."""
    for target in LINK.findall(text_of(page)):
        if "://" not in target:
            yield (page.parent / target.partition("#")[0]).resolve()


@pytest.mark.parametrize("page", PAGES, ids=place)
def test_links_lead_somewhere(page: Path) -> None:
    """Each relative link is one to a file of the project."""
    gone = [str(path) for path in links(page) if not path.is_file()]
    assert gone == []


def test_every_page_is_linked_from_the_index() -> None:
    """Whoever begins at docs/index.rst finds all pages, those of the root too."""
    known = set(links(DOCS / "index.rst"))
    assert [place(path) for path in PAGES if path not in known and path != DOCS / "index.rst"] == []


def test_pages_name_no_place_of_their_making() -> None:
    """No numbers of issues, no registries: a document speaks of the product alone."""
    words = re.compile(r"(?<![\w&])#\d+\b|\bissue \d+|\bpypi\b|registry\.|\bnpmjs\b", re.I)
    found = [f"{place(p)}: {hit[0]}" for p in BY_HAND for hit in words.finditer(text_of(p))]
    assert found == []


# --- modules -----------------------------------------------------------------------------------------------------

# In design.rst each module is a term of a definition list, alone on its line, with its line of text below.
TERM = re.compile(r"^``([\w./-]+)``\n {4}(\S.*)$", re.M)


def modules() -> dict[str, Path]:
    """Every module that the project wrote, by the name under which design.rst lists it."""
    found = {}
    for top, source_root in ((ROOT / "daemon" / "circusd", ROOT / "daemon"), (ROOT / "circusweb", ROOT)):
        for path in top.rglob("*.py"):
            # A package's own module holds nothing but its line of text.
            if path.name != "__init__.py":
                found[".".join(path.relative_to(source_root).with_suffix("").parts)] = path
    found.update({place(path): path for path in (ROOT / "static" / "js").glob("*.js")})
    return found


def first_words(path: Path) -> str:
    """What a module says of itself, as a start for its line."""
    source = text_of(path)
    if path.suffix == ".js":
        return source.partition("\n")[0].removeprefix("//").strip()
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]


def test_the_design_lists_exactly_the_modules_on_disk() -> None:
    """One line for each; a module that is new, renamed or gone is told with what to write."""
    listed = [name for name, _ in TERM.findall(text_of(DOCS / "design.rst"))]
    on_disk = modules()
    assert sorted(listed) == sorted(set(listed)), "listed twice"
    gone = sorted(set(listed) - set(on_disk))
    missing = "\n\n".join(
        f"``{name}``\n    {first_words(on_disk[name])}" for name in sorted(set(on_disk) - set(listed))
    )
    assert (gone, missing) == ([], ""), f"no such module: {gone}\nto be added:\n\n{missing}"


# --- what there is, is told --------------------------------------------------------------------------------------


def is_said(word: str, text: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text) is not None


def programs() -> dict[str, str]:
    """The programs with their modules."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", "utf-8")
    lines = setup["options.entry_points"]["console_scripts"].strip().split("\n")
    return {name: target.partition(":")[0] for name, _, target in (line.partition(" = ") for line in lines)}


def test_every_flag_of_circusd_is_told() -> None:
    """In a page that was written by hand, so with what it is good for."""
    flags = [flag for action in circusd_parser()._actions for flag in action.option_strings if flag != "-h"]
    assert [flag for flag in flags if not is_said(flag, by_hand())] == []


@pytest.mark.parametrize("program", programs())
def test_every_program_and_its_flags_are_told(program: str) -> None:
    """What its own help names, a page names too."""
    run = subprocess.run(
        [sys.executable, "-P", "-m", programs()[program], "--help"],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    flags = set(re.findall(r"(?<![\w-])--[a-z][a-z_-]*", run.stdout))
    assert "--version" in flags
    assert [word for word in [program, *sorted(flags)] if not is_said(word, by_hand())] == []


def test_every_row_has_its_text() -> None:
    """Commands, their properties, options, streams, events and errors: each says what it is, as a sentence."""
    options = [
        *(row for table in TABLES.values() for row in table),
        *(o for c in STREAM_CLASSES for o in c.options),
    ]
    texts = {
        **{f"option {row.section} {row.name}": row.doc for row in options},
        **{f"stream {row.name}": row.doc for row in STREAM_CLASSES},
        **{f"command {row.name}": row.doc for row in COMMANDS},
        **{f"event {row.name}": row.doc for row in EVENTS},
        **{f"error {row.code}": row.doc for row in ERRORS},
    }
    assert [name for name, text in texts.items() if len(text) < 10 or not text.endswith(".")] == []
    assert [row.name for row in COMMANDS if not row.summary or row.summary.endswith(".")] == []
    assert [f"{row.name} {field.name}" for row in COMMANDS for field in row.args if not field.doc] == []


def test_the_upgrade_page_tells_of_every_command() -> None:
    """Who comes from the original finds each that circusctl has."""
    page = text_of(DOCS / "circus.rst")
    assert [
        row.name for row in COMMANDS if row.where != "door" and f"   * - ``{row.name}``\n" not in page
    ] == []


def test_the_upgrade_page_lists_exactly_what_is_not_effective() -> None:
    """Options that are accepted and do nothing (yet), as their tables say."""
    options: list[Option] = [row for table in TABLES.values() for row in table]
    wanted = {row.name for row in options if row.told}
    page = text_of(DOCS / "circus.rst")
    section = page.partition("Accepted and without effect\n---")[2].partition("\nCommands\n---")[0]
    assert set(re.findall(r"^   \* - ``(\w+)``$", section, re.M)) == wanted


def test_the_design_tells_of_every_state() -> None:
    """And the security page of every role."""
    design, security = text_of(DOCS / "design.rst"), text_of(ROOT / "SECURITY.rst")
    assert [state.value for state in State if f"``{state.value}``" not in design] == []
    assert [role for role in ROLES if f"``{role}``" not in security] == []


# --- examples ----------------------------------------------------------------------------------------------------


def literal_blocks(page: Path) -> Iterator[list[str]]:
    """The literal blocks of a page, without their indent."""
    block: list[str] = []
    begins = False
    for line in [*text_of(page).split("\n"), "end"]:
        if block or begins:
            if line.startswith("    ") or not line.strip():
                if line.strip() or block:
                    block.append(line[4:])
                continue
            if block:
                yield block
            block, begins = [], False
        begins = line.rstrip().endswith("::") and not line.startswith("..")


def commands(program: str) -> Iterator[tuple[str, list[str]]]:
    """The lines of the pages that call a program, each as page and words."""
    for page in BY_HAND:
        for block in literal_blocks(page):
            for line in block:
                line = re.sub(r"^(?:\$ |sudo )", "", line.strip())
                if line.split(" ")[0] == program:
                    yield f"{place(page)}: {line}", shlex.split(line, comments=True)[1:]


def test_every_line_of_circusctl_in_the_pages_can_be_typed() -> None:
    """Its command, its flags and its arguments are right."""
    wrong = []
    for where, words in commands("circusctl"):
        try:
            arguments.read(words[: words.index("|")] if "|" in words else words)
        except (arguments.Usage, arguments.WrongArguments) as problem:
            wrong.append(f"{where}: {problem}")
    assert wrong == []


def test_the_exit_codes_in_the_pages_are_those_of_circusctl() -> None:
    """The table for operators, row by row."""
    lines = text_of(DOCS / "operators.rst").partition("**circusctl**:\n")[2].splitlines()
    bars = [number for number, line in enumerate(lines) if line.startswith("==")]
    starts = [match.start() for match in re.finditer(r"=+", lines[bars[0]])]
    rows: list[list[str]] = []
    for line in lines[bars[1] + 1 : bars[2]]:
        ends = [*starts[1:], len(line) + 1]
        cells = [line[start:end].strip() for start, end in zip(starts, ends, strict=True)]
        if cells[0]:
            rows.append(cells)
        else:  # goes on with the row above
            rows[-1] = [f"{above} {cell}".strip() for above, cell in zip(rows[-1], cells, strict=True)]
    assert rows == [[str(code.number), code.plain, code.strict] for code in CODES]


def test_every_line_of_circusd_in_the_pages_can_be_typed() -> None:
    """Its flags are right."""
    found = list(commands("circusd"))
    assert found
    for where, words in found:
        try:
            circusd_parser().parse_args([word for word in words if word not in ("&", "--version")])
        except SystemExit:
            pytest.fail(where)


def form_of_block(block: list[str]) -> str:
    """The ending of the configuration that a block is, or nothing."""
    if re.match(r"(?:circus|env|socket|watcher|plugin|x-[a-z]+):$", block[0]):
        return "yaml"
    if not block[0].startswith("[") or block[0].startswith(("[Unit]", "[Service]", "[{")):
        return ""
    return "toml" if any(re.match(r"\[(?:env|socket|watcher|plugin)\.", line) for line in block) else "ini"


def test_every_configuration_in_the_pages_is_accepted(tmp_path: Path) -> None:
    """Without an error, and without a warning; so is the file of variables that one of them names."""
    wrong = []
    blocks = [(page, block) for page in BY_HAND for block in literal_blocks(page)]
    (variables,) = (block for _, block in blocks if block[0] == "# shop.env")
    (tmp_path / "shop.env").write_text("\n".join(variables), "utf-8")
    (tmp_path / "shared.toml").write_text("", "utf-8")
    for name in ("conf.d/a.yaml", "old/a.ini"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("", "utf-8")
    for number, (page, block) in enumerate(blocks):
        if form := form_of_block(block):
            path = tmp_path / f"{page.stem}-{number}.{form}"
            path.write_text("\n".join(block), "utf-8")
            wrong += [str(p) for p in load(str(path), {"HOME": "/"}).problems if p.severity != "note"]
    assert wrong == []


def test_the_three_forms_side_by_side_say_the_same(tmp_path: Path) -> None:
    """The page shows one configuration three times."""
    (tmp_path / "shop.env").write_text("A=1\n", "utf-8")
    models = {}
    for block in literal_blocks(DOCS / "configuration.rst"):
        form = form_of_block(block)
        if form and form not in models:
            path = tmp_path / f"circus.{form}"
            path.write_text("\n".join(block), "utf-8")
            configuration = load(str(path), {}).configuration
            assert configuration is not None
            (watcher,) = configuration.watchers
            words = shlex.split(watcher.args) if isinstance(watcher.args, str) else watcher.args or ()
            watchers = (replace(watcher, args=tuple(words)),)
            models[form] = replace(configuration, watchers=watchers, files=())
    assert set(models) == {"ini", "toml", "yaml"}
    assert models["ini"] == models["toml"] == models["yaml"]


def test_the_error_in_the_tutorial_is_the_one_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file with the mistake that it suggests."""
    page = DOCS / "tutorial.rst"
    (block,) = (lines for lines in literal_blocks(page) if lines[0].startswith("["))
    monkeypatch.chdir(tmp_path)
    Path("circus.ini").write_text("\n".join(block).replace("numprocesses = 2", "numprocesses = two"), "utf-8")
    (problem,) = load("circus.ini", {}).problems
    assert f"    {problem}\n" in text_of(page)
