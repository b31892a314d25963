"""Records with some fields changed, as they are made at each end and start of a process."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from circusd.core.altered import altered
from circusd.core.process import Exit, Happening, Kind, Policy, Process, State
from circusd.kernel.spawn import SpawnSpec

RECORDS: list[tuple[Any, dict[str, Any]]] = [
    (Process(3, State.BACKOFF, attempts=4, exit=Exit(1.0, 2)), {"state": State.STARTING, "next_try": None}),
    (Happening(Kind.EXITED, code=1), {"chance": 0.25}),
    (Policy(hooks=frozenset({"before_start"})), {"ready": "notify"}),
    (SpawnSpec(argv=("a",), executable="/a", env={"A": "1"}), {"stdout": 4, "stderr": 5}),
    (Process(1), {}),
]


@pytest.mark.parametrize(("record", "changes"), RECORDS)
def test_it_is_what_replace_gives(record: Any, changes: dict[str, Any]) -> None:
    """Every other field is as it was, and the record itself stays as it is."""
    before = replace(record)
    assert altered(record, **changes) == replace(record, **changes)
    assert record == before


def test_a_name_that_is_no_field_is_refused() -> None:
    """A slip of the pen is seen at once."""
    with pytest.raises(KeyError):
        altered(Process(1), stat=State.READY)
