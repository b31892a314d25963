"""What circusctl can do, a person can do in the console: every row of the command table by its case, through its form.

A real browser fills the form that the page makes from the row, a real circusd carries it out, and the case's own query,
asked by the real circusctl, tells whether it was done.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from circusd.cli import arguments
from circusd.schema.commands import COMMANDS, WAITING, Command
from tests.daemon import Daemon
from tests.e2e.test_cases import CONFIGURATION, MAKES_A_SECRET, ask, holds, line_of, set_up
from tests.waiting import environment, eventually
from tests.web.apiclient import ApiClient
from tests.web.browser import opened

ROWS = [row for row in COMMANDS if row.where == "daemon" and row.case.argv]
READING = [row for row in ROWS if row.effect == "read"]
CHANGING = [row for row in ROWS if row.effect != "read"]

NOT_HERE: dict[str, str] = {}
"""Rows whose case can't be carried out in a browser, with the reason. There are none: even after ``quit``, which ends the
console as well, circusctl can tell that it was done."""

SHOWN_AS = {
    "sessions": "admin",
    "dstats": "cmdline",
    "numwatchers": "4",
    "plugins": "plugins",
    "runs": "nightly",
    "version": "version",
}
"""Of reading rows, what the page shows where the case's text is a heading of circusctl's own; and the console is one watcher more."""

SECRET = "correct-horse-battery"

MARKS = str.maketrans("", "", ":[]")
"""What circusctl puts around values; the page has tables for that."""

PASSED: set[str] = set()


@pytest.fixture(scope="module", autouse=True)
def ratio(pytestconfig: pytest.Config) -> Iterator[None]:
    """When all have run, how many rows a person can carry out is printed."""
    yield
    reporter: Any = pytestconfig.pluginmanager.getplugin("terminalreporter")
    capture: Any = pytestconfig.pluginmanager.getplugin("capturemanager")
    if reporter is not None and PASSED:
        with capture.global_and_fixture_disabled():
            reporter.write_line(
                f"\n{len(PASSED)} of {len(ROWS)} rows of the command table are carried out in the console"
            )


def daemon_in(folder: Path) -> Daemon:
    """The daemon of the cases, with its console."""
    return Daemon(CONFIGURATION.format(circus="httpd = 1\nhttpd_port = 0"), folder)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One for the commands that only read, and for those that are not done."""
    with daemon_in(tmp_path_factory.mktemp("console")) as running:
        yield running


def open_form(page: Page, daemon: Daemon, path: str, role: str = "admin") -> None:
    """The page of a command, opened by a one-time link, and live."""
    link = daemon.call("weblink", role=role)["link"]
    page.goto(link)
    page.wait_for_url("**/d/circus/")
    page.goto(page.url + path)
    page.get_by_text("live", exact=True).wait_for(state="attached")


def fill(page: Page, row: Command, line: arguments.Line) -> None:
    """The form says what the line says."""
    given = {**line.properties, **({WAITING.name: line.waiting} if row.waits else {})}
    for field in (*row.args, *((WAITING,) if row.waits else ())):
        value = given.get(field.name)
        if field.type == "secret" and arguments.secret_flag(field).name in given:
            # The browser has no files of the shell: it is typed.
            value = SECRET
        if value is None:
            continue
        if field.type == "object":
            for key, one in value.items():
                fill_option(page, key, str(one))
        elif field.type == "bool":
            page.locator(f"#f-{field.name}").set_checked(bool(value))
        elif field.choices:
            page.locator(f"#f-{field.name}").select_option(value)
        else:
            page.locator(f"#f-{field.name}").fill(" ".join(value) if isinstance(value, list) else str(value))


def fill_option(page: Page, key: str, value: str) -> None:
    """An option is written where its line is, whichever group has it."""
    page.locator("#find-option").fill(key)
    element = page.locator(f'[data-field="{key}"] :is(input, select, textarea)')
    if element.evaluate("e => e.tagName") == "SELECT":
        element.select_option(value)
    else:
        element.fill(value)


def run(page: Page, row: Command) -> None:
    """The button is pressed, and where it asks once more, the answer is yes."""
    page.locator("#run").click()
    if row.effect == "destroy":
        expect(page.get_by_role("dialog")).to_be_visible()
        word = page.locator("#confirm-word")
        if word.count():
            word.fill(row.name)
        page.locator("#confirm-yes").click()


def carry_out(page: Page, daemon: Daemon, row: Command, argv: str) -> None:
    """The row's form is filled as the case says, its line for the shell means the same, and it is sent."""
    line = arguments.read(shlex.split(argv))
    open_form(page, daemon, f"c/{row.name}")
    fill(page, row, line)
    shown = arguments.read(shlex.split(page.locator("[data-line]").inner_text())[1:])
    assert shown.row is row
    assert sent(row, shown) == sent(row, line)
    assert shown.waiting == line.waiting
    run(page, row)


def sent(row: Command, line: arguments.Line) -> dict[str, Any]:
    """The properties of a line, without what is so anyway."""
    defaults = {field.name: field.default for field in row.args}
    secrets = {arguments.secret_flag(field).name for field in row.args if field.type == "secret"}
    return {
        key: value
        for key, value in line.properties.items()
        if value != defaults.get(key) and key not in secrets
    }


@pytest.mark.parametrize("row", READING, ids=lambda row: row.name)
def test_a_reading_command_shows_its_answer(browser: Browser, daemon: Daemon, row: Command) -> None:
    """The page shows what the case tells, in its own form."""
    set_up(daemon, row)
    with opened(browser, "about:blank") as page:
        carry_out(page, daemon, row, line_of(daemon, row))
        done = page.locator('[data-state="done"]')
        for word in SHOWN_AS.get(row.name, row.case.after).translate(MARKS).split():
            expect(done).to_contain_text(word)
    PASSED.add(row.name)


@pytest.mark.parametrize("row", CHANGING, ids=lambda row: row.name)
def test_a_changing_command_is_carried_out(browser: Browser, tmp_path: Path, row: Command) -> None:
    """The case's query answers one thing before and another after; where it was waited for, when the page says so."""
    case = row.case
    assert row.name not in NOT_HERE
    with daemon_in(tmp_path) as daemon, opened(browser, "about:blank") as page:
        set_up(daemon, row)
        before = ask(daemon, case.query) if case.query else None
        if before is not None:
            assert holds(case.before, before, before, row), before
            assert not holds(case.after, before, before, row)
        carry_out(page, daemon, row, line_of(daemon, row))
        if row.name == "quit":
            # Whether the answer still comes is a matter of moments.
            told = re.compile("quit is done|quit: circusd says ok|console ends")
            expect(page.locator("section[data-state]")).to_contain_text(told, timeout=30_000)
        else:
            expect(page.locator('[data-state="done"]')).to_be_visible(timeout=30_000)
        if before is None:
            assert row.name in MAKES_A_SECRET
            expect(page.locator('[data-state="done"]')).to_contain_text(case.after)
        elif "--waiting" in case.argv and row.name != "quit":
            after = ask(daemon, case.query)
            assert holds(case.after, after, before, row), (before, after)
        else:
            eventually(lambda: holds(case.after, ask(daemon, case.query), before, row), within=20)
    PASSED.add(row.name)


def test_every_row_has_its_page(browser: Browser, daemon: Daemon) -> None:
    """The list names all that circusctl can do; what it does by itself says so, or leads to where it is shown."""
    rows = [row for row in COMMANDS if row.where != "door"]
    with opened(browser, "about:blank") as page:
        open_form(page, daemon, "c/")
        expect(page.locator(".commands .name")).to_have_count(len(rows))
        assert set(page.locator(".commands .name").all_inner_texts()) == {row.name for row in rows}
        for row in rows:
            if row.where == "client":
                page.locator(".commands .name").get_by_text(row.name, exact=True).click()
                expect(page.get_by_role("heading", level=1)).to_have_text(row.name)
                expect(page.locator("#run")).to_have_count(0)
                leads = any(field.target == "watcher" for field in row.args)
                link = page.locator("main .blank a").first
                expect(link).to_have_attribute("href", f"/d/circus/{'w/circushttpd' if leads else 'c/'}")
                page.go_back()


def test_wrong_values_are_told_in_the_words_of_the_daemon(browser: Browser, daemon: Daemon) -> None:
    """As they are typed, and the same that the daemon itself would say; nothing is sent meanwhile."""
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("incr", {"name": "web", "nb": "many"}),
        ("kill", {"name": "web", "graceful_timeout": "soon"}),
        ("kill", {"name": "web", "graceful_timeout": "-1"}),
        ("signal", {"name": "web", "signum": "TREM"}),
        ("output", {"stream": "stdeer"}),
        ("set", {"name": "web", "options": {"graceful_timeout": "90 minuts"}}),
        ("set", {"name": "web", "options": {"numproceses": "3"}}),
        ("set", {"name": "web", "options": {"stop_signal": "TREM"}}),
    ]
    with opened(browser, "about:blank") as page:
        open_form(page, daemon, "c/set?name=web")
        page.locator("#f-name").wait_for()
        for command, properties in wrong:
            (told,) = page.evaluate(CHECKED, [command, properties])
            said = page.evaluate(ASKED, [command, properties])
            assert told["text"] in said["detail"], (command, properties)
        page.locator("#find-option").fill("graceful_timeout")
        page.locator("#o-graceful_timeout").fill("90 minuts")
        field = page.locator('[data-field="graceful_timeout"]')
        expect(field.locator(".oops")).to_contain_text("expected a number of seconds")
        expect(page.locator("#run")).to_have_attribute("aria-disabled", "true")
        expect(page.locator("#barred")).to_contain_text("graceful_timeout")
        page.locator("#run").click(force=True)
        page.locator("#o-graceful_timeout").fill("6")
        expect(field.locator(".oops")).to_have_count(0)
        expect(page.locator("#run")).not_to_have_attribute("aria-disabled", "true")
    assert daemon.call("get", name="web", keys=["graceful_timeout"])["options"] == {"graceful_timeout": 5}


def test_an_answer_that_breaks_off_is_none(browser: Browser, daemon: Daemon) -> None:
    """The form stays, and does not say that something was done of which nobody knows."""
    with opened(browser, "about:blank") as page:
        page.route(
            "**/check/incr", lambda route: route.fulfill(body='{"pro', content_type="application/json")
        )
        page.route(
            "**/api/v1/incr", lambda route: route.fulfill(body='{"sta', content_type="application/json")
        )
        with page.expect_request("**/check/incr"):
            open_form(page, daemon, "c/incr?name=web")
        run(page, next(row for row in ROWS if row.name == "incr"))
        expect(page.locator('[data-state="error"]')).to_contain_text("is not known")
        expect(page.locator("#f-name")).to_have_value("web")


POST = """{ method: 'POST', body: JSON.stringify(properties), headers: {
    'Content-Type': 'application/json', 'X-CSRF-Token': document.documentElement.dataset.csrf } }"""
CHECKED = f"""async ([command, properties]) => {{
    const answer = await fetch(`/d/circus/check/${{command}}`, {POST});
    return Object.values((await answer.json()).problems);
}}"""
ASKED = f"""async ([command, properties]) => (await fetch(`/d/circus/api/v1/${{command}}`, {POST})).json()"""


def test_options_say_what_they_will_do(browser: Browser, daemon: Daemon) -> None:
    """Before it is sent: how many processes are replaced, what was, and the line; afterwards the new value is what is there."""
    with opened(browser, "about:blank") as page:
        open_form(page, daemon, "c/set?name=web")
        fill_option(page, "max_age", "3600")
        plan = page.locator(".plan")
        expect(plan.locator(".sum").first).to_have_text("Replaces 2 processes with new ones.")
        expect(plan.locator(".steps")).to_contain_text("replaces 2 processes")
        expect(page.locator('[data-field="max_age"] .was')).to_have_text("was 0")
        expect(page.locator("[data-line]")).to_have_text("circusctl set --waiting web max_age 3600")
        page.get_by_role("button", name="Undo: max_age").click()
        fill_option(page, "graceful_timeout", "6")
        expect(plan.locator(".sum").first).to_have_text("No process is replaced.")
        before = daemon.pids("web")
        page.locator("#run").click()
        expect(page.locator('[data-state="done"]')).to_be_visible()
        expect(page.locator("#o-graceful_timeout")).to_have_value("6")
        assert daemon.pids("web") == before
    assert daemon.call("get", name="web", keys=["graceful_timeout"])["options"] == {"graceful_timeout": 6}
    daemon.call("set", name="web", options={"graceful_timeout": 5}, waiting=True)


@pytest.mark.parametrize(
    ("path", "told"),
    [("c/set?name=web", "applied"), ("c/get?name=web&keys=graceful_timeout+max_age", "options")],
)
def test_line_of_curl_does_the_same(browser: Browser, daemon: Daemon, path: str, told: str) -> None:
    """What a form shows for curl is what its button would do; the token is in a variable."""
    with opened(browser, "about:blank") as page:
        open_form(page, daemon, path)
        if path.startswith("c/set"):
            page.locator("#f-report").check()
            fill_option(page, "graceful_timeout", "6")
        line = page.locator("[data-curl]").inner_text()
    token = ApiClient.of(daemon).token
    assert token not in line
    done = subprocess.run(
        ["sh", "-c", line.replace("curl", "curl -sS", 1)],
        env={**daemon.environ, "CIRCUS_TOKEN": token},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert told in json.loads(done.stdout), done
    if path.startswith("c/set"):
        assert daemon.call("get", name="web", keys=["graceful_timeout"])["options"] == {"graceful_timeout": 6}
        daemon.call("set", name="web", options={"graceful_timeout": 5}, waiting=True)


def test_add_takes_every_option(browser: Browser, tmp_path: Path) -> None:
    """Numbers, switches, variables and keys of families reach the new watcher; a name that is taken is refused by the daemon."""
    with daemon_in(tmp_path) as daemon, opened(browser, "about:blank") as page:
        open_form(page, daemon, "c/add")
        page.locator("#f-name").fill("extra")
        page.locator("#f-cmd").fill("sleep 1000")
        page.locator("#f-start").check()
        fill_option(page, "numprocesses", "2")
        fill_option(page, "copy_env", "true")
        fill_option(page, "env", "COLOR=red, blue\nEMPTY=")
        page.locator("#find-option").fill("")
        page.get_by_text("Other keys").click()
        page.locator("#other-key").fill("rlimit_nofile")
        page.locator("#other-value").fill("512")
        page.locator("#other-value").press("Enter")
        page.locator("#run").click()
        expect(page.locator('[data-state="done"]')).to_be_visible()
        assert len(daemon.pids("extra")) == 2
        options = daemon.call("options", name="extra")["options"]
        assert options["copy_env"] is True
        assert options["rlimit_nofile"] == 512
        assert list(options["env"]) == ["COLOR", "EMPTY"]
        variables = environment(daemon.pids("extra")[0])
        assert {"COLOR": "red, blue", "EMPTY": ""}.items() <= variables.items()
        page.locator("#run").click()
        expect(page.locator('[data-state="error"]')).to_contain_text("extra")


def test_reload_shows_its_plan_first(browser: Browser, tmp_path: Path) -> None:
    """The trial tells the steps and does nothing; then it is done."""
    with daemon_in(tmp_path) as daemon, opened(browser, "about:blank") as page:
        with daemon.config.open("a") as config:
            config.write("\n[watcher:late]\ncmd = sleep 1000\n")
        open_form(page, daemon, "c/reloadconfig")
        page.locator("#trial").click()
        expect(page.locator('[data-state="done"] h2')).to_contain_text("nothing was done")
        expect(page.locator('[data-state="done"] table')).to_contain_text("late")
        assert "late" not in daemon.call("list")["watchers"]
        page.locator("#run").click()
        expect(page.locator('[data-state="done"] h2')).to_have_text("reloadconfig is done")
        assert "late" in daemon.call("list")["watchers"]


def test_what_ends_something_asks_and_names_it(browser: Browser, daemon: Daemon) -> None:
    """With the watchers and processes that it would end; without a yes nothing is done, and what is wide wants a word."""
    with opened(browser, "about:blank") as page:
        open_form(page, daemon, "c/stop?name=web")
        before = daemon.pids("web")
        page.locator("#run").click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("This ends 2 processes of 1 watcher")
        for pid in before:
            expect(dialog).to_contain_text(str(pid))
        expect(page.locator("#confirm-word")).to_have_count(0)
        page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
        page.locator("#f-name").fill("")
        page.locator("#run").click()
        expect(dialog).to_contain_text("loud")
        page.locator("#confirm-word").fill("start")
        page.locator("#confirm-yes").click(force=True)
        expect(dialog).to_be_visible()
        page.get_by_role("button", name="Leave it").click()
        expect(dialog).to_have_count(0)
    assert daemon.pids("web") == before


def test_viewer_sees_forms_and_why_not(browser: Browser, daemon: Daemon) -> None:
    """A form says which role it needs; what only shows something can be run."""
    with opened(browser, "about:blank") as page:
        open_form(page, daemon, "c/restart?name=web", "viewer")
        expect(page.locator("#barred")).to_contain_text("this needs operator")
        expect(page.locator("#run")).to_have_attribute("aria-disabled", "true")
        page.goto(page.url.replace("restart", "status"))
        page.locator("#run").click()
        expect(page.locator('[data-state="done"]')).to_contain_text("active")


def test_palette_finds_every_command_for_every_watcher(browser: Browser, daemon: Daemon) -> None:
    """Ctrl K, some letters of both, Enter, Enter: it is done. Also by its button, and it can be left."""
    with opened(browser, "about:blank") as page:
        open_form(page, daemon, "")
        before = daemon.pids("web")
        page.keyboard.press("Control+k")
        field = page.get_by_role("combobox", name="What to find or do")
        expect(field).to_be_focused()
        field.press_sequentially("resta we")
        expect(page.locator('#found [aria-selected="true"]')).to_contain_text("restart web")
        expect(page.locator(".palette .line code")).to_contain_text("restart")
        page.keyboard.press("Enter")
        page.wait_for_url("**/c/restart?name=web")
        expect(page.locator("#f-name")).to_have_value("web")
        page.keyboard.press("Control+Enter")
        eventually(
            lambda: len(daemon.pids("web")) == 2 and not set(before) & set(daemon.pids("web")), within=20
        )
        page.get_by_role("button", name="Find or do anything").click()
        expect(field).to_be_focused()
        first = page.locator('#found [aria-selected="true"]').inner_text()
        page.keyboard.press("ArrowDown")
        expect(page.locator('#found [aria-selected="true"]')).not_to_have_text(first)
        page.keyboard.press("Escape")
        expect(page.locator("dialog.palette[open]")).to_have_count(0)


ACTED_ON = "sh -c 'echo begun; exec sleep 1000'"
SEVERAL = """
[circus]
httpd = 1
httpd_port = 0

[watcher:web-1]
cmd = {cmd}
numprocesses = 2
tags = front
stdout_stream.filename = web-1.log

[watcher:web-2]
cmd = {cmd}
tags = front
stdout_stream.filename = web-2.log

[watcher:job]
cmd = {cmd}
stdout_stream.filename = job.log
"""

TARGETS = {
    "one": ("web-1", "glob", {"web-1"}),
    "selection": ("web-2,job", "list", {"web-2", "job"}),
    "glob": ("web-*", "glob", {"web-1", "web-2"}),
    "tag": ("@front", "glob", {"web-1", "web-2"}),
    "all": ("[!c]*", "glob", {"web-1", "web-2", "job"}),
}
"""Of each: what stands in the form, and the watchers that it means. The console itself is left out: it has to answer."""

AT_WATCHERS = [row for row in CHANGING if any(field.name == "match" for field in row.args)]
GIVEN = {"set": {"graceful_timeout": "7"}, "signal": {"signum": "KILL"}}
"""What rows take beside a name."""


@pytest.fixture(scope="module")
def crew(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Three watchers that are acted on by name, list, glob and tag."""
    with Daemon(SEVERAL.format(cmd=ACTED_ON), tmp_path_factory.mktemp("crew")) as running:
        yield running


State = tuple[int, frozenset[int], float, int, int]


def state_of(daemon: Daemon) -> dict[str, State]:
    """What a command may change: how many processes are wanted, which run, an option, how often its file was begun anew, and how many
    stand still."""
    found = {}
    anew = {
        sink["watcher"]: sink["rotations"] + sink["reopenings"]
        for sink in daemon.call("sinks")["sinks"]
        if sink["stream"] == "stdout"
    }
    for shown in daemon.call("inspect")["watchers"]:
        pids = frozenset(p["pid"] for p in shown["processes"] if p["pid"] is not None)
        options = daemon.call("get", name=shown["name"], keys=["graceful_timeout"])["options"]
        name = shown["name"]
        still = sum(p["state"] == "frozen" for p in shown["processes"])
        found[name] = (shown["numprocesses"], pids, options["graceful_timeout"], anew[name], still)
    return found


def is_done(row: Command, before: State, after: Any) -> bool:
    """Whether the watcher is now as the row leaves it behind."""
    number, pids, _, anew, _ = before
    expected = {
        "rm": lambda: after is None,
        "start": lambda: len(after[1]) == number,
        "run": lambda: len(after[1]) == number,
        "stop": lambda: not after[1],
        "incr": lambda: after[0] == number + 1 == len(after[1]),
        "decr": lambda: after[0] == number - 1 == len(after[1]),
        "set": lambda: after[2] == 7,
        "reopen": lambda: after[3] == anew + 1,
        "rotate": lambda: after[3] == anew + 1,
        "freeze": lambda: after[1] == pids and after[4] == number,
        "thaw": lambda: after[1] == pids and after[4] == 0,
    }
    return bool(expected.get(row.name, lambda: len(after[1]) == number and not after[1] & pids)())


def as_it_was(daemon: Daemon) -> None:
    """All three watchers run, with the number of processes that the file says."""
    daemon.call("thaw")
    for name, number in (("web-1", 2), ("web-2", 1), ("job", 1)):
        tags = "front" if name.startswith("web") else ""
        if name not in daemon.call("list")["watchers"]:
            options = {"tags": tags, "stdout_stream.filename": f"{name}.log"}
            daemon.call("add", name=name, cmd=ACTED_ON, options=options)
        standard = {"numprocesses": number, "graceful_timeout": 30, "schedule": ""}
        daemon.call("set", name=name, options=standard, waiting=True)
        daemon.call("start", name=name, waiting=True)


@pytest.mark.parametrize("row", AT_WATCHERS, ids=lambda row: row.name)
def test_a_command_is_for_one_a_selection_a_glob_a_tag_and_all(
    browser: Browser, crew: Daemon, row: Command
) -> None:
    """Through its form: those that are meant are changed, and no others."""
    with opened(browser, "about:blank") as page:
        for what, (name, match, meant) in TARGETS.items():
            as_it_was(crew)
            if row.name in ("start", "run"):
                crew.call("stop", name="[!c]*", waiting=True)
            if row.name == "run":
                crew.call("set", name="[!c]*", options={"schedule": "@yearly"}, waiting=True)
            if row.name == "thaw":
                crew.call("freeze", name="[!c]*")
            if row.name == "rotate":
                # An empty file stays.
                for log in ("web-1.log", "web-2.log", "job.log"):
                    (crew.folder / log).write_text("a line\n")
            before = state_of(crew)
            open_form(page, crew, f"c/{row.name}")
            page.locator("#f-name").fill(name)
            page.locator("#f-match").select_option(match)
            for key, value in GIVEN.get(row.name, {}).items():
                if row.name == "set":
                    fill_option(page, key, value)
                else:
                    page.locator(f"#f-{key}").fill(value)
            if row.name == "run":
                # These go on for as long as they are let.
                page.locator("#f-waiting").set_checked(False)
            expect(page.locator(".plan .hits li")).to_have_count(len(meant))
            run(page, row)
            expect(page.locator('[data-state="done"]')).to_be_visible(timeout=30_000)

            def changed(before: Any = before, meant: set[str] = meant) -> bool:
                after = state_of(crew)
                return all(is_done(row, before[name], after.get(name)) for name in meant) and all(
                    after.get(name) == before[name] for name in before.keys() - meant
                )

            eventually(changed, within=20, what=f"{row.name} of {what}")


def test_bar_acts_as_the_forms_do(browser: Browser, crew: Daemon) -> None:
    """Every row with a picture is a button for what is chosen; each does to all of them what its form does."""
    with opened(browser, "about:blank") as page:
        open_form(page, crew, "")
        for row in AT_WATCHERS:
            if not row.icon:
                continue
            as_it_was(crew)
            if row.name == "start":
                crew.call("stop", name="[!c]*", waiting=True)
            if row.name == "rotate":
                # An empty file stays.
                for log in ("web-1.log", "web-2.log", "job.log"):
                    (crew.folder / log).write_text("a line\n")
            before = state_of(crew)
            page.locator("body").press("*")
            button = page.locator(f'.picked [data-what="{row.name}"]')
            read = arguments.read(shlex.split(button.get_attribute("data-ctl") or "")[1:])
            assert read.row is row
            button.click()
            if row.effect == "destroy":
                page.locator("#confirm-yes").click()
            expect(page.locator(f'.run[data-run="{row.name}"][data-state="done"]').first).to_be_visible()
            page.locator(".run").get_by_role("button", name="Dismiss").first.click()
            after = state_of(crew)
            assert all(is_done(row, before[name], after[name]) for name in ("web-1", "web-2", "job")), (
                row.name
            )
            page.locator("body").press("Escape")
            expect(page.locator(".several")).to_have_count(0)
