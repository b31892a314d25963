"""One stream into several places: each gets all of it, and none is the reason that another one does not."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from circusd.config.model import describe, watcher_from_options, with_options
from circusd.config.records import StreamConfig
from circusd.schema.errors import ConfigError
from circusd.schema.options import watcher_option
from tests.outputs import LAG, Lag, Outputs, config, until

FLOOD = r"""
import os, sys
for start in range(0, int(sys.argv[1]), 1000):
    os.write(1, b"".join(b"%099d\n" % i for i in range(start, start + 1000)))
"""


@pytest.fixture
def outputs() -> Iterator[Outputs]:
    made = Outputs()
    yield made
    made.close()


def test_each_place_gets_everything_in_its_own_form(outputs: Outputs, tmp_path: Path) -> None:
    """The file its bytes, the other one its objects; each with counters of its own."""
    plain, objects = tmp_path / "log", tmp_path / "log.json"
    output = outputs.make(
        stdout_stream__filename=plain,
        stdout_stream__for_machines__class="JsonFileStream",
        stdout_stream__for_machines__filename=objects,
    )
    outputs.wait(output, outputs.run(output, FLOOD, 1, 3000))
    outputs.flush()
    assert [int(line) for line in plain.read_bytes().splitlines()] == list(range(3000))
    assert [int(json.loads(line)["message"]) for line in objects.read_text().splitlines()] == list(
        range(3000)
    )
    counters = output.counters()["stdout"]
    assert (counters["place"], counters["taken_bytes"]) == (str(plain), 300_000)
    assert counters["more"]["for_machines"]["taken_bytes"] == objects.stat().st_size
    assert output.files() == {"stdout": str(plain)}


def test_a_place_that_fails_is_no_loss_to_the_other(outputs: Outputs, tmp_path: Path) -> None:
    """One is full for ever: it loses by its policy, the other nothing."""
    log = tmp_path / "log"
    output = outputs.make(
        stdout_stream__filename=log,
        stdout_stream__full__filename="/dev/full",
        stdout_stream__full__queue_bytes=65536,
    )
    with Lag() as lag:
        outputs.wait(output, outputs.run(output, FLOOD, 1, 50_000))
        until(lambda: not output.counters()["stdout"]["waiting_bytes"])
    assert [int(line) for line in log.read_bytes().splitlines()] == list(range(50_000))
    counters = output.counters()["stdout"]
    assert counters["dropped_bytes"] == 0
    full = counters["more"]["full"]
    assert full["dropped_bytes"] + full["waiting_bytes"] == 5_000_000
    assert [told["place"] for told in outputs.named("output.dropped")] == ["/dev/full"]
    assert lag.worst < LAG


def test_the_process_waits_for_the_place_that_asks_for_it(outputs: Outputs, tmp_path: Path) -> None:
    """With ``block`` on a FIFO that nobody reads it is not read; when somebody does, all comes, in both."""
    log, fifo = tmp_path / "log", tmp_path / "fifo"
    os.mkfifo(fifo)
    reading = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    output = outputs.make(
        stdout_stream__filename=log,
        stdout_stream__slow__filename=fifo,
        stdout_stream__slow__overflow="block",
        stdout_stream__slow__queue_bytes=65536,
    )
    process = outputs.run(output, FLOOD, 1, 50_000)
    until(lambda: output.counters()["stdout"]["more"]["slow"]["state"] == "behind")
    assert process.poll() is None
    found = b""

    def read() -> bool:
        nonlocal found
        with contextlib.suppress(BlockingIOError):
            found += os.read(reading, 1 << 20)
        return len(found) == 5_000_000

    try:
        until(read)
    finally:
        os.close(reading)
    outputs.wait(output, process)
    outputs.flush()
    assert [int(line) for line in found.splitlines()] == list(range(50_000))
    assert log.read_bytes() == found


def test_places_are_added_and_taken_away_while_a_line_is_open(outputs: Outputs, tmp_path: Path) -> None:
    """What goes on is not torn by it, and its counters go on too."""
    log, other = tmp_path / "log", tmp_path / "other"
    output = outputs.make(stdout_stream__filename=log)
    process = outputs.run(output, "import os, time\nos.write(1, b'half ')\ntime.sleep(1000)")
    until(lambda: log.exists() and log.read_bytes() == b"half ")
    before = config(stdout_stream__filename=log)
    both = with_options(before, {"stdout_stream.other.filename": str(other)})
    output.reconfigure(both)
    output.reconfigure(with_options(both, {"stdout_stream.max_bytes": 1000}))
    until(other.exists)
    process.kill()
    outputs.wait(output, process)
    process = outputs.run(output, "import os; os.write(1, b'line\\n')")
    outputs.wait(output, process)
    output.reconfigure(with_options(both, {"stdout_stream.other": None}))
    assert "more" not in output.counters()["stdout"]
    outputs.wait(output, outputs.run(output, "import os; os.write(1, b'last\\n')"))
    outputs.flush()
    assert log.read_bytes() == b"half \nline\nlast\n"
    assert other.read_bytes() == b"line\n"


def test_a_line_that_is_open_goes_on_in_the_same_file_with_other_options(
    outputs: Outputs, tmp_path: Path
) -> None:
    """A change of the rotation is no end of a line."""
    log, ready = tmp_path / "log", tmp_path / "ready"
    output = outputs.make(stdout_stream__filename=log)
    code = (
        "import os, sys, time\nos.write(1, b'one ')\n"
        "while not os.path.exists(sys.argv[1]): time.sleep(0.01)\nos.write(1, b'line\\n')"
    )
    process = outputs.run(output, code, 1, ready)
    until(lambda: log.exists() and log.read_bytes() == b"one ")
    output.reconfigure(config(stdout_stream__filename=log, stdout_stream__max_bytes=100_000))
    ready.touch()
    outputs.wait(output, process)
    outputs.flush()
    assert log.read_bytes() == b"one line\n"


# -- the configuration -----------------------------------------------------------------------------------------------


def test_places_are_read_and_shown_as_they_stand(tmp_path: Path) -> None:
    """Each with its own class and options; what is shown makes the same again."""
    options = {
        "cmd": "program",
        "stdout_stream.filename": "/var/log/web.log",
        "stdout_stream.audit.class": "SyslogStream",
        "stdout_stream.audit.facility": "local0",
        "stderr_stream.only.class": "JournalStream",
    }
    watcher = watcher_from_options("web", options)
    assert watcher.stdout_stream is not None
    assert watcher.stdout_stream.classname == "FileStream"
    assert watcher.stdout_stream.more["audit"].options["facility"] == "local0"
    assert watcher.stderr_stream is not None
    assert (watcher.stderr_stream.classname, list(watcher.stderr_stream.more)) == ("", ["only"])
    shown = {
        key: value
        for key, value in describe(watcher).items()
        if key.startswith(("stdout_stream.", "stderr_stream."))
    }
    assert shown == {
        "stdout_stream.class": "FileStream",
        "stdout_stream.filename": "/var/log/web.log",
        "stdout_stream.audit.class": "SyslogStream",
        "stdout_stream.audit.facility": "local0",
        "stderr_stream.only.class": "JournalStream",
    }
    assert watcher_from_options("web", {"cmd": "program", **shown}) == watcher
    as_objects = {
        "cmd": "program",
        "stdout_stream": {
            "filename": "/var/log/web.log",
            "audit": {"class": "SyslogStream", "facility": "local0"},
        },
        "stderr_stream": {"only": {"class": "JournalStream"}},
    }
    assert watcher_from_options("web", as_objects) == watcher


def test_a_place_is_changed_and_taken_away_by_its_name() -> None:
    """The others stay as they are."""
    watcher = watcher_from_options(
        "web", {"cmd": "program", "stdout_stream.filename": "/a", "stdout_stream.b.filename": "/b"}
    )
    changed = with_options(watcher, {"stdout_stream.b.max_bytes": 7})
    assert changed.stdout_stream is not None
    assert changed.stdout_stream.more["b"].options["max_bytes"] == 7
    assert changed.stdout_stream.more["b"].options["filename"] == "/b"
    assert with_options(changed, {"stdout_stream.b": None}).stdout_stream == StreamConfig(
        "FileStream", changed.stdout_stream.options
    )
    assert with_options(changed, {"stdout_stream": None}).stdout_stream is None


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"stdout_stream.a b.filename": "/x"}, "no name for a further place"),
        ({"stdout_stream.a.b.filename": "/x"}, "no name for a further place"),
        ({"stdout_stream.a.max_bytes": "1"}, "neither a class nor a filename"),
        ({"stdout_stream.a.filename": "/x", "stdout_stream.a.max_byte": "1"}, "did you mean max_bytes"),
        ({"stdout_stream.a.class": "NoStream"}, "is no class of streams"),
    ],
)
def test_what_is_wrong_with_a_place_is_said(options: dict[str, str], told: str) -> None:
    """Like what is wrong with the first one."""
    with pytest.raises(ConfigError, match=told):
        watcher_from_options("web", {"cmd": "program", **options})


@pytest.mark.parametrize(
    "key", ["stdout_stream.queue_bytes", "stdout_stream.b.queue_bytes", "stdout_stream.b.max_bytes"]
)
def test_an_option_that_an_operator_may_set_is_no_way_to_name_a_class(key: str) -> None:
    """An object in place of its value makes no further place: that is what the role of a class is for."""
    watcher = watcher_from_options(
        "web", {"cmd": "program", "stdout_stream.filename": "/a", "stdout_stream.b.filename": "/b"}
    )
    with pytest.raises(ConfigError):
        with_options(watcher, {key: {"class": "os.system", "filename": "/etc/passwd"}})


@pytest.mark.parametrize(
    ("key", "role"),
    [
        ("stdout_stream.x", "admin"),
        ("stdout_stream.x.class", "admin"),
        ("stdout_stream.x.filename", "admin"),
        ("stdout_stream.x.address", "admin"),
        ("stdout_stream.x.anything", "admin"),
        ("stdout_stream.x.queue_bytes", "operator"),
    ],
)
def test_who_may_set_an_option_of_a_further_place(key: str, role: str) -> None:
    """The same as for the first one."""
    row = watcher_option(key)
    assert row is not None
    assert row.role == role
