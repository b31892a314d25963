"""The original's names: what users' code imports of it is there without it, and does what it did."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from circusd import original
from circusd.plugins import period, stream

IMPORTED = {
    "circus": "get_arbiter logger __version__",
    "circus.arbiter": "Arbiter ThreadedArbiter",
    "circus.client": "CircusClient AsyncCircusClient CallError make_message cast_message make_json",
    "circus.consumer": "CircusConsumer",
    "circus.exc": "AlreadyExist MessageError CallError ArgumentError ConflictError",
    "circus.fixed_threading": "Thread RLock Timer",
    "circus.green": "get_arbiter",
    "circus.green.arbiter": "Arbiter",
    "circus.green.client": "CircusClient",
    "circus.green.consumer": "CircusConsumer",
    "circus.plugins": "CircusPlugin",
    "circus.plugins._statsd": "StatsdEmitter",
    "circus.plugins.command_reloader": "CommandReloader",
    "circus.plugins.flapping": "Flapping",
    "circus.plugins.http_observer": "HttpObserver",
    "circus.plugins.redis_observer": "RedisObserver",
    "circus.plugins.resource_watcher": "ResourceWatcher",
    "circus.plugins.statsd": "StatsdClient StatsdEmitter BaseObserver FullStats",
    "circus.plugins.watchdog": "WatchDog",
    "circus.stream": "FileStream WatchedFileStream TimedRotatingFileStream StdoutStream FancyStdoutStream QueueStream",
    "circus.stream.file_stream": "FileStream",
    "circus.util": "AsyncPeriodicCallback DEFAULT_ENDPOINT_DEALER DEFAULT_ENDPOINT_SUB DEFAULT_ENDPOINT_STATS bytes2human "
    "human2bytes resolve_name to_bool to_bytes to_signum to_str",
    "circus.watcher": "Watcher",
}


def test_every_name_can_be_imported() -> None:
    """In a program that has said so, and in no other; a name that is not there is an ImportError."""
    lines = ["from circusd import original", "original.install()", "original.install()"]
    lines += [f"from {module} import {', '.join(names.split())}" for module, names in IMPORTED.items()]
    lines += ["import sys", "assert sum('original' in type(f).__module__ for f in sys.meta_path) == 1"]
    lines += ["try:\n    from circus import nosuch\nexcept ImportError:\n    print('ok')"]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("ok\n", "")
    assert {name for name, _ in original.NAMES} == set(IMPORTED)
    other = subprocess.run([sys.executable, "-c", "import circus.plugins"], capture_output=True, text=True)
    assert "ModuleNotFoundError: No module named 'circus'" in other.stderr


def test_hooks_do_not_pay_for_what_they_do_not_import() -> None:
    """Neither asyncio nor the library comes with the names of everyday use."""
    code = (
        "from circusd import original; original.install()\n"
        "from circus import logger\nfrom circus.plugins import CircusPlugin\nfrom circus.util import to_bool\n"
        "import sys; print([m for m in ('asyncio', 'circusd.library', 'apprise', 'redis') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_conversions() -> None:
    """Texts, signals and dotted paths, in the forms that the original takes."""
    from circusd.plugins.compat import resolve_name, to_bytes, to_signum, to_str

    assert [to_signum(value) for value in (10, "10", "KILL", "SIGKILL", "SIGRTMIN+1")] == [10, 10, 9, 9, 35]
    with pytest.raises(ValueError, match="not a signal"):
        to_signum("NOPE")
    assert (to_str(b"a\xff"), to_str("b"), to_bytes("ä"), to_bytes(b"c")) == (
        "a\ufffd",
        "b",
        b"\xc3\xa4",
        b"c",
    )
    assert resolve_name("os.path.join") is __import__("os").path.join
    assert resolve_name("no.such.thing", silent=True) is None
    with pytest.raises(ImportError):
        resolve_name("no.such.thing")


def test_file_stream_rotates(tmp_path: Path) -> None:
    """By size, with the number of old files that was asked for; options come as texts."""
    file = tmp_path / "out"
    sink = stream.FileStream(str(file), max_bytes="30", backup_count="2")
    sink.open()
    for number in range(12):
        sink({"data": f"line {number}\n".encode(), "pid": 7, "name": "stdout"})
    sink.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "out.1", "out.2"]
    assert "line 11" in file.read_text()


def test_prefix_of_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Time and pid before each line, from bytes that are no text too."""
    file = tmp_path / "out"
    data = {"data": b"a\nb\xff\n", "pid": 7, "name": "stdout", "timestamp": 0}
    for sink in (
        stream.WatchedFileStream(str(file), time_format="%%"),
        stream.TimedRotatingFileStream(str(file), time_format="%%", rotate_when="S", backup_count=3),
    ):
        sink(data)
        sink.close()
    assert file.read_text() == "% [7] | a\n% [7] | b\ufffd\n" * 2
    stream.FancyStdoutStream(color="green", time_format="%%")(data)
    stream.StdoutStream()(data)
    assert (
        capsys.readouterr().out
        == "\033[0;32;40m% [7] | a\033[0m\n\033[0;32;40m% [7] | b\ufffd\033[0m\na\nb\ufffd\n"
    )
    queue = stream.QueueStream()
    queue(data)
    assert queue.get_nowait() is data


def test_stream_that_can_not_write_says_so(tmp_path: Path) -> None:
    """Whoever writes is told, as circusd counts what was lost."""
    sink = stream.FileStream(str(tmp_path / "out"))
    sink._handler.stream.close()
    with pytest.raises(ValueError, match="closed file"):
        sink({"data": b"x", "pid": 1, "name": "stdout"})


def test_periodic_callback_is_awaited_and_survives_errors() -> None:
    """A coroutine does not overlap itself; one that raises is called again; after stop, no more."""
    calls: list[str] = []

    async def main() -> None:
        async def turns(number: int) -> None:
            """So often the other one has been called meanwhile."""
            enough = calls.count("fails") + number
            while calls.count("fails") < enough:
                await asyncio.sleep(0)

        async def slow() -> None:
            calls.append("begins")
            await turns(3)
            calls.append("ends")

        def fails() -> None:
            calls.append("fails")
            raise RuntimeError("not today")

        awaited, failing = period.PeriodicCallback(slow, 5), period.PeriodicCallback(fails, 5)
        for one in (awaited, failing):
            one.start()
            assert one.is_running()
        while calls.count("ends") < 2 or calls.count("fails") < 2:
            await asyncio.sleep(0.005)
        awaited.stop()
        # What was due at the same moment is under way, and has its first turn now.
        await asyncio.sleep(0)
        begun = calls.count("begins")
        await turns(5)
        assert calls.count("begins") == begun
        failing.stop()
        assert not (awaited.is_running() or failing.is_running())

    asyncio.run(main())
    slow_calls = [call for call in calls if call != "fails"]
    assert slow_calls == ["begins", "ends"] * (len(slow_calls) // 2)
