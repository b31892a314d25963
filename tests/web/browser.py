"""A real browser, for what only one can tell."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

CONNECTION = ("Failed to load resource", "WebSocket connection", "WebSocket is already in CLOSING or CLOSED")
"""Of what Chromium itself writes into the console: words by which it tells of a connection."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS, headless=True)
        try:
            yield browser
        finally:
            browser.close()


class Faults:
    """What a page complains of: exceptions, refusals by its policy, dialogs. Failed requests, and that the other end of a WebSocket
    is gone, are no fault of the page's."""

    def __init__(self, page: Page) -> None:
        self.found: list[str] = []
        page.on("pageerror", lambda error: self.found.append(f"error: {error}"))
        page.on("console", self._said)
        page.on("dialog", self._dialog)

    def _said(self, message: Any) -> None:
        is_connection = any(words in message.text for words in CONNECTION)
        if message.type in ("error", "warning") and not is_connection:
            self.found.append(f"{message.type}: {message.text}")

    def _dialog(self, dialog: Any) -> None:
        self.found.append(f"dialog: {dialog.message}")
        dialog.dismiss()


@contextmanager
def opened(
    browser: Browser,
    address: str,
    *,
    width: int = 1440,
    height: int = 900,
    dark: bool = False,
    contrast: bool = False,
    permissions: tuple[str, ...] = (),
) -> Iterator[Page]:
    """The page at an address, in a browser profile of its own; at its end it must have had nothing to complain of."""
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if dark else "light",
        contrast="more" if contrast else "no-preference",
        reduced_motion="reduce",
    )
    if permissions:
        context.grant_permissions(list(permissions))
    context.set_default_timeout(10_000)
    try:
        page = context.new_page()
        faults = Faults(page)
        page.goto(address)
        yield page
        assert faults.found == [], faults.found
    finally:
        context.close()


def is_there(path: str = CHROMIUM) -> bool:
    """Whether the browser is installed."""
    return Path(path).exists()
