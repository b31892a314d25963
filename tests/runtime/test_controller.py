"""The transport of commands, with the original's kind of client."""

from __future__ import annotations

import json

from tests.gate import Gate


def test_unmodified_dealer_gets_its_answer(gate: Gate) -> None:
    """A pyzmq DEALER as the original's clients make it is answered through the door."""
    endpoint = gate.door()
    program = gate.client("print(json.dumps(call(dealer(sys.argv[1]), 'LIST', name='web')))", endpoint)
    reply = json.loads(program.output())
    assert reply["status"] == "ok" and reply["command"] == "list" and reply["properties"] == {"name": "web"}
    assert reply["id"] == "0123456789abcdef0123"
    ((_, caller),) = gate.requests
    assert (caller.door, caller.role) == ("commands", "admin")
