"""The typed configuration: frozen dataclasses whose attributes are named like the options.

Which options there are, their defaults and types stand in the option tables; a test holds both against each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from circusd.schema.watcher_options import WATCH_IGNORE

from .problems import Place


@dataclass(frozen=True, slots=True)
class HookConfig:
    """One hook of a watcher."""

    path: str
    """Dotted path of the callable."""
    ignore_failure: bool = False
    """An exception counts as success."""


@dataclass(frozen=True, slots=True)
class StreamConfig:
    """Where one of the two streams of a watcher's processes goes."""

    classname: str
    """Short name of one of the known classes, or the dotted path of another; empty where there are only further ones."""
    options: Mapping[str, object] = field(default_factory=dict)
    """Each option of the class and those of every stream, with defaults filled in; texts as they stand for an unknown
    class."""
    more: Mapping[str, StreamConfig] = field(default_factory=dict)
    """Where it goes too, by name."""


@dataclass(frozen=True, slots=True)
class WatcherConfig:
    """A command that is kept running in some number of processes."""

    name: str
    cmd: str
    args: str | tuple[str, ...] | None = None
    numprocesses: int = 1
    singleton: bool = False
    shell: bool = False
    shell_args: str | tuple[str, ...] | None = None
    executable: str | None = None
    working_dir: str | None = None
    uid: str | int | None = None
    gid: str | int | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    env_file: tuple[str, ...] = ()
    copy_env: bool = False
    copy_path: bool = False
    virtualenv: str | None = None
    virtualenv_py_ver: str | None = None
    warmup_delay: float = 0
    autostart: bool = True
    respawn: bool = True
    respawn_on: str = "exit"
    success_exit_codes: tuple[int, ...] = (0,)
    """Signals as negative numbers."""
    essential: bool = False
    max_retry: int = 5
    backoff: float = 0.1
    backoff_max: float = 60
    settle_time: float = 1.0
    restart_delay: float = 0
    start_limit_burst: int = 0
    start_limit_interval: float = 60
    retry_in: float = 0
    ready: str = "auto"
    start_timeout: float = 60
    ready_interval: float = 1
    ready_timeout: float = 5
    watchdog: float = 0
    watchdog_signal: int = 6
    alive: str = ""
    alive_interval: float = 10
    alive_timeout: float = 5
    alive_failures: int = 3
    alive_successes: int = 1
    alive_start_period: float = 0
    alive_replace: int = 1
    graceful_timeout: float = 30.0
    stop_signal: int = 15
    stop_ladder: tuple[tuple[int, float], ...] = ()
    """Signals, and seconds that each is waited for."""
    stop_command: str | None = None
    stop_command_timeout: float = 30
    stop_children: bool = False
    send_hup: bool = False
    max_age: float = 0
    max_age_variance: float = 30
    max_memory: int = 0
    max_memory_for: float = 30
    max_cpu: int = 0
    max_cpu_for: float = 60
    nice: int | None = None
    cpu_affinity: tuple[int, ...] = ()
    io_priority: tuple[int, int] | None = None
    """Class and level, as ``ioprio_set(2)`` has them."""
    oom_score_adj: int | None = None
    priority: int = 0
    watch: tuple[str, ...] = ()
    watch_ignore: tuple[str, ...] = WATCH_IGNORE
    watch_delay: float = 0.5
    watch_action: str = "auto"
    depends_on: tuple[tuple[str, str], ...] = ()
    """Names of watchers, and in which state each is needed."""
    restart_with_dependencies: bool = False
    outside_interval: float = 2.0
    outside_timeout: float = 5.0
    tags: tuple[str, ...] = ()
    use_sockets: bool = False
    on_demand: bool = False
    idle_timeout: float = 0
    listen_fds: bool = False
    schedule: str | None = None
    schedule_timezone: str | None = None
    schedule_overlap: str = "skip"
    schedule_jitter: float = 0
    schedule_catch_up: bool = False
    run_timeout: float = 0
    stdin_socket: str | None = None
    pid_file: str | None = None
    stdin_pipe: bool = False
    close_child_stdin: bool = True
    close_child_stdout: bool = False
    close_child_stderr: bool = False
    hook_timeout: float = 30
    stdout_stream: StreamConfig | None = None
    stderr_stream: StreamConfig | None = None
    rlimits: Mapping[str, int | None] = field(default_factory=dict)
    """By lower-case name without ``RLIMIT_``; None for no limit."""
    hooks: Mapping[str, HookConfig] = field(default_factory=dict)
    extras: Mapping[str, str] = field(default_factory=dict)
    """Keys that are nobody's option: shown by ``options``, read by plugins."""


@dataclass(frozen=True, slots=True)
class SocketConfig:
    """A listening socket that the daemon owns."""

    name: str
    """In lower case."""
    host: str = "localhost"
    port: int = 8080
    family: str = "AF_INET"
    type: str = "SOCK_STREAM"
    proto: str | None = None
    path: str | None = None
    umask: int | None = None
    replace: bool = False
    interface: str | None = None
    backlog: int = 2048
    so_reuseport: bool = False
    blocking: bool = False


@dataclass(frozen=True, slots=True)
class PluginConfig:
    """A plugin, which runs as a watcher."""

    name: str
    """As in the section's name, without ``plugin:``."""
    use: str
    options: Mapping[str, str] = field(default_factory=dict)
    """What is passed to the plugin: every key but ``use``."""
    watcher_options: Mapping[str, str] = field(default_factory=dict)
    """Those of the keys that are options of a watcher."""
    env: Mapping[str, str] = field(default_factory=dict)
    """All variables that the files give it."""

    @property
    def watcher_name(self) -> str:
        """The name of its watcher."""
        return f"plugin:{self.name}"


@dataclass(frozen=True, slots=True)
class CircusConfig:
    """The daemon's own options."""

    name: str | None = None
    endpoint: str | None = None
    endpoint_owner: str | int | None = None
    allow_viewer: tuple[str, ...] = ()
    allow_operator: tuple[str, ...] = ()
    allow_admin: tuple[str, ...] = ()
    pubsub_endpoint: str | None = None
    stats_endpoint: str | None = None
    multicast_endpoint: str | None = None
    statsd: bool = False
    check_delay: float = 5.0
    warmup_delay: float = 0
    httpd: bool = False
    httpd_host: str = "localhost"
    httpd_port: int = 8080
    httpd_user: str | int | None = "nobody"
    httpd_hosts: tuple[str, ...] = ()
    httpd_prefix: str = ""
    httpd_certificate: str | None = None
    httpd_key: str | None = None
    httpd_trusted_proxies: tuple[str, ...] = ()
    httpd_proxy_header: str = ""
    httpd_proxy_role_header: str = ""
    httpd_session_idle: float = 12 * 3600.0
    httpd_session_age: float = 7 * 86400.0
    debug: bool = False
    debug_gc: bool = False
    pidfile: str | None = None
    loglevel: str | None = None
    logoutput: str | None = None
    loggerconfig: str | None = None
    audit: str | None = None
    umask: int | None = None
    fqdn_prefix: str | None = None
    include: tuple[str, ...] = ()
    include_dir: tuple[str, ...] = ()
    env_file: tuple[str, ...] = ()
    history_bytes: int = 1 << 20
    history_limit: int = 256 << 20
    stats_history: float = 60


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything that the files say."""

    circus: CircusConfig = field(default_factory=CircusConfig)
    watchers: tuple[WatcherConfig, ...] = ()
    """Sorted by name."""
    plugins: tuple[PluginConfig, ...] = ()
    sockets: tuple[SocketConfig, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    """The variables for all watchers: ``[env]``, and below it the ``env_file`` of ``[circus]``."""
    python_path: tuple[str, ...] = ()
    """Folders that the ``PYTHONPATH`` of environment sections adds to the daemon's own module search path."""
    places: Mapping[str, Place] = field(default_factory=dict, compare=False)
    """Where the options of ``[circus]`` stand, for what can only be told when they are put into force."""
    files: tuple[str, ...] = ()
    """The files that were read, the main one first."""
