"""Which endpoint is meant, here or by ssh on another machine."""

from __future__ import annotations

import os
from collections.abc import Mapping

from circusd.client import WAYS
from circusd.kernel import ssh


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
    """Whether the endpoint is reached by ssh."""
    return endpoint.startswith(f"{ssh.SCHEME}://")
