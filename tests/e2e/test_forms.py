"""A real circusd on TOML and YAML configurations and on files of variables: it runs them and reloads what changes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.daemon import Daemon
from tests.waiting import eventually

TOML = """
[circus]
env_file = "all.env"

[watcher.web]
cmd = "sh -c 'echo \\"$GREETING from $PLACE $CIRCUS_WID\\"; exec sleep 1000'"
args = []
numprocesses = 2
env_file = ["web.env", "-local.env"]

[watcher.web.env]
PATH = "/usr/bin:/bin"

[watcher.other]
cmd = "/bin/sleep 1000"
env = { GREETING = "mine", PLACE = "here" }
"""

YAML = """
x-common: &common
  copy_env: no
circus: {env_file: all.env}
watcher:
  web:
    <<: *common
    cmd: sh -c 'echo "$GREETING from $PLACE $CIRCUS_WID"; exec sleep 1000'
    numprocesses: 2
    env_file:
      - web.env
      - -local.env
    env:
      PATH: /usr/bin:/bin
  other:
    cmd: /bin/sleep 1000
    env: {GREETING: mine, PLACE: here}
"""


@pytest.mark.parametrize(("file", "text"), [("circus.toml", TOML), ("circus.yaml", YAML)])
def test_a_configuration_of_each_form_is_run_and_reloaded(tmp_path: Path, file: str, text: str) -> None:
    """What changes is applied, in the file as in the files of variables; a file with an error changes nothing."""
    (tmp_path / "all.env").write_text("PLACE=everywhere\n")
    (tmp_path / "web.env").write_text("export GREETING='good morning'\n")
    with Daemon(text, tmp_path, file=file) as daemon:
        assert len(daemon.pids("web")) == 2
        eventually(lambda: "good morning from everywhere 2" in daemon.ctl("tail", "web").stdout)
        (other,) = daemon.pids("other")
        first = daemon.pids("web")

        # one more process, and nothing else
        changed = text.replace("numprocesses = 2", "numprocesses = 3").replace(
            "numprocesses: 2", "numprocesses: 3"
        )
        daemon.config.write_text(changed)
        daemon.ctl("reloadconfig", "--waiting")
        eventually(lambda: len(daemon.pids("web")) == 3)
        assert set(first) < set(daemon.pids("web"))

        # a variable of one, from a file that was not there before
        (tmp_path / "local.env").write_text("GREETING=good evening # from now on\n")
        daemon.ctl("reloadconfig", "--waiting")
        told = [e for e in daemon.call("events", lines=2000)["events"] if e["event"] == "daemon.reloaded"]
        assert told[-1]["summary"].startswith("web: env;")
        eventually(lambda: "good evening from everywhere" in daemon.ctl("tail", "web").stdout)
        eventually(lambda: len(daemon.pids("web")) == 3 and not set(first) & set(daemon.pids("web")))
        assert daemon.call("options", name="web")["options"]["env_file"] == ["web.env", "-local.env"]

        # one of all, which the other one has by itself
        (tmp_path / "all.env").write_text("PLACE=nowhere\n")
        daemon.ctl("reloadconfig", "--waiting")
        eventually(lambda: "good evening from nowhere" in daemon.ctl("tail", "web").stdout)
        assert daemon.pids("other") == [other]

        # and mistakes in both, which are told with their lines and change nothing
        running = daemon.pids("web")
        (tmp_path / "web.env").write_text("A=1\nSECRET\n")
        daemon.config.write_text(changed.replace("3", '"three"'))
        done = daemon.ctl("reloadconfig", "--waiting", check=False)
        assert done.returncode == 3
        told = done.stdout + done.stderr
        line = 1 + changed[: changed.index("numprocesses")].count("\n")
        assert f"{file}:{line}: error: watcher.web.numprocesses" in told
        assert "web.env:2: error: has no =" in told
        assert "SECRET" not in told
        assert daemon.pids("web") == running


def test_a_converted_configuration_runs(tmp_path: Path) -> None:
    """From ini by the command line, and started as it was written."""
    (tmp_path / "old.ini").write_text(
        "[watcher:web]\ncmd = sleep 1000\ncopy_env = 1\nnumprocesses = 2\nrlimit_nofile = 200\n"
    )
    with Daemon("", tmp_path, file="circus.toml") as empty:
        converted = os.spawnv(
            os.P_WAIT,
            empty.program("circusd"),
            [
                "circusd",
                "--convert",
                str(tmp_path / "old.ini"),
                "-o",
                str(tmp_path / "circus.toml"),
                "--force",
            ],
        )
        assert converted == 0
        empty.ctl("reloadconfig", "--waiting")
        pids = eventually(lambda: empty.pids("web"))
        assert len(pids) == 2
        limits = Path(f"/proc/{pids[0]}/limits").read_text()
        assert any(
            line.split()[3:5] == ["200", "200"] for line in limits.splitlines() if "open files" in line
        )
