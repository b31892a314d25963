"""The original's clients, unchanged, drive a real circusd of ours; by ``-m slow``, the original's own, as the tour tells it."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from circusd.schema.commands import COMMANDS as COMMAND_TABLE
from tests.compat.original import BOTH, COMMANDS, FILES, ROOT, Driver, Ours, Said, until_up
from tests.compat.steps import Answer, Call, Ctl, Edit, Raw, Step, fits
from tests.compat.tour import CHAPTERS
from tests.waiting import eventually

STARTED = {"web": 2, "scale": 2, "turn": 2, "target": 2, "tree": 1, "deaf": 1, "out": 1, "tuned": 1}


class Tour:
    """The daemon, the driver, and what the steps of a chapter have found."""

    def __init__(self, daemon: Ours, driver: Driver) -> None:
        self.daemon = daemon
        self.driver = driver
        self.file = daemon.config.read_text()
        # The original leaves some questions without an answer. Ours never, but on a busy machine it may come late.
        self.timeout = 5 if daemon.is_original else 30
        self.found: dict[str, str] = {}

    def walk(self, steps: tuple[Step, ...]) -> list[str]:
        """All steps; what was answered otherwise than it is told, with the step."""
        self.found = {"here": str(self.daemon.folder)}
        wrong = []
        for step in steps:
            told = self._take(step)
            if told:
                wrong.append(f"{_words(step)}\n    {told}")
        return wrong

    def _take(self, step: Step) -> str:
        if isinstance(step, Edit):
            self.daemon.config.write_text(self.file + step.added)
            return ""
        if isinstance(step, Ctl):
            return self._by_circusctl(step)
        return self._by_client(step) if isinstance(step, Call) else self._by_socket(step)

    def _expected(self, step: Ctl | Call | Raw) -> Any:
        ours = (
            step.answer if isinstance(step, Ctl) else step.reply if isinstance(step, Call) else step.replies
        )
        return step.theirs if self.daemon.is_original and step.theirs is not None else ours

    def _by_circusctl(self, step: Ctl) -> str:
        words = [self._filled(word) for word in shlex.split(step.words)]
        expected: Answer = self._expected(step)

        def run() -> Said:
            given = ["--timeout", str(self.timeout), *words]
            return self._patient("circusctl", words=given, stdin=step.stdin, environ=dict(step.environ))

        said = run()
        if step.awaits and not self._is(expected, said):
            try:
                eventually(lambda: self._is(expected, run()), within=15, every=0.1)
                return ""
            except AssertionError:
                said = run()
        return "" if self._is(expected, said) else f"{said} is not {expected}"

    def _is(self, expected: Answer, said: Said) -> bool:
        out, err = (
            re.fullmatch(self._filled(pattern, re.escape), text)
            for pattern, text in ((expected.out, said.out), (expected.err, said.err))
        )
        if out is None or err is None or said.code != expected.code:
            return False
        self.found.update(out.groupdict())
        return True

    def _by_client(self, step: Call) -> str:
        message = {"command": step.command, "properties": self._filled_in(step.properties)}
        if step.cast:
            replies = self._patient(
                "raw",
                endpoint=COMMANDS,
                timeout=self.timeout,
                messages=[[json.dumps({**message, "msg_type": "cast"})]],
            )
            return "" if replies.out == "[]\n" else f"{replies}: a cast is not answered"
        said = self._patient("call", endpoint=COMMANDS, timeout=self.timeout, message=message)
        expected = self._expected(step)
        if said.code:
            return str(said)
        reply = json.loads(said.out)
        return (
            "" if reply == expected or self._replies(expected, reply) else f"{reply} is not {dict(expected)}"
        )

    def _replies(self, expected: Mapping[str, Any], reply: dict[str, Any]) -> bool:
        if self.daemon.is_original is ("error" in reply) and reply.get("status") == "error":
            return False
        reply.pop("error", None)
        return fits({"status": "ok", "time": float, "id": lambda _: True, **expected}, reply)

    def _by_socket(self, step: Raw) -> str:
        expected = self._expected(step)
        timeout = 1 if isinstance(expected, str) else self.timeout
        said = self._patient("raw", endpoint=COMMANDS, timeout=timeout, messages=[step.frames])
        if isinstance(expected, str):
            # Unless the original is woken by something else just then.
            return "" if said.err == expected or said.out == "[]\n" else str(said)
        if said.code:
            return str(said)
        replies = json.loads(said.out)
        is_right = len(replies) == len(expected) and all(map(self._replies, expected, replies))
        return "" if is_right else f"{replies} is not {expected}"

    def _patient(self, order: str, **more: Any) -> Said:
        """The original refuses by chance what comes while it looks after its processes: then it is asked again."""
        while True:
            said = self.driver.ask(order, **more)
            if not (self.daemon.is_original and "arbiter is already running" in said.out + said.err):
                return said

    def _filled(self, text: str, quoted: Any = str) -> str:
        return re.sub(r"%(\w+)%", lambda name: quoted(self.found[name[1]]), text)

    def _filled_in(self, properties: Any) -> Any:
        if not isinstance(properties, dict):
            return properties
        return {
            key: int(self._filled(value))
            if isinstance(value, str) and re.fullmatch(r"%\w+%", value)
            else value
            for key, value in properties.items()
        }


def _words(step: Step) -> str:
    return f"circusctl {step.words}" if isinstance(step, Ctl) else str(step)


@pytest.fixture(scope="module", params=BOTH)
def tour(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tour]:
    folder = tmp_path_factory.mktemp("tour")
    shutil.copy(FILES / "tour_hooks.py", folder)
    daemon = request.param((FILES / "tour.ini").read_text(), folder, environ={"here": str(folder)})
    with daemon, daemon.driver() as driver:
        for name, count in STARTED.items():
            until_up(daemon, driver, name, count)
        said = "tree:\n" + 3 * ".*\n"
        eventually(
            lambda: re.fullmatch(said, driver.ask("circusctl", words=["stats", "tree"]).out), within=10
        )
        yield Tour(daemon, driver)


@pytest.mark.timeout(150)
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_original_clients_get_what_the_tour_tells(tour: Tour, chapter: str) -> None:
    """Each step has its text, its exit code and its reply."""
    wrong = tour.walk(CHAPTERS[chapter])
    assert not wrong, "\n".join(wrong)
    if chapter == "quitting":
        assert tour.daemon.popen is not None
        assert tour.daemon.popen.wait(20) == 0


def test_the_tour_is_long_and_has_every_command() -> None:
    """At least 100 steps, and each command of the original in some of them."""
    steps = [step for steps in CHAPTERS.values() for step in steps if not isinstance(step, Edit)]
    assert len(steps) >= 100
    said = {word for step in steps for word in command_of(step)}
    assert not {row.name for row in COMMAND_TABLE if row.original} - said


def command_of(step: Step) -> list[str]:
    """The words of a line and of what is typed at the prompt, or the command of a request."""
    if isinstance(step, Ctl):
        return [*step.words.split(), *step.stdin.split()]
    return [step.command.lower()] if isinstance(step, Call) else []


def test_where_the_tour_differs_the_upgrade_page_says_why() -> None:
    """The reason of each row stands in the table of commands."""
    page = (ROOT / "docs" / "circus.rst").read_text()
    reasons = set(re.findall(r"^   \* - .*\n     - .*\n     - .*\n     - (.+)$", page, re.MULTILINE))
    steps = [step for steps in CHAPTERS.values() for step in steps if not isinstance(step, Edit)]
    assert not {step.why for step in steps if step.theirs is not None} - reasons
    assert not [_words(step) for step in steps if step.theirs is None and step.why]
