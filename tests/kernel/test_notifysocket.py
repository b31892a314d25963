"""The socket by which processes tell of themselves: the kernel names the sender, and nothing that is sent can hurt."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circusd.kernel.notify import Notify
from circusd.kernel.notifysocket import FIELDS, MESSAGE_BYTES, NotifySocket, parse


@pytest.fixture
def receiver() -> Iterator[NotifySocket]:
    found = NotifySocket()
    yield found
    found.close()


def sender(receiver: NotifySocket) -> socket.socket:
    found = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    found.connect("\0" + receiver.address[1:])
    return found


def test_what_was_sent_comes_with_the_pid_that_the_kernel_knows(receiver: NotifySocket) -> None:
    """By the form of the address that a process finds in its environment; nothing more is there afterwards."""
    notify = Notify(receiver.address)
    assert notify.send(READY=1, STATUS="serves by gevent")
    message = receiver.receive()
    assert message is not None
    assert (message.pid, message.fields) == (os.getpid(), {"READY": "1", "STATUS": "serves by gevent"})
    assert receiver.receive() is None
    notify.close()


def test_a_process_that_has_ended_is_still_named(receiver: NotifySocket) -> None:
    """The pid is of the moment of sending."""
    address = chr(0) + receiver.address[1:]
    code = f"import os, socket; socket.socket(1, 2).sendto(b'READY=1', {address!r}); print(os.getpid())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    message = receiver.receive()
    assert message is not None
    assert message.pid == int(done.stdout)


def test_descriptors_that_come_along_do_not_stay(receiver: NotifySocket) -> None:
    """That of BARRIER=1 is closed when the message is, which is what its sender waits for; of many, all are."""
    before = len(os.listdir("/proc/self/fd"))
    with sender(receiver) as sock:
        for number in (1, 200):
            pairs = [os.pipe() for _ in range(number)]
            socket.send_fds(sock, [b"BARRIER=1"], [writing for _, writing in pairs])
            for _, writing in pairs:
                os.close(writing)
            message = receiver.receive()
            assert message is not None
            assert len(message.descriptors) <= 2
            message.close()
            assert os.read(pairs[0][0], 1) == b""
            for reading, _ in pairs:
                os.close(reading)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_message_that_is_too_long_says_nothing(receiver: NotifySocket) -> None:
    """Half of one could say what the whole did not."""
    with sender(receiver) as sock:
        sock.send(b"READY=1\n" + b"x" * MESSAGE_BYTES)
        message = receiver.receive()
        assert message is not None
        assert message.fields == {}


def test_one_that_reads_is_inherited_by_nobody(receiver: NotifySocket) -> None:
    """Processes get its address, not its descriptor."""
    assert not os.get_inheritable(receiver.fileno())


@given(st.binary(max_size=MESSAGE_BYTES))
def test_whatever_comes_is_read(data: bytes) -> None:
    """Texts by keys, never an error, never without bound."""
    found = parse(data)
    assert len(found) <= FIELDS
    assert all(isinstance(key, str) and isinstance(value, str) for key, value in found.items())


def test_of_two_lines_with_one_key_the_last_counts() -> None:
    """As systemd reads them; what is no line of that form is passed over."""
    assert parse(b"STATUS=a\nrubbish\n=x\nSTATUS=b=c\n") == {"STATUS": "b=c"}
