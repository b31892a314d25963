"""Where the console may be opened, and what its process is told of how people reach it."""

from __future__ import annotations

import os
from typing import Final

from circusd.config.records import CircusConfig

REFUSAL: Final = (
    "the console is not opened at httpd_host = {host}: from other machines nobody could show who he is; give somebody a "
    "password (circusctl addperson NAME --role admin, circusctl password NAME) and then: circusctl reloadconfig"
)


def is_open_to_nobody_else(circus: CircusConfig) -> bool:
    """Whether only this machine can reach the console, or a proxy tells who comes: nobody needs a password then."""
    if circus.httpd_proxy_header and circus.httpd_trusted_proxies:
        return True
    host = circus.httpd_host.strip("[]").lower()
    if host == "localhost":
        return True
    from ipaddress import ip_address

    try:
        return ip_address(host).is_loopback
    except ValueError:
        # A name may be that of any address.
        return False


def arguments(circus: CircusConfig) -> list[str]:
    """The options of circushttpd."""
    given = (
        ("--prefix", circus.httpd_prefix),
        ("--certificate", circus.httpd_certificate),
        ("--key", circus.httpd_key),
        *(("--trusted-proxy", network) for network in circus.httpd_trusted_proxies),
        ("--proxy-header", circus.httpd_proxy_header),
        ("--proxy-role-header", circus.httpd_proxy_role_header),
    )
    return [word for name, value in given if value for word in (name, value)]


def certificate_of(circus: CircusConfig) -> tuple[object, ...]:
    """What tells the certificate's files from those of another time; empty without any."""
    found: list[object] = []
    for path in (circus.httpd_certificate, circus.httpd_key):
        if path:
            try:
                known = os.stat(path)
            except OSError as problem:
                found.append(problem.errno)
            else:
                found += (known.st_ino, known.st_mtime_ns, known.st_size)
    return tuple(found)
