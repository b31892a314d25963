"""The rules of the house: what may import what, what may call the system where, what things are called."""

from __future__ import annotations

import ast
import configparser
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

from circusd.schema import errors
from circusd.schema.commands import COMMANDS
from circusd.schema.events import EVENTS

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted([*(ROOT / "daemon" / "circusd").rglob("*.py"), *(ROOT / "circusweb").rglob("*.py")])


# --- who may import whom ----------------------------------------------------------------------------------------

# Of the standard library, what neither touches the world nor reads a clock nor draws lots.
PURE = frozenset(
    "__future__ abc base64 binascii bisect collections contextlib copy dataclasses difflib enum errno fnmatch functools "
    "hashlib heapq hmac ipaddress itertools json keyword math operator posixpath re reprlib shlex string struct textwrap "
    "types typing unicodedata urllib.parse".split()
)


@dataclass(frozen=True)
class Row:
    """What the modules of one row may import: rows of the project, other distributions, parts of the standard library."""

    own: frozenset[str]
    others: frozenset[str] = frozenset()
    stdlib: frozenset[str] | None = None


def row(own: str, others: str = "", stdlib: frozenset[str] | None = None) -> Row:
    return Row(frozenset(own.split()), frozenset(others.split()), stdlib)


# From the bottom up; the longest name that fits a module is its row. Whoever needs another arrow changes the design
# first: these rows are what lets the core be tested without a process and the console fail without the daemon.
ROWS = {
    "circusd": row("circusd.library"),
    "circusd.version": row(""),
    "circusd.schema": row("circusd.schema", stdlib=PURE),
    "circusd.core": row("circusd.core circusd.schema", stdlib=PURE),
    "circusd.config": row("circusd.config circusd.kernel circusd.core circusd.schema", "cronsim yaml"),
    "circusd.kernel": row("circusd.kernel circusd.config circusd.core circusd.schema", "psutil"),
    "circusd.runtime": row(
        "circusd.runtime circusd.original circusd.kernel circusd.config circusd.core circusd.schema circusd.version",
        "argon2 gevent greenlet stringzilla zmq",
    ),
    "circusd.views": row("circusd.client circusd.schema"),
    "circusd.zmtp": row("circusd.schema"),
    "circusd.keyfile": row("circusd.schema"),
    "circusd.curve": row("circusd.keyfile circusd.zmtp circusd.schema", "zmq"),
    "circusd.client": row(
        "circusd.client circusd.circusclient circusd.zmtp circusd.schema circusd.version", "gevent zmq"
    ),
    "circusd.circusclient": row("circusd.client circusd.schema"),
    "circusd.library": row("circusd.views circusd.client circusd.schema"),
    "circusd.original": row(""),
    "circusd.plugins": row(
        "circusd.plugins circusd.circusclient circusd.client circusd.schema circusd.version",
        "apprise opentelemetry redis",
    ),
    "circusd.chaussette": row(
        "circusd.chaussette circusd.kernel circusd.schema circusd.version",
        "eventlet gevent geventwebsocket paste tornado uvicorn waitress",
    ),
    "circusd.cli": row(
        "circusd.cli circusd.original circusd.views circusd.plugins circusd.client circusd.curve circusd.keyfile circusd.runtime "
        "circusd.kernel circusd.config circusd.core circusd.schema circusd.version",
        "gevent",
    ),
    "circusweb": row(
        "circusweb circusd.client circusd.zmtp circusd.schema circusd.version",
        "bottle engineio gevent geventwebsocket greenlet jinja2 markupsafe socketio",
    ),
}

# Within a row, what only one module may import; everything else goes through that module.
ONLY = {
    "apprise": "circusd.plugins.notify",
    "argon2": "circusd.runtime.passwords",
    "cronsim": "circusd.config.cron",
    "opentelemetry": "circusd.plugins.otlp",
    "psutil": "circusd.kernel.ioprio",
    "redis": "circusd.plugins.redis_observer",
    "yaml": "circusd.config.yamlfile",
    "circusd.client": "circusweb.bridge",
    "circusd.zmtp": "circusweb.bridge",
}


@dataclass(frozen=True)
class Import:
    module: str
    line: int
    name: str


def module_name(path: Path) -> str:
    """The name under which a source file is imported."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts[1:] if parts[0] == "daemon" else parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> frozenset[str]:
    return frozenset(module_name(path) for path in SOURCES)


def imports(tree: ast.AST, module: str, *, is_package: bool) -> Iterator[Import]:
    """Each import of a module, wherever it stands: one in a function or for types only is an arrow all the same."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module, node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                home = module.split(".")
                home = home[: len(home) - node.level + is_package]
                base = ".".join([*home, base] if base else home)
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                # "from package import module" is an import of the module; "from module import name" is of the module.
                yield Import(module, node.lineno, inner if inner in modules() or inner in ROWS else base)


def is_within(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


def row_of(name: str) -> str | None:
    """The name of the row that a module is in; the two packages themselves are rows of their own."""
    fits = [key for key in ROWS if is_within(name, key)]
    best = max(fits, key=len, default=None)
    return None if best == "circusd" and name != "circusd" else best


def complaint(found: Import) -> str | None:
    """Why an import is not allowed, or None."""
    where = f"{found.module}:{found.line} imports {found.name}"
    row_name = row_of(found.module)
    if row_name is None:
        return f"{found.module} is in no row: give it one in ROWS of this test"
    allowed = ROWS[row_name]
    top = found.name.partition(".")[0]
    if top in ("circusd", "circusweb"):
        target = row_of(found.name)
        if target not in allowed.own:
            return f"{where}, but {row_name} may import of the project only: {listed(allowed.own)}"
    elif top in sys.stdlib_module_names:
        if allowed.stdlib is not None and not any(is_within(found.name, name) for name in allowed.stdlib):
            return f"{where}, but {row_name} is pure: it may import of the standard library only {listed(allowed.stdlib)}"
        return None
    elif top not in allowed.others:
        return f"{where}, but {row_name} may import of other distributions only: {listed(allowed.others)}"
    for name, holder in ONLY.items():
        shared_row = row_of(holder) == row_name
        if shared_row and is_within(found.name, name) and not is_within(found.module, holder):
            return f"{where}, but only {holder} may; ask it instead"
    return None


def listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def test_imports_point_down() -> None:
    """A module imports only what its row may."""
    found = {
        told: None
        for path in SOURCES
        for entry in imports(parsed(path), module_name(path), is_package=path.name == "__init__.py")
        if (told := complaint(entry))
    }
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("module", "source", "told"),
    [
        ("circusd.core.x", "import os", "circusd.core is pure"),
        ("circusd.core.x", "import urllib.request", "circusd.core is pure"),
        (
            "circusd.schema.x",
            "from ..core import lifecycle",
            "may import of the project only: circusd.schema",
        ),
        ("circusd.schema.x", "def f():\n    import zmq", "circusd.schema.x:2 imports zmq"),
        ("circusd.kernel.x", "from gevent import sleep", "may import of other distributions only: psutil"),
        ("circusd.kernel.x", "import psutil", "only circusd.kernel.ioprio may"),
        ("circusd.client", "from circusd.runtime import arbiter", "imports circusd.runtime"),
        ("circusd.plugins.x", "from circusd import kernel", "imports circusd.kernel"),
        ("circusd.cli.x", "import circusweb.app", "imports circusweb.app"),
        ("circusweb.x", "from circusd.core import order", "imports circusd.core"),
        ("circusweb.x", "from circusd.client import call", "only circusweb.bridge may"),
        ("circusd.stray", "import json", "circusd.stray is in no row"),
    ],
)
def test_wrong_import_is_told(module: str, source: str, told: str) -> None:
    """Each kind of forbidden arrow is found and explained."""
    (found,) = imports(ast.parse(source), module, is_package=False)
    assert told in (complaint(found) or "")


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("circusd.core.x", "from urllib.parse import quote"),
        ("circusd.core.x", "from ..schema import types"),
        ("circusd.kernel.ioprio", "import psutil, subprocess"),
        ("circusd.runtime.x", "import zmq.green"),
        ("circusd.plugins.x", "from circusd import client"),
        ("circusweb.bridge", "from circusd.client import call"),
    ],
)
def test_right_import_is_let_be(module: str, source: str) -> None:
    """What the rows allow is not complained about."""
    assert [
        told for found in imports(ast.parse(source), module, is_package=False) if (told := complaint(found))
    ] == []


# --- what is done in one place only ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Confined:
    """A part of the library that only some files (patterns below the root) may use, and why."""

    names: tuple[str, ...]
    places: tuple[str, ...]
    why: str


CONFINED = (
    Confined(
        ("gevent.subprocess", "gevent.os.fork", "gevent.fork"), (), "it forks the whole heap, in Python"
    ),
    Confined(
        ("os.fork", "os.forkpty", "pty.fork"), ("daemon/circusd/kernel/daemonize.py",), "it copies the heap"
    ),
    Confined(
        (
            "subprocess",
            "multiprocessing",
            "os.system",
            "os.popen",
            "os.posix_spawn",
            "os.posix_spawnp",
            "_posixsubprocess",
        ),
        ("daemon/circusd/kernel/*", "daemon/circusd/library.py"),
        "programs are started by the kernel, and circusd itself by the library",
    ),
    Confined(
        (
            "time.time",
            "time.time_ns",
            "datetime.datetime.now",
            "datetime.datetime.utcnow",
            "datetime.datetime.today",
        ),
        ("daemon/circusd/runtime/clock.py",),
        "decisions go by the monotonic clock; the time of day is for what people read, and set in one place",
    ),
    Confined(("pickle", "marshal", "shelve", "dill"), (), "reading it runs what is in it"),
    Confined(("eval", "exec", "yaml.load"), (), "it runs text"),
    Confined(
        ("gevent.monkey",),
        ("circusweb/server.py", "daemon/circusd/chaussette/main.py"),
        "the daemon is not patched; the console and the worker are, first of all",
    ),
)

SIGNALS = "daemon/circusd/kernel/signals.py"


@dataclass(frozen=True)
class Use:
    line: int
    name: str


def uses(tree: ast.AST) -> Iterator[Use]:
    """What a module uses, by full dotted name, through whatever alias it has here."""
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Use(node.lineno, alias.name)
                known[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                yield Use(node.lineno, f"{node.module}.{alias.name}")
                known[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (name := dotted(node)):
            first, _, rest = name.partition(".")
            if first in known:
                yield Use(node.lineno, f"{known[first]}.{rest}")
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield Use(node.lineno, known.get(node.id, node.id))


def dotted(node: ast.expr) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (base := dotted(node.value)):
        return f"{base}.{node.attr}"
    return None


def misuses(tree: ast.AST, place: str) -> Iterator[str]:
    """What a file does that belongs elsewhere or nowhere."""
    told = set()
    for use in uses(tree):
        for rule in CONFINED:
            if any(is_within(use.name, name) for name in rule.names) and not any(
                fnmatch(place, p) for p in rule.places
            ):
                told.add(
                    (
                        use.line,
                        f"uses {use.name}: {rule.why}; allowed in: {', '.join(rule.places) or 'no file'}",
                    )
                )
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func) or ""
        arguments = " ".join(ast.unparse(argument) for argument in node.args)
        if any(word.arg == "shell" and ast.unparse(word.value) != "False" for word in node.keywords):
            told.add((node.lineno, "passes shell=: a shell is started as a program, with its words quoted"))
        if place != SIGNALS:
            if name.endswith("waitpid") and arguments.startswith("-1"):
                told.add(
                    (
                        node.lineno,
                        f"waits for any child: it takes exits away from those who wait; only {SIGNALS} may",
                    )
                )
            if "SIGCHLD" in arguments and re.search(r"\bsignal$", name):
                told.add((node.lineno, f"handles SIGCHLD: exits are told by pidfd; only {SIGNALS} may"))
    for line, text in sorted(told):
        yield f"{place}:{line} {text}"


def test_what_has_one_place_stays_there() -> None:
    """Programs are started by the kernel, the time of day has one source, nothing runs text."""
    found = [told for path in SOURCES for told in misuses(parsed(path), str(path.relative_to(ROOT)))]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    "source",
    [
        "from gevent import subprocess",
        "import gevent.subprocess",
        "import os\nos.fork()",
        "from os import fork as f",
        "import subprocess as s",
        "import time\ntime.time()",
        "from time import time",
        "from datetime import datetime\ndatetime.now()",
        "import datetime as d\nd.datetime.now()",
        "import pickle",
        "eval('1')",
        "from gevent import monkey",
        "run('ls', shell=True)",
        "import os\nos.waitpid(-1, os.WNOHANG)",
        "import signal\nsignal.signal(signal.SIGCHLD, f)",
        "hub.loop.signal(SIGCHLD)",
    ],
)
def test_misuse_is_told(source: str) -> None:
    """Each forbidden use is found, by whatever name it goes."""
    assert list(misuses(ast.parse(source), "daemon/circusd/runtime/x.py"))


@pytest.mark.parametrize(
    ("place", "source"),
    [
        ("daemon/circusd/kernel/spawn.py", "import subprocess\nsubprocess.Popen(x, shell=False)"),
        ("daemon/circusd/kernel/signals.py", "import os\nos.waitpid(-1, os.WNOHANG)"),
        ("daemon/circusd/runtime/x.py", "import time\ntime.monotonic()"),
        ("daemon/circusd/runtime/x.py", "import os\nos.waitpid(pid, 0)"),
        ("circusweb/x.py", "now = row.time.time"),
    ],
)
def test_right_use_is_let_be(place: str, source: str) -> None:
    """What has its place there, or only looks alike, is not complained about."""
    assert list(misuses(ast.parse(source), place)) == []


# --- names and lists ---------------------------------------------------------------------------------------------

OURS = ("daemon", "circusweb", "static", "templates", "tests", "tools", "docs", "examples")
# Fetched, made by tools, or written by the demo.
LEAVE_OUT = {"vendor", "__pycache__", "node_modules", "logs", "state"}


def files(*folders: str) -> Iterator[Path]:
    """The files that the project wrote, below these folders."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*")):
            parts = path.relative_to(ROOT).parts
            if (
                path.is_file()
                and not LEAVE_OUT & set(parts)
                and not any(part.endswith(".egg-info") for part in parts)
            ):
                yield path


def test_names_say_what_is_inside() -> None:
    """No module is named for being a leftover."""
    leftover = {"util", "utils", "helper", "helpers", "common", "misc", "shared", "tools"}
    code = (path for path in files(*OURS) if path.suffix in (".py", ".js", ".css", ".html", ".sh"))
    assert [str(path.relative_to(ROOT)) for path in code if path.stem in leftover] == []


def test_every_package_is_shipped() -> None:
    """The packages in setup.cfg are those on disk."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", "utf-8")
    listed_packages = set(setup["options"]["packages"].split())
    on_disk = {module_name(path) for path in SOURCES if path.name == "__init__.py"}
    folders = {module_name(path.parent / "__init__.py") for path in SOURCES}
    assert folders == on_disk, "a folder with modules has no __init__.py"
    # The two that setup.cfg maps from outside.
    assert listed_packages == on_disk | {"circusweb.static", "circusweb.templates"}


def test_source_root_is_no_package() -> None:
    """Another project's import name is "daemon": ours must never shadow it."""
    assert not (ROOT / "daemon" / "__init__.py").exists()


def test_every_program_exists() -> None:
    """Each console script names a module on disk with that function."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", "utf-8")
    missing = []
    for line in setup["options.entry_points"]["console_scripts"].split("\n"):
        program, _, target = line.partition(" = ")
        module, _, function = target.partition(":")
        path = next((path for path in SOURCES if module_name(path) == module), None)
        names = (
            {node.name for node in parsed(path).body if isinstance(node, ast.FunctionDef)} if path else set()
        )
        if program and function not in names:
            missing.append(f"{program}: {target}")
    assert missing == []


# --- tables ------------------------------------------------------------------------------------------------------


def code_outside(*modules: str) -> Iterator[ast.AST]:
    """Every node of the sources, but for those of these modules."""
    for path in SOURCES:
        if module_name(path) not in modules:
            yield from ast.walk(parsed(path))


def test_every_event_is_published() -> None:
    """The name of each event row stands somewhere in the code that could publish it."""
    said = {node.value for node in code_outside("circusd.schema.events") if isinstance(node, ast.Constant)}
    assert [row.name for row in EVENTS if row.name not in said] == []


def test_every_error_is_raised() -> None:
    """Each error row has a class, and somebody makes one (or a subclass of it)."""
    made = {dotted(node.func) for node in code_outside() if isinstance(node, ast.Call)}
    names = {(name or "").rpartition(".")[2] for name in made}

    def family(kind: type[errors.CircusError]) -> Iterator[str]:
        yield kind.__name__
        for child in kind.__subclasses__():
            if child.code == kind.code:
                yield from family(child)

    classes = {kind.code: kind for kind in errors.EXCEPTIONS}
    assert [row.code for row in errors.ERRORS if not names & set(family(classes[row.code]))] == []


def test_every_command_has_a_handler() -> None:
    """The rows that the daemon answers and the handlers in its runtime are the same set, each handler once."""
    handlers = [
        node.name.removeprefix("cmd_")
        for path in SOURCES
        if module_name(path).startswith("circusd.runtime.")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("cmd_")
    ]
    assert sorted(handlers) == sorted(row.name for row in COMMANDS if row.where != "client")


# --- pages -------------------------------------------------------------------------------------------------------

# Each would need a hole in the page's content policy, or is one.
PAGE_RULES = {
    r"\|\s*safe\b": "marks text as safe: build it from elements instead",
    r"\bautoescape\s+false": "switches escaping off",
    r"<script(?![^>]*\bsrc=)": "has a script inside the page",
    r"<style\b": "has a style sheet inside the page",
    r"<[^>]*\sstyle\s*=": "has a style attribute",
    r"<[^>]*\son[a-z]+\s*=": "has a handler attribute",
    r"(?i)href\s*=\s*[\"']?\s*javascript:": "has a link that is a script",
}
SCRIPT_RULES = {
    r"\b(?:inner|outer)HTML\b|\binsertAdjacentHTML\b|\bdangerouslySetInnerHTML\b|\bdocument\.write\b": "makes HTML from text",
    r"\beval\s*\(|\bnew\s+Function\b|\bset(?:Timeout|Interval)\s*\(\s*[\"'`]": "runs text",
}


def offences(text: str, rules: dict[str, str]) -> list[str]:
    found = [
        (text.count("\n", 0, hit.start()) + 1, why)
        for pattern, why in rules.items()
        for hit in re.finditer(pattern, text)
    ]
    return [f"{line} {why}" for line, why in sorted(found)]


def test_pages_need_no_hole_in_their_policy() -> None:
    """Templates have no inline script, style or handler, and no unescaped text; scripts make no HTML from text."""
    found = []
    for folder, suffix, rules in (
        ("templates", ".html", PAGE_RULES),
        ("static", ".html", PAGE_RULES),
        ("static", ".js", SCRIPT_RULES),
    ):
        for path in files(folder):
            if path.suffix == suffix:
                found += [
                    f"{path.relative_to(ROOT)}:{told}" for told in offences(path.read_text("utf-8"), rules)
                ]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    "page",
    [
        "{{ name | safe }}",
        "{% autoescape false %}",
        "<script>go()</script>",
        "<script type=module>",
        "<style>",
        "<p\n style='x'>",
        '<button class="a" onclick="go()">',
        '<a href="javascript:go()">',
    ],
)
def test_hole_is_told(page: str) -> None:
    """Each way to need a wider policy is found."""
    assert offences(page, PAGE_RULES)


def test_right_page_is_let_be() -> None:
    """Scripts and sheets by address, and words that only look alike, are not complained about."""
    page = '<script type="module" src="/static/js/a.js"></script><link rel="stylesheet"><p data-on="x">on = 1 safe</p>'
    assert offences(page, PAGE_RULES) == []


def test_no_module_switches_something_off_by_a_word() -> None:
    """Attributes become properties of elements, for which the text "false" is as true as any other; ``${false}`` is not."""
    word = re.compile(r"(?<![\w-])[a-z]+=[\"']false[\"']")
    assert word.search('<input spellcheck="false" />') and not word.search('<b aria-live="false">')
    assert [
        path.name for path in files("static") if path.suffix == ".js" and word.search(path.read_text("utf-8"))
    ] == []


# --- places ------------------------------------------------------------------------------------------------------


def test_no_file_knows_whose_machine_it_was_written_on() -> None:
    """No file names the checkout it lies in, or a person's folder."""
    homes = re.compile(r"(?<![\w.$}])/(?:home|Users|workspaces?)/\w+|[A-Z]:\\Users\\")
    top = [
        path for path in ROOT.iterdir() if path.is_file() and path.suffix in (".cfg", ".toml", ".rst", ".in")
    ]
    found = []
    for path in [*top, ROOT / "Makefile", *files(*OURS, ".ci")]:
        if path == Path(__file__).resolve():
            continue
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if str(ROOT) + "/" in line or homes.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number} {line.strip()[:80]}")
    assert not found, "\n" + "\n".join(found)


TOP = set(
    ".ci .gitignore CHANGES.rst CONTRIBUTING.rst LICENSE MANIFEST.in Makefile README.rst SECURITY.rst circusweb daemon docs "
    "examples pyproject.toml ruff.toml setup.cfg static templates tests tools".split()
)
"""What stands at the top, each for a reason; another one needs a reason too."""


@pytest.mark.skipif(
    not (ROOT / ".git").exists(), reason="an unpacked source archive has no list of its own files"
)
def test_nothing_else_stands_at_the_top_and_nothing_that_is_made_is_kept() -> None:
    """Environments, build products and third-party files are installed or made, never part of the tree."""
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert {name.partition("/")[0] for name in listed} == TOP
    made = re.compile(
        r"(^|/)(node_modules|site-packages|vendor/[^/]+\.m?js|__pycache__)(/|$)|\.min\.(js|css)$|\.pyc$"
    )
    assert [name for name in listed if made.search(name)] == []
