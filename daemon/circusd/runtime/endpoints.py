"""Which endpoints there are for whom: those of the runtime folder and of the file, the owner of one, and other machines."""

from __future__ import annotations

import logging
import os
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import gevent
import zmq

from circusd.config.records import CircusConfig, Configuration
from circusd.kernel import files, users
from circusd.schema.errors import ConfigError, Conflict

from . import endpointowner
from .access import Access
from .access import resolve as resolve_access
from .controller import Caller
from .doors import Doors, warn_of_reach
from .listeners import PRIVATE, PUBLIC

if TYPE_CHECKING:
    from .far import Far

log = logging.getLogger("circusd.daemon")

CHANNELS: Final = ("commands", "events", "stats", "output")
KEYS_PATIENCE: Final = 5.0
"""Seconds in which the disk has to say whether there are keys of other machines."""


class Endpoints:
    """The doors of one daemon, by the names that its configuration has for them."""

    def __init__(
        self, name: str, folder: str, doors: Doors, context: zmq.Context[Any], access: Access
    ) -> None:
        """None is open. `folder` is the runtime folder of the daemon of that name."""
        self.access = access
        """Who is let in beside the daemon's user."""
        self.addresses: dict[str, str] = {}
        """By channel, the one that is told to others, as bound."""
        self.owner: str | int | None = None
        """The user to whom the file's endpoint of commands belongs, as the file names him."""
        self._name = name
        self._folder = folder
        self._doors = doors
        self._context = context
        self._owner: int | None = None
        self._far: Far | None = None

    def open(self, circus: CircusConfig) -> list[object]:
        """All doors are open but those with the problems that it returns.

        Those in the runtime folder are the daemon's user's alone, whoever may use the ones of the file.
        """
        self.owner = circus.endpoint_owner
        given = {
            "commands": circus.endpoint,
            "events": circus.pubsub_endpoint,
            "stats": circus.stats_endpoint,
            "output": None,
        }
        mode = PUBLIC if self.access.is_open else PRIVATE
        problems: list[object] = []
        for channel in CHANNELS:
            default = "ipc://" + os.path.join(self._folder, f"{channel}.sock")
            self.addresses[channel] = self._doors.open_door(channel, default, channel)
            endpoint = given[channel]
            if endpoint:
                try:
                    owner = self._find_owner(endpoint) if channel == "commands" else None
                    self.addresses[channel] = self._doors.open_door(
                        _of_file(channel),
                        endpoint,
                        channel,
                        mode=mode,
                        owner=None if owner is None else (owner, endpointowner.ROLE),
                    )
                except (ConfigError, Conflict) as error:
                    problems.append(error)
        return problems

    def _find_owner(self, endpoint: str) -> int | None:
        """Whose the endpoint of commands is to be, if it can be anybody's."""
        if self.owner is None:
            return None
        if not endpoint.startswith(("ipc://", "unix://")):
            log.warning("endpoint_owner has no effect: endpoint=%s is no ipc:// endpoint", endpoint)
            return None
        try:
            self._owner = gevent.get_hub().threadpool.apply(users.find_user, (self.owner,))
        except ConfigError as error:
            raise ConfigError([f"endpoint_owner: {problem}" for problem in error.problems]) from error
        return self._owner

    def is_owner(self, caller: Caller) -> bool:
        """Whether a request is from the endpoint's owner, at it, and he is nobody who may more."""
        at_his = caller.door == _of_file("commands") and caller.uid is not None
        return at_his and caller.uid == self._owner and caller.role == endpointowner.ROLE

    def admit(self, access: Access) -> None:
        """These are let in from now on; who may no more is put out."""
        self.access = access
        mode = PUBLIC if access.is_open else PRIVATE
        for channel in CHANNELS:
            if _of_file(channel) in self._doors.endpoints:
                self._doors.set_mode(_of_file(channel), mode)
        self._doors.admit(access)

    @property
    def far(self) -> Far:
        """Made when there is a key, or is to be: who has none does not pay for it."""
        if self._far is None:
            from .far import Far

            drop = partial(self._doors.drop, block=False)
            self._far = self._doors.far = Far(self._context, self._name, drop)
        return self._far

    def look_abroad(self) -> None:
        """Where other machines can reach an endpoint, those with a key are let in, and the log tells who can."""
        beyond = self._doors.beyond
        if not beyond:
            return
        if self._has_keys():
            self.far.announce(beyond)
        else:
            warn_of_reach(beyond)

    def _has_keys(self) -> bool:
        """Whether there is a file of keys; also where the disk does not say so, which is told when it is read."""
        path = os.path.join(files.state_path(self._name), files.KEYS)
        found = gevent.get_hub().threadpool.spawn(os.path.lexists, path)
        try:
            return bool(found.get(timeout=KEYS_PATIENCE))
        except gevent.Timeout:
            return True

    def remote(self) -> dict[str, Any]:
        """Which endpoints other machines can reach, by channel, and whether one with a key is let in there."""
        beyond = {name.partition(" ")[0]: endpoint for name, endpoint in self._doors.beyond.items()}
        far = self._far
        return {
            "endpoints": beyond,
            "curve": far is not None and far.is_open,
            "keys": 0 if far is None else len(far.keyring.keys),
            "problem": "" if far is None else far.keyring.problem,
        }

    def close(self) -> None:
        """No other machine is let in; the doors themselves are closed by themselves."""
        if self._far is not None:
            self._far.close()


def look_up_access(configuration: Configuration) -> Access:
    """Whom a configuration lets in beside the daemon's user; raises ConfigError."""
    return gevent.get_hub().threadpool.apply(resolve_access, (configuration,))


def _of_file(channel: str) -> str:
    """The name of the door that the configuration adds to the one in the runtime folder."""
    return f"{channel} of the file"
