"""What is hidden from whoever may not know secrets, and what is not."""

from __future__ import annotations

from typing import Any

import pytest

from circusd.config.model import describe, watcher_from_options, with_options
from circusd.schema.errors import ConfigError
from circusd.schema.option import Option
from circusd.schema.options import WATCHER
from circusd.schema.secrets import MASK, is_secret_name, masked
from circusd.schema.types import TEXT


@pytest.mark.parametrize(
    "key",
    ["password", "db_password", "apiToken", "API_KEY", "smtp.pass", "x-auth", "secrets", "PWD", "sentry_dsn"],
)
def test_names_of_secrets_are_known(key: str) -> None:
    """In any spelling that people use."""
    assert is_secret_name(key)


@pytest.mark.parametrize(
    "key", ["cmd", "passes", "compass", "author", "keyboard", "monkey", "tokenizer", "priority"]
)
def test_other_names_are_not_taken_for_them(key: str) -> None:
    """A word counts as a whole."""
    assert not is_secret_name(key)


def test_no_option_of_the_table_goes_by_its_name() -> None:
    """A row says itself whether it is secret: the rule for names is for keys of one's own."""
    assert [row.name for row in WATCHER if is_secret_name(row.name)] == []


def test_names_are_shown_and_values_are_not() -> None:
    """Of variables, of keys of one's own, and of a stream's options; what is no secret stays."""
    given = {"env": {"A": "hush"}, "cmd": "sleep", "db_password": "hush", "window": "3", "empty_token": ""}
    stream: dict[str, Any] = {
        "stdout_stream_conf": {"class": "x.Y", "password": "hush"},
        "stdout_stream.password": "hush",
    }
    shown = masked({**given, **stream}, WATCHER)
    assert "hush" not in str(shown)
    assert shown["env"] == {"A": MASK} and shown["db_password"] == MASK
    assert (shown["cmd"], shown["window"], shown["empty_token"]) == ("sleep", "3", "")
    assert shown["stdout_stream_conf"] == {"class": "x.Y", "password": MASK}


def test_a_row_that_is_marked_is_hidden_whatever_its_type() -> None:
    """Also one of a table that is not there yet."""
    table = (Option("pin", TEXT, None, "x", secret=True), Option("token", TEXT, None, "x"))
    assert masked({"pin": "hush", "token": "shown"}, table) == {"pin": MASK, "token": "shown"}


def test_all_of_a_watcher_is_there_after_masking() -> None:
    """No key is lost, and only secrets differ."""
    options = describe(watcher_from_options("web", {"cmd": "sleep 1", "env": {"A": "hush"}}))
    shown = masked(options, WATCHER)
    assert shown.keys() == options.keys()
    assert [key for key in options if shown[key] != options[key]] == ["env"]


@pytest.mark.parametrize(
    "env",
    [{"A": {"B": "hush"}}, ["hush"], "hush", "A=1,=hush", "A=1,hush", {"A=hush": "1"}, {"A": ["hush"]}, 7],
)
def test_errors_about_variables_do_not_tell_them(env: object) -> None:
    """Whatever is wrong with them."""
    with pytest.raises(ConfigError) as caught:
        with_options(watcher_from_options("web", {"cmd": "sleep 1"}), {"env": env})
    assert "hush" not in str(caught.value) + str(caught.value.as_dict())
