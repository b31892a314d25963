"""Every phrase of the pages that the server writes: one place, ready to be translated; the console's own stand in ``words.js``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

PAGES: Final[Mapping[str, str]] = {
    "events": "Events",
    "sockets": "Sockets",
    "daemon": "Daemon",
    "graph": "Dependencies",
    "plugins": "Plugins",
    "audit": "Audit",
    "people": "People",
    "p": "Process",
    "logs": "Logs",
}
"""Pages beside those of watchers and commands: the part of the address and the title; ``static/js/pages.js`` has the same."""

SAY: Final[Mapping[str, str]] = {
    "language": "en",
    "brand": "circus",
    "skip": "Skip to the page",
    "watchers": "Watchers",
    "commands": "Commands",
    "asking": "Asking circusd",
    "needs_script": "The console needs JavaScript",
    "script_is_off": "It is switched off in this browser. On the command line, circusctl does all that the console can.",
    "asks_again": "This page asks again by itself.",
    "all_watchers": "All watchers",
    "open": "Open the console",
    "door": "The console of circusd",
    "name": "Name",
    "password": "Password",
    "log_in": "Log in",
    "without_account": "Without an account:",
    "one_time_link": "a link opens the console once, within ten minutes. On the machine where circusd runs, as the user who runs it, "
    "type this and open the address that it prints:",
    "door_needs_script": "The console needs JavaScript, which is switched off in this browser.",
}
"""What the templates say, as ``say.NAME``."""
