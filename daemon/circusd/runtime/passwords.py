"""Passwords as hashes, made and compared in a thread, one at a time: a flood of logins takes neither memory nor the hub."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

import gevent
from gevent.lock import BoundedSemaphore

from circusd.schema.errors import BadRequest, Throttled

if TYPE_CHECKING:
    from argon2 import PasswordHasher

MEMORY_KIB: Final = 19456
PASSES: Final = 2
"""With one lane: what OWASP names for argon2id where memory is dear. It takes some 30 ms."""

WAITING: Final = 16
"""Who waits at most for his turn."""

SHORTEST: Final = 8
LONGEST: Final = 1024

NOBODY: Final = (
    "$argon2id$v=19$m=19456,t=2,p=1$//DsyQ49OGa5fl+gNr8/OA$WgaYr2pk+VRhaseMyrYCHoFHQdL/HPtai4tnCl97WZc"
)
"""Compared with where there is no such person, so that it takes as long. Nothing hashes to it that anybody knows."""

Found = TypeVar("Found")


def check_new(password: str) -> None:
    """Raises BadRequest for what can't be a password."""
    if not SHORTEST <= len(password) <= LONGEST or any(ord(letter) < 32 for letter in password):
        raise BadRequest(
            f"a password has {SHORTEST} to {LONGEST} letters, none of them a control character",
            field="password",
        )


class Passwords:
    """Makes and compares hashes. Its methods wait, in a greenlet."""

    def __init__(self) -> None:
        self._turn = BoundedSemaphore(1)
        self._waiting = 0
        self._hasher: PasswordHasher | None = None

    def hash(self, password: str) -> str:
        """The hash of a new password. Raises BadRequest, Throttled."""
        check_new(password)
        return self._in_turn(lambda: self._made().hash(password))

    def is_right(self, known: str, password: str) -> bool:
        """Whether the hash is that of the password; it takes as long where there is no hash. Raises Throttled."""
        if len(password) > LONGEST:
            password = password[:LONGEST] + "…"
        found = self._in_turn(lambda: self._verify(known or NOBODY, password))
        return found and bool(known)

    def _verify(self, known: str, password: str) -> bool:
        from argon2.exceptions import InvalidHashError, VerificationError

        try:
            return self._made().verify(known, password)
        except (InvalidHashError, VerificationError):
            return False

    def _made(self) -> PasswordHasher:
        # Who never uses a password does not pay for the library; nor does the hub, as this is a thread's.
        from argon2 import PasswordHasher

        if self._hasher is None:
            self._hasher = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=1)
        return self._hasher

    def _in_turn(self, work: Callable[[], Found]) -> Found:
        if self._waiting >= WAITING:
            raise Throttled("too many passwords are being checked at this moment", 2)
        self._waiting += 1
        try:
            with self._turn:
                found: Found = gevent.get_hub().threadpool.apply(work)
                return found
        finally:
            self._waiting -= 1
