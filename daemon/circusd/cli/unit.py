"""The unit by which systemd runs circusd, with the places of this installation in it."""

from __future__ import annotations

import os
import sys

TEMPLATE = """\
[Unit]
Description=Processes under circusd
After=network.target

[Service]
Type=notify
ExecStart={circusd} {config}
ExecReload={circusctl} reloadconfig --waiting
KillMode=mixed
TimeoutStopSec=90
OOMPolicy=continue
Restart=on-failure

[Install]
WantedBy=multi-user.target
"""


def unit(folder: str, config: str, name: str | None = None) -> str:
    """The unit for a configuration; ``folder`` is where the programs are, ``name`` the daemon's by its flag."""
    flags = ["--name", name] if name else []
    circusd = " ".join(_word(w) for w in (os.path.join(folder, "circusd"), *flags))
    circusctl = " ".join(_word(w) for w in (os.path.join(folder, "circusctl"), *flags))
    return TEMPLATE.format(circusd=circusd, circusctl=circusctl, config=_word(config))


def programs() -> str:
    """The folder of this installation's programs."""
    return os.path.dirname(os.path.abspath(sys.argv[0]))


def _word(text: str) -> str:
    """As systemd reads it: ``%`` and ``$`` stand for themselves, and what has a space or a quote is quoted."""
    text = text.replace("%", "%%").replace("$", "$$")
    if any(c in text for c in " \t\"'\\;"):
        text = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return text
