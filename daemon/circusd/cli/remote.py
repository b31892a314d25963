"""Which endpoint is meant: here, by ssh on another machine, or there by a key."""

from __future__ import annotations

import os
from collections.abc import Mapping

from circusd.client import WAYS, is_here
from circusd.kernel import ssh
from circusd.schema.errors import BadRequest

KEY_VARIABLE = "CIRCUSCTL_KEY"
CURVE = "curve://"


def endpoint_there(
    server: str,
    keyfile: str = "",
    endpoint: str = "",
    name: str = "",
    environ: Mapping[str, str] = os.environ,
) -> str:
    """The endpoint of a daemon on that machine, ``USER@HOST:PORT``; it can be connected to from now on.

    As with the original, ``CIRCUSCTL_ENDPOINT`` counts where neither an endpoint nor a name is given.
    """
    if not endpoint and not name:
        endpoint = environ.get("CIRCUSCTL_ENDPOINT", "")
    if endpoint.startswith("/"):
        endpoint = "ipc://" + endpoint
    WAYS[ssh.SCHEME] = ssh.dial
    return str(ssh.remote(server, os.path.expanduser(keyfile), endpoint, name))


def by_ssh(endpoint: str) -> str:
    """The same endpoint ``ssh://…``, in one form; it can be connected to from now on. Raises BadRequest."""
    WAYS[ssh.SCHEME] = ssh.dial
    return str(ssh.read(endpoint))


def is_there(endpoint: str) -> bool:
    """Whether the endpoint is reached by ssh or by a key, on another machine."""
    return endpoint.startswith((f"{ssh.SCHEME}://", CURVE))


def by_key(endpoint: str, given: str, environ: Mapping[str, str] = os.environ) -> str:
    """The endpoint, reached by the key that is given, or by that of the environment where it is on another machine.

    libzmq is loaded only then. Raises BadRequest.
    """
    path = given
    if not path and endpoint.startswith("tcp://") and not is_here(endpoint):
        path = environ.get(KEY_VARIABLE, "")
    if not path and not endpoint.startswith(CURVE):
        return endpoint
    from circusd import curve

    WAYS[curve.SCHEME] = curve.dial
    if endpoint.startswith(CURVE):
        return str(curve.read(endpoint))
    return curve.with_key(endpoint, path)


def check_ways(*, ssh: str | None, keyfile: str | None, key: str | None) -> None:
    """Raises BadRequest for options of the one way given with the other."""
    if ssh is None and keyfile:
        raise BadRequest("--ssh_keyfile without --ssh: which machine is it for?")
    if ssh is not None and key:
        raise BadRequest(
            "--key and --ssh are two ways to a daemon: take one", hint="by ssh no --key is needed"
        )


def beside(reached: str, told: str) -> str:
    """Another endpoint of a daemon, as it told of it, reached by the same way as this one."""
    if reached.startswith(CURVE):
        from circusd import curve

        return curve.beside(reached, told)
    return ssh.beside(reached, told)
