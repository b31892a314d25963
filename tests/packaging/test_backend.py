"""The build backend brings the console's JavaScript, whole and checked, or says what to do."""

from __future__ import annotations

import importlib.util
import json
import re
import stat
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
MANIFEST = ROOT / "tools" / "vendor"


@pytest.fixture
def backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The backend as it would work in another checkout, with an empty PATH."""
    spec = importlib.util.spec_from_file_location("backend", ROOT / "tools" / "backend.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    # dataclasses look their module up there.
    monkeypatch.setitem(sys.modules, "backend", module)
    spec.loader.exec_module(module)
    manifest = tmp_path / "manifest"
    manifest.mkdir()
    for name in ("package.json", "package-lock.json", ".npmrc"):
        (manifest / name).write_bytes((MANIFEST / name).read_bytes())
    monkeypatch.setattr(module, "MANIFEST", manifest)
    monkeypatch.setattr(module, "STATIC", tmp_path / "static")
    monkeypatch.setattr(module, "VENDOR", tmp_path / "static" / "vendor")
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv(module.SKIP, raising=False)
    return module


def program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def stand_in_npm(backend: ModuleType, tmp_path: Path, ending: str = "") -> Path:
    """Put a node and an npm on PATH that does what npm ci does with these packages; return the list of its calls."""
    source = tmp_path / "packages"
    for file in backend.FILES:
        path = source / file.source
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"import{{x}}{file.replace};\n//# sourceMappingURL=x.js.map\n")
    calls = tmp_path / "calls"
    program(tmp_path / "bin" / "node", "#!/bin/sh\n")
    program(
        tmp_path / "bin" / "npm",
        f'#!/bin/sh\nPATH=/usr/bin:/bin\necho "$@" >>{calls}\necho out\n{ending}\ncp -r {source} node_modules\n',
    )
    return calls


def left_in_static(backend: ModuleType) -> list[str]:
    return sorted(path.name for path in backend.STATIC.iterdir())


def test_lock_names_hashes_and_no_host() -> None:
    """The lock can be used with any registry: it has a hash for each package and no address."""
    lock = json.loads((MANIFEST / "package-lock.json").read_text())
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert [name for name, entry in packages.items() if not entry["integrity"].startswith("sha512-")] == []
    assert [name for name, entry in packages.items() if "resolved" in entry] == []
    assert (MANIFEST / ".npmrc").read_text() == "omit-lockfile-registry-resolved=true\n"


def test_manifest_names_exact_versions_of_the_lock() -> None:
    """What is asked for is what is locked, to the last digit."""
    wanted = json.loads((MANIFEST / "package.json").read_text())["dependencies"]
    lock = json.loads((MANIFEST / "package-lock.json").read_text())["packages"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in wanted.values())
    assert {name: lock[f"node_modules/{name}"]["version"] for name in wanted} == wanted


def test_every_file_has_a_licence(backend: ModuleType) -> None:
    """Each package that a file comes from has its licence beside it."""
    sources = {file.source.partition("/")[0] for file in backend.FILES if "licenses/" not in file.target}
    licences = {file.source.partition("/")[0] for file in backend.FILES if "licenses/" in file.target}
    assert sources <= licences


def test_folder_is_filled_once(
    backend: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """All files are there with the changes that the table asks for; a second build does not ask npm again."""
    calls = stand_in_npm(backend, tmp_path)
    backend.fill()
    backend.fill()
    assert len(calls.read_text().splitlines()) == 1
    assert "--ignore-scripts" in calls.read_text()
    assert left_in_static(backend) == ["vendor"]
    there = {str(path.relative_to(backend.VENDOR)) for path in backend.VENDOR.rglob("*") if path.is_file()}
    assert there == {file.target for file in backend.FILES} | {"STAMP"}
    assert (backend.VENDOR / "hooks.js").read_text() == 'import{x}from"./preact.js";\n'
    # Build front ends read the names of what was built from there.
    assert capfd.readouterr().out == ""


def test_changed_lock_fills_again(backend: ModuleType, tmp_path: Path) -> None:
    """A folder of another lock file is replaced as a whole."""
    calls = stand_in_npm(backend, tmp_path)
    backend.fill()
    (backend.VENDOR / "old.js").write_text("")
    with (backend.MANIFEST / "package-lock.json").open("a") as lock:
        lock.write("\n")
    assert not backend.is_fresh()
    backend.fill()
    assert len(calls.read_text().splitlines()) == 2
    assert not (backend.VENDOR / "old.js").exists()
    assert left_in_static(backend) == ["vendor"]


def test_failed_npm_changes_nothing(backend: ModuleType, tmp_path: Path) -> None:
    """When npm fails (a dead registry, a wrong hash), the folder is as before and the way out is told."""
    stand_in_npm(backend, tmp_path, ending="exit 7")
    backend.VENDOR.mkdir(parents=True)
    (backend.VENDOR / "preact.js").write_text("before")
    with pytest.raises(backend.VendorError, match=r"exit status 7.*CIRCUSWEB_SKIP_VENDOR=1"):
        backend.fill()
    assert left_in_static(backend) == ["vendor"]
    assert (backend.VENDOR / "preact.js").read_text() == "before"


def test_hung_npm_is_stopped(backend: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """npm and what it has started are killed when their time is over."""
    monkeypatch.setattr(backend, "NPM_TIMEOUT", 0.3)
    child = tmp_path / "child"
    stand_in_npm(backend, tmp_path, ending=f"sleep 60 & echo $! >{child}; wait")
    with pytest.raises(backend.VendorError, match="not ready after"):
        backend.fill()
    stat_file = Path(f"/proc/{child.read_text().strip()}/stat")
    eventually(lambda: not stat_file.exists() or stat_file.read_text().rpartition(")")[2].split()[0] == "Z")
    assert left_in_static(backend) == []


def test_changed_package_is_told(backend: ModuleType, tmp_path: Path) -> None:
    """A package that no longer has the file, or the words to replace, is named."""
    stand_in_npm(backend, tmp_path)
    hooks = tmp_path / "packages" / "preact/hooks/dist/hooks.mjs"
    hooks.write_text("export{}")
    with pytest.raises(backend.VendorError, match=r"hooks\.mjs has .* 0 times"):
        backend.fill()
    hooks.unlink()
    with pytest.raises(backend.VendorError, match=r"hooks\.mjs is not in its npm package"):
        backend.fill()
    assert left_in_static(backend) == []


def test_npm_without_node_is_none(backend: ModuleType, tmp_path: Path) -> None:
    """Where npm could not run, the build asks for a Node.js of its own; without one the ways out are told."""
    program(tmp_path / "bin" / "npm", "#!/bin/sh\nexit 0\n")
    assert backend.extra_requirements() == [backend.NODE]
    with pytest.raises(SystemExit, match=r"install Node\.js, or .* CIRCUSWEB_SKIP_VENDOR=1"):
        backend.fill_or_exit()


def test_node_is_asked_for_only_when_needed(
    backend: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not with an npm that runs, not when the folder is fresh, not when the console is left out."""
    calls = stand_in_npm(backend, tmp_path)
    assert backend.extra_requirements() == []
    backend.fill()
    (tmp_path / "bin" / "npm").unlink()
    assert backend.extra_requirements() == []
    (backend.VENDOR / "STAMP").unlink()
    assert backend.extra_requirements() == [backend.NODE]
    monkeypatch.setenv(backend.SKIP, "1")
    assert backend.extra_requirements() == []
    backend.fill()
    assert len(calls.read_text().splitlines()) == 1
