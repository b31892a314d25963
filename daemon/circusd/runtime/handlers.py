"""What each command does: one method for each row of the command table, found by its name.

A handler returns the payload of the reply, or a `Later` when the command takes time. Nothing here knows of sockets:
the transport gives it a request and a caller, and gets bytes to send.
"""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import gevent
from gevent.event import AsyncResult

from circusd.kernel.users import user_name
from circusd.schema import wire
from circusd.schema.commands import COMMANDS, Command, Field, find, reaches
from circusd.schema.errors import BadRequest, CircusError, Conflict, Denied, NoSession, UnknownCommand
from circusd.schema.nearest import nearest

from . import clock
from .about import About
from .arbiter import Arbiter, in_background
from .audit import Done, is_recorded
from .changing import Changing
from .controller import Caller
from .doorcommands import DoorCommands
from .inputcommands import InputCommands
from .keycommands import KeyCommands
from .looking import Looking
from .orders import Order
from .peoplecommands import PeopleCommands
from .processinfo import ProcessInfo
from .reading import Reading
from .requests import Context, Later, Person, Reply, abandoned, as_int, truthy
from .schedulecommands import ScheduleCommands
from .searching import Searching
from .setting import Setting
from .sinkcommands import SinkCommands
from .socketcommands import SocketCommands

if TYPE_CHECKING:
    from .daemon import Daemon

log = logging.getLogger("circusd.controller")

DOOR = "web"
"""The console's door: requests have no role of their own there, and count only with a session."""
WITHOUT_SESSION = ("ping", "version", "redeem", "login", "admit")
"""What can be asked there without one."""
CONSOLE_ONLY = ("login", "admit")
"""What nobody can ask elsewhere: the console's process alone can be trusted to say for whom a proxy speaks."""
PROGRESS = "progress."
"""Topic of the pushes that come before the reply of a command."""
KEY_PERSON = "key:"
"""Who comes with a key is called so with its name, which no user of the machine can be."""
TARGET_LIMIT = 200
"""Letters."""


class Handlers(
    Changing,
    Setting,
    ScheduleCommands,
    SinkCommands,
    SocketCommands,
    InputCommands,
    KeyCommands,
    Reading,
    Searching,
    Looking,
    About,
    DoorCommands,
    PeopleCommands,
):
    """The commands of one daemon."""

    def __init__(self, arbiter: Arbiter, daemon: Daemon) -> None:
        self.arbiter = arbiter
        self.daemon = daemon
        """Gives: view(), quit(), reload_configuration(), global_options(), accounts, access, audit, far, follows, stats, history,
        load_history, looks."""
        self.process_info = ProcessInfo()
        self._names: dict[int, str] = {}

    # -- the one gate --------------------------------------------------------------------------------------------

    def dispatch(self, request: wire.Request, caller: Caller) -> None:
        """Every request gets exactly one reply (a cast none), whatever happens."""
        if caller.door != DOOR:
            request = replace(request, address="")
        elif request.address:
            # Where the browser is: the console is believed in that, as in nothing that gives anybody more.
            caller = replace(caller, address=request.address)
        answer = _Answer(request, caller)
        order: Order | None = None
        try:
            if _needs_sessions(request, caller) and not self.daemon.accounts.when_ready(
                partial(self._ready, request, caller)
            ):
                return
            row = self._row(request, caller)
            person = self._authorise(row, request, caller)
            if is_recorded(row):
                answer.done = self.daemon.audit.begin(row, request.properties, caller, person)
            properties = validate(row, request.properties)
            if row.effect == "change" and self.arbiter.stopping:
                raise Conflict("circusd is stopping")
            level = logging.DEBUG if row.effect == "read" else logging.INFO
            if log.isEnabledFor(level):
                # Names of keys only: values may be secret.
                target = properties.get("name", "")
                keys = ",".join(sorted(properties.get("options") or ()))
                log.log(
                    level,
                    "command=%s by=%r door=%s name=%r keys=%s",
                    row.name,
                    person.name,
                    caller.door,
                    target,
                    keys,
                )
            waiting = row.waits and truthy(request.properties.get("waiting"))
            order = self.daemon.orders.begin(row, _target(properties), person.name, person.scope)
            reply = getattr(self, f"cmd_{row.name}")(
                properties, Context(request, caller, person, waiting, order)
            )
        except Exception as error:  # noqa: BLE001 (the one place that turns errors into replies)
            if order is not None:
                self.daemon.orders.end(order)
            answer.fail(error)
            return
        if isinstance(reply, dict):
            self.daemon.orders.end(order)
            answer.ok(reply)
            return
        self.daemon.orders.follow(order, reply.result)
        tells = truthy(request.properties.get("progress"))
        if waiting or not row.waits or not reply.at_once:
            if tells:
                self.daemon.orders.tell(order, answer.progress)
            answer.later(reply)
        else:
            answer.begun(reply, {"job": order.id} if tells else {})

    def _ready(self, request: wire.Request, caller: Caller, problem: CircusError | None) -> None:
        """The request that had to wait for the sessions goes on, or is refused."""
        if problem is None:
            self.dispatch(request, caller)
        else:
            _Answer(request, caller).fail(problem)

    def _row(self, request: wire.Request, caller: Caller) -> Command:
        row = find(request.command)
        if row is None or row.where == "client":
            if row is not None:
                raise BadRequest(f"{row.name} is done by the client, not by a request")
            close = nearest(request.command, [c.name for c in COMMANDS])
            raise UnknownCommand(
                f"unknown command: {request.command!r}", hint=f"did you mean {close}?" if close else ""
            )
        if row.name in CONSOLE_ONLY and caller.door != DOOR:
            raise BadRequest(f"{row.name} is for the console's process alone")
        return row

    def _authorise(self, row: Command, request: wire.Request, caller: Caller) -> Person:
        if caller.door == DOOR:
            if row.name in WITHOUT_SESSION:
                return Person("", "", "")
            session = self.daemon.accounts.check(request.session) if request.session else None
            if session is None:
                if is_recorded(row):
                    self.daemon.audit.deny(
                        row, request.properties, caller, Person("", "", ""), NoSession.code
                    )
                raise NoSession("the session is over", hint="log in, or open a new link: circusctl weblink")
            person = Person(
                session.person,
                session.role,
                request.session,
                scope=session.scope,
                account=session.account,
                token=session.token,
            )
        elif caller.key:
            person = Person(KEY_PERSON + caller.key, caller.role or "", "")
        else:
            owner = caller.uid if self.daemon.endpoints.is_owner(caller) else None
            person = Person(self._name_of(caller.uid), caller.role or "", "", owner)
        if not reaches(person.role, row.role) and not (row.name == "add" and person.owner is not None):
            self.daemon.audit.deny(row, request.properties, caller, person, Denied.code)
            raise Denied(
                f"{row.name} is for the role {row.role}; {person.name or 'you'} has {person.role or 'none'}"
            )
        if not row.scoped and not person.scope.is_all:
            self.daemon.audit.deny(row, request.properties, caller, person, Denied.code)
            raise Denied(f"{row.name} is for those who may see all watchers")
        return person

    def _name_of(self, uid: int | None) -> str:
        """The user's name; at first the number, where he is known only by a group: a directory may answer slowly."""
        if uid is None:
            return ""
        name: str | None = self.daemon.endpoints.access.names.get(uid) or self._names.get(uid)
        if name is None:
            name = self._names[uid] = str(uid)
            gevent.spawn(self._look_up, uid)
        return name

    def _look_up(self, uid: int) -> None:
        self._names[uid] = gevent.get_hub().threadpool.apply(user_name, (uid,))

    # -- the daemon ----------------------------------------------------------------------------------------------

    def cmd_quit(self, p: dict[str, Any], c: Context) -> Reply:
        return Later(self.daemon.quit("the command quit"), abandoned)

    def cmd_reloadconfig(self, p: dict[str, Any], c: Context) -> Reply:
        run = partial(self.daemon.reload_configuration, dry_run=truthy(p.get("dry_run")))
        # A trial has nothing but its reply.
        return Later(in_background(run), lambda payload: payload or {}, at_once=not truthy(p.get("dry_run")))

    def cmd_save(self, p: dict[str, Any], c: Context) -> Reply:
        target = str(p.get("file") or "")
        dry_run, force = truthy(p.get("dry_run")), truthy(p.get("force"))
        digest = str(p.get("digest") or "")
        if truthy(p.get("undo")):
            undo = partial(self.daemon.undo_save, dry_run=dry_run, digest=digest)
            return Later(in_background(undo), lambda reply: reply)
        return Later(
            in_background(
                lambda: self.daemon.save_configuration(target, dry_run=dry_run, force=force, digest=digest)
            ),
            lambda reply: reply,
        )

    def cmd_jobs(self, p: dict[str, Any], c: Context) -> Reply:
        return {"jobs": self.daemon.orders.rows(c.person.scope)}

    def cmd_cancel(self, p: dict[str, Any], c: Context) -> Reply:
        reply: dict[str, Any] = self.daemon.orders.cancel(
            as_int(p["id"], "id"), c.person.name, c.person.role, c.person.scope
        )
        return reply


class _Answer:
    """Sends the one reply of a request."""

    def __init__(self, request: wire.Request, caller: Caller) -> None:
        self.request = request
        self.caller = caller
        self.done: Done = lambda result, payload: None
        """Is told the result, for the audit."""

    def ok(self, payload: dict[str, Any]) -> None:
        self.done("ok", payload)
        self._send_ok(payload)

    def _send_ok(self, payload: dict[str, Any]) -> None:
        if not self.request.cast:
            self.caller.send(wire.ok_reply(self.request.id, payload, clock.wall()))

    def progress(self, row: dict[str, Any]) -> None:
        """Told before the reply, to who has asked for it."""
        if not self.request.cast:
            self.caller.push(wire.push(self.request.id, PROGRESS, row))

    def later(self, reply: Later) -> None:
        def ready(result: AsyncResult[Any]) -> None:
            try:
                self.ok(reply.payload(result.get()))
            except Exception as error:  # noqa: BLE001 (as in dispatch)
                self.fail(error)

        reply.result.rawlink(ready)

    def begun(self, reply: Later, payload: dict[str, Any]) -> None:
        """Who does not wait for the end is answered: an error of it is told by the log and the audit alone."""

        def ready(result: AsyncResult[Any]) -> None:
            try:
                self.done("ok", reply.payload(result.get()))
            except CircusError as error:
                self.done(error.code, {})
                log.warning("command=%s failed: %s", self.request.command, error)
            except Exception as error:  # noqa: BLE001 (as in dispatch)
                self.done(CircusError.code, {})
                self._log(error)

        self._send_ok(payload)
        reply.result.rawlink(ready)

    def fail(self, error: Exception) -> None:
        self.done(error.code if isinstance(error, CircusError) else CircusError.code, {})
        if not isinstance(error, CircusError):
            error = CircusError(f"an error inside circusd, see its log for {self._log(error)}")
        if not self.request.cast:
            self.caller.send(wire.error_reply(self.request.id, error, clock.wall()))

    def _log(self, error: Exception) -> str:
        """The id under which the log has the traceback."""
        error_id = os.urandom(4).hex()
        log.error(
            "unexpected error command=%s id=%s\n%s",
            self.request.command,
            error_id,
            "".join(traceback.format_exception(error)),
        )
        return error_id


def _needs_sessions(request: wire.Request, caller: Caller) -> bool:
    by_console = caller.door == DOOR and (bool(request.session) or request.command in WITHOUT_SESSION)
    row = None if by_console else find(request.command)
    return by_console or (row is not None and row.scope == "people")


def _target(properties: Mapping[str, Any]) -> str:
    """What a request names, as far as it is shown to others."""
    return str(properties.get("name") or "")[:TARGET_LIMIT]


def validate(row: Command, properties: Mapping[str, Any]) -> dict[str, Any]:
    """The properties with defaults; others than the table's are passed over, as the original does."""
    found: dict[str, Any] = {}
    for field in row.args:
        value = properties.get(field.name)
        if value is None:
            if field.required and field.name not in properties:
                raise BadRequest(f"message invalid {field.name!r} is missing", field=field.name)
            if field.default is not None:
                found[field.name] = field.default
            elif field.name in properties:
                found[field.name] = None
            continue
        found[field.name] = _checked(field, value)
    return found


def _checked(field: Field, value: Any) -> Any:
    if field.type == "secret" and not isinstance(value, str):
        raise BadRequest(f"{field.name} must be a text", field=field.name)
    if field.type == "string" and not isinstance(value, str):
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)
        raise BadRequest(f"{field.name} must be a text, not {value!r}", field=field.name)
    if field.type == "object" and not isinstance(value, dict):
        raise BadRequest(f"{field.name!r} property should be an object", field=field.name)
    if field.choices and value not in field.choices and field.name != "match":
        raise BadRequest(
            f"{field.name} must be one of {', '.join(field.choices)}, not {value!r}", field=field.name
        )
    return value
