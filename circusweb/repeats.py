"""Requests that come twice with one ``Idempotency-Key``: the second gets the answer of the first, and nothing is done again."""

from __future__ import annotations

import hashlib
import json
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from bottle import HTTPResponse
from gevent.event import AsyncResult

from circusd.schema.errors import BadRequest, CircusError, Unavailable

from .exchange import Unfit

REMEMBERED = 512
"""Answers, of all people together."""

ANSWER_LIMIT_BYTES = 1 << 12
"""Of a longer answer it is known that it was given, and no more."""

KEY = re.compile(r"[!-~]{1,255}")


@dataclass(slots=True)
class Past:
    """A request that has come before."""

    digest: str
    answer: AsyncResult[tuple[bytes, int, dict[str, str]] | CircusError | None]


class Repeats:
    """The last requests with a key, and what they were answered."""

    def __init__(self) -> None:
        self._past: OrderedDict[tuple[str, ...], Past] = OrderedDict()

    def first_answer(
        self, key: tuple[str, ...], properties: Mapping[str, Any], ask: Callable[[], HTTPResponse]
    ) -> HTTPResponse:
        """What ``ask`` gives, or gave when it was called for this key first. Raises BadRequest, Unfit, and what ``ask`` raises."""
        if not KEY.fullmatch(key[-1]):
            raise BadRequest("an Idempotency-Key has 1 to 255 printable characters of ASCII, without spaces")
        text = json.dumps(properties, sort_keys=True)
        digest = hashlib.sha256(text.encode("ascii")).hexdigest()
        past = self._past.get(key)
        if past is not None:
            return _again(past, digest)
        past = self._past[key] = Past(digest, AsyncResult())
        if len(self._past) > REMEMBERED:
            self._past.popitem(last=False)
        try:
            answer = ask()
        except CircusError as problem:
            if isinstance(problem, Unavailable):
                # Nobody has heard of it: the next time is the first one.
                self._past.pop(key, None)
            past.answer.set(problem)
            raise
        except BaseException:
            self._past.pop(key, None)
            past.answer.set(None)
            raise
        body = answer.body.encode("ascii") if isinstance(answer.body, str) else None
        if body is not None and len(body) <= ANSWER_LIMIT_BYTES:
            past.answer.set((body, answer.status_code, dict(answer.headers)))
        else:
            past.answer.set(None)
        return answer


def _again(past: Past, digest: str) -> HTTPResponse:
    if past.digest != digest:
        raise Unfit(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "this Idempotency-Key was there with other properties",
            hint="a request of its own needs a key of its own",
        )
    told = past.answer.get()
    if isinstance(told, CircusError):
        raise told
    if told is None:
        raise Unfit(
            HTTPStatus.CONFLICT,
            "this Idempotency-Key was there: what it asked for was done, and its answer is not kept",
        )
    body, status, headers = told
    return HTTPResponse(body, status, {**headers, "Idempotency-Replayed": "true"})
