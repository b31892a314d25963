"""Lines as messages: what a syslog, the journal and a reader of JSON get, and what becomes of it when nobody is there."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from circusd.config.model import watcher_from_options
from circusd.schema.errors import ConfigError
from tests.outputs import LAG, Lag, Outputs, until
from tests.ports import free_port

LINES = "import os\nfor n in range({}): os.write(1, b'line %d\\n' % n)"
PERIODIC = "import os, time\nfor n in range({}): os.write(1, b'line %05d\\n' % n); time.sleep(0.02)"
MESSAGE = re.compile(
    rb"<(\d+)>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d (\S+) (\S+) (\d+) (\S+) \[circus@32473 ((?:\\.|[^]\\])*)\] (.*)",
    re.S,
)


@pytest.fixture
def outputs() -> Iterator[Outputs]:
    made = Outputs()
    yield made
    made.close()


class Receiver:
    """A socket that takes datagrams."""

    def __init__(self, address: Path | int) -> None:
        if isinstance(address, Path):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.bind(str(address))
        else:
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._socket.bind(("127.0.0.1", address))
        self._socket.setblocking(False)
        self.messages: list[bytes] = []

    def read(self) -> list[bytes]:
        """All that came."""
        while True:
            try:
                self.messages.append(self._socket.recv(1 << 20))
            except BlockingIOError:
                return self.messages

    def wait(self, count: int) -> list[bytes]:
        """So many messages are there."""
        until(lambda: len(self.read()) >= count, what=f"{count} messages")
        return self.messages

    def __enter__(self) -> Receiver:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def test_syslog_gets_each_line_as_a_message_of_rfc_5424(outputs: Outputs, tmp_path: Path) -> None:
    """Its parts are those of the standard, the text is byte for byte the process's."""
    with Receiver(tmp_path / "log") as syslog:
        output = outputs.make(
            'a "b"]',
            stdout_stream__class="SyslogStream",
            stdout_stream__address=tmp_path / "log",
            stdout_stream__facility="local3",
            stdout_stream__severity="notice",
        )
        process = outputs.run(output, r"import os; os.write(1, b'one\n\xfftwo \n\nlast')", 2)
        outputs.wait(output, process, 2)
        outputs.flush()
        found = [MESSAGE.fullmatch(message) for message in syslog.wait(4)]
    parts = [match.groups() for match in found if match]
    assert [text for *_, text in parts] == [b"one", b"\xfftwo ", b"", b"last"]
    priority, host, tag, pid, stream, told, _ = parts[0]
    assert (int(priority), tag, int(pid), stream) == (19 * 8 + 5, b'a_"b"]', process.pid, b"stdout")
    assert host
    assert told == rb'watcher="a \"b\"\]" wid="2"'


def test_syslog_in_the_older_form(outputs: Outputs, tmp_path: Path) -> None:
    """For those that know only that."""
    with Receiver(tmp_path / "log") as syslog:
        output = outputs.make(
            stdout_stream__class="SyslogStream",
            stdout_stream__address=tmp_path / "log",
            stdout_stream__form="rfc3164",
            stdout_stream__identifier="shop",
        )
        process = outputs.run(output, "import os; os.write(1, b'hello\\n')")
        (message,) = syslog.wait(1)
        outputs.wait(output, process)
    assert re.fullmatch(rb"<30>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d shop\[%d\]: hello" % process.pid, message)


def test_a_long_line_is_several_messages_that_say_so(outputs: Outputs, tmp_path: Path) -> None:
    """None is longer than the limit, and those after the first are marked."""
    with Receiver(tmp_path / "log") as syslog:
        output = outputs.make(
            stdout_stream__class="SyslogStream",
            stdout_stream__address=tmp_path / "log",
            stdout_stream__line_bytes=1000,
        )
        outputs.wait(output, outputs.run(output, "import os; os.write(1, b'x' * 2500 + b'\\nnext\\n')"))
        found = [MESSAGE.fullmatch(message) for message in syslog.wait(4)]
    parts = [(match[6].endswith(b' continues="1"'), len(match[7])) for match in found if match]
    assert parts == [(False, 1000), (True, 1000), (True, 500), (False, 4)]


def test_syslog_by_udp(outputs: Outputs) -> None:
    """Each line is one datagram."""
    port = free_port()
    with Receiver(port) as syslog:
        output = outputs.make(
            stdout_stream__class="SyslogStream", stdout_stream__address=f"udp://127.0.0.1:{port}"
        )
        outputs.wait(output, outputs.run(output, LINES.format(3)))
        assert [message.rpartition(b"] ")[2] for message in syslog.wait(3)] == [
            b"line 0",
            b"line 1",
            b"line 2",
        ]
    assert output.counters()["stdout"]["place"] == f"syslog at udp://127.0.0.1:{port}"


class Server:
    """A syslog that takes TCP connections, one after the other, and what it was sent."""

    def __init__(self, port: int) -> None:
        self._server = socket.create_server(("127.0.0.1", port))
        self._server.setblocking(False)
        self._connection: socket.socket | None = None
        self._data = b""

    def messages(self) -> list[bytes]:
        """All whole messages so far, by the counts before them."""
        try:
            self._connection, _ = self._server.accept()
            self._connection.setblocking(False)
        except BlockingIOError:
            pass
        while self._connection is not None:
            try:
                data = self._connection.recv(1 << 20)
            except BlockingIOError:
                break
            if not data:
                break
            self._data += data
        found, at = [], 0
        while space := self._data.find(b" ", at) + 1:
            size = int(self._data[at : space - 1])
            if len(self._data) < space + size:
                break
            found.append(self._data[space : space + size])
            at = space + size
        return found

    def close(self) -> None:
        for sock in (self._server, self._connection):
            if sock is not None:
                sock.close()


def test_syslog_by_tcp_comes_back_and_misses_nothing_that_was_not_sent(outputs: Outputs) -> None:
    """Messages are counted out; while nobody listens they wait, one event tells it, and another when they were sent."""
    port = free_port()
    output = outputs.make(
        stdout_stream__class="SyslogStream", stdout_stream__address=f"tcp://127.0.0.1:{port}"
    )
    with Lag() as lag:
        process = outputs.run(output, LINES.format(2000))
        until(lambda: outputs.named("output.dropped"))
        outputs.wait(output, process)
        assert output.counters()["stdout"]["state"] == "failing"
        assert "refused" in output.counters()["stdout"]["failing"]
        server = Server(port)
        try:
            until(lambda: len(server.messages()) == 2000)
            until(lambda: outputs.named("output.recovered"))
            texts = [message.rpartition(b"] ")[2] for message in server.messages()]
        finally:
            server.close()
    assert texts == [b"line %d" % n for n in range(2000)]
    assert [told["count"] for told in outputs.named("output.dropped")] == [0]
    assert [told["count"] for told in outputs.named("output.recovered")] == [0]
    assert output.counters()["stdout"]["dropped_bytes"] == 0
    assert lag.worst < LAG


def test_a_syslog_that_is_not_there_is_told_once_each_way_and_what_is_lost_is_counted(
    outputs: Outputs, tmp_path: Path
) -> None:
    """The process runs on; when the syslog comes, what waits is sent, and all else is in the count."""
    address = tmp_path / "log"
    output = outputs.make(
        stdout_stream__class="SyslogStream",
        stdout_stream__address=address,
        stdout_stream__queue_bytes=100_000,
    )
    with Lag() as lag:
        outputs.wait(output, outputs.run(output, LINES.format(20_000)))
        until(lambda: output.counters()["stdout"]["dropped_bytes"])
        with Receiver(address) as syslog:
            until(lambda: syslog.read() and not output.counters()["stdout"]["waiting_bytes"])
            until(lambda: outputs.named("output.recovered"))
            sent = sum(len(message) + 1 for message in syslog.read())
    counters = output.counters()["stdout"]
    assert counters["taken_bytes"] - counters["dropped_bytes"] == sent
    assert len(outputs.named("output.dropped")) == 1
    assert [told["count"] for told in outputs.named("output.recovered")] == [counters["dropped_bytes"]]
    assert all(MESSAGE.fullmatch(message) for message in syslog.messages)
    assert lag.worst < LAG


def test_a_udp_syslog_that_refuses_is_told_once_however_long_it_lasts(outputs: Outputs) -> None:
    """A datagram that is sent again and refused again is no recovery."""
    port = free_port()
    output = outputs.make(
        stdout_stream__class="SyslogStream", stdout_stream__address=f"udp://127.0.0.1:{port}"
    )
    process = outputs.run(output, PERIODIC.format(150))
    until(lambda: outputs.named("output.dropped"))
    outputs.wait(output, process)
    assert len(outputs.named("output.dropped")) == 1
    assert not outputs.named("output.recovered")
    with Receiver(port) as syslog:
        until(lambda: outputs.named("output.recovered"))
        until(lambda: not output.counters()["stdout"]["waiting_bytes"])
        numbers = [int(message[-5:]) for message in syslog.read()]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == 149


def test_a_syslog_that_does_not_read_stops_nobody(outputs: Outputs, tmp_path: Path) -> None:
    """Its buffer fills; the process and the hub go on, and what it reads later is whole messages."""
    with Receiver(tmp_path / "log") as syslog:
        output = outputs.make(
            stdout_stream__class="SyslogStream",
            stdout_stream__address=tmp_path / "log",
            stdout_stream__queue_bytes=65536,
        )
        with Lag() as lag:
            outputs.wait(output, outputs.run(output, LINES.format(1000)))
            until(lambda: output.counters()["stdout"]["state"] == "failing")
            outputs.wait(output, outputs.run(output, LINES.format(20_000)))
        assert output.counters()["stdout"]["dropped_bytes"]
        until(lambda: syslog.read() and not output.counters()["stdout"]["waiting_bytes"])
        until(lambda: outputs.named("output.recovered"))
        assert all(MESSAGE.fullmatch(message) for message in syslog.read())
    assert lag.worst < LAG


def test_a_message_that_is_too_large_for_the_socket_is_lost_alone(outputs: Outputs, tmp_path: Path) -> None:
    """It never could be sent: it is counted, told, and those after it go on."""
    with Receiver(tmp_path / "log") as syslog:
        output = outputs.make(
            stdout_stream__class="SyslogStream",
            stdout_stream__address=f"udp://127.0.0.1:{free_port()}",
            stdout_stream__also__class="SyslogStream",
            stdout_stream__also__address=tmp_path / "log",
            stdout_stream__line_bytes=65536,
        )
        outputs.wait(output, outputs.run(output, "import os; os.write(1, b'x' * 65500 + b'\\nnext\\n')"))
        until(lambda: output.counters()["stdout"]["dropped_bytes"] > 65500)
        assert "too long" in outputs.named("output.dropped")[0]["reason"]
        # The other place has a limit of its own.
        assert len(syslog.wait(9)) == 9


def test_watchers_with_one_syslog_share_its_socket(outputs: Outputs, tmp_path: Path) -> None:
    """One thread and one socket, whole messages of each."""
    with Receiver(tmp_path / "log") as syslog:
        watchers = [
            outputs.make(
                f"w{n}", stdout_stream__class="SyslogStream", stdout_stream__address=tmp_path / "log"
            )
            for n in range(5)
        ]
        processes = [outputs.run(output, LINES.format(20)) for output in watchers]
        for output, process in zip(watchers, processes, strict=True):
            outputs.wait(output, process)
        tags = [match[3] for message in syslog.wait(100) if (match := MESSAGE.fullmatch(message))]
    assert sorted(tags) == sorted(f"w{n}".encode() for n in range(5) for _ in range(20))
    assert len(outputs.services.sinks.writers) == 1


def fields_of(message: bytes) -> dict[bytes, bytes]:
    """A message of the journal's native protocol, read by its rules."""
    found: dict[bytes, bytes] = {}
    while message:
        line, _, message = message.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            size = int.from_bytes(message[:8], "little")
            value, message = message[8 : 8 + size], message[9 + size :]
        found[name] = value
    return found


def test_journal_gets_the_line_and_its_fields(outputs: Outputs, tmp_path: Path) -> None:
    """In the native protocol; a line can hold anything and be nothing else but the message."""
    hostile = b"PRIORITY=0\t\t=\x00\xff\r"
    with Receiver(tmp_path / "journal") as journal:
        output = outputs.make(
            "my web",
            stdout_stream__class="JournalStream",
            stdout_stream__address=tmp_path / "journal",
            stdout_stream__severity="warning",
        )
        process = outputs.run(
            output, f"import os; os.write(1, {hostile!r} + b'\\n' + b'y' * 50000 + b'\\n')", 3
        )
        first, second, third = map(fields_of, journal.wait(3))
        outputs.wait(output, process, 3)
    assert first.pop(b"CIRCUS_TIME").replace(b".", b"").isdigit()
    assert first == {
        b"PRIORITY": b"4",
        b"SYSLOG_IDENTIFIER": b"my web",
        b"SYSLOG_PID": b"%d" % process.pid,
        b"CIRCUS_WATCHER": b"my web",
        b"CIRCUS_WID": b"3",
        b"CIRCUS_STREAM": b"stdout",
        b"MESSAGE": hostile,
    }
    assert b"CIRCUS_CONTINUES" not in second
    assert third[b"CIRCUS_CONTINUES"] == b"1"
    assert second[b"MESSAGE"] + third[b"MESSAGE"] == b"y" * 50000


def test_json_lines_hold_all_that_is_known_of_a_line(outputs: Outputs, tmp_path: Path) -> None:
    """One object a line, in ASCII; bytes that are no text are to be seen, and long lines are divided."""
    log = tmp_path / "log.json"
    output = outputs.make(
        'we"b',
        stdout_stream__class="JsonFileStream",
        stdout_stream__filename=log,
        stdout_stream__line_bytes=100,
        stdout_stream__utc=True,
    )
    code = "import os; os.write(1, 'ä\\x1b[2J\"\\n'.encode() + b'\\xff\\n\\n' + b'z' * 150)"
    process = outputs.run(output, code, 2)
    outputs.wait(output, process, 2)
    outputs.flush()
    data = log.read_bytes()
    assert data.isascii()
    rows = [json.loads(line) for line in data.splitlines()]
    assert [row["message"] for row in rows] == ['ä\x1b[2J"', "\\xff", "", "z" * 100, "z" * 50]
    assert [row.get("continues", False) for row in rows] == [False] * 4 + [True]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", rows[0].pop("time"))
    assert rows[0] == {
        "watcher": 'we"b',
        "wid": 2,
        "pid": process.pid,
        "stream": "stdout",
        "message": 'ä\x1b[2J"',
    }


@pytest.mark.parametrize(
    ("address", "is_one"),
    [
        ("/dev/log", True),
        ("unix:///run/log", True),
        ("udp://logs.example:5140", True),
        ("tcp://[::1]", True),
        ("tcp://", False),
        ("http://logs.example", False),
        ("udp://logs.example:none", False),
        ("udp://logs.example/path", False),
        ("log", False),
    ],
)
def test_an_address_that_is_none_is_refused(address: str, is_one: bool) -> None:
    """When it is read, and not when the first line comes."""
    options = {
        "cmd": "program",
        "stdout_stream.class": "SyslogStream",
        "stdout_stream.address": address,
    }
    if is_one:
        assert watcher_from_options("web", options).stdout_stream
    else:
        with pytest.raises(ConfigError, match=r"syslog|port"):
            watcher_from_options("web", options)


def test_nothing_of_messages_is_imported_without_need() -> None:
    """A daemon that writes files has none of it in memory."""
    code = (
        "import sys, circusd.runtime.streams\n"
        "print([m for m in ('messages', 'messagesinks', 'messageplace') if 'circusd.runtime.' + m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"[]\n"
