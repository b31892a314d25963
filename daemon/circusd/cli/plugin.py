"""``circus-plugin``: runs one plugin class; what a ``[plugin:NAME]`` section starts."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Mapping
from typing import Any

from circusd import original
from circusd.cli.remote import CURVE, beside, by_key, is_there
from circusd.cli.session import FAR_TIMEOUT, endpoint_of
from circusd.cli.terminal import clean_message
from circusd.client import TIMEOUT, Client
from circusd.plugins.dotted import in_words, resolve
from circusd.schema.errors import CircusError
from circusd.schema.plugin_options import plugin_class
from circusd.version import __version__

CONFIG_VARIABLE = "CIRCUS_PLUGIN_CONFIG"
"""Options of the plugin as a JSON object: unlike ``--config``, any text can be a value."""

LEVELS = ("debug", "info", "warning", "error", "critical")


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="circus-plugin",
        description="Run a plugin: a class that hears of what happens to watchers.",
        epilog=f"Options of the plugin may also be given as a JSON object in {CONFIG_VARIABLE}.",
    )
    parser.add_argument("--endpoint", help="where circusd takes commands (default: found by itself)")
    parser.add_argument("--pubsub", help="where circusd tells of events (default: asked from circusd)")
    parser.add_argument(
        "--config", default="", metavar="KEY:VALUE:::...", help="the plugin's options, parted by :::"
    )
    parser.add_argument(
        "--check-delay", type=float, default=5.0, metavar="SECONDS", help="passed to the plugin"
    )
    parser.add_argument(
        "--log-level", type=str.lower, choices=LEVELS, help="default: info; warning when circusd runs it"
    )
    parser.add_argument("--log-output", default="-", metavar="FILE", help="- is standard error")
    parser.add_argument(
        "--ssh",
        metavar="USER@HOST:PORT",
        help="the daemon of another machine, by ssh; passed to the plugin too",
    )
    parser.add_argument("--ssh_keyfile", default="", metavar="FILE", help="the private key for --ssh")
    parser.add_argument(
        "--key",
        default="",
        metavar="FILE",
        help="the key for a daemon on another machine, at a tcp:// --endpoint",
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument(
        "plugin", nargs="?", metavar="CLASS", help="short name or dotted path of the plugin's class"
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Runs the plugin until it is told to stop; 0 then, 1 with one line to standard error when it can't run."""
    parser = build_parser()
    arguments = parser.parse_args(argv)
    if arguments.plugin is None:
        parser.print_usage()
        return 0
    # circusd passes on what its plugins write to standard error: only what needs somebody.
    level = arguments.log_level or ("warning" if "CIRCUS_WATCHER" in os.environ else "info")
    _log_to(arguments.log_output, level)
    # Like the original: a class may lie in the folder that the plugin is started in. Last, so that it hides nothing.
    sys.path.append(os.getcwd())
    original.install()
    try:
        config = {**_from_environment(os.environ), **parse_config(arguments.config)}
        factory = _plugin_class(arguments.plugin)
        endpoint, pubsub = _endpoints(arguments)
    except (CircusError, ValueError) as problem:
        return _end(str(problem))
    try:
        plugin = factory(endpoint, pubsub, arguments.check_delay, arguments.ssh, **config)
    except ValueError as problem:
        return _end(f"{arguments.plugin}: {problem}")
    try:
        plugin.start()
    except KeyboardInterrupt:
        return 0
    except (CircusError, ValueError) as problem:
        return _end(f"{arguments.plugin}: {problem}")
    finally:
        plugin.stop()
    return _end(f"{arguments.plugin}: {plugin.failed}") if getattr(plugin, "failed", "") else 0


def parse_config(text: str) -> dict[str, str]:
    """Options from ``key:value:::key:value``; parts without a colon are passed over, as in the original."""
    pairs = (item.partition(":") for item in text.split(":::"))
    return {key.strip(): value.strip() for key, colon, value in pairs if colon}


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    text = environ.get(CONFIG_VARIABLE, "")
    try:
        config = json.loads(text) if text else {}
    except ValueError as problem:
        raise ValueError(f"{CONFIG_VARIABLE} is not JSON: {problem}") from problem
    if not isinstance(config, dict):
        raise ValueError(f"{CONFIG_VARIABLE} is not an object")
    # "use" names the class and is no option of it.
    return {key: value for key, value in config.items() if key != "use"}


def _plugin_class(path: str) -> Any:
    # Of the shipped ones ours is meant, also where the original is installed.
    known = plugin_class(path)
    try:
        found = resolve(known.use if known else path)
    except Exception as problem:
        logging.getLogger("circusd.plugin").debug("the import failed", exc_info=True)
        raise ValueError(in_words(path, problem)) from problem
    if not callable(found):
        raise ValueError(f"{path} is not a class")
    return found


def _endpoints(arguments: argparse.Namespace) -> tuple[str, str]:
    """Where commands are taken, and where events are told of: here, or both there by ssh or a key."""
    endpoint = endpoint_of(vars(arguments), os.environ)
    pubsub = arguments.pubsub or _pubsub_of(endpoint)
    if is_there(pubsub):
        return endpoint, by_key(pubsub, "") if pubsub.startswith(CURVE) else pubsub
    return endpoint, beside(endpoint, pubsub) if is_there(endpoint) else pubsub


def _pubsub_of(endpoint: str) -> str:
    with Client(endpoint, timeout=FAR_TIMEOUT if is_there(endpoint) else TIMEOUT) as client:
        options = client.call("globaloptions", {"option": "pubsub_endpoint"})["options"]
        return str(options["pubsub_endpoint"])


def _log_to(output: str, level: str) -> None:
    handler = logging.StreamHandler() if output == "-" else logging.FileHandler(output)
    form = "%(asctime)s %(name)s[%(process)d] [%(levelname)s] %(message)s"
    handler.setFormatter(logging.Formatter(form, "%Y-%m-%d %H:%M:%S"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(level.upper())


def _end(text: str) -> int:
    print(f"circus-plugin: {clean_message(text)}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
