"""What people install holds everything, and nothing else.

One sdist is built from a copy of the tree, the wheel is built from that sdist, and the sdist is installed: the way that
a release takes. There is no program on PATH and no index, so neither Node.js nor a registry can be asked. The copy takes
static/vendor along, which the set-up has filled; that the backend can fill it is the subject of test_backend.py, and of
the set-up itself, which does it on every fresh machine.
"""

from __future__ import annotations

import configparser
import email
import re
import subprocess
import sys
import tarfile
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest

from tests.daemon import Daemon
from tests.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
MADE = ignore_patterns(
    ".git",
    ".venv",
    ".original",
    "build",
    "dist",
    "*.egg-info",
    "__pycache__",
    ".*_cache",
    ".hypothesis",
    ".vendor-*",
    "logs",
    "state",
)

# The environment of every program that is run here.
BARE = {
    "PATH": "/nowhere",
    "HOME": "/nowhere",
    "PIP_NO_INDEX": "1",
    "PIP_CONFIG_FILE": "/dev/null",
    "LANG": "C.UTF-8",
}


def run(*command: str, cwd: Path, path: Path | None = None) -> str:
    """Run Python in the bare environment and return what it printed; when it fails, show all it said."""
    environment = BARE | ({"PYTHONPATH": str(path)} if path else {})
    done = subprocess.run(
        [sys.executable, *command], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree as a checkout has it, with the vendored files."""
    assert (ROOT / "static" / "vendor" / "STAMP").exists(), "static/vendor is not filled: run make install"
    folder = tmp_path_factory.mktemp("packaging") / "tree"
    copytree(ROOT, folder, ignore=MADE, symlinks=True)
    return folder


@pytest.fixture(scope="module")
def sdist(tree: Path) -> Path:
    """The source distribution, built from the copy."""
    build = "import sys; sys.path.insert(0, 'tools'); import backend; backend.build_sdist('../sdist')"
    (tree.parent / "sdist").mkdir()
    run("-c", build, cwd=tree)
    (path,) = (tree.parent / "sdist").iterdir()
    return path


@pytest.fixture(scope="module")
def unpacked(sdist: Path) -> Path:
    """The tree inside the sdist."""
    folder = sdist.parent.parent / "unpacked"
    with tarfile.open(sdist) as archive:
        # An attribute, because early releases of 3.11 don't have the argument, and 3.12 warns without it.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(folder)
    (path,) = folder.iterdir()
    return path


@pytest.fixture(scope="module")
def wheel(unpacked: Path) -> Iterator[zipfile.ZipFile]:
    """The wheel, built from the sdist without isolation: a build environment would have to be downloaded."""
    out = unpacked.parent.parent / "wheel"
    command = [
        "-m",
        "pip",
        "wheel",
        "--no-index",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(out),
        ".",
    ]
    run(*command, cwd=unpacked)
    (path,) = out.iterdir()
    with zipfile.ZipFile(path) as archive:
        yield archive


def wanted(tree: Path) -> set[str]:
    """What the wheel has to hold of this tree, by its name inside."""
    names = set()
    for folder, inside in (
        ("daemon/circusd", "circusd"),
        ("circusweb", "circusweb"),
        ("static", "circusweb/static"),
        ("templates", "circusweb/templates"),
    ):
        for path in (tree / folder).rglob("*"):
            if path.is_file() and (
                path.suffix == ".py" or path.name == "py.typed" or folder in ("static", "templates")
            ):
                names.add(f"{inside}/{path.relative_to(tree / folder)}")
    return names


def test_wheel_holds_the_tree_and_nothing_else(tree: Path, wheel: zipfile.ZipFile) -> None:
    """Each module, page, style, script, manual page, licence and type marker; no test, tool or stray file."""
    there = {name for name in wheel.namelist() if ".dist-info/" not in name}
    # What goes beside the packages, into the folder of the whole installation.
    manual = {name.partition(".data/data/")[2] for name in there if ".data/data/" in name}
    there = {name for name in there if ".data/data/" not in name}
    assert there == wanted(tree)
    pages = (tree / "docs" / "man").iterdir()
    assert manual == {f"share/man/man{page.suffix[1:]}/{page.name}" for page in pages}
    assert {"circusd/py.typed", "circusweb/py.typed", "circusweb/static/vendor/preact.js"} <= there


def test_wheel_says_what_it_is(wheel: zipfile.ZipFile) -> None:
    """The metadata name the version, the licences and every program."""
    (metadata_name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = email.message_from_bytes(wheel.read(metadata_name))
    version: dict[str, str] = {}
    exec((ROOT / "daemon/circusd/version.py").read_text(), version)
    assert metadata["Version"] == version["__version__"]
    assert metadata["License-Expression"] == "Apache-2.0 AND MIT"
    assert metadata["License-File"] == "LICENSE"
    assert metadata["Requires-Python"] == ">=3.11"
    programs = configparser.ConfigParser()
    programs.read_string(wheel.read(metadata_name.replace("METADATA", "entry_points.txt")).decode())
    assert set(programs["console_scripts"]) == {
        "chaussette",
        "circus-plugin",
        "circus-top",
        "circusctl",
        "circusd",
        "circusd-stats",
        "circushttpd",
    }


def test_sdist_holds_what_a_build_and_a_developer_need(tree: Path, sdist: Path) -> None:
    """The whole tree is in it: the backend, the lock file, the filled vendor folder, the tests."""
    with tarfile.open(sdist) as archive:
        there = {member.name.partition("/")[2] for member in archive if member.isfile()}
    in_tree = {
        str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file() and path.suffix != ".pyc"
    }
    # What setuptools writes beside it, into the tree too.
    made = {name for name in there | in_tree if ".egg-info/" in name} | {"PKG-INFO"}
    assert there - made == in_tree - made - {".gitignore"}
    assert {"tools/backend.py", "tools/vendor/package-lock.json", "static/vendor/STAMP"} <= there


def test_sdist_installs_with_nothing_around(sdist: Path, tmp_path: Path) -> None:
    """With no Node.js and no registry it installs, and the packages and the files of the console are found."""
    command = [
        "-m",
        "pip",
        "install",
        "--no-index",
        "--no-deps",
        "--no-build-isolation",
        "--target",
        str(tmp_path / "lib"),
    ]
    run(*command, str(sdist), cwd=tmp_path)
    show = (
        "import circusd.schema, circusweb, importlib.resources as r; print(circusd.__file__); print(circusweb.__file__);"
        "print((r.files('circusweb') / 'static/vendor/STAMP').read_text())"
    )
    lines = run("-c", show, cwd=tmp_path, path=tmp_path / "lib").split()
    assert lines[:2] == [str(tmp_path / "lib" / name / "__init__.py") for name in ("circusd", "circusweb")]
    assert lines[2] == (ROOT / "static" / "vendor" / "STAMP").read_text().strip()


class Installed(Daemon):
    """circusd as it lies in a folder of installed packages."""

    def command(self) -> list[str]:
        return [sys.executable, "-P", "-m", "circusd.cli.circusd", str(self.config)]


def test_what_is_in_the_wheel_runs_and_serves_its_console(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    """The daemon starts from it, and the console has its pages, its own scripts and those of others."""
    wheel.extractall(tmp_path / "lib")
    ini = "[circus]\nhttpd = 1\nhttpd_host = 127.0.0.1\nhttpd_port = 0\n[watcher:web]\ncmd = sleep 1000\n"
    with Installed(ini, tmp_path, environ={"PYTHONPATH": str(tmp_path / "lib")}) as daemon:
        address = daemon.call("inspect")["daemon"]["httpd"]

        def get(path: str) -> str:
            with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as answer:
                return str(answer.read().decode())

        page = eventually(lambda: get("/login"), within=20)
        script = re.search(r'src="([^"]+)login\.js"', page)
        assert script is not None, page
        assert get(script[1] + "app.js")
        assert get(script[1].replace("/js/", "/vendor/") + "preact.js")
        loaded = Path(f"/proc/{daemon.pid}/environ").read_bytes()
        assert str(tmp_path / "lib").encode() in loaded
