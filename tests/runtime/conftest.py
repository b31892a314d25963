"""What tests of the runtime share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
import zmq.green

from tests.gate import Gate, answer


@pytest.fixture
def make_gate(tmp_path: Path) -> Iterator[Callable[..., Gate]]:
    """Opens a gate; all are closed after the test."""
    made: list[Gate] = []
    context = zmq.green.Context()

    def make(**limits: Any) -> Gate:
        gate = Gate(tmp_path, answer)
        gate.open(context, **limits)
        made.append(gate)
        return gate

    yield make
    for gate in made:
        gate.close()
    gevent.sleep(0)
    context.destroy(linger=0)


@pytest.fixture
def gate(make_gate: Callable[..., Gate]) -> Gate:
    """A gate with no door open."""
    return make_gate()
