"""The option tables: one for each kind of section.

From the rows come the reading and checking of files, the ``set`` and ``add`` commands, the console's forms, the roles,
the masking of secrets, and the reference manual.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from .nearest import nearest
from .option import APPLIES, Option, find, near_miss
from .plugin_options import PLUGIN_CLASSES, PLUGIN_USE, PluginClass, plugin_class, plugin_options
from .stream_options import STREAM, STREAM_CLASSES, StreamClass, stream_class, stream_option
from .types import (
    BOOL,
    BYTES,
    COUNT,
    ENDPOINT,
    FAMILY,
    HEADER,
    LEVEL,
    NAME,
    NETWORKS,
    OCTAL,
    PATH,
    PATHS,
    PORT,
    PREFIX,
    SECONDS,
    SOCKET_TYPE,
    TEXT,
    USER,
    WORDS,
)
from .watcher_options import HOOKS, WATCHER

__all__ = [
    "APPLIES",
    "CIRCUS",
    "HOOKS",
    "PLUGIN",
    "PLUGIN_CLASSES",
    "SOCKET",
    "STREAM",
    "STREAM_CLASSES",
    "TABLES",
    "WATCHER",
    "Option",
    "PluginClass",
    "StreamClass",
    "find",
    "near_miss",
    "nearest",
    "plugin_class",
    "plugin_options",
    "stream_class",
    "stream_option",
    "watcher_option",
]

CIRCUS: tuple[Option, ...] = (
    Option(
        "name",
        NAME,
        None,
        "The daemon's name, which tells two daemons of one user apart; the flag ``--name`` wins.",
        apply="daemon",
        section="circus",
        role="admin",
    ),
    Option(
        "endpoint",
        ENDPOINT,
        None,
        "Where commands are taken. A unix socket in the private runtime folder when not given. From other machines, a "
        "``tcp://`` endpoint takes those with a key: ``circusctl keys``.",
        apply="daemon",
        section="circus",
        role="admin",
    ),
    Option(
        "endpoint_owner",
        USER,
        None,
        "Another user to whom an ``ipc://`` endpoint belongs: an operator there, who may also add watchers that run as himself.",
        apply="daemon",
        section="circus",
        role="admin",
    ),
    Option(
        "allow_viewer",
        WORDS,
        (),
        "Users who may read at the endpoints of this file; ``@NAME`` (or ``group:NAME``) stands for all of a group. Their ``ipc://`` "
        "sockets get mode 0666, and the kernel tells who comes.",
        section="circus",
        role="admin",
    ),
    Option(
        "allow_operator",
        WORDS,
        (),
        "Users, and groups as ``@NAME``, who may also run what is there: start, stop, scale, signal. Who stands in several of "
        "these lists has the most of them.",
        section="circus",
        role="admin",
    ),
    Option(
        "allow_admin",
        WORDS,
        (),
        "Users, and groups as ``@NAME``, who may do everything, and so whatever circusd's own user can.",
        section="circus",
        role="admin",
    ),
    Option(
        "pubsub_endpoint",
        ENDPOINT,
        None,
        "Where events are published. A unix socket in the private runtime folder when not given.",
        apply="daemon",
        section="circus",
        role="admin",
    ),
    Option(
        "stats_endpoint",
        ENDPOINT,
        None,
        "Where stats are published. A unix socket in the private runtime folder when not given.",
        apply="daemon",
        section="circus",
        role="admin",
    ),
    Option(
        "multicast_endpoint",
        ENDPOINT,
        None,
        "Where the daemon answers those that look for one in the network with its ``endpoint``, as it is written in the file: "
        "``udp://237.219.251.97:12027`` is the original's. Nothing is bound when not given.",
        apply="daemon",
        section="circus",
        role="admin",
    ),
    Option(
        "statsd",
        BOOL,
        False,
        "Stats are published in any case, and sampled while somebody listens.",
        apply="daemon",
        section="circus",
        role="admin",
        effective=False,
        note="accepted and without effect: the daemon publishes stats by itself",
    ),
    Option(
        "check_delay",
        SECONDS,
        5.0,
        "Shown for compatibility.",
        section="circus",
        role="admin",
        unit="s",
        effective=False,
        note="accepted and without effect: exits are noticed at once",
    ),
    Option(
        "warmup_delay",
        SECONDS,
        0,
        "Pause between the starts of two watchers.",
        section="circus",
        role="admin",
        unit="s",
    ),
    Option(
        "httpd",
        BOOL,
        False,
        "Run the web console as a watcher named ``circushttpd``.",
        section="circus",
        role="admin",
    ),
    Option(
        "httpd_host",
        TEXT,
        "localhost",
        "The address that the console is bound to.",
        section="circus",
        role="admin",
    ),
    Option("httpd_port", PORT, 8080, "The console's port.", section="circus", role="admin"),
    Option(
        "httpd_user",
        USER,
        "nobody",
        "The user that the console runs as when circusd is root.",
        section="circus",
        role="admin",
    ),
    Option(
        "httpd_hosts",
        WORDS,
        (),
        "Host names, beside the address it is bound to, under which browsers may ask for the console.",
        section="circus",
        role="admin",
    ),
    Option(
        "httpd_prefix",
        PREFIX,
        "",
        "The path below which the console is, such as ``/tools/circus``, behind a proxy that serves other things too.",
        section="circus",
        role="admin",
    ),
    Option(
        "httpd_certificate",
        PATH,
        None,
        "A file with the certificate, and those above it, with which the console speaks TLS. Read again by ``reloadconfig``.",
        section="circus",
        role="admin",
    ),
    Option(
        "httpd_key",
        PATH,
        None,
        "The file with the certificate's private key, which only its owner may read (and a group); the certificate's own file when "
        "not given.",
        section="circus",
        role="admin",
    ),
    Option(
        "httpd_trusted_proxies",
        NETWORKS,
        (),
        "Addresses and networks of the proxies before the console: only from them X-Forwarded-For, -Proto and -Prefix count, and the "
        "header of ``httpd_proxy_header``.",
        section="circus",
        role="admin",
    ),
    Option(
        "httpd_proxy_header",
        HEADER,
        "",
        "The header in which such a proxy names the person that it has let in, such as ``X-Forwarded-User``. With it circusd "
        "believes the console whom it speaks for; without it the console can't speak for anybody.",
        section="circus",
        role="admin",
    ),
    Option(
        "httpd_proxy_role_header",
        HEADER,
        "",
        "The header in which the proxy names the role of a person who has no account; such a person is refused when not given.",
        section="circus",
        role="admin",
    ),
    Option(
        "httpd_session_idle",
        SECONDS,
        12 * 3600.0,
        "A session of the console ends when it was not used for so long.",
        section="circus",
        role="admin",
        unit="s",
    ),
    Option(
        "httpd_session_age",
        SECONDS,
        7 * 86400.0,
        "A session of the console that is used ends after this time.",
        section="circus",
        role="admin",
        unit="s",
    ),
    Option(
        "debug",
        BOOL,
        False,
        "Log every event and request unless ``loglevel`` says otherwise, and show what plugins write and log.",
        apply="daemon",
        section="circus",
        role="admin",
    ),
    Option(
        "debug_gc",
        BOOL,
        False,
        "Log the work of Python's garbage collector.",
        apply="daemon",
        section="circus",
        role="admin",
        effective=False,
    ),
    Option(
        "pidfile",
        PATH,
        None,
        "The file that holds the daemon's pid while it runs; the flag wins.",
        apply="daemon",
        section="circus",
        role="admin",
    ),
    Option(
        "loglevel",
        LEVEL,
        None,
        "The least level that is logged, ``info`` when not given; the flag wins.",
        apply="daemon",
        section="circus",
        role="admin",
    ),
    Option(
        "logoutput",
        TEXT,
        None,
        "Where the log goes: ``-`` for standard error, a file, or ``syslog://…``; the flag wins.",
        apply="daemon",
        section="circus",
        role="admin",
    ),
    Option(
        "loggerconfig",
        PATH,
        None,
        "A ``.ini``, ``.json`` or ``.yaml`` that sets up Python's logging, where circusd's logger is named ``circus``, instead "
        "of ``loglevel`` and ``logoutput``; ``default`` for none. The flag wins.",
        apply="daemon",
        section="circus",
        role="admin",
    ),
    Option(
        "audit",
        PATH,
        None,
        "The file that changing commands and refusals are recorded in, one JSON object a line; ``audit.log`` in the state folder "
        "when not given, and ``off`` for none. It has mode 0600, and at most 4 MiB before it is put aside, four times.",
        apply="daemon",
        section="circus",
        role="admin",
    ),
    Option(
        "umask",
        OCTAL,
        None,
        "The daemon's file creation mask, which processes inherit; circusd's own when not given.",
        section="circus",
        role="admin",
    ),
    Option(
        "fqdn_prefix",
        TEXT,
        None,
        "Kept, as the original does, and not used.",
        apply="daemon",
        section="circus",
        role="admin",
        effective=False,
        note="accepted and without effect",
    ),
    Option(
        "include",
        PATHS,
        (),
        "More files to read; ``*``, ``?`` and ``[…]`` match names. Relative to the folder of the main file.",
        section="circus",
        role="admin",
        aka=("includes",),
    ),
    Option(
        "include_dir",
        PATHS,
        (),
        "Folders whose files are read that have the ending of the main file's form: ``*.ini``, ``*.toml``, or ``*.yaml`` and "
        "``*.yml``.",
        section="circus",
        role="admin",
        aka=("include_dirs",),
    ),
    Option(
        "env_file",
        PATHS,
        (),
        "Files of variables for all watchers, as a watcher's own ``env_file``, and below it. Watchers whose variables change "
        "by a reload are restarted.",
        section="circus",
        role="admin",
        file_only=True,
        aka=("environment_file",),
    ),
    Option(
        "history_bytes",
        BYTES,
        1 << 20,
        "How much output of each process and stream is kept in memory.",
        apply="daemon",
        section="circus",
        role="admin",
        unit="bytes",
    ),
    Option(
        "history_limit",
        BYTES,
        256 << 20,
        "How much output is kept in memory altogether.",
        apply="daemon",
        section="circus",
        role="admin",
        unit="bytes",
    ),
    Option(
        "stats_history",
        SECONDS,
        60,
        "How often a sample of what each watcher takes is kept while nobody looks, for an hour; 0 for never.",
        apply="daemon",
        section="circus",
        role="admin",
        unit="s",
    ),
    Option(
        "statsd_close_outputs",
        TEXT,
        None,
        "The original never read it from a file.",
        section="circus",
        legacy=True,
    ),
    Option(
        "httpd_close_outputs",
        TEXT,
        None,
        "The original never read it from a file.",
        section="circus",
        legacy=True,
    ),
    Option(
        "stream_backend", TEXT, None, "The original never read it from a file.", section="circus", legacy=True
    ),
    Option(
        "prereload_fn", TEXT, None, "The original never read it from a file.", section="circus", legacy=True
    ),
    Option(
        "ssh_server", TEXT, None, "The original never read it from a file.", section="circus", legacy=True
    ),
    Option(
        "use_papa",
        TEXT,
        None,
        "The papa helper, which the original has dropped.",
        section="circus",
        legacy=True,
        note="accepted and without effect: papa is gone",
    ),
    Option(
        "papa_endpoint",
        TEXT,
        None,
        "The papa helper, which the original has dropped.",
        section="circus",
        legacy=True,
        note="accepted and without effect: papa is gone",
    ),
)

SOCKET: tuple[Option, ...] = (
    Option("host", NAME, "localhost", "The address that is bound.", apply="watcher", section="socket"),
    Option("port", PORT, 8080, "The port; 0 for any that is free.", apply="watcher", section="socket"),
    Option("family", FAMILY, "AF_INET", "The family of addresses.", apply="watcher", section="socket"),
    Option("type", SOCKET_TYPE, "SOCK_STREAM", "The type of the socket.", apply="watcher", section="socket"),
    Option("proto", TEXT, None, "The protocol, by its name.", apply="watcher", section="socket"),
    Option(
        "path",
        PATH,
        None,
        "The file of a unix socket; it makes the family AF_UNIX. Removed when the socket is closed.",
        apply="watcher",
        section="socket",
        role="admin",
    ),
    Option(
        "umask",
        OCTAL,
        None,
        "The file creation mask for the unix socket; circusd's own when not given.",
        apply="watcher",
        section="socket",
        role="admin",
    ),
    Option(
        "replace",
        BOOL,
        False,
        "A file that is already at ``path`` is removed; it is an error otherwise.",
        apply="watcher",
        section="socket",
        role="admin",
    ),
    Option(
        "interface",
        NAME,
        None,
        "The network interface that the socket is bound to.",
        apply="watcher",
        section="socket",
    ),
    Option(
        "backlog", COUNT, 2048, "How many connections wait to be accepted.", apply="watcher", section="socket"
    ),
    Option(
        "so_reuseport",
        BOOL,
        False,
        "Each process gets a socket of its own on the same address; the kernel shares connections out among them.",
        apply="watcher",
        section="socket",
    ),
    Option(
        "blocking",
        BOOL,
        False,
        "The socket is handed down in blocking mode.",
        apply="watcher",
        section="socket",
    ),
    Option(
        "use_papa",
        TEXT,
        None,
        "The papa helper, which the original has dropped.",
        section="socket",
        legacy=True,
        note="accepted and without effect: papa is gone",
    ),
)

PLUGIN: tuple[Option, ...] = (
    Option(
        "use",
        PLUGIN_USE,
        None,
        "The plugin's class: one of those below by its short name, or any by its dotted path. Every other key is passed to it, and "
        "those that are a watcher's options are also that: a plugin "
        "is a watcher named ``plugin:NAME`` with priority 1, one process, ``copy_env`` and ``copy_path`` on, and a ``settle_time`` of "
        "10 s.",
        apply="watcher",
        section="plugin",
        role="admin",
        aka=("class",),
    ),
)

TABLES: Mapping[str, tuple[Option, ...]] = {
    "circus": CIRCUS,
    "watcher": WATCHER,
    "socket": SOCKET,
    "plugin": PLUGIN,
    "stream": STREAM,
}
"""Each table by the kind of section it is for."""


def watcher_option(key: str) -> Option | None:
    """The row of a watcher's key; for ``stdout_stream.X`` the stream's own row under that key."""
    option = find(WATCHER, key)
    if option is not None and option.prefix in ("stdout_stream.", "stderr_stream."):
        # Of a further place the option stands behind its name.
        row = stream_option(key.rpartition(".")[2])
        if row is not None:
            return replace(row, name=key, section="watcher")
    return option
