"""The pages: routes, and what stands behind each; the routes of the HTTP API are added to them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from bottle import Bottle, HTTPResponse, request

from circusd.schema.commands import COMMANDS, find
from circusd.schema.errors import (
    BadRequest,
    CircusError,
    NoSession,
    NotFound,
    UnknownCommand,
)
from circusd.version import __version__

from . import auth, inputs, tables
from .api import Api
from .assets import Assets, Templates
from .auth import Credential, Person
from .bridge import Bridge
from .download import download
from .exchange import (
    as_json,
    header,
    http_status,
    is_https,
    json_body,
    need_csrf,
    need_own_page,
    need_proof,
    problem_of,
    problem_response,
    query,
)
from .faults import fault
from .live import Live
from .metrics import Door
from .proxies import Proxies
from .sending import Places
from .words import PAGES, SAY

_NEXT = re.compile(r"/d/[\w%.~/:@-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Console:
    """What the routes need."""

    bridges: Mapping[str, Bridge]
    assets: Assets
    templates: Templates
    live: Live
    proxies: Proxies
    places: Places = field(default_factory=Places)

    def bridge(self, name: str) -> Bridge:
        """The connection to the daemon of that name."""
        bridge = self.bridges.get(name)
        if bridge is None:
            raise NotFound(f"there is no daemon {name!r} here", hint=f"known: {', '.join(self.bridges)}")
        return bridge

    @property
    def first(self) -> Bridge:
        """The daemon that is meant when none is named."""
        return next(iter(self.bridges.values()))


def person_of(bridge: Bridge, session: Credential) -> Person:
    """The person whose session it is, as circusd says at this moment. Raises NoSession, Unavailable."""
    if not session:
        raise NoSession("a session is needed", hint="log in, or get a link with circusctl weblink")
    told = bridge.call("whoami", session=session)
    return Person(
        str(told.get("person") or ""),
        str(told.get("role") or "viewer"),
        session,
        bool(told.get("account")) and not told.get("token"),
        tuple(tuple(map(str, patterns)) for patterns in told.get("watchers") or ()),
    )


def application(console: Console) -> Callable[[dict[str, Any], Callable[..., Any]], Any]:
    """The WSGI application: live connections, and everything else by Bottle."""
    app = Bottle()
    routes: tuple[tuple[str, Any, Callable[..., Any]], ...] = (
        ("/", "GET", home),
        ("/login", "GET", login_page),
        ("/login", "POST", login),
        ("/session", "GET", session),
        ("/logout", "POST", logout),
        ("/static/<version>/<path:path>", "GET", static),
        ("/d/<name>", "GET", daemon_home),
        ("/d/<name>/", "GET", page),
        ("/d/<name>/w/<rest:path>", "GET", watcher_page),
        ("/d/<name>/c/", "GET", commands_page),
        ("/d/<name>/c/<command>", "GET", command_page),
        *((f"/d/<name>/{part}/", "GET", titled(title)) for part, title in PAGES.items()),
        *((f"/d/<name>/{part}/<rest:path>", "GET", titled(title)) for part, title in PAGES.items()),
        ("/d/<name>/check/<command>", "POST", check),
        ("/d/<name>/download/<watcher:path>", "GET", download_output),
    )
    for path, method, handler in routes:
        app.route(path, method, bound(console, handler))
    for path, answer in (*Api(console).routes(), *Door(console, lambda: console.live.pages).routes()):
        app.route(path, "ANY", bound(console, lambda console, answer=answer, **named: answer(**named)))
    app.default_error_handler = lambda error: plain_error(console, error)

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        return (console.live if Live.is_live(environ) else app)(environ, start_response)

    return serve


def bound(console: Console, handler: Callable[..., Any]) -> Callable[..., Any]:
    """The handler with its console; the one place where errors become responses."""

    def call(**arguments: str) -> Any:
        try:
            return handler(console, **arguments)
        except HTTPResponse:
            raise
        except CircusError as problem:
            return told(console, problem)
        except Exception as problem:  # noqa: BLE001 (logged)
            return told(console, fault(problem, f"path={request.path!r}"))

    return call


# --- pages ----------------------------------------------------------------------------------------------------------


def home(console: Console) -> HTTPResponse:
    return redirect(f"/d/{quote(console.first.name, safe='')}/")


def daemon_home(console: Console, name: str) -> HTTPResponse:
    return redirect(f"/d/{quote(console.bridge(name).name, safe='')}/")


def page(console: Console, name: str, title: str = SAY["watchers"]) -> HTTPResponse:
    """The console's page; what it shows comes over its live connection."""
    bridge = console.bridge(name)
    try:
        person = person_of(bridge, auth.credential_of(request.environ))
    except CircusError as problem:
        if problem.code != NoSession.code:
            raise
        return redirect(f"/login?next={quote(request.path, safe='/')}")
    missing = console.assets.missing()
    if missing:
        text = "this build has no console: its JavaScript was left out"
        raise NotFound(text, hint=f"the HTTP API and circusctl work; missing: {', '.join(missing)}")
    return html(
        console.templates.page(
            "console.html",
            prefix(),
            title=title,
            daemon=bridge.name,
            person=person,
            assets=console.assets.version,
            modules=console.assets.modules(),
            version=__version__,
        )
    )


def titled(title: str) -> Callable[..., HTTPResponse]:
    """The handler of a page with that title, whatever follows in its address."""

    def draw(console: Console, name: str, rest: str = "") -> HTTPResponse:
        return page(console, name, title)

    return draw


def watcher_page(console: Console, name: str, rest: str) -> HTTPResponse:
    """The page of one watcher."""
    return page(console, name, title=rest)


def commands_page(console: Console, name: str) -> HTTPResponse:
    """The page that lists what can be done."""
    return page(console, name, title=SAY["commands"])


def command_page(console: Console, name: str, command: str) -> HTTPResponse:
    """The page of one command of the table; the form on it is made in the browser, from the table."""
    row = find(command)
    if row is None or row.where == "door":
        names = [row.name for row in COMMANDS if row.where != "door"]
        raise NotFound(
            f"there is no command {command!r}", hint=inputs.meant(command, names) or "Ctrl K lists them"
        )
    return page(console, name, title=row.name)


def login_page(console: Console) -> HTTPResponse:
    return html(console.templates.page("login.html", prefix(), title=SAY["open"]))


def static(console: Console, version: str, path: str) -> HTTPResponse:
    """A file; under its right version for ever, under another one as it is now."""
    asset = console.assets.files.get(path)
    if asset is None:
        return HTTPResponse("no such file", 404, {"Content-Type": "text/plain; charset=utf-8"})
    keep = "public, max-age=31536000, immutable" if version == console.assets.version else "no-store"
    headers = {"Content-Type": asset.kind, "Cache-Control": keep, "Vary": "Accept-Encoding"}
    body = asset.body
    if asset.packed and "gzip" in header("Accept-Encoding"):
        headers["Content-Encoding"] = "gzip"
        body = asset.packed
    return HTTPResponse(body, 200, headers)


# --- sessions -------------------------------------------------------------------------------------------------------


def login(console: Console) -> HTTPResponse:
    """Turn the token of a one-time link, or a name and a password, into a session."""
    need_own_page()
    given = json_body()
    command, names = ("login", ("person", "password")) if "person" in given else ("redeem", ("token",))
    for name in names:
        if not isinstance(given.get(name), str) or not given[name]:
            raise BadRequest(f"a {name} is needed", field=name)
    nobody = Credential("", address=auth.address_of(request.environ))
    reply = console.first.call(command, {name: given[name] for name in names}, session=nobody)
    expires = reply.get("expires")
    cookie = auth.session_cookie(
        str(reply["session"]),
        float(expires) if isinstance(expires, int | float) else None,
        secure=is_https(),
        prefix=prefix(),
    )
    return as_json({"next": next_page(console)}, headers={"Set-Cookie": cookie})


def session(console: Console) -> HTTPResponse:
    """Where a person with this session goes on; nowhere when it does not count. Tells nothing else."""
    try:
        person_of(console.first, auth.credential_of(request.environ))
    except CircusError as problem:
        if problem.code != NoSession.code:
            raise
        return as_json({"next": None})
    return as_json({"next": next_page(console)})


def logout(console: Console) -> HTTPResponse:
    """End the session, and with it all its live connections."""
    need_own_page()
    token = auth.session_of(request.environ)
    need_csrf(token)
    console.live.end_session(token)
    console.proxies.forget(token)
    try:
        console.first.call("logout", session=token)
        answer = as_json({"status": "ok"})
    except CircusError as problem:
        answer = told(console, problem)
    # Also where the daemon could not be told: this browser has no session any more.
    answer.set_header("Set-Cookie", auth.session_cookie("", None, secure=is_https(), prefix=prefix()))
    return answer


# --- what forms ask -------------------------------------------------------------------------------------------------


def download_output(console: Console, name: str, watcher: str) -> HTTPResponse:
    """The output of a watcher as a file."""
    return download(console.bridge(name), watcher)


def check(console: Console, name: str, command: str) -> HTTPResponse:
    """What the daemon would refuse in the properties of a command, asked while they are typed; nothing is done."""
    row = find(command)
    if row is None or row.where != "daemon":
        raise UnknownCommand(f"there is no command {command!r} here")
    token = auth.credential_of(request.environ)
    person_of(console.bridge(name), token)
    need_proof(token)
    return as_json({"problems": tables.problems(row, json_body())})


# --- responses ------------------------------------------------------------------------------------------------------


def next_page(console: Console) -> str:
    """Where to go after login: the page that was asked for, if it is one of ours."""
    wanted = dict(query()).get("next", "")
    return prefix() + (wanted if _NEXT.fullmatch(wanted) else f"/d/{quote(console.first.name, safe='')}/")


def prefix() -> str:
    """The path below which the console is for this request."""
    return str(request.environ.get(auth.PREFIX, ""))


def redirect(where: str) -> HTTPResponse:
    return HTTPResponse("", 303, {"Location": prefix() + where, "Cache-Control": "no-store"})


def html(text: str, status: int = 200) -> HTTPResponse:
    # As it is: packed, its length would tell of the secret in it (csrf) by how well a text of the address goes with it.
    return HTTPResponse(
        text, status, {"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store"}
    )


def told(console: Console, problem: CircusError) -> HTTPResponse:
    """An error, as a page to a person and as JSON to a program."""
    wants_page = request.method == "GET" and "text/html" in header("Accept")
    if wants_page and "/api/" not in request.path:
        status = http_status(problem)
        text = console.templates.page(
            "error.html",
            prefix(),
            title=problem.code.replace("_", " "),
            status=status,
            text=problem.text,
            hint=problem.hint,
        )
        return html(text, status)
    return problem_of(problem)


def plain_error(console: Console, error: Any) -> str:
    """What Bottle itself refuses: unknown paths and methods."""
    response = problem_response(
        error.status_code, "not_found" if error.status_code == 404 else "bad_request", str(error.body)
    )
    if "text/html" in header("Accept") and "/api/" not in request.path:
        response = html(
            console.templates.page(
                "error.html",
                prefix(),
                title=error.status_line,
                status=error.status_code,
                text=str(error.body),
                hint="",
            ),
            error.status_code,
        )
    for name, value in response.headers.items():
        error.set_header(name, value)
    return str(response.body)
