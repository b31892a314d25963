"""Requests that nobody would think of, made from the OpenAPI document, before a real circusd: the document knows each answer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.core import NotSet
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from circusd.schema.commands import COMMANDS
from circusweb import openapi
from tests.daemon import Daemon
from tests.e2e.test_cases import CONFIGURATION
from tests.web.apiclient import ApiClient

EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "0"))
"""For each operation; a hunt sets many, and draws others each time."""
FEW = 5

LEFT_OUT = ("quit", "openapi.json")
"""What is not called: it would end what is tested, or takes nothing that could be wrong."""

NOT_OURS = ("spawn", "failed", "timeout")
"""Codes of 5xx that are no fault of the program: what was asked for was begun, and did not come to its end."""

CHECKS = (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

ROWS = {row.name: row for row in COMMANDS if row.where == "daemon"}
OPERATIONS = [
    operation.ok()
    for operation in schemathesis.openapi.from_dict(openapi.document()).get_all_operations()
    if not operation.ok().path.startswith("/follow/") and operation.ok().path.strip("/") not in LEFT_OUT
]
READING = [one for one in OPERATIONS if one.definition.raw.get("x-effect", "read") == "read"]
CHANGING = [one for one in OPERATIONS if one not in READING]


@dataclass
class Tried:
    """A daemon, and who asks it."""

    daemon: Daemon
    api: ApiClient

    @property
    def base(self) -> str:
        return f"http://localhost:{self.api.port}{self.api.base}"


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tried]:
    """One for all operations; at the end both programs are those of the beginning, and neither log tells of a fault."""
    folder: Path = tmp_path_factory.mktemp("schemathesis")
    with Daemon(CONFIGURATION.format(circus="httpd = 1\nhttpd_port = 0"), folder) as daemon:
        before = daemon.pids("circushttpd")
        yield Tried(daemon, ApiClient.of(daemon))
        assert daemon.call("ping")["pid"] == daemon.pid
        assert daemon.pids("circushttpd") == before
        log = daemon.log.read_text(errors="replace")
        assert "Traceback" not in log
        assert "unexpected" not in log


def is_told(answer: Any) -> bool:
    """Whether the answer is one, or says that what was begun did not come to its end."""
    return answer.status_code < 500 or answer.json()["code"] in NOT_OURS


def tamed(case: Case) -> Case:
    """The request, without what would end the test: the console's own watcher, thousands of processes, waits without an end."""
    row = ROWS.get(case.path.strip("/"))
    if row is None:
        return case
    given = case.body if isinstance(case.body, dict) else case.query if isinstance(case.query, dict) else {}
    if row.name == "wait":
        # As text: so does an address have it.
        given["timeout"] = 0.01 if given is case.body else "0.01"
    if row.effect == "read":
        return case
    # Without a body, what takes no name would be for all, the console included.
    assume(not isinstance(case.body, NotSet))
    if not isinstance(case.body, dict):
        return case
    name = given.get("name")
    field = next((field for field in row.args if field.name == "name" and field.target == "watcher"), None)
    if field is not None:
        is_any = isinstance(name, str) and (given.get("match") == "regex" or bool(set("*?[") & set(name)))
        if is_any or (not field.required and ("name" not in given or name == "")):
            given["name"] = "web"
    if isinstance(given.get("cmd"), str):
        given["cmd"] = "sleep 1000"
    if isinstance(given.get("nb"), int | float):
        given["nb"] = max(-1, min(given["nb"], 1)) if not isinstance(given["nb"], bool) else given["nb"]
    options = given.get("options")
    if isinstance(options, dict) and "numprocesses" in options:
        options["numprocesses"] = 2
    return case


def try_all(tried: Tried, operation: Any, mode: GenerationMode) -> None:
    @settings(
        max_examples=EXAMPLES or FEW,
        derandomize=not EXAMPLES,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: Case) -> None:
        answer = tamed(case).call(base_url=tried.base, headers=tried.api.authorization, timeout=30)
        assert is_told(answer), answer.text
        case.validate_response(answer, checks=list(CHECKS))

    run()


@pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: mode.value)
@pytest.mark.parametrize("operation", READING, ids=lambda one: one.label)
def test_reading_answers_as_the_document_says(tried: Tried, operation: Any, mode: GenerationMode) -> None:
    """What is right is answered in its words, what is wrong is refused; nothing is a fault of the program."""
    try_all(tried, operation, mode)


@pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: mode.value)
@pytest.mark.parametrize("operation", CHANGING, ids=lambda one: one.label)
def test_changing_answers_as_the_document_says(tried: Tried, operation: Any, mode: GenerationMode) -> None:
    """The same for what changes something, and circusd lives."""
    try_all(tried, operation, mode)
