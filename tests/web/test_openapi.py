"""The OpenAPI document: it holds all that the tables say, and what it says is right."""

from __future__ import annotations

import json
import shlex
from typing import Any

import jsonschema
import pytest
import schemathesis

from circusd.cli import arguments
from circusd.schema.commands import COMMANDS, WAITING, Command
from circusd.schema.errors import ERRORS
from circusweb import inputs, openapi

ROWS = [row for row in COMMANDS if row.where == "daemon"]
DOCUMENT = openapi.document()


def body_schema(row: Command) -> dict[str, Any]:
    """What a POST for the row has to be, with everything that it refers to."""
    content = DOCUMENT["paths"][f"/{row.name}"]["post"]["requestBody"]["content"]
    return {**content["application/json"]["schema"], "components": DOCUMENT["components"]}


def test_document_is_valid() -> None:
    """By the rules of OpenAPI 3.1, and the schemas in it by those of JSON Schema."""
    schemathesis.openapi.from_dict(DOCUMENT).validate()
    for row in ROWS:
        jsonschema.Draft202012Validator.check_schema(body_schema(row))
    ids = [
        operation["operationId"]
        for path in DOCUMENT["paths"].values()
        for key, operation in path.items()
        if key != "parameters"
    ]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_command_is_described(row: Command) -> None:
    """With its summary, role, properties, choices, defaults and errors; by GET as well where it only reads."""
    path = DOCUMENT["paths"][f"/{row.name}"]
    assert ("get" in path) == (row.effect == "read")
    for operation in path.values():
        assert (operation["summary"], operation["x-role"], operation["tags"]) == (
            row.summary,
            row.role,
            [row.scope],
        )
        assert {"200", "400", "401", "403", "404", "405", "409", "500", "503"} <= set(operation["responses"])
        told = operation["responses"]["200"]["content"]["application/json"]["schema"]["properties"]
        assert {field.name for field in row.reply} <= set(told)
    properties = body_schema(row)["properties"]
    wanted = [field for field in row.args if not field.local]
    assert set(properties) == {field.name for field in wanted} | ({WAITING.name} if row.waits else set())
    assert body_schema(row).get("required", []) == [field.name for field in row.args if field.required]
    for field in wanted:
        assert properties[field.name].get("enum", []) == list(field.choices)
        assert properties[field.name].get("default") == field.default
    has_secret = any(field.type == "secret" for field in row.args)
    assert ("202" in path["post"]["responses"]) == row.waits
    assert ("429" in path["post"]["responses"]) == (row.waits or row.lasts or has_secret)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_examples_are_what_circusctl_sends(row: Command) -> None:
    """The example of a command is its case, by the schema, and the same that circusctl makes of that line."""
    found = openapi.example_of(row)
    if found is None:
        assert "{" in row.case.argv
        return
    jsonschema.Draft202012Validator(body_schema(row)).validate(found)
    inputs.check(row, found)
    line = arguments.read(shlex.split(row.case.argv))
    sent = {**line.properties, **({WAITING.name: True} if line.waiting else {})}
    for field in row.args:
        if field.type == "secret" and sent.pop(arguments.secret_flag(field).name, None):
            sent[field.name] = openapi.SECRET
        # What the daemon assumes anyway, and what is for the command line alone.
        if sent.get(field.name) in (field.default, None) and field.name not in found:
            sent.pop(field.name, None)
    assert json.loads(json.dumps(sent)) == found


def test_every_error_is_named() -> None:
    """Each code of the table is in the schema of problems, and described at its status."""
    assert DOCUMENT["components"]["schemas"]["Problem"]["properties"]["code"]["enum"] == [
        row.code for row in ERRORS
    ]
    texts = " ".join(response["description"] for response in DOCUMENT["components"]["responses"].values())
    for row in ERRORS:
        assert f"`{row.code}`" in texts, row.code


def test_document_says_how_to_come_in() -> None:
    """By a token or a session; the document itself needs neither."""
    assert DOCUMENT["security"] == [{"token": []}, {"session": []}]
    assert DOCUMENT["paths"]["/openapi.json"]["get"]["security"] == []
    assert {path for path in DOCUMENT["paths"] if path.startswith("/follow/")} == {
        "/follow/events", "/follow/events/{name}", "/follow/logs", "/follow/logs/{name}", "/follow/state", "/follow/load",
    }  # fmt: skip
