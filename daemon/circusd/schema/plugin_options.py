"""The shipped plugins and their option tables: what may stand in a section ``[plugin:NAME]``, for each class."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from .option import Option
from .types import (
    BOOL,
    COUNT,
    EVENT_LEVEL,
    NAME,
    PORT,
    RETRIES,
    SECONDS,
    SIGNAL,
    TEXT,
    WORDS,
    ValueType,
)
from .values import format_number, format_words, json_text, json_words, read_bytes, read_dotted, read_text

OURS: Final = "circusd.plugins."
ORIGINAL: Final = "circus.plugins."


@dataclass(frozen=True, slots=True)
class PluginClass:
    """One class of plugins that comes with circusd."""

    name: str
    """Short name for ``use``: that of its module, and of its class where the module has several."""
    path: str
    """Dotted path of the class, below ``circusd.plugins``."""
    doc: str
    options: tuple[Option, ...] = ()
    needs: tuple[str, ...] = ()
    """Of these options one has to be given."""
    library: str = ""
    """The module that it needs."""
    extra: str = ""
    """The extra of this package that installs it."""
    original: bool = True
    """Whether the original has it, under the same path below ``circus.plugins``."""

    @property
    def use(self) -> str:
        """The whole dotted path."""
        return OURS + self.path


# --- types that only plugins have -------------------------------------------------------------------------------------


def _decimal(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e15:
        raise ValueError("is not a number")
    return value


def _amount(text: str) -> float | int:
    """Percent of the machine's memory as a float, bytes as a whole number."""
    return _decimal(text) if re.fullmatch(r"\s*[0-9.]+\s*", text) else read_bytes(text)


def _share(text: str) -> float:
    value = _decimal(text)
    if not 0 < value <= 1:
        raise ValueError("is not between 0 and 1")
    return value


def _expression(text: str) -> str:
    try:
        re.compile(text)
    except (re.error, OverflowError, RecursionError) as problem:
        raise ValueError(f"is not a regular expression: {problem}") from None
    return text


def _message(text: str) -> str:
    if "pid" not in re.compile(_expression(text)).groupindex:
        raise ValueError("has no group named pid")
    return text


def _http(text: str) -> str:
    url = text.strip()
    if not re.fullmatch(r"https?://[^\s/?#]+[^\s]*", url) or not url.isascii():
        raise ValueError("is no address of the web")
    return url


_BETWEEN_URLS = re.compile(r"\s*,?\s+|,(?=[A-Za-z][A-Za-z0-9+.-]*://)")


_HEADER = re.compile(r"\s*([\w!#$%&'*+.^`|~-]+)\s*=([ -~]*)", re.ASCII)


def _headers(text: str) -> tuple[tuple[str, str], ...]:
    found = [_HEADER.fullmatch(part) for part in read_text(text).split(",") if part.strip()]
    if not all(found):
        raise ValueError("is not NAME=VALUE, with commas between several")
    return tuple((one[1], one[2].strip()) for one in found if one)


def _urls(text: str) -> tuple[str, ...]:
    # An address may have commas of its own: ?to=one@host,other@host.
    urls = tuple(filter(None, _BETWEEN_URLS.split(read_text(text).strip())))
    for url in urls:
        if not re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", url):
            raise ValueError("is not a list of addresses")
    return urls


def _kind(name: str, widget: str, expected: str, parse: Any, write: Any = str) -> ValueType:
    return ValueType(name, widget, expected, parse, json_text(parse), write)


DECIMAL = _kind("decimal", "text", "a number, such as 90 or 0.5", _decimal, format_number)
AMOUNT = _kind(
    "memory",
    "text",
    "percent of the machine's memory, such as 80, or a size, such as 250M",
    _amount,
    lambda value: f"{value}B" if isinstance(value, int) else format_number(value),
)
SHARE = _kind("share", "text", "a number above 0 and up to 1", _share, format_number)
EXPRESSION = _kind("expression", "text", "a regular expression", _expression)
MESSAGE = _kind("message", "text", "a regular expression with a group named pid", _message)
HTTP_URL = _kind("web address", "text", "http://HOST/PATH or https://HOST/PATH", _http)
HEADERS = _kind(
    "headers",
    "text",
    "NAME=VALUE, with commas between several",
    _headers,
    lambda pairs: ",".join("=".join(pair) for pair in pairs),
)
URLS = ValueType(
    "addresses",
    "text",
    "addresses such as mailto://… or slack://…, with spaces or commas between them",
    _urls,
    json_words(_urls),
    format_words,
)


# --- the table --------------------------------------------------------------------------------------------------------


def _option(name: str, kind: ValueType, default: Any, doc: str, **more: Any) -> Option:
    # A plugin reads its options when it starts.
    return Option(name, kind, default, doc, apply="watcher", section="plugin", **more)


def _statsd(application: str) -> tuple[Option, ...]:
    return (
        _option(
            "application_name",
            NAME,
            application,
            "The names of what is sent begin with ``circus.NAME.watcher``.",
            aka=("app", "app_name", "application"),
        ),
        _option("host", NAME, "localhost", "The machine that statsd listens on.", aka=("statsd_host",)),
        _option("port", PORT, 8125, "Its UDP port.", aka=("statsd_port",)),
        _option(
            "sample_rate", SHARE, 1, "Of so many messages one is sent: 0.1 for one in ten.", aka=("rate",)
        ),
        _option(
            "dogstatsd",
            BOOL,
            False,
            "With tags, as DogStatsD, Telegraf and others take them: the name of a watcher is the tag ``watcher`` and no part of the "
            "name.",
            aka=("datadog",),
        ),
        _option(
            "dogstatsd_tags",
            WORDS,
            (),
            "With ``dogstatsd``: tags that all messages have, such as ``env:prod``.",
        ),
    )


def _loop_rate(doc: str, default: int = 60) -> Option:
    return _option("loop_rate", SECONDS, default, doc, unit="s", aka=("interval", "period", "every"))


ACTIVE = _option("active", BOOL, True, "A plugin that is not active is not started.")

PLUGIN_CLASSES: tuple[PluginClass, ...] = (
    PluginClass(
        "flapping",
        "flapping.Flapping",
        "Stops a watcher whose processes die again and again, tries it again later, and gives it up in the end. Each process is "
        "judged by itself and no stop that was asked for counts: as long as one process of the watcher is well, it is not stopped. "
        "Plugins and the console never are. "
        "A watcher may have values of its own for all of these options: ``flapping.window = 5`` in its section.",
        (
            ACTIVE,
            _option("attempts", COUNT, 2, "So many deaths of one process one after the other are looked at."),
            _option(
                "window",
                SECONDS,
                1,
                "They are flapping when, after the first of them, the process ran no longer than this in all. The time in which "
                "circusd waited before it started the process again does not count.",
                unit="s",
            ),
            _option(
                "retry_in", SECONDS, 7, "After this time the stopped watcher is started again.", unit="s"
            ),
            _option(
                "max_retry",
                RETRIES,
                5,
                "So often it is tried again, then it stays stopped; -1 for ever again.",
            ),
        ),
    ),
    PluginClass(
        "command_reloader",
        "command_reloader.CommandReloader",
        "Restarts a watcher when the program that it runs has changed on disk: the file that ``cmd`` begins with, or the script "
        "where that is an interpreter. Links are followed.",
        (ACTIVE, _loop_rate("How often the files are looked at.", 1)),
    ),
    PluginClass(
        "resource_watcher",
        "resource_watcher.ResourceWatcher",
        "Restarts a watcher whose processes take too much or too little, so many times one after the other. What it finds is told "
        "to statsd.",
        (
            ACTIVE,
            _option("watcher", NAME, None, "Which watcher.", aka=("name", "watchers")),
            _option("service", NAME, None, "The former name of ``watcher``."),
            _loop_rate("How often it is looked at."),
            _option(
                "max_cpu",
                DECIMAL,
                90,
                "Percent of a processor; more, by any process, is too much. 0 for no limit.",
            ),
            _option(
                "min_cpu",
                DECIMAL,
                None,
                "Percent of a processor; this or less, by any process, is too little.",
            ),
            _option("max_mem", AMOUNT, 90.0, "More memory than this, by any process, is too much."),
            _option("min_mem", AMOUNT, None, "Less memory than this, by any process, is too little."),
            _option(
                "health_threshold",
                DECIMAL,
                75,
                "The mean of the most processor and the most memory (percent); more is too much. 0 for no limit.",
            ),
            _option(
                "max_count",
                COUNT,
                3,
                "The watcher is restarted when it was too much or too little more than so many times one after the other.",
            ),
            _option(
                "process_children",
                BOOL,
                False,
                "The children of the processes are judged too, each by itself; one that is over its limits gets ``child_signal``.",
            ),
            _option("child_signal", SIGNAL, 15, "The signal for a child."),
            *_statsd("app"),
        ),
        needs=("watcher", "service"),
    ),
    PluginClass(
        "statsd",
        "statsd.StatsdEmitter",
        "Counts events in statsd: ``circus.APPLICATION.watcher.WATCHER.EVENT``.",
        (ACTIVE, *_statsd("app")),
    ),
    PluginClass(
        "full_stats",
        "statsd.FullStats",
        "Sends what the watchers take to statsd: number of processes, and the most and the sum of processor use and memory.",
        (ACTIVE, _loop_rate("How often."), *_statsd("app")),
    ),
    PluginClass(
        "otlp",
        "otlp.Otlp",
        "Sends all that ``/metrics`` tells, under the same names, by OpenTelemetry's protocol (OTLP over HTTP, packed), also where there "
        "is no console. What the SDK's own variables say counts too: ``OTEL_EXPORTER_OTLP_CERTIFICATE``, ``OTEL_RESOURCE_ATTRIBUTES`` and "
        "the others, in circusd's environment or in ``[env:plugin:NAME]``.",
        (
            ACTIVE,
            _option(
                "url",
                HTTP_URL,
                None,
                "Where figures are taken; without a path ``/v1/metrics`` is added. When not given, ``OTEL_EXPORTER_OTLP_ENDPOINT`` or "
                "``http://localhost:4318``.",
                aka=("endpoint", "address"),
            ),
            _option(
                "headers",
                HEADERS,
                (),
                "What goes with each request, such as ``Authorization=Bearer …``.",
                secret=True,
            ),
            _loop_rate("How often."),
            _option("timeout", SECONDS, 10, "After this time, with all attempts, it has failed.", unit="s"),
            _option("service_name", NAME, "circus", "What OpenTelemetry knows it by, as ``service.name``."),
        ),
        library="opentelemetry",
        extra="otlp",
        original=False,
    ),
    PluginClass(
        "redis_observer",
        "redis_observer.RedisObserver",
        "Asks a redis server how it is and sends that to statsd; may restart a watcher when it does not answer.",
        (
            ACTIVE,
            _option(
                "redis_url",
                NAME,
                "redis://localhost:6379/0",
                "The server: ``redis://``, ``rediss://`` for TLS, ``unix://``.",
                secret=True,
                aka=("url",),
            ),
            _option(
                "timeout", SECONDS, 5, "After this time without an answer it counts as not there.", unit="s"
            ),
            _option(
                "restart_on_timeout", NAME, None, "The watcher that is restarted when there is no answer."
            ),
            _loop_rate("How often it is asked."),
            *_statsd("redis_observer"),
        ),
        library="redis",
        extra="redis",
    ),
    PluginClass(
        "http_observer",
        "http_observer.HttpObserver",
        "Asks for a page and sends to statsd how long that took; may restart a watcher when it fails.",
        (
            ACTIVE,
            _option(
                "check_url",
                HTTP_URL,
                "http://localhost/",
                "The page. Any answer below 400 is fine; redirections are followed.",
                aka=("url",),
            ),
            _option("timeout", SECONDS, 10, "After this time it has failed.", unit="s"),
            _option("restart_on_error", NAME, None, "The watcher that is restarted when it fails."),
            _loop_rate("How often it is asked for."),
            *_statsd("http_observer"),
        ),
    ),
    PluginClass(
        "watchdog",
        "watchdog.WatchDog",
        "Ends processes that do not send a heartbeat by UDP: from each process of the watchers that it looks after, a message with "
        "its pid is expected. What it ends is started again as after any death.",
        (
            ACTIVE,
            _loop_rate("How often it looks for silent processes."),
            _option(
                "max_count",
                COUNT,
                3,
                "A process that was silent for so many times ``loop_rate`` is ended.",
            ),
            _option(
                "watchers_regex",
                EXPRESSION,
                ".*",
                "The watchers that it looks after: those whose names begin so. Plugins and the console are never among them.",
            ),
            _option(
                "msg_regex",
                MESSAGE,
                "^(?P<pid>.*);(?P<timestamp>.*)$",
                "What a heartbeat looks like; the group ``pid`` says from whom.",
            ),
            _option("ip", NAME, "127.0.0.1", "The address at which heartbeats come in.", aka=("host",)),
            _option("port", PORT, 1664, "Its UDP port."),
            _option(
                "watchers_stop_signal",
                SIGNAL,
                None,
                "The signal for a silent process; its watcher's ``stop_signal`` when not given.",
            ),
            _option(
                "watchers_graceful_timeout",
                SECONDS,
                None,
                "The time that it has to end in; its watcher's ``graceful_timeout`` when not given.",
                unit="s",
            ),
        ),
    ),
    PluginClass(
        "notify",
        "notify.Notify",
        "Tells people what happens: by mail, Slack, a webhook, or any other service that Apprise knows. Events that come close "
        "together are one message, and no more messages go out than allowed; what was kept back is counted in the next one.",
        (
            ACTIVE,
            _option(
                "urls",
                URLS,
                None,
                "Where to: addresses of Apprise (see its list at github.com/caronc/apprise), such as "
                "``mailtos://USER:PASSWORD@HOST?to=ADDRESS``, ``slack://TOKEN_A/TOKEN_B/TOKEN_C`` or ``jsons://HOST/PATH`` (a "
                "webhook). Each gets every message.",
                secret=True,
                aka=("url", "address", "addresses", "to"),
            ),
            _option(
                "level",
                EVENT_LEVEL,
                "warning",
                "Events of this level and worse are told, but the end of a process that circusd was asked to stop is not.",
            ),
            _option(
                "events",
                WORDS,
                (),
                "Events that are told whatever their level, by name or the part before the dot: ``process.exited``, ``daemon``.",
                aka=("event",),
            ),
            _option(
                "watchers",
                WORDS,
                (),
                "Only what happens to these watchers is told, by name or pattern (``web*``), and what happens to circusd itself; all "
                "when not given.",
                aka=("watcher",),
            ),
            _option(
                "gather",
                SECONDS,
                5,
                "So long after the first event further ones are waited for, to be in the same message.",
                unit="s",
                aka=("delay",),
            ),
            _option(
                "repeat",
                SECONDS,
                300,
                "The same event of the same watcher is told once in this time, and counted until then. 0 to tell each.",
                unit="s",
            ),
            _option(
                "rate", COUNT, 20, "No more messages than this in ``per``.", aka=("max_messages", "limit")
            ),
            _option("per", SECONDS, 3600, "The time that ``rate`` is for.", unit="s"),
            _option(
                "title",
                TEXT,
                "{daemon}: {summary}",
                "The first line, or subject. ``{daemon}``, ``{host}``, ``{count}``, ``{level}`` and ``{summary}`` are replaced.",
                aka=("subject",),
            ),
            _option(
                "template",
                TEXT,
                "{time} {about}",
                "A line for each event. ``{time}``, ``{about}`` (the watcher and the text), ``{watcher}``, ``{event}``, ``{level}``, "
                "``{text}``, ``{number}`` and the event's own fields are replaced; a field that an event does not have is empty.",
                aka=("body", "message"),
            ),
            _option(
                "timeout", SECONDS, 30, "After this time a service that does not answer has failed.", unit="s"
            ),
        ),
        needs=("urls",),
        library="apprise",
        extra="notify",
        original=False,
    ),
)
"""The classes that are known by a short name."""


def plugin_class(use: str) -> PluginClass | None:
    """The class of that short name, or of its dotted path here or in the original."""
    for row in PLUGIN_CLASSES:
        if use in (row.name, row.use) or (row.original and use == ORIGINAL + row.path):
            return row
    return None


def plugin_options(use: str) -> tuple[Option, ...]:
    """The options that only that class has; none for a class of one's own."""
    known = plugin_class(use)
    return known.options if known else ()


def _use(text: str) -> str:
    name = text.strip()
    if "." not in name and ":" not in name and plugin_class(name) is None:
        raise ValueError("is no class of plugins")
    return name if plugin_class(name) else read_dotted(name)


_NAMES = tuple(row.name for row in PLUGIN_CLASSES)
PLUGIN_USE = ValueType(
    "plugin class",
    "text",
    "one of " + ", ".join(_NAMES) + ", or the dotted path of a class",
    _use,
    json_text(_use),
    str,
    _NAMES,
)
"""A class by its short name, or any by its dotted path."""
