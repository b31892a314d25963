"""Plugin: tells people what happens, by mail, Slack, a webhook or any other service that Apprise knows."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Mapping
from typing import Any

from . import CircusPlugin
from .digest import LINE_FIELDS, TITLE_FIELDS, Digest, Message, Template, about, plain
from .settings import settings

log = logging.getLogger("circusd.plugin")

TRY_AGAIN = (10.0, 60.0, 300.0)
"""Seconds after which a service that failed is tried again; then the message is given up."""

AT_THE_END = 5.0
"""Seconds in which what waits is sent when the plugin is told to stop."""

MOST_UNDER_WAY = 8
"""Messages to one service that wait for it or for another try; further ones are given up."""


class Service:
    """One address of Apprise, with what is under way to it."""

    def __init__(self, url: str, number: int) -> None:
        import apprise

        # Its own log tells addresses with their passwords.
        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
        self._apprise = apprise.Apprise()
        if not self._apprise.add(url):
            scheme = url.partition(":")[0]
            raise ValueError(f"urls: address {number} ({scheme}:…) is none that Apprise knows")
        scheme = url.partition(":")[0]
        self.name = f"{scheme} (address {number})"
        self.under_way = 0

    def send(self, title: str, body: str, level: str, timeout: float) -> str:
        """Sends, which takes its time; why it failed, or nothing."""
        import apprise

        kind = {"error": apprise.NotifyType.FAILURE, "warning": apprise.NotifyType.WARNING}.get(
            level, apprise.NotifyType.INFO
        )
        try:
            result = self._apprise.notify(
                body, title, kind, body_format=apprise.NotifyFormat.TEXT, timeout=timeout
            )
        except Exception as problem:  # noqa: BLE001 (what a service's code raises is that service's failure)
            return f"{type(problem).__name__}"
        return "" if result else str(getattr(getattr(result, "status", ""), "name", "failed")).lower()


class Notify(CircusPlugin):
    """See its options. Services are talked to by threads, so that a slow one holds up nothing."""

    name = "notify"
    topics = ("event.",)

    def __init__(self, *args: Any, **config: Any) -> None:
        super().__init__(*args, **config)
        chosen = settings(self.name, config)
        if not chosen["urls"]:
            raise ValueError("urls is not given: where to tell what happens")
        try:
            self.services = [Service(url, number) for number, url in enumerate(chosen["urls"], 1)]
        except ImportError as problem:
            raise ValueError(
                f"the library apprise is missing: pip install 'circusweb[notify]' ({problem})"
            ) from problem
        self.timeout: float = chosen["timeout"]
        self.title = Template("title", chosen["title"], TITLE_FIELDS)
        self.line = Template("template", chosen["template"], LINE_FIELDS)
        self.digest = Digest(
            **{key: chosen[key] for key in ("level", "events", "watchers", "gather", "repeat", "rate", "per")}
        )
        self.about: Mapping[str, str] = {"daemon": "circusd", "host": socket.gethostname()}
        self._timer: Any = None

    def handle_init(self) -> None:
        """The daemon's name is known."""
        reply = self.call("daemon")
        self.about = {**self.about, "daemon": str(reply.get("name", "circusd"))}

    def handle_recv(self, data: tuple[bytes, bytes]) -> None:
        """An event is told, or counted."""
        self.digest.take(self.load_message(data[1]), time.monotonic())
        self._arm()

    def handle_stop(self) -> None:
        """What waits is sent, if that can be done soon; that circusd stops may be among it."""
        self.hear_out()
        message = self.digest.message(time.monotonic(), at_once=True)
        if message is None:
            return
        title, body = self.words(message)
        threads = [
            threading.Thread(target=service.send, args=(title, body, message.level, AT_THE_END), daemon=True)
            for service in self.services
        ]
        for thread in threads:
            thread.start()
        until = time.monotonic() + AT_THE_END
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))

    def words(self, message: Message) -> tuple[str, str]:
        """Title and text."""
        title = self.title.filled(
            {**self.about, "count": message.count, "level": message.level, "summary": message.summary}
        )
        lines = [
            self.line.filled({**event, **self.about, "about": about(event), "time": _clock(event["time"])})
            for event in message.events
        ]
        if message.counted:
            lines.append(f"and {message.counted} more events")
        lines += [
            f"{plain(watcher)}: {kind} came {count} more times"
            if watcher
            else f"{kind} came {count} more times"
            for watcher, kind, count in message.again
        ]
        return " ".join(title.split()), "\n".join(lines)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        at = self.digest.wake_at()
        # Clocks of timers are coarse: a moment later is better than twice.
        self._timer = None if at is None else self.loop.call_later(at - time.monotonic() + 0.01, self._due)

    def _due(self) -> None:
        message = self.digest.message(time.monotonic())
        if message is not None:
            title, body = self.words(message)
            for service in self.services:
                if service.under_way < MOST_UNDER_WAY:
                    service.under_way += 1
                    self._send(service, title, body, message.level, 0)
                else:
                    log.warning(
                        "%s does not keep up: a message about %d events is lost", service.name, message.count
                    )
        self._arm()

    def _send(self, service: Service, title: str, body: str, level: str, tries: int) -> None:
        def run() -> None:
            problem = service.send(title, body, level, self.timeout)
            # A plugin that has ended meanwhile has no loop that could be told.
            with contextlib.suppress(RuntimeError):
                self.loop.add_callback(self._sent, service, title, body, level, tries, problem)

        threading.Thread(target=run, name=f"notify {service.name}", daemon=True).start()

    def _sent(self, service: Service, title: str, body: str, level: str, tries: int, problem: str) -> None:
        if problem and tries < len(TRY_AGAIN):
            log.warning(
                "%s could not be told: %s; tried again in %g s", service.name, problem, TRY_AGAIN[tries]
            )
            self.loop.call_later(TRY_AGAIN[tries], self._send, service, title, body, level, tries + 1)
            return
        service.under_way -= 1
        if problem:
            log.warning("%s could not be told: %s; the message is lost: %s", service.name, problem, title)


def _clock(epoch: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(epoch))
