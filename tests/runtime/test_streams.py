"""Streams: what processes write is read at once, whole, cheaply, and stops nobody."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from circusd.runtime.history import StreamKey
from circusd.runtime.streams import GATHER, Gather
from tests.outputs import LAG, Lag, Outputs, config, until

NUMBERS = r"""
import os, sys
n, size = int(sys.argv[1]), int(sys.argv[2])
for start in range(0, n, 1000):
    os.write(1, b"".join(b"%0*d\n" % (size - 1, i) for i in range(start, min(n, start + 1000))))
"""


@pytest.fixture
def outputs() -> Iterator[Outputs]:
    made = Outputs()
    yield made
    made.close()


def test_both_streams_are_read_and_whole_when_the_process_is_gone(outputs: Outputs) -> None:
    """As soon as the end of a process is told, all that it wrote can be read, an unfinished line too."""
    output = outputs.make()
    process = outputs.run(output, "import os; os.write(1, b'one\\ntwo\\nlast'); os.write(2, b'trouble\\n')")
    while process.poll() is None:
        time.sleep(0.001)  # the hub does not run meanwhile: nothing was read
    output.ended(1, process.pid)
    assert outputs.texts() == [b"one", b"two", b"last"]
    assert outputs.texts("stderr") == [b"trouble"]
    assert {line.pid for line in outputs.lines()} == {process.pid}
    assert output.counters()["stdout"]["read_bytes"] == 12


def test_lines_go_on_when_the_process_is_replaced(outputs: Outputs) -> None:
    """The numbers of a slot's lines go on with its next process, which begins with a line of its own."""
    output = outputs.make()
    for _ in range(2):
        outputs.wait(output, outputs.run(output, "import os; os.write(1, b'a\\nb')"))
    assert [(line.number, line.text) for line in outputs.lines()] == [
        (1, b"a"),
        (2, b"b"),
        (3, b"a"),
        (4, b"b"),
    ]


def test_output_of_a_child_left_behind_is_read_on(outputs: Outputs) -> None:
    """A process that its parent left behind is heard until it ends, in whole lines beside those of the replacement."""
    output = outputs.make()
    waits, goes = os.pipe()
    code = (
        "import os, sys\n"
        "if os.fork(): os._exit(0)\n"
        "os.write(1, b'half ')\n"
        "os.read(int(sys.argv[1]), 1)\n"
        "os.write(1, b'whole\\n')"
    )
    argv = [sys.executable, "-S", "-E", "-c", code, str(waits)]
    outputs.wait(output, outputs.start(output, argv, pass_fds=(waits,)))
    os.close(waits)
    outputs.wait(output, outputs.run(output, "import os; os.write(1, b'new\\n')"))
    assert b"new" in outputs.texts()
    os.write(goes, b"x")
    os.close(goes)
    until(lambda: b"".join(outputs.texts()).count(b"whole") == 1, what="the line of the one left behind")
    until(lambda: output.counters()["stdout"]["read_bytes"] == len("half whole\nnew\n"))
    # Depending on whether it began its line before its parent was gone.
    assert sorted(outputs.texts()) in ([b"half ", b"new", b"whole"], [b"half whole", b"new"])


def test_first_line_after_a_silence_is_read_at_once(outputs: Outputs) -> None:
    """A viewer sees the line of a quiet process without the delay that loud ones get."""
    output = outputs.make()
    seen: list[float] = []
    cancel = outputs.history.watch("web", lambda key: seen.append(time.time()))
    code = "import os, time\nfor n in range(5): os.write(1, b'%.6f\\n' % time.time()); time.sleep(0.1)"
    outputs.wait(output, outputs.run(output, code))
    cancel()
    delays = [at - float(line.text) for at, line in zip(seen, outputs.lines(), strict=False)]
    assert len(delays) == 5
    assert min(delays) < 0.01, delays


def test_chatty_process_is_read_fifty_times_a_second(outputs: Outputs) -> None:
    """Lines that come every millisecond are read together, within 25 ms or so, and none is missing."""
    output = outputs.make()
    calls: list[float] = []
    cancel = outputs.history.watch("web", lambda key: calls.append(time.monotonic()))
    code = (
        "import os, time\nt = time.monotonic()\n"
        "for n in range(1, 601):\n    os.write(1, b'%.6f\\n' % time.time())\n    time.sleep(max(0, t + n * 0.001 - time.monotonic()))"
    )
    outputs.wait(output, outputs.run(output, code))
    cancel()
    lines = outputs.lines()
    assert len(lines) == 600
    lasted = max(0.6, calls[-1] - calls[0])
    assert len(calls) < 10 + 1.5 * lasted / GATHER[1][0]
    late = sorted(line.time - float(line.text) for line in lines)
    assert late[len(late) // 2] < 2 * GATHER[1][0]


def test_chatty_process_is_read_more_often_while_somebody_follows(outputs: Outputs) -> None:
    """What nobody waits for is read half as often."""
    output = outputs.make()
    lazy, usual = outputs.services.gathers[:2]
    source, line = os.pipe()
    process = outputs.start(output, ["cat", f"/dev/fd/{source}"], pass_fds=(source,))

    def goes_on(readers: Gather, others: Gather) -> bool:
        # It chats as long as this is asked.
        os.write(line, b"line\n")
        return bool(readers._readers) and not others._readers

    until(lambda: goes_on(lazy, usual), what="it is read seldom")
    cancel = outputs.history.watch("web", lambda key: None)
    until(lambda: goes_on(usual, lazy), what="it is read more often")
    cancel()
    until(lambda: goes_on(lazy, usual), what="it is read seldom again")
    os.close(line)
    os.close(source)
    assert outputs.wait(output, process) == 0


def test_loud_process_is_read_as_fast_as_it_writes(outputs: Outputs) -> None:
    """Nothing of a flood is lost in the history's numbers, the hub is never held up, and memory stays where it was."""
    output = outputs.make()
    before = resident_bytes()
    with Lag() as lag:
        started = time.monotonic()
        outputs.wait(output, outputs.run(output, NUMBERS, 1, 500_000, 100))
        took = time.monotonic() - started
    assert outputs.history.last_number(StreamKey("web", 1, "stdout")) == 500_000
    assert int(outputs.texts()[-1]) == 499_999
    assert output.counters()["stdout"]["read_bytes"] == 50_000_000
    assert lag.worst < LAG
    assert took < 10
    assert resident_bytes() - before < 16 << 20


def test_writes_of_any_size_are_not_slowed_down(outputs: Outputs) -> None:
    """Also where writes leave a pipe half empty when it is full, the process waits for no timer."""
    output = outputs.make()
    code = "import os\nd = b'x' * 2099 + b'\\n'\nfor n in range(10_000): os.write(1, d)"
    started = time.monotonic()
    outputs.wait(output, outputs.run(output, code))
    # 21 MB: a pause of 20 ms after each filling of a pipe that holds 34 KB would make 12 s of them.
    assert time.monotonic() - started < 4
    assert output.counters()["stdout"]["read_bytes"] == 21_000_000


def test_others_are_heard_beside_loud_processes(outputs: Outputs) -> None:
    """A line of a quiet process is not delayed by two that write as fast as they can."""
    loud = outputs.make("loud")
    for wid in (1, 2):
        outputs.start(loud, ["/bin/sh", "-c", "exec yes"], wid)
    quiet = outputs.make()
    code = "import os, time\nfor n in range(10): time.sleep(0.05); os.write(1, b'%.6f\\n' % time.time())"
    outputs.wait(quiet, outputs.run(quiet, code))
    delays = sorted(line.time - float(line.text) for line in outputs.lines())
    assert delays[len(delays) // 2] < 0.1
    assert loud.counters()["stdout"]["read_bytes"] > 1_000_000


def test_only_our_end_is_non_blocking_and_nothing_is_inherited(outputs: Outputs) -> None:
    """The process's end of a pipe blocks, as programs expect, and no pipe reaches another process."""
    output = outputs.make()
    ends = output.attach(1)
    assert ends.stdout is not None and ends.stderr is not None
    assert os.get_blocking(ends.stdout) and os.get_blocking(ends.stderr)
    assert not os.get_inheritable(ends.stdout)
    assert not any(
        os.get_blocking(ours) or os.get_inheritable(ours) for ours, _ in output._attached[1].values()
    )


def test_start_that_failed_leaves_no_descriptor(outputs: Outputs) -> None:
    """After `abandon`, and after a second `attach`, the first pipes are closed."""
    output = outputs.make()
    before = set(os.listdir("/proc/self/fd"))
    output.attach(1)
    output.attach(1)
    output.abandon(1)
    assert set(os.listdir("/proc/self/fd")) == before


def test_closed_streams_are_the_null_device(outputs: Outputs) -> None:
    """A stream that is to be closed gets no pipe; the other one does."""
    output = outputs.make(close_child_stdout=True)
    ends = output.attach(1)
    assert ends.stdout is None
    assert ends.stderr is not None


def test_no_descriptors_is_an_error_without_leftovers(
    outputs: Outputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the second pipe can't be had the first one is closed."""
    output = outputs.make()
    pipe2, calls = os.pipe2, []

    def scarce(flags: int) -> tuple[int, int]:
        calls.append(flags)
        if len(calls) > 1:
            raise OSError(24, "Too many open files")
        return pipe2(flags)

    before = set(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(os, "pipe2", scarce)
    with pytest.raises(OSError, match="Too many"):
        output.attach(1)
    assert set(os.listdir("/proc/self/fd")) == before


def test_closing_lets_go_of_processes_that_still_run(outputs: Outputs) -> None:
    """After `close` a process that still writes is told by the system that nobody reads."""
    output = outputs.make()
    process = outputs.start(output, ["/bin/sh", "-c", "exec yes"])
    until(lambda: outputs.lines(), what="its output")
    output.close()
    until(lambda: process.poll() is not None, what="its end")
    assert process.returncode == -signal.SIGPIPE


def test_changed_sink_takes_over_without_a_gap(outputs: Outputs, tmp_path: Path) -> None:
    """While a process writes, its stream turns to another file: both together hold every line, in order."""
    options = {"stdout_stream__filename": tmp_path / "a"}
    output = outputs.make(**options)
    code = "import os, time\nfor n in range(2000):\n    os.write(1, b'%d\\n' % n)\n    if n % 100 == 0: time.sleep(0.01)"
    process = outputs.run(output, code)
    until(lambda: len(outputs.lines()) > 500)
    output.reconfigure(config(stdout_stream__filename=tmp_path / "b"))
    outputs.wait(output, process)
    outputs.flush()
    first, second = ((tmp_path / name).read_bytes() for name in "ab")
    assert first and second
    assert first + second == b"".join(b"%d\n" % n for n in range(2000))


def test_silent_outputs_cost_nothing(outputs: Outputs) -> None:
    """Without output there is no timer, no thread and no turn of the hub."""
    output = outputs.make()
    outputs.run(output, "import time; time.sleep(5)")
    gevent.sleep(0.1)
    hub = gevent.get_hub()
    assert not any(gather._timer.is_set for gather in outputs.services.gathers)
    assert len(outputs.services.sinks.writers) == 0
    before = hub.loop.iteration
    gevent.sleep(0.3)
    assert hub.loop.iteration - before < 5


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
