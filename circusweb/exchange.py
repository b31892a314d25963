"""What a request says and how a response says it: headers, query, JSON bodies, and errors as RFC 9457 has them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

import gevent
from bottle import HTTPResponse, request

from circusd.schema.errors import BadJson, BadRequest, CircusError, Denied, NoSession
from circusd.schema.wire import REQUEST_LIMIT_BYTES

from . import auth
from .bridge import status_of
from .inputs import from_json

BODY_SECONDS = 10.0
"""For how long the body of a request may take to arrive; more than enough for a MiB."""

MOST_PARAMETERS = 100

RETRY_SECONDS = 1
"""After so many seconds it is worth asking again, where circusd does not answer."""

_WEIGHT = re.compile(r"[01](\.\d{0,3})?", re.ASCII)

SENT_BACK = {
    401: {"WWW-Authenticate": 'Bearer realm="circus"'},
    # What is left of a body that was not read is not waited for.
    408: {"Connection": "close"},
    413: {"Connection": "close"},
    415: {"Accept-Post": "application/json"},
    429: {"Retry-After": str(RETRY_SECONDS)},
    503: {"Retry-After": str(RETRY_SECONDS)},
}
"""Headers that belong to a status."""


class Unfit(BadRequest):
    """A request that HTTP has a word of its own for."""

    def __init__(
        self, status: HTTPStatus, text: str, *, hint: str = "", field: str = "", allow: str = ""
    ) -> None:
        super().__init__(text, hint=hint, field=field)
        self.status = int(status)
        self.allow = allow


# --- requests ---------------------------------------------------------------------------------------------------------


def header(name: str) -> str:
    """A header as it came; Bottle's own way fails where its bytes are no UTF-8."""
    key = name.upper().replace("-", "_")
    return str(request.environ.get(key if key == "CONTENT_TYPE" else f"HTTP_{key}", ""))


def query() -> list[tuple[str, str]]:
    """The pairs after the question mark."""
    try:
        return parse_qsl(
            request.environ.get("QUERY_STRING", ""), keep_blank_values=True, max_num_fields=MOST_PARAMETERS
        )
    except ValueError:
        raise BadRequest("too many parameters in the address") from None


def accepts(kind: str) -> bool:
    """Whether the media type is named in the Accept header, and not with the weight 0."""
    return weights().get(kind, 0.0) > 0


def weights() -> dict[str, float]:
    """The media types of the Accept header in lower case, each with its weight: the greatest where it is named more than once."""
    found: dict[str, float] = {}
    for part in header("Accept").lower().split(","):
        name, *parameters = (word.strip() for word in part.split(";"))
        given = [word.removeprefix("q=") for word in parameters if word.startswith("q=")]
        weight = float(given[-1]) if given and _WEIGHT.fullmatch(given[-1]) else 1.0
        found[name] = max(weight, found.get(name, 0.0))
    return found


def need_credential() -> auth.Credential:
    """The session or token of the request. Raises NoSession."""
    credential = auth.credential_of(request.environ)
    if not credential:
        raise NoSession("a session or a token is needed", hint="Authorization: Bearer TOKEN")
    return credential


def need_own_page() -> None:
    """Raises Denied for a POST that a page of another site has made a browser send."""
    if not auth.is_own_origin(request.environ):
        raise Denied("the request comes from a page of another site")


def need_csrf(token: str) -> None:
    """Raises Denied for a POST without the proof that our own page has sent it."""
    if not auth.is_csrf_token(token, header("X-CSRF-Token")):
        raise Denied(
            "the header X-CSRF-Token is missing or not that of the session", hint="load the page again"
        )


def need_proof(credential: auth.Credential) -> None:
    """Raises Denied where a page of another site could have made a browser send this."""
    if credential.by_itself:
        need_own_page()
        need_csrf(credential)


def json_body() -> dict[str, Any]:
    """The object in the request's body; an empty body is an empty object. Raises BadJson, BadRequest, Unfit."""
    body = _body()
    if not body:
        return {}
    kind, _, parameters = header("Content-Type").partition(";")
    # A form on another site can send other types without asking first; this one it can't.
    if kind.strip().lower() != "application/json":
        raise Unfit(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body must be application/json")
    charset = parameters.strip().lower().replace('"', "").removeprefix("charset=")
    if charset not in ("", "utf-8", "utf8"):
        raise Unfit(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body must be UTF-8")
    try:
        data = from_json(body.decode())
    except (ValueError, RecursionError):
        raise BadJson("the body is no JSON") from None
    if not isinstance(data, dict):
        raise BadRequest("the body must be a JSON object")
    return data


def _body() -> bytes:
    too_long = Unfit(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is longer than {REQUEST_LIMIT_BYTES} bytes"
    )
    told = request.environ.get("CONTENT_LENGTH") or "0"
    if told.isdigit() and int(told) > REQUEST_LIMIT_BYTES:
        raise too_long
    try:
        with gevent.Timeout(BODY_SECONDS, TimeoutError):
            body: bytes = request.environ["wsgi.input"].read(REQUEST_LIMIT_BYTES + 1)
    except TimeoutError:
        raise Unfit(HTTPStatus.REQUEST_TIMEOUT, f"the body has not come within {BODY_SECONDS:g} s") from None
    except OSError:
        # Chunks that are none, or an end before the end.
        raise Unfit(HTTPStatus.BAD_REQUEST, "the body has not come whole") from None
    if len(body) > REQUEST_LIMIT_BYTES:
        raise too_long
    return body


def is_https() -> bool:
    return bool(request.environ.get("wsgi.url_scheme") == "https")


# --- responses --------------------------------------------------------------------------------------------------------


def as_json(
    data: Mapping[str, Any], status: int = 200, *, headers: Mapping[str, str] | None = None
) -> HTTPResponse:
    body = json.dumps(data, separators=(",", ":"))
    return HTTPResponse(body, status, {"Content-Type": "application/json", **(headers or {})})


def problem_response(status: int, code: str, text: str, *, allow: str = "", **more: Any) -> HTTPResponse:
    """An error as RFC 9457 has it."""
    body = {
        "type": "about:blank",
        "title": title_of(status),
        "status": status,
        "detail": text,
        "code": code,
        **more,
    }
    headers = {"Content-Type": "application/problem+json", **SENT_BACK.get(status, {})}
    if allow:
        headers["Allow"] = allow
    return HTTPResponse(json.dumps(body, separators=(",", ":")), status, headers)


def problem_of(problem: CircusError) -> HTTPResponse:
    """An error as a program reads it: its code, its text, and what else it says."""
    more = {key: value for key, value in problem.as_dict().items() if key not in ("code", "text") and value}
    allow = problem.allow if isinstance(problem, Unfit) else ""
    # What a daemon of a later version calls otherwise must not take the place of what is said here.
    for taken in ("type", "title", "status", "detail", "allow"):
        more.pop(taken, None)
    response = problem_response(http_status(problem), problem.code, problem.text, allow=allow, **more)
    if isinstance(more.get("retry_after"), int):
        response.set_header("Retry-After", str(more["retry_after"]))
    return response


def http_status(problem: CircusError) -> int:
    """The status that tells of an error."""
    return problem.status if isinstance(problem, Unfit) else status_of(problem)


def title_of(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
