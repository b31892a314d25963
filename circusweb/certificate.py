"""TLS by a certificate in a file: read once, before this process gives its rights away."""

from __future__ import annotations

import os
import ssl
import stat


def server_context(certificate: str, key: str) -> ssl.SSLContext:
    """What speaks TLS with that certificate; ``key`` may be the same file. Raises OSError, with words, for what can't be used."""
    key = key or certificate
    try:
        mode = stat.S_IMODE(os.stat(key).st_mode)
    except OSError as problem:
        raise OSError(f"{key}: {(problem.strerror or 'it can not be read').lower()}") from None
    # A group may read it, as Debian's ssl-cert does; nobody else, and nobody but the owner may change it.
    if mode & 0o027:
        raise OSError(f"{key}: others can read the private key (mode {mode:04o}); chmod 600 {key}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except ssl.SSLError as problem:
        why = problem.reason or problem.strerror or str(problem)
        raise OSError(f"{certificate}: {why.replace('_', ' ').lower()}") from None
    except OSError as problem:
        raise OSError(f"{certificate}: {(problem.strerror or 'it can not be read').lower()}") from None
    return context


def _no_password() -> str:
    # Without this OpenSSL would ask for it on the terminal, and wait.
    raise OSError("the private key has a password, and there is nobody to ask for it")
