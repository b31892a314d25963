"""Requests that nobody would think of, made from the OpenAPI document, before a real circusd: each has an answer that the document knows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from circusweb import openapi
from tests.daemon import Daemon
from tests.e2e.test_cases import CONFIGURATION
from tests.web.apiclient import ApiClient

DOCUMENT = openapi.document()
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)

EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "12"))
"""For each operation; a longer hunt sets more."""

LEFT_OUT = {
    "quit": "it ends what is tested",
    "rmCircushttpd": "",
}
"""Operations that are not called, and why."""

NOT_OURS = ("spawn", "failed", "timeout")
"""Codes of 5xx that are no fault of the program: what was asked for was begun, and did not come to its end."""

CHECKS = [
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
]
