"""The command table: every command of the daemon and of ``circusctl``, written once.

From the rows come the parser and help of ``circusctl``, the daemon's validation and authorisation, the console's
buttons and forms, the reference manual, and the tests that call every row through every door.

The rows are named tuples, as dataclasses cost circusctl a third of its start: they import ``inspect``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

ROLES = ("viewer", "operator", "admin")
"""From least to most: who may read, who may run what is there, who decides what code runs."""

WAIT_STATES = (
    "running",
    "ready",
    "healthy",
    "active",
    "stopped",
    "failed",
    "completed",
    "exited",
    "backoff",
    "starting",
    "stopping",
    "waiting",
    "frozen",
    "removed",
)
"""What can be waited for."""


class Field(NamedTuple):
    """One property of a command (or one value of its reply)."""

    name: str
    type: str = "string"
    """``string``, ``int``, ``seconds``, ``bool``, ``signal``, ``json`` (any), ``strings`` (a list), ``object``, ``secret``.

    A secret is never an argument: circusctl takes it from a file, from standard input, or asks for it. It is in no log."""
    doc: str = ""
    required: bool = False
    default: Any = None
    choices: tuple[str, ...] = ()
    positional: bool = False
    """Taken by position on the command line; everything else is a flag ``--name``."""
    flag: str = ""
    """Name of the flag if it differs from the property's."""
    short: str = ""
    metavar: str = ""
    target: str = ""
    """What it names: ``watcher``, ``process``, ``socket``, ``option``, ``person``, ``token``, ``session`` (for completion, the
    console's lists, and the audit)."""
    local: bool = False
    """Of circusctl alone, and no property of the request."""


class Case(NamedTuple):
    """A test of the row through any front end: set-up lines, the command, and a query that must answer anew."""

    setup: tuple[str, ...] = ()
    argv: str = ""
    query: str = ""
    """A ``circusctl --json`` line asked before and after; empty for a command that only reads."""
    before: str = ""
    """Text that the query's answer holds before."""
    after: str = ""
    """Text that it holds after (and did not hold before); for a reading command, text of its own output."""


class Command(NamedTuple):
    """One row of the table."""

    name: str
    summary: str
    doc: str
    args: tuple[Field, ...] = ()
    reply: tuple[Field, ...] = ()
    role: str = "viewer"
    effect: str = "read"
    """``read``, ``change`` or ``destroy`` (asks for confirmation where a person gives it)."""
    scope: str = "daemon"
    """``daemon``, ``watcher``, ``process`` or ``socket``: the page that shows it."""
    where: str = "daemon"
    """``daemon`` (a request), ``client`` (done by circusctl with other requests) or ``door`` (the console's own)."""
    options: str = ""
    """Kind of the section whose options are flags of the command, and go as the property ``options``."""
    waits: bool = False
    """Honours ``waiting``: the reply comes when it is done and carries the result."""
    scoped: bool = False
    """Somebody who may see only some watchers may use it: it shows and reaches no others."""
    lasts: bool = False
    """The reply comes when something has happened, however long that takes."""
    original: bool = True
    """The original has it too, with the same replies."""
    since: str = "0.1"
    aliases: tuple[str, ...] = ()
    """Other names; one of two words is a command with its first word behind it, on the command line."""
    example: str = ""
    icon: str = ""
    """The picture that stands for it in the console; a row of many buttons has those that have one."""
    key: str = ""
    """The single key by which the console does it to the watcher at hand."""
    case: Case = Case()

    def as_data(self) -> dict[str, Any]:
        """The row as plain values, without its case."""
        fields = {"args": [f._asdict() for f in self.args], "reply": [f._asdict() for f in self.reply]}
        data = {**self._asdict(), **fields}
        del data["case"]
        return data


def _name(required: bool = True, doc: str = "a watcher, in any case of letters, a pattern, or @TAG") -> Field:
    return Field("name", doc=doc, required=required, positional=True, metavar="NAME", target="watcher")


_MATCH = Field(
    "match",
    doc="how NAME is read: as it stands, as a glob, as a regular expression anchored at the start, or as a list of names with "
    "commas between them (a comma in a name is written ``\\,``)",
    default="glob",
    choices=("simple", "glob", "regex", "list"),
)
_SEVERAL = Field(
    "results", "object", "where several watchers are meant: for each name what the reply for one is"
)
_NB = Field("nb", "int", "how many processes", default=1, positional=True, metavar="NB")
_PID = Field("pid", "int", "a process of the watcher", positional=True, metavar="PID", target="process")
_OPTIONS_SET = Field(
    "options",
    "object",
    "pairs of option and value",
    required=True,
    positional=True,
    metavar="KEY VALUE",
    target="option",
)
_TIMEOUT = Field(
    "graceful_timeout", "seconds", "seconds until SIGKILL; the watcher's own when not given", metavar="T"
)

_STREAM = Field("stream", doc="only this stream", choices=("stdout", "stderr"))
_FILES = Field(
    "files",
    "bool",
    "log files too: the one that is written, those put aside and compressed ones",
    default=False,
)
_MOMENT = "such as 10 min ago, yesterday, 14:05 or 2026-03-01 14:05, or seconds since 1970"
_SINCE = Field("since", doc=f"nothing that was written before this moment: {_MOMENT}", metavar="TIME")
_UNTIL = Field("until", doc=f"nothing that was written after this moment: {_MOMENT}", metavar="TIME")
_ORDER = Field(
    "order",
    doc="which lines count first where there are more: the newest or the oldest; a page itself begins with its oldest line",
    default="newest",
    choices=("newest", "oldest"),
)
_CURSOR = Field(
    "cursor", doc="goes on where an earlier reply has ended: its ``older`` or ``newer``", metavar="CURSOR"
)
_LINES_REPLY = (
    Field("more", "bool", "whether there are more of them now, in the direction of reading"),
    Field("older", "string", "cursor of the lines before these; null when there are none"),
    Field("newer", "string", "cursor of the lines after these, also of those that are still to come"),
)
_READ_REPLY = (
    Field("searched", "object", "how much was read: {bytes, files, seconds}"),
    Field(
        "complete",
        "bool",
        "false when the time for one request was over before all was read: ``older`` or ``newer`` goes on",
    ),
    Field("unsearched", "json", "list of {file, reason}: what could not be read"),
    Field("notes", "strings", "what is not exact, such as the times in a file that circusd has no index of"),
)
_KEY = Field(
    "key",
    "json",
    "a text: an earlier search of the same client with the same key is cancelled by this one, and a page that goes on with a "
    "``cursor`` is had quicker; ``grep`` with ``limit`` 0 only ends what has that key",
)
_PERSON = Field(
    "person", doc="name of the person", required=True, positional=True, metavar="PERSON", target="person"
)
_WATCHERS = Field(
    "watchers",
    doc="patterns of the only watchers that he may see and command, with commas between them; all when none is given",
    metavar="PATTERNS",
)
_PASSWORD = Field("password", "secret", "the password, of 8 letters or more", required=True)
_CURRENT = Field("current", "secret", "the password of before, where somebody changes his own")
_SHOWN_PERSON = (
    Field("person", "string", "his name"),
    Field("role", "string", "what he may do"),
    Field("watchers", "json", "patterns of the only watchers that he may see; all when empty"),
    Field("password", "bool", "whether he can come in by one"),
    Field("disabled", "bool", "whether he is kept out"),
)

_STARTED = Field("started", "json", "pids that were started")
_KEPT = Field("kept", "json", "pids that ran already")
_STOPPED = Field("stopped", "json", "pids that were stopped")
_ABANDONED = Field(
    "abandoned",
    "json",
    "pids of processes that not even SIGKILL has ended within 10 seconds, and that are waited for no longer; only if there "
    "are any",
)

COMMANDS: tuple[Command, ...] = (
    Command(
        "add",
        "add a watcher",
        "The watcher is added to the running daemon, and started when ``--start`` is given. Every option of a watcher is a flag, "
        "with dashes or underscores: ``--numprocesses 3 --working-dir /srv --env NAME=VALUE --stdout-stream.filename out.log``; over "
        "the wire, the property ``options`` has them. Flags stand before CMD, or behind it when CMD is one quoted line; what else stands "
        "behind its first word is the command's own, and circusctl says so where it could be a flag. Words of the command are kept as "
        "they are quoted; with ``--`` before them, all of them are the command's.",
        (
            Field("name", doc="name of the new watcher", required=True, positional=True, metavar="NAME"),
            Field(
                "cmd", doc="the command that is kept running", required=True, positional=True, metavar="CMD"
            ),
            Field("args", "json", "arguments, as text or as a list of words"),
            Field("start", "bool", "start it at once", default=False),
            Field("options", "object", "options of the watcher", default=None),
        ),
        (_STARTED, _KEPT),
        role="admin",
        effect="change",
        scope="daemon",
        options="watcher",
        scoped=True,
        waits=True,
        example="circusctl add --start --numprocesses 3 --env COLOR=red worker sleep 1000",
        case=Case(
            argv="add --start --waiting --graceful-timeout 5 extra sleep 1000",
            query="list",
            before="web",
            after="extra",
        ),
    ),
    Command(
        "addkey",
        "let a client on another machine in by a key",
        "Whoever has the key may come to the ``tcp://`` endpoints from other machines, with that role. circusctl makes the pair "
        "and writes it, with the server's public key, into a file that only its owner can read; circusd gets the public key "
        "alone. With ``--public`` the pair was made elsewhere, by ``keys new``, and no file is written. On the other machine: "
        "``circusctl --key FILE --endpoint tcp://HOST:PORT status``.",
        (
            Field("name", doc="what the client is called", required=True, positional=True, metavar="NAME"),
            Field("role", doc="what it may do", default="viewer", choices=ROLES),
            Field(
                "public",
                doc="the client's public key; circusctl makes a pair where none is given",
                required=True,
                metavar="KEY",
            ),
            Field(
                "out",
                doc="the file that circusctl writes; NAME.key when not given",
                metavar="FILE",
                local=True,
            ),
        ),
        (
            Field("key", "object", "the key as ``keys`` shows it"),
            Field("server", "string", "the server's public key"),
            Field("endpoints", "object", "by channel, those that other machines can reach"),
            Field("daemon", "string", "the name of the daemon"),
        ),
        role="admin",
        effect="change",
        original=False,
        aliases=("keys add",),
        example="circusctl addkey laptop --role operator --out laptop.key",
        case=Case(
            argv="addkey extra --role operator --public 0123456789abcdefghij0123456789abcdefghij",
            query="keys",
            before='"keys": []',
            after="extra",
        ),
    ),
    Command(
        "addperson",
        "add a person",
        "A person who may come in at the console with a name and a password, or by tokens. Without ``--password-file`` he has no "
        "password until ``password`` sets one. With ``--watchers 'web*,queue'`` he sees and commands those alone, and nothing that is "
        "of the whole daemon.",
        (
            _PERSON,
            Field("role", doc="what he may do", default="viewer", choices=ROLES),
            _WATCHERS,
            Field("password", "secret", "the password, of 8 letters or more; none when not given"),
        ),
        _SHOWN_PERSON,
        role="admin",
        effect="change",
        scope="people",
        original=False,
        example="circusctl addperson ada --role operator --watchers 'web*'",
        case=Case(argv="addperson ada --role operator", query="people", before="people", after="ada"),
    ),
    Command(
        "addsocket",
        "open a socket",
        "A managed socket is opened in the running daemon, for watchers to name. Every option of a socket is a flag: ``--host``, "
        "``--port``, ``--path`` …; over the wire, the property ``options`` has them.",
        (
            Field("name", doc="name of the new socket", required=True, positional=True, metavar="NAME"),
            Field("options", "object", "options of the socket", default=None),
        ),
        (Field("socket", "object", "the socket as ``listsockets`` shows it"),),
        role="admin",
        effect="change",
        scope="socket",
        options="socket",
        original=False,
        example="circusctl addsocket web --host 127.0.0.1 --port 8000 --backlog 512",
        case=Case(
            argv="addsocket extra --host 127.0.0.1 --port 0",
            query="listsockets",
            before="shared",
            after="extra",
        ),
    ),
    Command(
        "addtoken",
        "make a token for a program",
        "With it a program comes in at the HTTP API in the person's name: ``Authorization: Bearer TOKEN``. It is shown this once and "
        "kept as a hash. It may do what its role says and never more than the person. For oneself, or for others by an admin.",
        (
            _PERSON,
            Field(
                "token",
                doc="a name for it, to tell it from others",
                required=True,
                positional=True,
                metavar="TOKEN",
                target="token",
            ),
            Field("role", doc="what it may do; the person's role when not given", choices=ROLES),
            _WATCHERS,
            Field(
                "expires",
                "seconds",
                "seconds for which it is good; without an end when not given",
                metavar="SECONDS",
            ),
        ),
        (
            Field("secret", "string", "the token itself"),
            Field("id", "int", "by what ``rmtoken`` knows it"),
            Field("expires", "json", "epoch seconds, or null"),
        ),
        effect="change",
        scope="people",
        scoped=True,
        original=False,
        example="circusctl addtoken ada deploy --role operator --expires 2592000",
        case=Case(
            setup=("addperson ada --role operator",),
            argv="addtoken ada deploy --role operator",
            query="tokens",
            before="tokens",
            after="deploy",
        ),
    ),
    Command(
        "audit",
        "show who changed what",
        "The last changing commands and the last refusals: who, from where, what, with which result. Of options, the names and "
        "never the values. They are in the file that ``inspect`` names, one JSON object a line.",
        (
            Field("lines", "int", "how many of the last", default=20, short="n", metavar="N"),
            Field("person", doc="only of this person, or of ``uid N``"),
            Field("command", doc="only this command"),
            Field("result", doc="only with this result: ok, not_ok for all others, or the code of an error"),
            Field("skip", "int", "pass over so many of the last", default=0, metavar="N"),
        ),
        (
            Field(
                "entries",
                "json",
                "oldest first: {time, person, uid, role, door, from, pid, command, watcher, keys, args, result}",
            ),
            Field("file", "string", "where they are written; null when the option ``audit`` is ``off``"),
            Field("recorded", "int", "entries since the start of circusd"),
            Field("lost", "int", "how many of them the disk did not take"),
            Field("problem", "string", "why entries are not written at present"),
        ),
        role="admin",
        original=False,
        example="circusctl audit -n 50",
        case=Case(setup=("set loud warmup_delay 0",), argv="audit", after="set loud [warmup_delay]"),
    ),
    Command(
        "completion",
        "print a script that lets a shell complete",
        "Commands, options, choices and signals, and the names of watchers and processes as they are at that moment. For the "
        'shell at hand: ``eval "$(circusctl completion bash)"``; for good, put it where the shell looks for such scripts.',
        (
            Field(
                "shell",
                doc="which shell",
                required=True,
                positional=True,
                metavar="SHELL",
                choices=("bash", "zsh", "fish"),
            ),
        ),
        where="client",
        original=False,
        example="circusctl completion bash",
        case=Case(argv="completion bash", after="complete -F"),
    ),
    Command(
        "cancel",
        "cancel a command that is on its way",
        "What waits is dropped, and who asked for it gets an error. What is under way is stopped where that leaves something sane: of a "
        "start, what runs stays and ``numprocesses`` is lowered to it; of a reload, the old processes stay; of a command for several "
        "watchers, the others are not begun; a wait ends. Otherwise it is refused, with the reason: what has the stop signal "
        "can't be kept.",
        (Field("id", "int", "as ``jobs`` shows it", required=True, positional=True, metavar="ID"),),
        (
            Field("cancelled", "json", "names of the watchers whose part of it was cancelled"),
            Field("kept", "object", "the others, with the reason"),
        ),
        role="operator",
        effect="change",
        scoped=True,
        original=False,
        example="circusctl cancel 17",
        case=Case(
            setup=("set off numprocesses 9 warmup_delay 600 --waiting", "start off"),
            argv="cancel {job}",
            query="jobs",
            before="start",
            after="{gone}",
        ),
    ),
    Command(
        "crash",
        "show the report of a crash",
        "All that is known of an end that was a failure: by which signal or exit code and what that usually means, where its core dump "
        "is, who had sent it signals, its last lines, what it had used, the load of its watcher before, what is different since the "
        "last start that went well (options, with secrets hidden, and the program's files), and what happened next. The last "
        "report when no ID is given.",
        (
            Field(
                "name",
                doc="the watcher, in any case of letters",
                required=True,
                positional=True,
                metavar="NAME",
                target="watcher",
            ),
            Field(
                "id",
                "int",
                "the number of the report, as ``crashes`` shows it",
                positional=True,
                metavar="ID",
            ),
        ),
        (
            Field(
                "crash",
                "object",
                "the report: {id, watcher, wid, pid, started, ended, lived, code, signal, signal_name, stage, errno, how, means, core, "
                "core_dump, sent, stop, killer, usage, load, since, changes, files, lines, next, next_try, count, last, last_pid, "
                "others}; what is not known is null or empty",
            ),
        ),
        scope="watcher",
        scoped=True,
        original=False,
        example="circusctl crash web 3",
        case=Case(
            setup=("signal loud SEGV", "wait-crash loud"),
            argv="crash loud",
            after="was ended by SIGSEGV",
        ),
    ),
    Command(
        "crashes",
        "list the reports of crashes",
        "Processes that ended in a way that is a failure by the options of their watcher: by a signal that circusd has not sent to stop "
        "them, with an exit code that is not in ``success_exit_codes``, or that could not be started or did not become ready. Ends that "
        "differ in nothing but numbers are counted together. The last 20 reports of each watcher are kept, in memory and in the state "
        "folder, where they outlive circusd.",
        (_name(False, "only this watcher, or those that match"), _MATCH),
        (
            Field(
                "crashes",
                "json",
                "list of {watcher, id, wid, pid, started, ended, lived, code, signal, signal_name, stage, core, how, means, count, last, "
                "last_pid, others}, newest first; ``count`` ends were like it, the last of them at ``last``, and ``others`` failures "
                "after it were too many to be looked at",
            ),
            Field("problem", "string", "why they will not outlive circusd; empty when they will"),
        ),
        scope="watcher",
        scoped=True,
        original=False,
        example="circusctl crashes web",
        case=Case(
            setup=("signal loud SEGV", "wait-crash loud"),
            argv="crashes loud",
            after="was ended by SIGSEGV",
        ),
    ),
    Command(
        "daemon",
        "show the daemon: its process, its limits, and who is connected",
        "Memory, descriptors and other limits of circusd itself, and each of its doors with the connections that came in by it: whose, "
        "since when, how much was sent and how much waits. The first 200 of a door are told one by one.",
        reply=(
            Field("name", "string", "name of the daemon"),
            Field("version", "string", "version of circusd"),
            Field("pid", "int", "its process"),
            Field("started", "json", "epoch seconds"),
            Field(
                "lag",
                "json",
                "how long the loop lets others wait, in seconds: at all but one of a hundred moments of the last minute not longer",
            ),
            Field(
                "loop",
                "object",
                "{p50, p99, max, window}: the same at half of the moments, ``lag``, and the longest turn, all of so many seconds",
            ),
            Field(
                "host",
                "object",
                "of the machine: ``load`` of 1, 5 and 15 minutes, bytes of memory and swap, processor seconds by mode",
            ),
            Field(
                "usage", "object", "memory in bytes, processor seconds, threads, descriptors and their limit"
            ),
            Field("limits", "json", "list of {name, doc, unit, soft, hard}; null for none"),
            Field(
                "doors",
                "json",
                "list of {name, channel, endpoint, count, connections}; of a connection {uid, user, pid, watcher, role, address, since, "
                "sent, queued}",
            ),
            Field("counters", "object", "connections that are in, were let in and were refused"),
            Field("configuration", "object", "the main file, and all that were read"),
        ),
        original=False,
        example="circusctl daemon",
        case=Case(argv="daemon", after="commands"),
    ),
    Command(
        "decr",
        "run fewer processes",
        "The number of processes is lowered; the oldest ones are stopped first. Never below 0.",
        (_name(), _NB, _MATCH),
        (Field("numprocesses", "int", "the new number"), _SEVERAL),
        role="operator",
        effect="change",
        scope="watcher",
        scoped=True,
        waits=True,
        example="circusctl decr web 2",
        icon="minus",
        key="-",
        case=Case(argv="decr web --waiting", query="numprocesses web", before="2", after="1"),
    ),
    Command(
        "drift",
        "show what differs between the configuration and what is in force",
        "What was changed at run time and is not in the files (``save`` puts it there), whether the files have changed on disk since they "
        "were read (``reloadconfig`` puts that into force), and the last save, which ``save --undo`` takes back. Names only, no values.",
        reply=(
            Field("path", "string", "the main file"),
            Field("files", "json", "all files that were read"),
            Field("changes", "json", "what was changed at run time, in words"),
            Field("left", "json", "what of it can't be saved, in words"),
            Field("on_disk", "bool", "whether the files say something else than when they were read"),
            Field("problems", "json", "what is wrong with the files as they are now"),
            Field(
                "last_save",
                "json",
                "{time, files, problem}: the save that can be undone, or why it can't; null for none",
            ),
        ),
        original=False,
        example="circusctl drift",
        case=Case(setup=("set loud warmup_delay 3",), argv="drift", after="watcher loud changed"),
    ),
    Command(
        "dstats",
        "show the daemon's own statistics",
        "CPU, memory and age of circusd itself.",
        reply=(
            Field("info", "object", "the process information of circusd"),
            Field("loop", "object", "how long its loop lets others wait, as ``daemon`` tells it"),
        ),
        scoped=True,
        example="circusctl dstats",
        case=Case(argv="dstats", after="Main Process"),
    ),
    Command(
        "endsession",
        "end a session of the console",
        "Whoever has it has to log in again, and its live connections are closed. One's own, or those of others by an admin.",
        (
            Field(
                "session",
                doc="as ``sessions`` shows it",
                required=True,
                positional=True,
                metavar="ID",
                target="session",
            ),
        ),
        effect="change",
        scope="people",
        scoped=True,
        original=False,
        example="circusctl endsession 3f2a9c01d4e7",
        case=Case(
            setup=("console", "log-in ada"),
            argv="endsession {session}",
            query="sessions",
            before="ada",
            after="{gone}",
        ),
    ),
    Command(
        "events",
        "show what happened last, and what happens",
        "The last events, oldest first; with ``--follow`` the coming ones too. The daemon keeps the last 2,000.",
        (
            _name(False, "only of this watcher, or of those that match"),
            Field("lines", "int", "how many of the last", default=20, short="n", metavar="N"),
            Field("follow", "bool", "go on with what comes", default=False, short="f"),
            Field("kind", doc="only of this kind: ``process.exited``, or ``process`` for all that begin so"),
            Field("level", doc="only of this level or a higher one", choices=("info", "warning", "error")),
            Field("text", doc="only those with this in their text, or in the name of their watcher"),
            Field("before", "int", "only those with a lower number", metavar="NUMBER"),
            _MATCH,
        ),
        (
            Field("events", "json", "list of events, oldest first"),
            Field("watchers", "json", "names of the watchers that were meant, when a name was given"),
            Field("more", "bool", "whether there are older ones"),
        ),
        scoped=True,
        original=False,
        example="circusctl events -n 5",
        case=Case(argv="events", after="started"),
    ),
    Command(
        "explain",
        "say why watchers are as they are",
        "One or a few sentences for each: why it is in its state, and what happens next. Of watchers that are named, the addresses outside "
        "that they depend on are looked at once: it says which do not answer now.",
        (_name(False, "only this watcher, or those that match"), _MATCH),
        (
            Field(
                "watchers",
                "json",
                "list of {name, state, status, explain, crash}, by name; ``crash`` is {id, time} of the last crash report since circusd "
                "has started",
            ),
        ),
        scope="watcher",
        scoped=True,
        original=False,
        example="circusctl explain web",
        case=Case(argv="explain web", after="All 2 processes run."),
    ),
    Command(
        "freeze",
        "make processes stand still",
        "A process, or all of a watcher, is stopped where it is, with everything below it, and goes on when it is thawed. Meanwhile "
        "nothing is expected of it: neither its age nor whether it is ready is judged, and it is not started again. Connections to it "
        "stay open and wait. A stop, a restart or the end of circusd thaws it, so that it can obey.",
        (
            _name(),
            _PID,
            Field(
                "seconds",
                "seconds",
                "it goes on by itself after so many seconds; when it is thawed where none are given",
                flag="for",
                metavar="SECONDS",
            ),
            _MATCH,
        ),
        (
            Field("frozen", "json", "pids of the processes that stand still, without those below them"),
            _SEVERAL,
        ),
        role="operator",
        effect="change",
        scope="process",
        scoped=True,
        original=False,
        example="circusctl freeze web --for 30",
        case=Case(
            argv="freeze web", query="inspect web", before='"state": "running"', after='"state": "frozen"'
        ),
    ),
    Command(
        "get",
        "show the value of options",
        "The values of some options of a watcher.",
        (
            _name(),
            Field(
                "keys",
                "strings",
                "names of options",
                required=True,
                positional=True,
                metavar="KEY",
                target="option",
            ),
            _MATCH,
        ),
        (Field("options", "object", "values by name"), _SEVERAL),
        scope="watcher",
        scoped=True,
        example="circusctl get web numprocesses graceful_timeout",
        case=Case(argv="get web numprocesses", after="numprocesses: 2"),
    ),
    Command(
        "globaloptions",
        "show the daemon's own options",
        "Endpoints and the other options of the ``[circus]`` section that are in force; with ``--all`` every one of them.",
        (
            Field("option", doc="only this one", positional=True, metavar="OPTION"),
            Field("all", "bool", "those too that the original does not show", default=False),
        ),
        (Field("options", "object", "values by name"),),
        scoped=True,
        example="circusctl globaloptions endpoint",
        case=Case(argv="globaloptions", after="endpoint"),
    ),
    Command(
        "graph",
        "show which watchers need which others",
        "Each watcher with what it depends on, in which state that is needed, and whether it is so; those that need nothing come first, "
        "and each comes after all that it needs. ``--mermaid`` writes the picture as Mermaid, which many editors and wikis draw.",
        (
            _name(False, "only this watcher with all that it needs, or those that match"),
            _MATCH,
            Field("mermaid", "bool", "as text of Mermaid"),
        ),
        (
            Field(
                "watchers",
                "json",
                "list of {name, state, status, needs}; ``needs`` lists {name, condition, met}, and of an address outside also {outside, "
                "problem, asked, next, answered}; the addresses come first, with the status ``outside``",
            ),
            Field("mermaid", "string", "the picture, where it was asked for"),
        ),
        scope="watcher",
        scoped=True,
        original=False,
        example="circusctl graph web",
        case=Case(argv="graph web", after="web"),
    ),
    Command(
        "grep",
        "search what processes wrote",
        "Lines of the daemon's history that match, and with ``--files`` those of the log files too: the one that is written, those "
        "that were put aside by rotation, and compressed ones (gz, bz2, xz). The search runs in a process of its own, which ends "
        "when it is cancelled, when its client is gone, or when a pattern takes too long. PATTERN is a regular expression of "
        "Python, matched against each line without its colours. ``circusctl`` prints all that match, oldest first, or with "
        "``--limit`` the newest; its exit code is 0 when there is a match, 1 when there is none, 2 for an error. At most two "
        "searches of one client run at once.",
        (
            Field("pattern", doc="a regular expression", positional=True, metavar="PATTERN"),
            _name(False, "only this watcher, or those that match"),
            Field("fixed", "bool", "PATTERN is plain text", default=False, short="F"),
            Field(
                "ignore_case",
                "bool",
                "small and capital letters are the same",
                default=False,
                short="i",
                flag="ignore-case",
            ),
            Field("invert", "bool", "lines that do not match", default=False, short="v", flag="invert-match"),
            Field(
                "after",
                "int",
                "so many lines after each match too, at most 100",
                default=0,
                short="A",
                flag="after-context",
                metavar="N",
            ),
            Field(
                "before",
                "int",
                "so many lines before each match too, at most 100",
                default=0,
                short="B",
                flag="before-context",
                metavar="N",
            ),
            Field("context", "int", "so many lines before and after each match", short="C", metavar="N"),
            _STREAM,
            _SINCE,
            _UNTIL,
            _FILES,
            Field(
                "limit", "int", "how many matches at most; up to 20,000", default=1000, short="m", metavar="N"
            ),
            _ORDER,
            _CURSOR,
            Field("text", "json", "plain text instead of ``pattern``"),
            _KEY,
            _MATCH,
        ),
        (
            Field(
                "lines",
                "json",
                "list of {id, watcher, wid, pid, stream, number, time, text, match}, oldest first; ``match`` is false for lines of "
                "the context, and with context ``gap`` is true where lines between this and the one before it in its log are left "
                "out. What a log file does not tell is null",
            ),
            Field("matches", "int", "how many of the lines match"),
            *_LINES_REPLY,
            *_READ_REPLY,
        ),
        scope="watcher",
        scoped=True,
        lasts=True,
        original=False,
        example="circusctl grep -i -C 2 --since '1 h ago' --files 'error|fatal' web",
        case=Case(setup=("wait-output loud tick",), argv="grep t.ck loud", after="tick"),
    ),
    Command(
        "help",
        "show the commands, or one of them",
        "Without a name, every command with its summary; with a name, its whole text.",
        (Field("command", doc="a command", positional=True, metavar="COMMAND"),),
        where="client",
        example="circusctl help reload",
        case=Case(argv="help reload", after="sequential"),
    ),
    Command(
        "history",
        "show what watchers took in the last hour",
        "The use of the processor and memory of watchers (with all that their processes have started), number of processes and "
        "restarts: a sample a minute (the option "
        "``stats_history``), finer ones of the last minutes where somebody has looked, and how it is now. On a terminal as lines that "
        "rise and fall; on a pipe one line for each sample. It begins with circusd and ends with it.",
        (
            _name(False, "only this watcher, or those that match"),
            Field("last", "seconds", "only so many seconds back; an hour when not given", metavar="SECONDS"),
            _MATCH,
        ),
        (
            Field(
                "times",
                "json",
                "the moments of the samples (epoch seconds), oldest first; the last one is now",
            ),
            Field(
                "watchers",
                "object",
                "by name {cpu, rss, processes, restarts}, each a list as long as ``times``: per cent of one processor since the sample "
                "before, bytes, their number, restarts since the watcher was added; null where nothing ran",
            ),
            Field(
                "daemon",
                "object",
                "the same of circusd itself, with the processes and restarts of all watchers; those are null for who may see only some",
            ),
            Field("period", "seconds", "seconds between two samples while nobody looks; 0 when none is kept"),
            Field(
                "events",
                "json",
                "with a name: what has happened to these watchers in that time, oldest first",
            ),
        ),
        scope="watcher",
        scoped=True,
        original=False,
        example="circusctl history web --last 600",
        case=Case(argv="history web", after="web"),
    ),
    Command(
        "incr",
        "run more processes",
        "The number of processes is raised; the new ones are started at once.",
        (_name(), _NB, _MATCH),
        (Field("numprocesses", "int", "the new number"), _SEVERAL),
        role="operator",
        effect="change",
        scope="watcher",
        scoped=True,
        waits=True,
        example="circusctl incr web 2",
        icon="plus",
        key="+",
        case=Case(argv="incr web --waiting", query="numprocesses web", before="2", after="3"),
    ),
    Command(
        "input",
        "send text to a process's standard input",
        "For watchers with ``stdin_pipe``. TEXT goes to all processes of the watcher or, with ``--pid``, to one of them, with the end of a "
        "line behind it; ``-`` stands for what ``circusctl`` itself reads, which goes on as it is, as fast as it is taken. With "
        "``--waiting`` the reply comes when the processes' pipes have taken it. One that does not read is an error, and nothing is sent "
        "to any. What is sent is in no log and not in the audit.",
        (
            Field("name", doc="a watcher", required=True, positional=True, metavar="NAME", target="watcher"),
            Field("text", doc="the text, or - for standard input", positional=True, metavar="TEXT"),
            Field("pid", "int", "only this process", metavar="PID", target="process"),
            Field("bare", "bool", "without the end of a line", default=False),
            Field("eof", "bool", "the input ends behind it; nothing more can be sent", default=False),
        ),
        (
            Field("sent", "json", "pids of the processes that it was sent to"),
            Field("bytes", "int", "how many bytes each was sent"),
        ),
        role="admin",
        effect="change",
        scope="process",
        scoped=True,
        waits=True,
        original=False,
        example="circusctl input game 'save all'",
        case=Case(
            setup=("set web stdin_pipe true --waiting",),
            argv="input web hello --waiting",
            query="audit",
            before='"command": "set"',
            after='"command": "input"',
        ),
    ),
    Command(
        "inspect",
        "show everything that is known of watchers",
        "States of all processes with their reasons, the next try, the last exit, a sentence that explains it, and for each "
        "stream what waits, what was lost and why. As JSON; for people there is ``status``.",
        (_name(False, "only this watcher, or those that match"), _MATCH),
        (
            Field("watchers", "json", "one object for each watcher"),
            Field("daemon", "object", "the daemon"),
            Field("sockets", "json", "the sockets"),
        ),
        scoped=True,
        original=False,
        example="circusctl inspect web",
        case=Case(argv="inspect web", after="explain"),
    ),
    Command(
        "ipython",
        "not available any more",
        "The original could open an IPython kernel inside the daemon. It would let a client run any code there, so it answers "
        "that there is none, as the original does on today's Python.",
        reply=(Field("shell", "json", "always false"), Field("msg", "string", "why")),
        role="admin",
        example="circusctl ipython",
        case=Case(argv="ipython", after="ipython"),
    ),
    Command(
        "jobs",
        "list the commands that are on their way",
        "What is under way and what waits for its turn, of all watchers: the id, who asked for it and when, and how far it is. "
        "``cancel ID`` cancels one.",
        reply=(
            Field(
                "jobs",
                "json",
                "list of {id, command, watcher, by, since, state, done, total, unit, parts}, by id; ``parts`` has one for each watcher "
                "where it is for several",
            ),
        ),
        scoped=True,
        original=False,
        example="circusctl jobs",
        case=Case(
            setup=("set off numprocesses 9 warmup_delay 600 --waiting", "start off"),
            argv="jobs",
            after="start off: 1 of 9",
        ),
    ),
    Command(
        "keys",
        "list the keys of clients on other machines",
        "Their names, roles and public keys, who made them, and from where they are in use at present; and the server's own "
        "public key. ``keys add``, ``keys rm`` and ``keys new`` make, revoke and prepare them.",
        reply=(
            Field(
                "keys", "json", "one object for each, by name: {name, role, connections, by, added, public}"
            ),
            Field("server", "string", "the server's public key; empty until there is the first key"),
            Field("endpoints", "object", "by channel, those that other machines can reach"),
            Field("daemon", "string", "the name of the daemon"),
        ),
        role="admin",
        original=False,
        example="circusctl keys",
        case=Case(
            setup=("addkey laptop --public 0000000000abcdefghij0123456789abcdefghij",),
            argv="keys",
            after="laptop",
        ),
    ),
    Command(
        "kill",
        "stop processes; they are started again",
        "A process, or all of a watcher, gets the stop signal, then SIGKILL when the time is over, with everything below it. "
        "What was killed is started again; to keep it down, use ``stop`` or ``decr``.",
        (
            _name(),
            _PID,
            Field("signum", "signal", "first signal; as a stop does when not given", metavar="SIGNAL"),
            _TIMEOUT,
            _MATCH,
        ),
        (_ABANDONED, _SEVERAL),
        role="operator",
        effect="destroy",
        scope="process",
        scoped=True,
        waits=True,
        example="circusctl kill web --signum KILL",
        case=Case(argv="kill web --waiting", query="list web", before="{pids}", after="{other pids}"),
    ),
    Command(
        "list",
        "list the watchers, or the processes of one",
        "Without a name, the watchers; with a name, the pids of its live processes.",
        (_name(False, "a watcher, or a pattern, to list its processes"), _MATCH),
        (
            Field("watchers", "json", "names in lower case, sorted"),
            Field("pids", "json", "live processes"),
            _SEVERAL,
        ),
        scoped=True,
        example="circusctl list",
        case=Case(argv="list", after="web"),
    ),
    Command(
        "listen",
        "print the raw messages of the event endpoint",
        "Each message as topic and JSON, until it is interrupted, as the original prints them. For events in words there is ``events -f``.",
        (Field("topic", "strings", "only topics that begin so", positional=True, metavar="TOPIC"),),
        where="client",
        example="circusctl listen watcher.web.",
        case=Case(argv="listen", after="watcher.loud.updated"),
    ),
    Command(
        "listsockets",
        "list the sockets that the daemon owns",
        "Name, address, descriptor and backlog of each managed socket. With ``--details`` also who has it, how many connections wait to "
        "be accepted, how many are open, and how many were turned away as the queue was full, as far as the kernel tells.",
        (Field("details", "bool", "with who has it and what the kernel tells of it", default=False),),
        (
            Field(
                "sockets",
                "json",
                "one object for each, by descriptor; with details also {family, type, watchers, processes, waiting, limit, dropped, "
                "connections}, with null where the kernel does not tell, and awaited_by: the watchers that the next connection starts",
            ),
        ),
        scope="socket",
        scoped=True,
        example="circusctl listsockets",
        case=Case(argv="listsockets", after="shared"),
    ),
    Command(
        "metrics",
        "show the figures for Prometheus",
        "What watchers, their processes, sockets, circusd and the machine are at, as the console tells it at ``/metrics``. circusctl "
        "prints the text that Prometheus reads: what the textfile collector of its node exporter picks up, for example. It is "
        "gathered when somebody asks, and at most once a second. Who may see only some watchers gets those and their sockets.",
        reply=(
            Field(
                "groups",
                "json",
                "list of {name, labels, metrics, rows}; a row has the values of the labels, then those of the metrics, null for what is "
                "not known",
            ),
            Field("whole", "bool", "false where watchers, circusd and the machine are left out"),
        ),
        scoped=True,
        original=False,
        example="circusctl metrics",
        case=Case(argv="metrics", after="circus_watcher_processes"),
    ),
    Command(
        "newkey",
        "make the pair of a client's key on its own machine",
        "Where the secret key should never leave the machine that it is for: the pair is made there, and its public key is "
        "printed, which an admin gives to ``keys add NAME --public KEY``. The server's public key, which ``keys`` shows, is "
        "given with ``--server``, at once or by a second run. Asks no daemon.",
        (
            Field("name", doc="what the client is called", required=True, positional=True, metavar="NAME"),
            Field("server", doc="the server's public key", metavar="KEY"),
            Field("out", doc="the file that is written; NAME.key when not given", metavar="FILE"),
        ),
        where="client",
        original=False,
        aliases=("keys new",),
        example="circusctl newkey laptop --out laptop.key",
        case=Case(argv="newkey notebook", after="keys add notebook --public"),
    ),
    Command(
        "numprocesses",
        "count processes",
        "How many processes there are, of all watchers or of one.",
        (_name(False, "only this watcher, or those that match"), _MATCH),
        (
            Field("numprocesses", "int", "the number"),
            Field("watcher_name", "string", "the watcher, if one was named"),
            _SEVERAL,
        ),
        scoped=True,
        example="circusctl numprocesses web",
        case=Case(argv="numprocesses web", after="2"),
    ),
    Command(
        "numwatchers",
        "count watchers",
        "How many watchers there are.",
        reply=(Field("numwatchers", "int", "the number"),),
        scoped=True,
        example="circusctl numwatchers",
        case=Case(argv="numwatchers", after="3"),
    ),
    Command(
        "options",
        "show all options of a watcher",
        "Every option with its value, free-form ones included.",
        (_name(), _MATCH),
        (
            Field("options", "object", "values by name"),
            Field(
                "changed",
                "object",
                "what the configuration says of options that were changed at run time, null where it says nothing; only if there are any",
            ),
            _SEVERAL,
        ),
        scope="watcher",
        scoped=True,
        example="circusctl options web",
        case=Case(argv="options web", after="graceful_timeout"),
    ),
    Command(
        "output",
        "read what processes wrote",
        "Lines of the daemon's history; ``tail`` shows them to people. With ``--files``, lines that the history has no more come from "
        "the log files. ``older`` of a reply, given as ``cursor``, has the lines before, ``newer`` those after: without a gap and "
        "without a line twice.",
        (
            Field(
                "names",
                "strings",
                "watchers, or patterns; all when none is given",
                positional=True,
                metavar="NAME",
                target="watcher",
            ),
            Field(
                "lines",
                "int",
                "how many of the last lines; up to 20,000",
                default=100,
                short="n",
                metavar="N",
            ),
            _STREAM,
            _FILES,
            _SINCE,
            _UNTIL,
            Field("around", doc="half of the lines before this moment, half after it", metavar="TIME"),
            Field("before", doc="the lines before the one with this id", metavar="ID"),
            Field("after", doc="the lines after the one with this id", metavar="ID"),
            _ORDER,
            _CURSOR,
            _KEY,
            _MATCH,
        ),
        (
            Field(
                "lines",
                "json",
                "list of {id, watcher, wid, pid, stream, number, time, text}, oldest first. What a log file does not tell is null",
            ),
            Field("watchers", "json", "names of the watchers that were meant, when names were given"),
            *_LINES_REPLY,
            *_READ_REPLY,
        ),
        scoped=True,
        lasts=True,
        original=False,
        example="circusctl output web -n 5",
        case=Case(setup=("wait-output loud tick",), argv="output loud", after="tick"),
    ),
    Command(
        "password",
        "set a person's password",
        "The password is asked for on a terminal, or is the first line of ``--password-file`` (``-`` is standard input); it is never "
        "an argument. The person's sessions end. At the console a person changes his own, and gives the one of before.",
        (_PERSON, _PASSWORD, _CURRENT),
        effect="change",
        scope="people",
        scoped=True,
        original=False,
        example="circusctl password ada",
        case=Case(
            setup=("addperson ada", "write secret correct-horse-battery"),
            argv="password ada --password-file secret",
            query="people",
            before='"password": false',
            after='"password": true',
        ),
    ),
    Command(
        "people",
        "list the people who may come in",
        "Who has an account for the console, with role and watchers. Who came by a one-time link has none: see ``sessions``.",
        reply=(Field("people", "json", "one object for each, by name"),),
        role="admin",
        scope="people",
        original=False,
        example="circusctl people",
        case=Case(setup=("addperson ben",), argv="people", after="ben"),
    ),
    Command(
        "ping",
        "ask whether the daemon answers",
        "Exits with 0 when it does.",
        reply=(
            Field("pong", "bool", "true"),
            Field("version", "string", "version of circusd"),
            Field("pid", "int", "its process"),
            Field("epoch", "string", "tells this life of the daemon from others"),
        ),
        scoped=True,
        original=False,
        example="circusctl ping",
        case=Case(argv="ping", after="pong"),
    ),
    Command(
        "plugins",
        "list the plugins",
        "Each with its class, its state and process, how often it was started again within the hour, its options without secrets, "
        "and the doors by which it is connected: ``events`` is what it listens to. To all other commands a plugin is a watcher named "
        "``plugin:NAME``.",
        reply=(
            Field("plugins", "json", "list of {name, watcher, use, options, status, pids, restarts, doors}"),
        ),
        original=False,
        example="circusctl plugins",
        case=Case(argv="plugins", after="no plugins"),
    ),
    Command(
        "process",
        "show everything that is known of one process",
        "Its state and its last ends; what it takes: processor, memory, threads, descriptors, input and output; what is below it; its "
        "limits, the names of its variables, its files and connections. The values are for admins, and only with ``--values``.",
        (
            Field(
                "name",
                doc="the watcher, in any case of letters",
                required=True,
                positional=True,
                metavar="NAME",
                target="watcher",
            ),
            Field(
                "wid",
                "int",
                "the number of the process in its watcher",
                required=True,
                positional=True,
                metavar="WID",
            ),
            Field("values", "bool", "with the values of its variables", default=False),
        ),
        (
            Field("watcher", "string", "the watcher"),
            Field("process", "object", "as ``inspect`` shows it"),
            Field("pid", "int", "null where nothing runs; then what follows is missing or empty"),
            Field(
                "ends",
                "json",
                "how the last ones ended: list of {time, pid, code, signal, lived, text}, oldest first",
            ),
            Field("stats", "object", "what it takes; what may not be read is missing"),
            Field("below", "json", "its descendants as ``tree`` shows them"),
            Field("limits", "json", "list of {name, soft, hard, unit}; null for no limit"),
            Field("environment", "object", "the variables that it was started with"),
            Field("environment_whole", "bool", "false where they were more than is read"),
            Field(
                "files", "object", "{count, files, left_out}; of each of the first ones {fd, target, socket}"
            ),
            Field("left_out", "int", "descendants that are not told for want of room"),
        ),
        scope="process",
        scoped=True,
        original=False,
        example="circusctl process web 1",
        case=Case(argv="process web 1", after="Max open files"),
    ),
    Command(
        "quit",
        "stop everything and end the daemon",
        "All watchers are stopped in the reverse order of their start, then circusd exits: with 0, or with 1 when a process did "
        "not end.",
        reply=(_ABANDONED,),
        role="operator",
        effect="destroy",
        waits=True,
        example="circusctl quit",
        case=Case(argv="quit --waiting", query="ping", before="pong", after="no daemon"),
    ),
    Command(
        "reload",
        "replace processes with new ones, gently",
        "New processes are started first; when all of them are ready (see the option ``ready``), the old ones are stopped. With "
        "``--sequential`` one after another, with ``--batch N`` so many at a time. When a new one ends or is not ready within "
        "``start_timeout``, the new ones are stopped, the old ones stay, and the reply tells why. With "
        "``send_hup`` the processes get SIGHUP instead; that of a singleton is stopped first. A stopped watcher is started when it "
        "is named; without a name, those that run are reloaded, the highest priority first.",
        (
            _name(False, "a watcher, or a pattern; all that run when not given"),
            Field("graceful", "bool", "false: stop all, then start", default=True),
            Field("terminate", "bool", "the opposite of graceful", default=False),
            Field("sequential", "bool", "one process after another", default=False),
            Field("batch", "int", "so many processes at a time; all when not given", metavar="N"),
            _MATCH,
        ),
        (_STARTED, _KEPT, _STOPPED, _SEVERAL),
        role="operator",
        effect="change",
        scope="watcher",
        scoped=True,
        waits=True,
        example="circusctl reload web --sequential",
        icon="reload",
        key="R",
        case=Case(argv="reload web --waiting", query="list web", before="{pids}", after="{other pids}"),
    ),
    Command(
        "reloadconfig",
        "read the configuration again",
        "The file is read and checked as a whole, users are looked up, hooks imported and new sockets opened: when anything is "
        "wrong with it, nothing changes. Then watchers and sockets are added, removed and changed as the difference says. "
        "With ``--waiting`` the reply tells what was done; with ``--dry-run`` it tells what would be, and nothing is.",
        (Field("dry_run", "bool", "only tell what would be done", default=False, flag="dry-run"),),
        (
            Field("summary", "string", "what changes, in one line"),
            Field("plan", "json", "each step: subject, name, action, text, keys, processes"),
            Field("kept", "json", "what differs from the file and stays, as it was changed at run time"),
            Field("warnings", "strings", "what is probably not meant so in the file"),
            Field("dry_run", "bool", "true when nothing was done"),
        ),
        role="admin",
        effect="change",
        waits=True,
        example="circusctl reloadconfig --waiting",
        case=Case(
            setup=("append-to-config late",),
            argv="reloadconfig --waiting",
            query="list",
            before="web",
            after="late",
        ),
    ),
    Command(
        "reopen",
        "open log files again",
        "After another program has moved log files away, as logrotate does: the files of one watcher, or of all, and with no name "
        "circusd's own log too, are opened again under their names. SIGUSR1 to circusd does the same for all. What a disk that "
        "does not answer in 5 seconds will do later is told as pending.",
        (_name(False, "only this watcher, or those that match"), _MATCH),
        (
            Field("reopened", "strings", "the files"),
            Field("pending", "strings", "files whose disk has not answered yet"),
        ),
        role="operator",
        effect="change",
        scope="watcher",
        scoped=True,
        original=False,
        example="circusctl reopen web",
        case=Case(
            setup=("write loud.log old", "set loud stdout_stream.filename loud.log --waiting"),
            argv="reopen loud",
            query="sinks loud",
            before='"reopenings": 0',
            after='"reopenings": 1',
        ),
    ),
    Command(
        "restart",
        "stop, then start",
        "Processes are stopped and started again. Without a name every watcher that runs, the "
        "highest priority first, each group of one priority when the one before has ended; never circusd itself.",
        (_name(False, "a watcher, or a pattern; all that run when not given"), _MATCH),
        (_STARTED, _KEPT, _STOPPED, _ABANDONED),
        role="operator",
        effect="change",
        scope="watcher",
        scoped=True,
        waits=True,
        example="circusctl restart 'web*' --waiting",
        icon="restart",
        key="r",
        case=Case(argv="restart web --waiting", query="list web", before="{pids}", after="{other pids}"),
    ),
    Command(
        "rm",
        "remove a watcher",
        "The watcher is stopped and forgotten; with ``--nostop`` its processes run on, no longer managed.",
        (_name(), Field("nostop", "bool", "leave its processes running", default=False), _MATCH),
        (_ABANDONED, _SEVERAL),
        role="admin",
        effect="destroy",
        scope="watcher",
        scoped=True,
        waits=True,
        example="circusctl rm web",
        case=Case(argv="rm loud --waiting", query="list", before="loud", after="{gone}"),
    ),
    Command(
        "rmkey",
        "revoke the key of a client on another machine",
        "It is let in no more, and the connections that it has end.",
        (
            Field(
                "name",
                doc="what the client is called",
                required=True,
                positional=True,
                metavar="NAME",
                target="key",
            ),
        ),
        (Field("ended", "int", "how many connections have ended"),),
        role="admin",
        effect="destroy",
        original=False,
        aliases=("keys rm",),
        example="circusctl rmkey laptop",
        case=Case(
            setup=("addkey extra --public 0123456789abcdefghij0123456789abcdefghij",),
            argv="rmkey extra",
            query="keys",
            before="extra",
            after="{gone}",
        ),
    ),
    Command(
        "rmperson",
        "remove a person",
        "The account is gone with its tokens, and its sessions end.",
        (_PERSON,),
        role="admin",
        effect="destroy",
        scope="people",
        original=False,
        example="circusctl rmperson ada",
        case=Case(
            setup=("addperson ada",), argv="rmperson ada", query="people", before="ada", after="{gone}"
        ),
    ),
    Command(
        "rmsocket",
        "close a socket",
        "A managed socket is closed. Refused while a watcher names it; with ``--force`` it is closed all the same, and processes that run "
        "keep what they have inherited.",
        (
            Field("name", doc="the socket", required=True, positional=True, metavar="NAME", target="socket"),
            Field("force", "bool", "close it though watchers name it", default=False),
        ),
        (Field("held_by", "json", "names of the watchers that name it"),),
        role="admin",
        effect="destroy",
        scope="socket",
        original=False,
        example="circusctl rmsocket web",
        case=Case(argv="rmsocket shared", query="listsockets", before="shared", after="{gone}"),
    ),
    Command(
        "rmtoken",
        "revoke a token",
        "Nobody comes in with it any more, and what is open with it is closed. One's own, or those of others by an admin.",
        (
            Field(
                "id",
                "int",
                "as ``tokens`` shows it",
                required=True,
                positional=True,
                metavar="ID",
                target="token",
            ),
        ),
        effect="destroy",
        scope="people",
        scoped=True,
        original=False,
        example="circusctl rmtoken 3",
        case=Case(
            setup=("addperson ada", "addtoken ada deploy"),
            argv="rmtoken 1",
            query="tokens",
            before="deploy",
            after="{gone}",
        ),
    ),
    Command(
        "rotate",
        "put log files aside and begin new ones",
        "The files that a watcher's streams go to are rotated now, as they otherwise are at a size or time: by its number or "
        "time the old file has another name, and ``backup_count``, ``total_bytes`` and ``compress`` count. A file in which a line "
        "is open is rotated at its end, and told as pending until then; an empty one stays.",
        (_name(), _STREAM, _MATCH),
        (
            Field("rotated", "strings", "the files"),
            Field("pending", "strings", "files in which a line is open, or whose disk has not answered yet"),
        ),
        role="operator",
        effect="change",
        scope="watcher",
        scoped=True,
        original=False,
        example="circusctl rotate web",
        case=Case(
            setup=("write loud.log old", "set loud stdout_stream.filename loud.log --waiting"),
            argv="rotate loud",
            query="sinks loud",
            before='"rotations": 0',
            after='"rotations": 1',
        ),
    ),
    Command(
        "run",
        "run a watcher that has a schedule now",
        "One run beside those of the schedule, also while that is not in force; what becomes of it while another one goes on is for "
        "``schedule_overlap`` to say, and with ``skip`` it is refused. With ``--wait`` circusctl ends with the run: its exit code is that "
        "of the process (128 and the number of the signal that has ended it), 1 where there is none.",
        (_name(), _MATCH),
        (
            Field("watcher", "string", "the name"),
            Field("run", "json", "the run, when it is over, as ``runs`` lists it"),
            _SEVERAL,
        ),
        role="operator",
        effect="change",
        scope="watcher",
        waits=True,
        scoped=True,
        original=False,
        example="circusctl run nightly --wait",
        case=Case(
            setup=("set off schedule @yearly --waiting",),
            argv="run off",
            query="runs off",
            before='"runs": []',
            after='"result": "running"',
        ),
    ),
    Command(
        "runs",
        "show how the runs of a watcher have gone",
        "Each run of a watcher that has a schedule, the newest first: for when it was planned, when it began, how long it took, how it "
        "has ended and why it ran. Those that were left out or missed are listed too, several in a row as one. They are kept over "
        "restarts of circusd, the last 200 of a watcher. What a run has written: ``circusctl tail NAME --since BEGAN --until ENDED``.",
        (
            _name(),
            Field("lines", "int", "how many at most", default=20, short="n", metavar="N"),
            _MATCH,
        ),
        (
            Field("watcher", "string", "the name"),
            Field(
                "runs",
                "json",
                "list of {number, planned, began, ended, took, result, code, signal, text, why, by, times, lines, life}; ``lines`` "
                "gives for each stream (``1.stdout``) its first and last line, in that life of circusd",
            ),
            Field("more", "bool", "there are older ones"),
        ),
        scope="watcher",
        scoped=True,
        original=False,
        example="circusctl runs nightly",
        case=Case(
            setup=("add --schedule @yearly nightly true",), argv="runs nightly", after="has not run yet"
        ),
    ),
    Command(
        "save",
        "write what was changed at run time into the configuration",
        "What ``set``, ``incr``, ``decr``, ``add``, ``rm``, ``addsocket`` and ``rmsocket`` have changed since the files were "
        "read is put into them: each option where it stands, every other line, comments and order as they are. Shows the "
        "difference first, without the values of variables, and asks; ``--yes`` does not ask. Refused when a file has changed "
        "on disk since it was read: ``reloadconfig`` first, or ``--force``. ``--undo`` puts back what the "
        "files said before the last save, unless they have changed since; what is in force stays so.",
        (
            Field(
                "file",
                doc="where new sections go: one of the files that are read; the main file when not given",
                positional=True,
                metavar="FILE",
            ),
            Field("dry_run", "bool", "only show the difference", default=False, flag="dry-run"),
            Field("yes", "bool", "do not ask", default=False),
            Field("force", "bool", "though files have changed on disk", default=False),
            Field("undo", "bool", "put back what the files said before the last save", default=False),
            Field("digest", "json", "that of the difference that was shown: another one is refused"),
        ),
        (
            Field("changes", "json", "what was changed, in words"),
            Field("files", "json", "the files that are written"),
            Field("diff", "string", "the difference, as a unified diff"),
            Field("left", "json", "what is not saved, or not the same as now, in words"),
            Field("digest", "string", "tells this difference from others"),
            Field("dry_run", "bool", "true when nothing was written"),
        ),
        role="admin",
        effect="change",
        original=False,
        example="circusctl save --dry-run",
        case=Case(
            setup=("set web graceful_timeout 7 --waiting",),
            argv="save --yes",
            query="save --dry-run",
            before="+graceful_timeout = 7",
            after="{gone}",
        ),
    ),
    Command(
        "schedule",
        "show when watchers run",
        "Each watcher that has a schedule: when it runs next, and how its last run has ended. It is in force from the start of the "
        "watcher to its stop.",
        (_name(False, "only this watcher, or those that match"), _MATCH),
        (
            Field(
                "watchers",
                "json",
                "list of {name, schedule, timezone, overlap, in_force, next, next_text, running, queued, last}; ``running`` and ``last`` "
                "are runs as ``runs`` lists them",
            ),
        ),
        scope="watcher",
        scoped=True,
        original=False,
        aliases=("schedules",),
        example="circusctl schedule",
        case=Case(setup=("add --schedule @yearly yearly true",), argv="schedule", after="@yearly"),
    ),
    Command(
        "sessions",
        "list the sessions of the console",
        "Who is logged in, from where, and until when; of all people for an admin, and otherwise one's own.",
        reply=(
            Field(
                "sessions",
                "json",
                "list of {id, person, role, by, address, began, used, ends, own}, the one that was used last at the end",
            ),
        ),
        scope="people",
        scoped=True,
        original=False,
        example="circusctl sessions",
        case=Case(argv="sessions", after="logged in"),
    ),
    Command(
        "set",
        "change options of a running watcher",
        "Values take effect as the option table says: at once, at the next occasion, or by replacing the processes; with "
        "``--waiting`` and ``--report`` the reply tells which. On a terminal ``--waiting`` prints it by itself.",
        (
            _name(),
            _OPTIONS_SET,
            Field("report", "bool", "tell what became of each option", default=False),
            _MATCH,
        ),
        (Field("applied", "object", "with report and waiting: in words, when each option counts"), _SEVERAL),
        role="operator",
        effect="change",
        scope="watcher",
        scoped=True,
        waits=True,
        example="circusctl set web graceful_timeout 5 max_age 3600",
        case=Case(
            argv="set web graceful_timeout 7 --waiting",
            query="get web graceful_timeout",
            before="5",
            after="7",
        ),
    ),
    Command(
        "setperson",
        "change a person",
        "Role, watchers, and whether he is kept out; what is not given stays. His sessions end, so that nobody goes on with what he was.",
        (
            _PERSON,
            Field("role", doc="what he may do", choices=ROLES),
            Field(
                "watchers",
                doc="patterns of the only watchers that he may see and command, with commas between them; ``*`` for all",
                metavar="PATTERNS",
            ),
            Field("disabled", doc="keep him out, with his tokens", choices=("yes", "no")),
        ),
        _SHOWN_PERSON,
        role="admin",
        effect="change",
        scope="people",
        original=False,
        example="circusctl setperson ada --role viewer",
        case=Case(
            setup=("addperson ada --role viewer",),
            argv="setperson ada --role operator",
            query="people",
            before="viewer",
            after="operator",
        ),
    ),
    Command(
        "signal",
        "send a signal",
        "To all processes of a watcher, to one of them, or to their children.",
        (
            _name(),
            Field("pid", "int", "only this process", positional=True, metavar="PID", target="process"),
            Field(
                "signum",
                "signal",
                "the signal, by number or name",
                required=True,
                positional=True,
                metavar="SIGNAL",
            ),
            Field("childpid", "int", "a child of PID", metavar="PID"),
            Field("children", "bool", "the children instead of the processes", default=False),
            Field("recursive", "bool", "all descendants too", default=False),
            _MATCH,
        ),
        (_SEVERAL,),
        role="operator",
        effect="change",
        scope="process",
        scoped=True,
        example="circusctl signal web HUP",
        case=Case(argv="signal web KILL", query="list web", before="{pids}", after="{other pids}"),
    ),
    Command(
        "sinks",
        "show where output goes, and how it does there",
        "Each place that the streams of watchers go to: its state (``ok``; ``behind`` when processes wait for it; ``dropping`` when it is "
        "too slow and output is lost; ``failing`` with the reason when it can't be written; ``recovering`` when it has just been written "
        "again; ``none`` where the stream goes to the history only), what it has taken, what waits for it and may wait, and what was lost.",
        (_name(False, "only this watcher, or those that match"), _MATCH),
        (
            Field(
                "sinks",
                "json",
                "list of {watcher, stream, name, read_bytes, class, place, state, failing, since, taken_bytes, written_bytes, "
                "dropped_bytes, dropped_lines, waiting_bytes, queue_bytes, overflow, rotations, reopenings}; the name is that of a "
                "further place and else empty, the class is empty for what is passed on to circusd's own output, "
                "since is when the trouble began (epoch seconds or null), and what waits is shared by all that go to the same place",
            ),
        ),
        scope="watcher",
        scoped=True,
        original=False,
        example="circusctl sinks web",
        case=Case(argv="sinks loud", after="standard output"),
    ),
    Command(
        "start",
        "start watchers",
        "Without a name, those with ``autostart``. A watcher that runs with too few processes gets the missing ones; one that was "
        "given up is tried again.",
        (_name(False, "a watcher, or a pattern; all with autostart when not given"), _MATCH),
        (_STARTED, _KEPT),
        role="operator",
        effect="change",
        scope="watcher",
        scoped=True,
        waits=True,
        example="circusctl start web --waiting",
        icon="start",
        key="s",
        case=Case(
            setup=("stop web --waiting",),
            argv="start web --waiting",
            query="status web",
            before="stopped",
            after="active",
        ),
    ),
    Command(
        "stats",
        "show statistics of processes",
        "CPU, memory and age of all processes, those of a watcher, or one.",
        (
            _name(False, "only this watcher, or those that match"),
            Field("process", "int", "only this process", positional=True, metavar="PID", target="process"),
            Field("extended", "bool", "with what the extended_stats hook adds", default=False),
            _MATCH,
        ),
        (
            Field("infos", "object", "by watcher and pid"),
            Field("info", "object", "by pid, or of one process"),
            Field("name", "string", "the watcher, if one was named"),
        ),
        scope="watcher",
        scoped=True,
        example="circusctl stats web",
        case=Case(argv="stats web", after="sleep"),
    ),
    Command(
        "status",
        "show the state of watchers",
        "``active``, ``stopped``, ``starting`` or ``stopping``; what differs stands after a comma.",
        (_name(False, "only this watcher, or those that match"), _MATCH),
        (
            Field("statuses", "object", "state by watcher"),
            Field("status", "string", "state of the one named"),
        ),
        scoped=True,
        example="circusctl status",
        case=Case(argv="status", after="web: active"),
    ),
    Command(
        "stop",
        "stop watchers",
        "Processes get the stop signal, then SIGKILL when ``graceful_timeout`` is over. Without a name, all watchers, in the "
        "reverse order of their start.",
        (_name(False, "a watcher, or a pattern; all when not given"), _MATCH),
        (_ABANDONED,),
        role="operator",
        effect="destroy",
        scope="watcher",
        scoped=True,
        waits=True,
        example="circusctl stop web",
        icon="stop",
        key="x",
        case=Case(argv="stop web --waiting", query="status web", before="active", after="stopped"),
    ),
    Command(
        "tail",
        "show what processes write",
        "The last lines, then with ``-f`` what comes, of one or several watchers, merged; each line with the process that wrote it.",
        (
            Field(
                "names",
                "strings",
                "watchers, or patterns; all when none is given",
                positional=True,
                metavar="NAME",
                target="watcher",
            ),
            Field("lines", "int", "how many of the last lines", default=10, short="n", metavar="N"),
            Field("follow", "bool", "go on with what comes", default=False, short="f"),
            _STREAM,
            Field("timestamps", "bool", "with the time of each line", default=False, short="t"),
            _FILES,
            _SINCE,
            _UNTIL,
            _MATCH,
        ),
        where="client",
        original=False,
        example="circusctl tail -f -n 100 web worker",
        case=Case(setup=("wait-output loud tick",), argv="tail loud", after="tick"),
    ),
    Command(
        "thaw",
        "let frozen processes go on",
        "A process, or all of a watcher, goes on where it stood, with everything below it. Without a name, all that are frozen. One "
        "that had got a signal meanwhile hears it now.",
        (_name(False, "a watcher, or a pattern; all when not given"), _PID, _MATCH),
        (Field("thawed", "json", "pids of the processes that go on"), _SEVERAL),
        role="operator",
        effect="change",
        scope="process",
        scoped=True,
        original=False,
        example="circusctl thaw web",
        case=Case(
            setup=("freeze web",),
            argv="thaw web",
            query="inspect web",
            before='"state": "frozen"',
            after='"state": "running"',
        ),
    ),
    Command(
        "tokens",
        "list the tokens of programs",
        "Their names, roles, ends, and when each was used last; of all people for an admin, and otherwise one's own.",
        (Field("person", doc="only of this person", positional=True, metavar="PERSON", target="person"),),
        (Field("tokens", "json", "list of {id, person, token, role, watchers, created, expires, used}"),),
        scope="people",
        scoped=True,
        original=False,
        example="circusctl tokens ada",
        case=Case(setup=("addperson dora", "addtoken dora nightly"), argv="tokens", after="nightly"),
    ),
    Command(
        "timeline",
        "show how the last start went, and what it waited for",
        "Of the last start of circusd: for each watcher how long it waited, how long it took by itself, and when it was ready after "
        "the beginning; the one that took longest comes first. ``*`` marks the critical chain: each of these waited for the one before, "
        "and the whole is ready sooner only if one of them is. With ``--last``, of the last start of each watcher, be it by command.",
        (
            _name(False, "only this watcher, or those that match"),
            Field("last", "bool", "of each watcher's last start"),
            _MATCH,
        ),
        (
            Field(
                "watchers",
                "json",
                "list of {name, command, after, asked, begun, spawned, ready, failed, healthy, ended, waited, took, until, critical, "
                "error, waits}: "
                "moments in epoch seconds (null where they have not come), ``waited`` and ``took`` in seconds; ``after`` is what it "
                "waited for last, ``waits`` what it still waits for, ``until`` which of ready, healthy and ended others need of it",
            ),
            Field(
                "last", "bool", "whether these are the last starts of each, and not those of circusd's start"
            ),
            Field("chain", "strings", "the critical chain of the start of circusd, in its order"),
            Field("since", "json", "when that start began (epoch seconds), or null"),
            Field("took", "json", "seconds (or null) from there to the last that was ready or failed"),
            Field("under_way", "int", "how many of its watchers are on their way yet"),
        ),
        scope="watcher",
        scoped=True,
        original=False,
        example="circusctl timeline",
        case=Case(argv="timeline web", after="web"),
    ),
    Command(
        "tree",
        "show processes with everything below them",
        "The processes of a watcher, or of all, and what they have started, and that in turn: pid, command, use of the processor and "
        "memory of each.",
        (_name(False, "only this watcher, or those that match"), _MATCH),
        (
            Field(
                "watchers",
                "object",
                "by name a list of {wid, pid, state, started, command, cpu, rss, below}; ``below`` lists {pid, parent, depth, command, "
                "state, cpu, rss, age}, each behind its parent",
            ),
            Field("left_out", "int", "descendants that are not told, as there are more than 400"),
        ),
        scope="watcher",
        scoped=True,
        original=False,
        example="circusctl tree web",
        case=Case(argv="tree loud", after="sh -c"),
    ),
    Command(
        "version",
        "show the versions",
        "Of circusctl, and of the daemon that answers.",
        reply=(Field("version", "string", "version of circusd"),),
        scoped=True,
        original=False,
        example="circusctl version",
        case=Case(argv="version", after="circusd "),
    ),
    Command(
        "wait",
        "wait until watchers are in a state",
        "Ends when each of them is in the state: ``running`` when all its processes run and no command is under way, ``stopped`` "
        "when nothing of it runs; ``completed`` and ``exited`` when it has ended by itself, with exit code 0 or another. One that "
        "can't get there by itself any more (it was given up, has ended, or was removed) ends the wait at once, with the reason. "
        "Exit code 0 when all are there, 1 after the time, 3 when one does not get there.",
        (
            _name(),
            Field(
                "state",
                doc=f"the state: {', '.join(WAIT_STATES)}",
                default="running",
                choices=WAIT_STATES,
                flag="for",
                metavar="STATE",
            ),
            Field("timeout", "seconds", "how long; for ever when not given", metavar="SECONDS"),
            _MATCH,
        ),
        (
            Field("state", "string", "the state"),
            Field("watchers", "json", "names of the watchers that are in it"),
        ),
        scope="watcher",
        scoped=True,
        lasts=True,
        original=False,
        example="circusctl wait web --for running --timeout 30",
        case=Case(setup=("restart web",), argv="wait web --for running", after="web: running"),
    ),
    Command(
        "weblink",
        "make a one-time link into the console",
        "Opens the console without a password, once, within ten minutes, as the role given.",
        (
            Field("role", doc="what the person may do", default="admin", choices=ROLES),
            Field("person", doc="name shown in the console", default=""),
            _WATCHERS,
        ),
        (Field("link", "string", "the address"), Field("expires", "json", "epoch seconds")),
        role="admin",
        effect="change",
        original=False,
        example="circusctl weblink --role viewer",
        case=Case(setup=("console",), argv="weblink", after="#"),
    ),
    # The rows below are spoken by programs: streams on one connection, and the console's door.
    Command(
        "follow",
        "open a stream of state, events, load or output",
        "Messages with the id of this request come on the same connection until ``unfollow``, or its end. Never more bytes are on "
        "their way than the credit allows; what was passed over is counted.",
        (
            Field("topics", "strings", "``state.``, ``event.``, ``load.``, ``output.NAME.``", required=True),
            Field("credit", "int", "bytes that may be on their way", default=1 << 18),
            Field("lines", "int", "lines of history that come first", default=0),
            Field("stream", doc="only this stream", choices=("stdout", "stderr")),
        ),
        where="door",
        scoped=True,
        original=False,
    ),
    Command(
        "credit",
        "let more of a followed stream come",
        "Adds to the credit of a stream.",
        (
            Field("followed", "json", "id of the follow request", required=True),
            Field("bytes", "int", "bytes that were used up", required=True),
        ),
        where="door",
        scoped=True,
        original=False,
    ),
    Command(
        "unfollow",
        "end a followed stream, or a wait",
        "No message of that stream comes after the reply. What only waits (``wait``) does so no longer.",
        (Field("followed", "json", "id of the request that opened it", required=True),),
        where="door",
        scoped=True,
        original=False,
    ),
    Command(
        "redeem",
        "turn a one-time token into a session",
        "The token is used up. The session is the caller's to keep: the daemon holds only its hash.",
        (Field("token", "secret", "from the one-time link", required=True),),
        (
            Field("session", "string", ""),
            Field("person", "string", ""),
            Field("role", "string", ""),
            Field("expires", "json", ""),
        ),
        where="door",
        original=False,
    ),
    Command(
        "login",
        "turn a name and a password into a session",
        "Whoever guesses waits longer each time. The session is the caller's to keep, as with ``redeem``.",
        (
            Field("person", doc="his name", required=True, target="person"),
            Field("password", "secret", "his password", required=True),
        ),
        (
            Field("session", "string", ""),
            Field("person", "string", ""),
            Field("role", "string", ""),
            Field("expires", "json", ""),
        ),
        where="door",
        original=False,
    ),
    Command(
        "admit",
        "make a session for a person whom a trusted proxy names",
        "Refused unless ``httpd_proxy_header`` is set. The role is that of his account; without one, the role that the proxy "
        "names counts where ``httpd_proxy_role_header`` is set.",
        (
            Field("person", doc="his name", required=True, target="person"),
            Field("role", doc="as the proxy has it"),
        ),
        (
            Field("session", "string", ""),
            Field("person", "string", ""),
            Field("role", "string", ""),
            Field("expires", "json", ""),
        ),
        where="door",
        original=False,
    ),
    Command(
        "whoami",
        "tell who the daemon takes one for",
        "Person and role of the connection, or of the session.",
        reply=(
            Field("person", "string", ""),
            Field("role", "string", ""),
            Field("expires", "json", ""),
            Field(
                "account", "bool", "whether he has an account, and so may change his password and have tokens"
            ),
            Field("token", "string", "the name of the token that is used"),
            Field(
                "watchers",
                "json",
                "lists of patterns, each of which holds; empty where all watchers are seen",
            ),
        ),
        where="door",
        scoped=True,
        original=False,
    ),
    Command(
        "logout",
        "end the session",
        "The session is forgotten, also on disk before the reply, and the streams opened with it end.",
        where="door",
        scoped=True,
        original=False,
    ),
)

PROGRESS = Field("progress", "bool", "push the progress before the reply", default=False)
"""A property that every row with ``waits`` or ``lasts`` takes; the command line gives it by itself on a terminal.

Who does not wait gets none, and in the reply, as `JOB`, the id under which ``jobs`` shows what was begun."""

JOB = Field("job", "int", "the command on its way, as ``jobs`` shows it")

WAITING = Field("waiting", "bool", "wait until it is done", default=False)
"""The property that every row with ``waits`` takes beside its own."""


def find(name: str) -> Command | None:
    """The row of that name or alias, in any case of letters."""
    name = name.lower()
    for row in COMMANDS:
        if row.name == name or name in row.aliases:
            return row
    return None


def highest(roles: Iterable[str | None]) -> str | None:
    """The most of some roles; None if there is none among them."""
    return max((role for role in roles if role in ROLES), key=ROLES.index, default=None)


def reaches(role: str, needed: str) -> bool:
    """Whether a person of that role may do what needs the other."""
    return role in ROLES and ROLES.index(role) >= ROLES.index(needed)
