"""The option table of ``[watcher:NAME]``."""

from __future__ import annotations

from .option import Option
from .types import (
    ALIVE,
    ARGS,
    BOOL,
    BYTES,
    COMMAND,
    COUNT,
    CPUS,
    ENV,
    GROUP,
    HOOK,
    IO_PRIORITY,
    LADDER,
    LIMIT,
    NEEDS,
    NICE,
    NUMBER,
    OOM_SCORE,
    OVERLAP,
    PATH,
    PATHS,
    PROCESSES,
    READY,
    RESPAWN_ON,
    RETRIES,
    SCHEDULE,
    SECONDS,
    SIGNAL,
    STARTS,
    STATUSES,
    TEXT,
    TIMES,
    USER,
    WATCH_ACTION,
    WORDS,
    ZONE,
)

HOOKS = (
    "before_start",
    "after_start",
    "before_spawn",
    "after_spawn",
    "before_stop",
    "after_stop",
    "before_signal",
    "after_signal",
    "before_reap",
    "after_reap",
    "extended_stats",
)
"""What may follow ``hooks.``."""

WATCH_IGNORE = (
    *(".*", "__pycache__", "*.pyc", "*.pyo", "*~", "*.tmp", "*.swp", "4913", "node_modules"),
    *("*.log", "*.pid", "*.sock"),
)
"""What changes without being changed: of version control, interpreters, editors (4913 is tried by vim), and running programs."""

WATCHER: tuple[Option, ...] = (
    Option(
        "cmd",
        COMMAND,
        None,
        "The program to run, and its first arguments. Split as a shell would, after ``$(circus.…)`` is replaced; no shell "
        "is involved unless ``shell`` is on. A bare name is looked up on the process's own PATH, and on ``/bin:/usr/bin`` "
        "when it has none; a relative path with a slash is relative to ``working_dir``.",
        apply="process",
        role="admin",
        aka=("command", "exec", "script"),
    ),
    Option(
        "args",
        ARGS,
        None,
        "More arguments, put after those in ``cmd``.",
        apply="process",
        role="admin",
        aka=("arguments",),
    ),
    Option(
        "numprocesses",
        PROCESSES,
        1,
        "How many processes are kept running.",
        aka=("numprocs", "instances", "processes", "workers", "replicas"),
    ),
    Option("singleton", BOOL, False, "At most one process, whatever is asked for."),
    Option(
        "shell",
        BOOL,
        False,
        "Run by ``/bin/sh -c``. Each word of the command is quoted for the shell.",
        apply="process",
        role="admin",
    ),
    Option(
        "shell_args",
        ARGS,
        None,
        "Arguments of the shell itself, when ``shell`` is on.",
        apply="process",
        role="admin",
    ),
    Option(
        "executable",
        PATH,
        None,
        "The program file that is run under the name that ``cmd`` begins with; the shell's when ``shell`` is on.",
        apply="process",
        role="admin",
    ),
    Option(
        "working_dir",
        PATH,
        None,
        "The folder in which the process starts; circusd's own when not given.",
        apply="process",
        role="admin",
        aka=("directory", "cwd", "chdir", "workdir"),
    ),
    Option(
        "pid_file",
        PATH,
        None,
        "The program goes into the background, and this file names the process that it has left there: that one is followed, once the "
        "first one has ended with 0 and the kernel says that it comes from there. What the file names otherwise is never trusted. It has "
        "to come within ``start_timeout``. Relative to ``working_dir``.",
        apply="process",
        role="admin",
        aka=("pidfile",),
    ),
    Option(
        "uid",
        USER,
        None,
        "The user that it runs as, with all of the user's groups; circusd's own when not given.",
        apply="process",
        role="admin",
        aka=("user", "username", "run_as"),
    ),
    Option(
        "gid",
        GROUP,
        None,
        "The group that it runs as; the user's own when only ``uid`` is given.",
        apply="process",
        role="admin",
        aka=("group",),
    ),
    Option(
        "env",
        ENV,
        {},
        "Variables of the environment. In a file they are written in ``[env]`` and ``[env:NAME]`` sections.",
        apply="process",
        role="admin",
        secret=True,
        aka=("environment", "environ"),
    ),
    Option(
        "env_file",
        PATHS,
        (),
        "Files of variables, lines of ``NAME=VALUE``; of several the later win. Relative to the folder of the main file; one "
        "with ``-`` before its name may be missing. What ``[env]`` sections say wins over the files. Read with the "
        "configuration: ``reloadconfig`` reads them again.",
        apply="process",
        role="admin",
        file_only=True,
        aka=("environment_file",),
    ),
    Option(
        "copy_env",
        BOOL,
        False,
        "Begin with circusd's environment. When off the process sees nothing but its ``env``: no PATH, HOME or LANG.",
        apply="process",
        role="admin",
    ),
    Option(
        "copy_path",
        BOOL,
        False,
        "Give circusd's module search path as PYTHONPATH.",
        apply="process",
        role="admin",
    ),
    Option(
        "virtualenv",
        PATH,
        None,
        "The folder of a virtual environment: its ``bin`` is put before PATH, its packages before PYTHONPATH, and "
        "VIRTUAL_ENV is set.",
        apply="process",
        role="admin",
        aka=("venv",),
    ),
    Option(
        "virtualenv_py_ver",
        TEXT,
        None,
        "The version of Python in the virtual environment, such as 3.11; found by itself when not given.",
        apply="process",
        role="admin",
    ),
    Option(
        "warmup_delay",
        SECONDS,
        0,
        "Pause between the starts of two processes.",
        unit="s",
        aka=("start_delay",),
    ),
    Option("autostart", BOOL, True, "Start when circusd starts."),
    Option(
        "respawn",
        BOOL,
        True,
        "Start a process again when it has ended. When off, the watcher is stopped when its last process is gone.",
        aka=("autorestart", "restart"),
    ),
    Option(
        "respawn_on",
        RESPAWN_ON,
        "exit",
        "After which end it is started again: ``exit`` is any, ``failure`` any but a good one. Nothing where ``respawn`` is off.",
        aka=("restart_policy", "on_failure"),
    ),
    Option(
        "success_exit_codes",
        STATUSES,
        (0,),
        "The exit codes, and names of signals, with which a process has ended well: it is ``completed`` then, and not ``exited``.",
        aka=("exitcodes", "success_exit_status", "stop_exit_codes"),
    ),
    Option(
        "essential",
        BOOL,
        False,
        "With ``circusd --init``: when the watcher has ended by itself, everything else is stopped and circusd ends, with 1 if "
        "it has failed. Nothing otherwise.",
    ),
    Option(
        "max_retry",
        RETRIES,
        5,
        "How often a program that could not be started is tried again before it is given up; -1 for ever. Deaths do not count: "
        "they back off, and ``start_limit_burst`` is theirs.",
        aka=("startretries", "retries"),
    ),
    Option(
        "backoff",
        SECONDS,
        0.1,
        "Delay before a process that did not stay up is tried again; doubled with each further one. 0 for none.",
        unit="s",
    ),
    Option("backoff_max", SECONDS, 60, "The longest such delay.", unit="s"),
    Option(
        "settle_time",
        SECONDS,
        1.0,
        "A process that has run so long has stayed up: tries and delays are counted from the beginning again.",
        unit="s",
        aka=("startsecs", "min_uptime"),
    ),
    Option(
        "restart_delay",
        SECONDS,
        0,
        "The least pause between the end of a process and its next start, also after a long life.",
        unit="s",
        aka=("restart_sec", "restartsec", "restart_pause"),
    ),
    Option(
        "start_limit_burst",
        STARTS,
        0,
        "A process that has ended by itself so often within ``start_limit_interval`` is given up; 0 for never. Stops that somebody "
        "asked for do not count.",
        aka=("max_restarts", "startlimitburst"),
    ),
    Option(
        "start_limit_interval",
        SECONDS,
        60,
        "The time in which ends are counted for ``start_limit_burst``.",
        unit="s",
        aka=("start_limit_window", "startlimitinterval", "startlimitintervalsec"),
    ),
    Option(
        "retry_in",
        SECONDS,
        0,
        "A process that was given up is tried again after so long, as if it had never failed; 0 for not at all.",
        unit="s",
    ),
    Option(
        "ready",
        READY,
        "auto",
        "What tells that a process is ready, which a start waits for, and a reload before an old process is told to go. "
        "``started``: it has run for ``settle_time``. ``notify``: it says ``READY=1`` to the socket that it finds in "
        "NOTIFY_SOCKET, as services of systemd do. ``http://HOST:PORT/PATH``: a request is answered with a status from 200 to "
        "399. ``tcp://HOST:PORT``, ``unix:PATH``: a connection is accepted. ``exec:COMMAND``: the command, run as the process is, "
        "ends with 0. ``log:TEXT``: a line of its output has the text, in which ``*`` stands for anything. ``fd:NUMBER``: it writes a "
        "newline to that descriptor, 3 to 18, as under s6. Names such as ``$(circus.wid)`` are replaced as in ``cmd``. ``auto``: as "
        "``notify`` once a process of the watcher has said so, as ``started`` until then. At an address that several processes share "
        "any of them answers: there only ``notify``, ``log:``, ``fd:`` or a command can tell which one is ready.",
        role="admin",
        aka=("readiness", "ready_when", "readiness_probe", "wait_ready"),
    ),
    Option(
        "start_timeout",
        SECONDS,
        60,
        "A process that is not ready within that time is stopped, and tried again later; a reload is undone. 0 for no "
        "end. What counts from its start is always ready in time.",
        unit="s",
        aka=("listen_timeout", "startup_timeout", "timeoutstartsec"),
    ),
    Option(
        "ready_interval",
        SECONDS,
        1,
        "Time between two looks whether a process is ready; shorter at first.",
        unit="s",
    ),
    Option("ready_timeout", SECONDS, 5, "A look that takes longer has failed.", unit="s"),
    Option(
        "watchdog",
        SECONDS,
        0,
        "A process that has not said ``WATCHDOG=1`` for so long gets ``watchdog_signal``, and is replaced; 0 for no such rule. It is "
        "told so by WATCHDOG_USEC and WATCHDOG_PID, as services of systemd are, and counts from when it is ready.",
        apply="process",
        unit="s",
        aka=("watchdogsec", "watchdog_sec", "heartbeat"),
    ),
    Option(
        "watchdog_signal",
        SIGNAL,
        6,
        "The signal that ends a process of which a sign of life is missing, or that says ``WATCHDOG=trigger``; SIGKILL comes after "
        "``graceful_timeout``.",
        aka=("watchdogsignal",),
    ),
    Option(
        "alive",
        ALIVE,
        "",
        "Where it is looked again and again whether a process is alive, from when it is ready: ``http://HOST:PORT/PATH``, "
        "``tcp://HOST:PORT``, ``unix:PATH`` or ``exec:COMMAND``, as in ``ready``. At an address that several processes share any of "
        "them answers: name one of the process's own, as by ``$(circus.wid)``.",
        apply="process",
        role="admin",
        aka=("liveness", "health", "healthcheck", "health_check", "liveness_probe", "livenessprobe"),
    ),
    Option(
        "alive_interval",
        SECONDS,
        10,
        "Time between two of these looks; the first comes within a second.",
        unit="s",
    ),
    Option("alive_timeout", SECONDS, 5, "One that takes longer has failed.", unit="s"),
    Option(
        "alive_failures",
        TIMES,
        3,
        "So many failures in a row make a process unhealthy.",
        aka=("failure_threshold", "failurethreshold"),
    ),
    Option(
        "alive_successes",
        TIMES,
        1,
        "So many successes in a row make it healthy.",
        aka=("success_threshold", "successthreshold"),
    ),
    Option(
        "alive_start_period",
        SECONDS,
        0,
        "For so long failures do not count, until the first success.",
        unit="s",
        aka=("start_period", "initial_delay", "initialdelayseconds"),
    ),
    Option(
        "alive_replace",
        STARTS,
        1,
        "So many unhealthy processes of the watcher are replaced at a time: stopped, and started again as ``respawn`` has it. The next one "
        "has its turn when the new one was found healthy, or not. 0: none, it is only told.",
    ),
    Option(
        "graceful_timeout",
        SECONDS,
        30.0,
        "Time to end after ``stop_signal``; then SIGKILL goes to the process and all that it started.",
        unit="s",
        aka=("stopwaitsecs", "kill_timeout", "stop_timeout"),
    ),
    Option(
        "stop_signal", SIGNAL, 15, "The signal that asks a process to end.", aka=("stopsignal", "kill_signal")
    ),
    Option(
        "stop_ladder",
        LADDER,
        (),
        "Signals that a stop sends one after the other, each with the seconds that it is waited for, as in ``QUIT 30, TERM 5``; "
        "SIGKILL comes after the last. In place of ``stop_signal`` and ``graceful_timeout``, where a stop does not ask for its own.",
        aka=("stop_signals", "stop_sequence"),
    ),
    Option(
        "stop_command",
        COMMAND,
        None,
        "A command that stops a process, such as ``redis-cli shutdown``: run before any signal is sent, as the process is (its user, "
        "folder, environment), with the process's pid as ``$(circus.pid)`` in its arguments and as PID in its environment. Signals come "
        "when it fails, or when the process has not ended in time. What it writes is in the process's standard error. A stop that asks "
        "for a signal or a time of its own does without it.",
        role="admin",
        aka=("stop_cmd", "exec_stop", "execstop", "stop_script"),
    ),
    Option(
        "stop_command_timeout",
        SECONDS,
        30,
        "The time that a process has to end by its ``stop_command``, and the command itself: it is killed then.",
        unit="s",
        aka=("stop_command_wait",),
    ),
    Option(
        "stop_children",
        BOOL,
        False,
        "``stop_signal`` goes to the children of the process too.",
        aka=("stopasgroup", "killasgroup"),
    ),
    Option("send_hup", BOOL, False, "A reload sends SIGHUP and replaces nothing."),
    Option(
        "max_age",
        SECONDS,
        0,
        "A process is replaced when it has run so long; 0 for never.",
        apply="process",
        unit="s",
    ),
    Option(
        "max_age_variance",
        SECONDS,
        30,
        "Up to so much is added to ``max_age``, drawn once for each process, so that not all are replaced at once.",
        apply="process",
        unit="s",
    ),
    Option(
        "max_memory",
        BYTES,
        0,
        "A process that holds more resident memory, together with all that it has started, is replaced: stopped and started anew, "
        "one of the watcher after the other. 0 for no limit.",
        aka=("max_memory_restart", "memory_limit", "max_mem", "max_rss", "memorymax"),
    ),
    Option(
        "max_memory_for",
        SECONDS,
        30,
        "For so long it has to be more than ``max_memory``, without a break.",
        unit="s",
        aka=("memory_duration",),
    ),
    Option(
        "max_cpu",
        COUNT,
        0,
        "The same for a process that takes more than so many per cent of one processor: 150 is one and a half. 0 for no limit.",
        unit="%",
        aka=("cpu_limit", "max_cpu_restart", "cpuquota"),
    ),
    Option(
        "max_cpu_for",
        SECONDS,
        60,
        "For so long it has to take more than ``max_cpu``, without a break.",
        unit="s",
        aka=("cpu_duration",),
    ),
    Option(
        "nice",
        NICE,
        None,
        "The nice value that it starts with, the higher the less processor time it gets beside others; circusd's own when not "
        "given. A lower one than circusd's needs a privileged circusd.",
        apply="process",
        role="admin",
        aka=("niceness", "renice"),
    ),
    Option(
        "cpu_affinity",
        CPUS,
        (),
        "The processors that it may run on, such as ``0-3,6``; those of circusd when not given.",
        apply="process",
        role="admin",
        aka=("cpus", "cpuaffinity", "affinity"),
    ),
    Option(
        "io_priority",
        IO_PRIORITY,
        None,
        "How soon its reads and writes are done: ``idle``, ``best-effort 0`` to ``best-effort 7``, or ``realtime 0`` to ``realtime 7``, "
        "for which circusd must be privileged. 0 comes first. Only some I/O schedulers look at it.",
        apply="process",
        role="admin",
        aka=("ionice", "ioschedulingclass", "ioschedulingpriority"),
    ),
    Option(
        "oom_score_adj",
        OOM_SCORE,
        None,
        "What is added to its score when memory is short and the kernel looks for a process to end: 1000 for the first one, "
        "-1000 for never; what circusd was started with when not given. A lower one than circusd's needs a privileged circusd.",
        apply="process",
        role="admin",
        aka=("oomscoreadjust", "oom_score"),
    ),
    Option("priority", NUMBER, 0, "Watchers with a higher number are started earlier and stopped later."),
    Option(
        "watch",
        PATHS,
        (),
        "Files, folders with all below them, and patterns such as ``app/**/*.py``, relative to ``working_dir``: when one of them has "
        "changed, the watcher is started anew. They need not be there yet.",
        role="admin",
        aka=("watch_files", "watch_paths", "watch_dir", "watch_patterns"),
    ),
    Option(
        "watch_ignore",
        PATHS,
        WATCH_IGNORE,
        "What does not count of what is found in a folder or by a pattern: names, or paths relative to ``working_dir`` where there is a "
        "slash in it. A folder is left out with all below it.",
        aka=("ignore_watch", "watch_exclude"),
    ),
    Option(
        "watch_delay",
        SECONDS,
        0.5,
        "Files have to be left alone for so long before anything is done.",
        unit="s",
        aka=("watch_debounce",),
    ),
    Option(
        "watch_action",
        WATCH_ACTION,
        "auto",
        "What is done: a ``restart``; a ``reload``, which needs a program whose new process can run beside the old one; or ``auto``, a "
        "reload where ``send_hup`` is on or its sockets are circusd's, else a restart.",
        aka=("on_change",),
    ),
    Option(
        "depends_on",
        NEEDS,
        (),
        "The watchers that it needs, such as ``db cache:started migrate:completed_successfully``. It is started once all are as they "
        "are needed: ``ready`` (where nothing is said), ``started``, ``healthy`` (found so by the looks of its ``alive``), ``completed`` "
        "(ended by itself) or ``completed_successfully``. ``start NAME`` starts them too. It is stopped before them. ``tcp://HOST:PORT``, "
        "``http://HOST:PORT/PATH`` (a status from 200 to 399) and ``unix:/PATH`` are waited for until they answer; circusd itself "
        "connects, and only an admin may set one.",
        aka=("requires", "after", "needs", "wants"),
    ),
    Option(
        "outside_interval",
        SECONDS,
        2,
        "Time between two looks whether an address in ``depends_on`` answers.",
        unit="s",
    ),
    Option(
        "outside_timeout", SECONDS, 5, "A look at such an address that takes longer has failed.", unit="s"
    ),
    Option(
        "restart_with_dependencies",
        BOOL,
        False,
        "When a process of a watcher in ``depends_on`` was started again, be it by command or after its end, all processes of this one "
        "are too, as soon as what they need is there.",
        aka=("partof", "bindsto", "cascade"),
    ),
    Option(
        "tags",
        WORDS,
        (),
        "Words by which watchers are grouped. Wherever a command takes the name of a watcher, ``@WORD`` means all that have it.",
        aka=("groups", "labels"),
    ),
    Option(
        "use_sockets",
        BOOL,
        False,
        "The sockets that the command names by ``$(circus.sockets.NAME)`` are inherited.",
        apply="process",
    ),
    Option(
        "on_demand",
        BOOL,
        False,
        "Start at the first connection to one of its sockets; until then it waits, and so does the connection for its processes.",
    ),
    Option(
        "idle_timeout",
        SECONDS,
        0,
        "An ``on_demand`` watcher that has had no connection for so long is stopped until the next one; 0: it runs on.",
        unit="s",
    ),
    Option(
        "listen_fds",
        BOOL,
        False,
        "The sockets are also handed over by systemd's protocol: as descriptors from 3 on, told by ``LISTEN_FDS``, ``LISTEN_PID`` and "
        "``LISTEN_FDNAMES``. A server that knows it then takes these and not the addresses of its own configuration.",
        apply="process",
    ),
    Option(
        "schedule",
        SCHEDULE,
        None,
        "When it runs: five fields as in a crontab (minute, hour, day of the month, month, day of the week), six with seconds first, or "
        "``@hourly``, ``@daily``, ``@weekly``, ``@monthly``, ``@yearly``. Each run starts its processes once and is over when they have "
        "ended; with ``respawn_on = failure`` one that fails is tried again as part of the same run. The start of the watcher puts the "
        "schedule in force, its stop ends that.",
    ),
    Option(
        "schedule_timezone",
        ZONE,
        None,
        "The time zone of ``schedule``, such as ``Europe/Berlin``; this machine's own when not given.",
    ),
    Option(
        "schedule_overlap",
        OVERLAP,
        "skip",
        "What becomes of a run while the one before goes on: ``skip`` leaves it out, ``queue`` begins it afterwards (one at most waits), "
        "``replace`` stops the one before.",
    ),
    Option(
        "schedule_jitter",
        SECONDS,
        0,
        "Runs begin up to so much later than planned, always by the same time for one watcher on one machine: what many machines do "
        "at once is spread.",
        unit="s",
    ),
    Option(
        "schedule_catch_up",
        BOOL,
        False,
        "When times of ``schedule`` have passed while circusd did not run or the machine slept, it runs once, at once.",
    ),
    Option(
        "run_timeout",
        SECONDS,
        0,
        "A run that takes longer is stopped as by ``stop``, and has failed; 0: it may take as long as it likes.",
        unit="s",
    ),
    Option("stdin_socket", TEXT, None, "The socket that becomes standard input.", apply="process"),
    Option(
        "stdin_pipe",
        BOOL,
        False,
        "Standard input is a pipe, into which ``circusctl input`` and the console send text. What the process does not read waits, up to "
        "64 KiB beside its pipe. Takes the place of the null device.",
        apply="process",
    ),
    Option("close_child_stdin", BOOL, True, "Standard input is the null device.", apply="process"),
    Option("close_child_stdout", BOOL, False, "Standard output goes to the null device.", apply="process"),
    Option("close_child_stderr", BOOL, False, "Standard error goes to the null device.", apply="process"),
    Option(
        "stdout_stream.NAME",
        TEXT,
        None,
        "Where standard output goes, with the options of the stream's class; passed on to circusd's own when not given. With "
        "``stdout_stream.NAME.OPTION`` it goes to further places too, each with a name of its own and a class and options as the first.",
        role="admin",
        pattern=True,
        aka=("stdout_logfile", "stdout", "out_file"),
    ),
    Option(
        "stderr_stream.NAME",
        TEXT,
        None,
        "The same for standard error.",
        role="admin",
        pattern=True,
        aka=("stderr_logfile", "stderr", "error_file"),
    ),
    Option(
        "rlimit_NAME",
        LIMIT,
        None,
        "A resource limit, soft and hard, by its name without ``RLIMIT_``; no limit when the value is empty.",
        apply="process",
        pattern=True,
    ),
    Option(
        "hooks.NAME",
        HOOK,
        None,
        "A callable that is called at that point of the watcher's life; with ``,true`` an exception of it is a success.",
        role="admin",
        pattern=True,
    ),
    Option("hook_timeout", SECONDS, 30, "A hook that takes longer has failed.", unit="s"),
    Option("check_flapping", BOOL, True, "From old versions of the original.", legacy=True),
    Option("flapping_attempts", TEXT, None, "From old versions of the original.", legacy=True),
    Option("flapping_window", TEXT, None, "From old versions of the original.", legacy=True),
    Option("stream_backend", TEXT, None, "From old versions of the original.", legacy=True),
    Option("prereload_fn", TEXT, None, "Documented but never read from a file by the original.", legacy=True),
    Option(
        "use_papa",
        TEXT,
        None,
        "The papa helper, which the original has dropped.",
        legacy=True,
        note="accepted and without effect: papa is gone",
    ),
)
