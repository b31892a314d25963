"""The tour: what is said to the daemon by the original's clients, and what is answered. To add a step is to add a row.

`steps.py` has the columns. Where the original answers otherwise, a row has its answer too, and the reason, which is one of
those in the table of commands of `docs/circus.rst`.
"""

# ruff: noqa: E501 (one row is one step, as long as it is)

from __future__ import annotations

from typing import Any

from tests.compat.steps import (
    OK,
    Answer,
    Call,
    Ctl,
    Edit,
    Predicate,
    Raw,
    Step,
    broken,
    error,
    fits,
    matches,
    no,
    pids,
    refused,
)

NOT_FOUND = no(3, "program nope not found")
TRACEBACK = r"Traceback [\s\S]*"
PLAIN = "it says what would be right"
BLAMED = "a traceback and the raw request told nobody what was wrong"
STATSD = "circusd publishes stats by itself"
RUN = r"\d+  \S+ \S+ \d+ [\d.]+M [\d.]+M [\d.]+ [\d.]+ \d+:[\d.]+"
INFO = {
    "pid": int, "wid": int, "started": float, "age": float, "create_time": float, "cmdline": "sleep", "username": str,
    "nice": int, "cpu": float, "mem": float, "mem_info1": matches(r"[\d.]+M"), "mem_info2": matches(r"[\d.]+M"),
    "ctime": matches(r"\d+:\d+\.\d+"), "children": [],
}  # fmt: skip


def infos(count: int, **more: Any) -> Predicate:
    """Process information by pid, of so many processes."""

    def holds(value: Any) -> bool:
        return len(value) == count and all(
            fits({**INFO, "pid": int(pid), **more}, info) for pid, info in value.items()
        )

    return holds


STATES = (
    r"Mixed: active\n{stats}deaf: active\noff: stopped\nout: active\npair-a: active\npair-b: active\n"
    r"scale: active\nsolo: active\ntarget: active\ntree: active\ntuned: active\nturn: active\nweb: active\n"
)
NAMES = r"{stats}deaf,mixed,off,out,pair-a,pair-b,scale,solo,target,tree,tuned,turn,web\n"

# fmt: off

READING: tuple[Step, ...] = (
    Ctl("--version", Answer(r"circusctl 0\.19\.0\n")),
    Ctl("status", Answer(STATES.format(stats="")), Answer(STATES.format(stats=r"circusd-stats: active\n")), STATSD),
    Ctl("status web", Answer(r"active\n")),
    Ctl("status WEB", Answer(r"active\n")),
    Ctl("status off", Answer(r"stopped\n")),
    Ctl("status nope", Answer(code=3, err=r"error\n")),
    Ctl("status web off", refused("message invalid")),
    Ctl("list", Answer(NAMES.format(stats="")), Answer(NAMES.format(stats="circusd-stats,")), STATSD),
    Ctl("list web", Answer(r"(?P<first>\d+),(?P<second>\d+)\n")),
    Ctl("list WEB", Answer(r"%first%,%second%\n")),
    Ctl("list off", Answer(r"\n")),
    Ctl("list nope", error("program nope not found")),
    Ctl("list a b", refused("Invalid number of arguments")),
    Ctl("numwatchers", Answer(r"13\n"), Answer(r"14\n"), STATSD),
    Ctl("numprocesses", Answer(r"16\n"), Answer(r"17\n"), STATSD),
    Ctl("numprocesses web", Answer(r"2\n")),
    Ctl("numprocesses nope", error("program nope not found")),
    Ctl("get web numprocesses", Answer(r"numprocesses: 2\n")),
    Ctl("get web graceful_timeout cmd args", Answer(r"graceful_timeout: 5\.0\ncmd: sleep\nargs: 1000\n")),
    Ctl(
        "get web env",
        Answer(r"env: COLOR=red,PYTHONPATH=%here%,SIZE=2\n"),
        Answer(r"env: COLOR=red,PYTHONPATH=%here%,SIZE=2,__name__=env:web\n"),
        "the parser's own key leaked into every process",
    ),
    Ctl("get web working_dir", Answer(r"working_dir: %here%\n")),
    Ctl("get Mixed uid gid", Answer(r"uid: \ngid: \n")),
    Ctl("get web colour", Answer(r"colour: red\n"), error(r"command b'.*has no attribute 'colour'"), "options showed it"),
    Ctl("get web nope", error("'nope' option not found")),
    Ctl("get web nummprocesses", error("'nummprocesses' option not found")),
    Ctl("get web", refused("Invalid number of arguments")),
    Ctl("get nope numprocesses", error("program nope not found")),
    Ctl(
        "options solo",
        Answer(r"(.*\n)*args: \n(.*\n)*cmd: sleep 1000\n(.*\n)*numprocesses: 1\n(.*\n)*working_dir: %here%\n"),
        Answer(r"__name__: watcher:solo\nargs: \n(.*\n)*cmd: sleep 1000\n(.*\n)*numprocesses: 1\n(.*\n)*working_dir: %here%\n"),
        "the parser's own key leaked into every process",
    ),
    Ctl("options nope", error("program nope not found")),
    Ctl("options", refused("number of arguments invalid")),
    Ctl("globaloptions endpoint", Answer(r"endpoint: tcp://127\.0\.0\.1:5555\n")),
    Ctl("globaloptions check_delay", Answer(r"check_delay: 0\.5\n")),
    Ctl("globaloptions nope", Answer(code=3, err=r"'nope' not an existing option\n")),
    Ctl(
        "globaloptions",
        Answer(GLOBAL := r"endpoint: tcp://127\.0\.0\.1:5555\nstats_endpoint: tcp://127\.0\.0\.1:5557\n"
               r"pubsub_endpoint: tcp://127\.0\.0\.1:5556\ncheck_delay: 0\.5\nmulticast_endpoint: \n(.*\n)+"),
        Answer(GLOBAL.removesuffix(r"(.*\n)+")),
        "output_endpoint and others are new",
    ),
    Ctl("listsockets", Answer(r"\d+:socket 'inet' at 127\.0\.0\.1:8099\n\d+:socket 'unix' at %here%/unix\.sock\n")),
    Call("listsockets", {}, {"sockets": lambda rows: [fits(want, row) for want, row in zip((
        {"fd": int, "name": "inet", "backlog": 2048, "host": "127.0.0.1", "port": 8099},
        {"fd": int, "name": "unix", "backlog": 2048, "path": matches(r".*/unix\.sock")},
    ), rows, strict=True)] == [True, True]}),
    Ctl("dstats", Answer(rf"Main Process:\n    {RUN}\n")),
    Ctl("dstats x", refused("Invalid message")),
    Ctl("stats", Answer(rf"Mixed:\n\d+: {RUN}\n[\s\S]*off:\n[\s\S]*tree:\n\d+: {RUN}\n(   {RUN}\n){{2}}[\s\S]*web:\n(\d+: {RUN}\n){{2}}[\s\S]*")),
    Ctl("stats web", Answer(rf"web:\n%first%: {RUN}\n%second%: {RUN}\n")),
    Ctl("stats --extended web", Answer(rf"web:\n%first%: {RUN}\n%second%: {RUN}\n")),
    Ctl("stats web %first%", Answer(rf"%first%: {RUN}\n\n")),
    Ctl("stats off", Answer(r"off:\n")),
    Ctl("stats nope", error("program nope not found")),
    Ctl("stats web 1", error("process 1 not found in 'web'")),
    Ctl("stats web 1 2", refused("message invalid")),
    Call("stats", {"name": "WEB"}, {"name": "WEB", "info": infos(2)}),
    Call(
        "stats", {"name": "web", "extended": True},
        {"name": "web", "info": infos(2, beats=42, status="sleeping", threads=1, fds=int)},
        {"name": "web", "info": infos(2, beats=42)},
        "the state, threads and descriptors are there too",
    ),
    Call("stats", {}, {"infos": lambda infos_: infos_["off"] == {} and len(infos_["web"]) == 2}),
    Call("stats", {"name": "tree"}, {"name": "tree", "info": lambda info: [
        [child["cmdline"] for child in process["children"]] for process in info.values()] == [["sleep", "sleep"]]}),
    Call("numprocesses", {"name": "WEB"}, {"numprocesses": 2, "watcher_name": "WEB"}),
    Call("status", {"name": "Web"}, {"status": "active"}),
    Call("list", {"name": "nope"}, NOT_FOUND),
    Call("get", {"name": "web"}, no(3, "message invalid 'keys' is missing")),
    Call("get", {"name": "web", "keys": ["uid", "stop_signal", "env"]}, {"options": {
        "uid": None, "stop_signal": 15, "env": lambda env: env["COLOR"] == "red"}}),
    Ctl("ipython", Answer(r"error: Could not start ipython kernel\n")),
    Call("ipython", {}, {"shell": False, "msg": str}),
    Ctl("--json list web", Answer(r'\{"status": "ok", "time": [\d.]+, "pids": \[%first%, %second%\], "id": "\w{32}"\}\n')),
    Ctl("--json --prettify numprocesses web", Answer(r'\{\n  "id": "\w{32}",\n  "numprocesses": 2,\n  "status": "ok",\n.*\n  "watcher_name": "web"\n\}\n')),
    Ctl("--json status nope", Answer(r'\{"status": "error", "reason": "program nope not found", "tb": null, .*"errno": 3, .*\}\n')),
    Ctl("--json list a b", refused("Invalid number of arguments")),
    Ctl("--endpoint tcp://127.0.0.1:5555 --timeout 9 numprocesses web", Answer(r"2\n")),
    Ctl("numprocesses web", Answer(r"2\n"), environ={"CIRCUSCTL_ENDPOINT": "tcp://127.0.0.1:5555"}),
    Ctl("numprocesses web --nope", Answer(code=2, err=r"usage: [\s\S]*unrecognized arguments: --nope\n")),
    Ctl("nope", Answer(code=2, err=r"usage: [\s\S]*")),
    Ctl("--endpoint tcp://127.0.0.1:5558 --timeout 1 list", Answer(code=1, err=r"Timed out\.[\s\S]*")),
)

SCALING: tuple[Step, ...] = (
    Ctl("incr scale"),
    Ctl("numprocesses scale", Answer(r"3\n"), awaits=True),
    Ctl("incr scale 2 --waiting", Answer(r"5\n")),
    Ctl("numprocesses scale", Answer(r"5\n")),
    Ctl("list scale", Answer(r"(?P<oldest>\d+),\d+,\d+,\d+,(?P<newest>\d+)\n")),
    Ctl("decr scale 4 --waiting", Answer(r"1\n")),
    Ctl("list scale", Answer(r"%newest%\n")),
    Ctl("decr scale"),
    Ctl("numprocesses scale", Answer(r"0\n"), awaits=True),
    Ctl("status scale", Answer(r"active\n")),
    Call("incr", {"name": "scale", "waiting": True}, {"numprocesses": 1}),
    Call("incr", {"name": "scale", "nb": 2, "waiting": "yes"}, {"numprocesses": 3}),
    Call("decr", {"name": "SCALE", "nb": 30, "waiting": 1}, {"numprocesses": 0}),
    Call("incr", {"name": "scale", "nb": 2}, {}),
    Ctl("numprocesses scale", Answer(r"2\n"), awaits=True),
    Call("incr", {}, no(3, "message invalid 'name' is missing")),
    Call("incr", {"name": "nope"}, NOT_FOUND),
    Call("incr", {"name": "nope", "waiting": True}, NOT_FOUND),
    Call("incr", {"name": "scale", "nb": "x", "waiting": True}, no(3, "nb must be a whole number, not 'x'"),
         {"raised": "Timed out."}, "the client waited in vain"),
    Ctl("incr nope", error("program nope not found")),
    Ctl("decr nope 2 --waiting", error("program nope not found")),
    Ctl("incr", refused("Invalid number of arguments")),
    Ctl("incr scale x", Answer(code=1, err=TRACEBACK)),
    Ctl("incr solo --waiting", Answer(r"This watcher is a Singleton - not changing the number of processes\n")),
    Ctl("decr solo --waiting", Answer(r"This watcher is a Singleton - not changing the number of processes\n")),
    Call("incr", {"name": "solo", "waiting": True}, {"numprocesses": 1, "singleton": True}),
    Call("decr", {"name": "solo"}, {"numprocesses": 1, "singleton": True}),
)

TURNING: tuple[Step, ...] = (
    Ctl("stop turn --waiting"),
    Ctl("status turn", Answer(r"stopped\n")),
    Ctl("list turn", Answer(r"\n")),
    Ctl("stop turn --waiting"),
    Ctl("start turn --waiting"),
    Ctl("list turn", Answer(r"(?P<a>\d+),(?P<b>\d+)\n")),
    Ctl("start turn --waiting"),
    Ctl("list turn", Answer(r"%a%,%b%\n")),
    Call("start", {"name": "turn", "waiting": True}, {"info": {"started": [], "kept": pids(2)}}),
    Call("stop", {"name": "turn", "waiting": True}, {"info": None}),
    Call("start", {"name": "TURN", "waiting": True}, {"info": {"started": pids(2), "kept": []}}),
    Call("restart", {"name": "turn", "waiting": True}, {"info": {"stopped": pids(2), "started": pids(2), "kept": []}}),
    Call("reload", {"name": "turn", "waiting": True}, {"info": {"stopped": pids(2), "started": pids(2), "kept": []}}),
    Call("reload", {"name": "turn", "waiting": True, "graceful": False}, {"info": {"stopped": pids(2), "started": pids(2), "kept": []}}),
    Call("reload", {"name": "turn", "waiting": True, "sequential": True}, {"info": {"stopped": pids(2), "started": pids(2), "kept": []}}),
    Ctl("list turn", Answer(r"(?P<a>\d+),(?P<b>\d+)\n")),
    Ctl("restart turn --waiting"),
    Ctl("list turn", Answer(r"(?!%a%|%b%)(?P<c>\d+),(?!%a%|%b%)(?P<d>\d+)\n")),
    Ctl("reload turn --waiting"),
    Ctl("list turn", Answer(r"(?!%c%|%d%)(?P<e>\d+),(?!%c%|%d%)(?P<f>\d+)\n")),
    Ctl("reload turn --waiting --sequential"),
    Ctl("list turn", Answer(r"(?!%e%|%f%)(?P<g>\d+),(?!%e%|%f%)(?P<h>\d+)\n")),
    Ctl("reload turn --waiting --terminate"),
    Ctl("list turn", Answer(r"(?!%g%|%h%)\d+,(?!%g%|%h%)\d+\n")),
    Ctl("reload turn"),
    Ctl("numprocesses turn", Answer(r"2\n"), awaits=True),
    Ctl("--json restart turn --waiting", Answer(r'\{"status": "ok", "time": [\d.]+, "info": \{"stopped": \[.*\], "started": \[.*\], "kept": \[\]\}, "id": "\w+"\}\n')),
    Ctl("set turn send_hup true --waiting"),
    Ctl("list turn", Answer(r"(?P<a>\d+),(?P<b>\d+)\n")),
    Ctl("reload turn --waiting"),
    Ctl("list turn", Answer(r"(?!%a%|%b%)\d+,(?!%a%|%b%)\d+\n"), awaits=True),
    Call("start", {"name": "off", "waiting": True}, {"info": {"started": pids(1), "kept": []}}),
    Call("stop", {"name": "off", "waiting": True}, {"info": None}),
    Call("reload", {"name": "off", "waiting": True}, {"info": {"stopped": [], "started": pids(1), "kept": []}}),
    Call("stop", {"name": "off", "waiting": True}, {"info": None}),
    Call("restart", {"name": "off", "waiting": True}, {"info": {"stopped": [], "started": pids(1), "kept": []}}),
    Ctl("stop off --waiting"),
    Ctl("start nope", error("program nope not found")),
    Ctl("stop nope", error("program nope not found")),
    Ctl("restart nope --waiting", error("program nope not found")),
    Ctl("reload nope", error("program nope not found")),
    Ctl("start a b", refused("Invalid number of arguments")),
    Ctl("restart a b", refused("Invalid number of arguments")),
    Ctl("reload a b", refused("invalid number of arguments")),
)

MATCHING: tuple[Step, ...] = (
    Ctl("stop pair-* --waiting"),
    Ctl("status pair-a", Answer(r"stopped\n")),
    Ctl("status pair-b", Answer(r"stopped\n")),
    Ctl("start PAIR-? --waiting"),
    Ctl("status pair-b", Answer(r"active\n")),
    Call("restart", {"name": "pair-[ab]", "waiting": True}, {}),
    Call("stop", {"name": "pair-*", "waiting": True}, {}),
    Call("start", {"name": "pair-*", "waiting": True, "match": "glob"}, {}),
    Ctl("stop pair-.$ --match regex --waiting"),
    Ctl("status pair-a", Answer(r"stopped\n")),
    Ctl("start pair --match regex --waiting"),
    Ctl("status pair-a", Answer(r"active\n")),
    Call("stop", {"name": "pair-a", "waiting": True, "match": "simple"}, {"info": None}),
    Call("start", {"name": ".*ir-a", "waiting": True, "match": "regex"}, {"info": {"started": pids(1), "kept": []}}),
    Ctl("stop pair-a extra words --waiting"),
    Ctl("start pair-a --match simple --waiting"),
    Ctl("stop pair-? --match simple", error(r"program pair-\? not found")),
    Ctl("stop air --match regex", error("program air not found")),
    Ctl("stop nope*", error(r"program nope\* not found")),
    Ctl("reload pair-*", OK, error(r"program pair-\* not found"), "patterns work with every command"),
    Ctl("start web --match nonsense", error("unknown match method nonsense")),
    Call("start", {"name": "web", "match": "nonsense"}, no(3, "unknown match method nonsense")),
    Call("start", {"name": "w(", "match": "regex"}, no(3, matches("the pattern is wrong: .*")), broken(".*"), BLAMED),
)

SIGNALS: tuple[Step, ...] = (
    Ctl("signal web HUP"),
    Ctl("numprocesses web", Answer(r"2\n"), awaits=True),
    Ctl("signal target cont"),
    Ctl("signal target SIGCONT"),
    Ctl("signal target 18"),
    Ctl("list target", Answer(r"(?P<a>\d+),(?P<b>\d+)\n")),
    Ctl("signal target %a% KILL"),
    Ctl("list target", Answer(r"%b%,(?!%a%)\d+\n"), awaits=True),
    Ctl("signal target 1 CONT"),
    Ctl("signal target x CONT", Answer(code=1, err=TRACEBACK)),
    Ctl("signal target", refused("Invalid number of arguments")),
    Ctl("signal nope HUP", error("program nope not found")),
    Ctl("signal target SIGUSR3", error("'SIGUSR3' is not a signal"), error("command b'.*' has no attribute 'SIGUSR3'"), BLAMED),
    Ctl("signal target 99", error("'99' is not a signal: .*"), error(r"\[Errno 22\] Invalid argument"), PLAIN),
    Ctl("signal target 0", error("'0' is not a signal: .*"), OK, "nothing was sent"),
    Ctl("stats tree", Answer(rf"tree:\n(?P<parent>\d+): {RUN}\n   (?P<one>\d+)  sleep.*\n   (?P<two>\d+)  sleep.*\n")),
    Ctl("signal --children tree KILL"),
    Ctl("stats tree", Answer(r"tree:\n%parent%: \d+  sleep.*\n"), awaits=True),
    Ctl("signal --recursive tree KILL"),
    Ctl("stats tree", Answer(rf"tree:\n(?!%parent%)(?P<next>\d+): {RUN}\n   (?P<three>\d+)  sleep.*\n   \d+  sleep.*\n"), awaits=True),
    Ctl("signal tree CONT --children"),
    Ctl("signal tree --children CONT", Answer(code=2, err=r"usage: [\s\S]*")),
    Call("signal", {"name": "tree", "signum": "SIGRTMIN+1", "pid": 1}, {}),
    Call("signal", {"name": "tree", "signum": "CONT", "pid": "%next%", "childpid": "%three%"}, {}),
    Call("signal", {"name": "tree", "signum": "CONT", "pid": "%next%", "childpid": 1},
         no(5, "process 1 is not a child of the process named"), broken(".*"), BLAMED),
    Call("signal", {"name": "tree", "signum": "CONT", "childpid": 1}, no(3, "cannot specify childpid without pid"),
         broken("cannot specify childpid without pid"), BLAMED),
    Call("signal", {"name": "target", "signum": "nonsense"}, no(3, "'nonsense' is not a signal"), broken(".*"), BLAMED),
    Call("signal", {"name": "target"}, no(3, "message invalid 'signum' is missing")),
    Ctl("list target", Answer(r"(?P<a>\d+),(?P<b>\d+)\n")),
    Ctl("kill target %a%"),
    Ctl("list target", Answer(r"%b%,(?!%a%)\d+\n"), awaits=True),
    Ctl("kill target 1"),
    Ctl("kill target --signum INT --waiting"),
    Ctl("list target", Answer(r"(?!%b%)\d+,(?!%b%)\d+\n"), awaits=True),
    Ctl("kill target --signum SIGKILL --graceful_timeout 1"),
    Ctl("numprocesses target", Answer(r"2\n"), awaits=True),
    Ctl("list deaf", Answer(r"(?P<deaf>\d+)\n")),
    Ctl("kill deaf --graceful_timeout 0.1"),
    Ctl("list deaf", Answer(r"(?!%deaf%)\d+\n"), Answer(r"%deaf%\n"), "the time came as text, and SIGKILL was never sent", awaits=True),
    Ctl("signal deaf KILL"),
    Ctl("list deaf", Answer(r"(?!%deaf%)\d+\n"), awaits=True),
    Call("kill", {"name": "target", "waiting": True}, {}),
    Call("kill", {"name": "target", "pid": 1, "waiting": True}, {}),
    Call("kill", {"name": "target", "pid": "x"}, no(3, "pid must be a whole number, not 'x'"), broken(".*"), BLAMED),
    Call("kill", {}, no(3, "message invalid 'name' is missing")),
    Call("kill", {"name": "nope", "waiting": True}, NOT_FOUND, no(6, "server error"), "a misspelt name was answered ok"),
    Ctl("kill nope", error("program nope not found"), OK, "a misspelt name was answered ok"),
    Ctl("kill target --signum nonsense", error("'nonsense' is not a signal"), error("command b'.*' has no attribute 'SIGNONSENSE'"), BLAMED),
    Ctl("kill target 1 2", refused("Invalid number of arguments")),
)


def _set(key: str, value: str, shown: str | None = None, theirs: str | None = None, why: str = "") -> tuple[Step, ...]:
    """One option set by the command line, and read."""
    answer = None if theirs is None else Answer(rf"{key}: {theirs}\n")
    return (
        Ctl(f"set tuned {key} {value} --waiting"),
        Ctl(f"get tuned {key}", Answer(rf"{key}: {value if shown is None else shown}\n"), answer, why),
    )


def _wrong(options: Any, text: str | Predicate, theirs: str | None = None, why: str = "") -> Call:
    """A value that is refused."""
    return Call("set", {"name": "tuned", "options": options, "waiting": True}, no(3, text), no(3, theirs) if theirs else None, why)


IGNORED = "it was answered ok and ignored"
READ = "a value that can be read is taken"

SETTING: tuple[Step, ...] = (
    Ctl("list tuned", Answer(r"(?P<pid>\d+)\n")),
    *_set("numprocesses", "2"),
    Ctl("numprocesses tuned", Answer(r"2\n")),
    *_set("numprocesses", "1"),
    *_set("warmup_delay", "0.1"),
    *_set("warmup_delay", "0", r"0(\.0)?"),
    *_set("graceful_timeout", "3", r"3\.0"),
    *_set("send_hup", "true", "True"),
    *_set("send_hup", "off", "False"),
    *_set("stop_children", "yes", "True"),
    *_set("stop_signal", "INT", "2"),
    *_set("stop_signal", "SIGTERM", "15"),
    Ctl("list tuned", Answer(r"(?P<pid>\d+)\n")),
    *_set("working_dir", "/"),
    Ctl("list tuned", Answer(r"(?!%pid%)(?P<pid2>\d+)\n")),
    *_set("cmd", "'sleep 2000'", "sleep 2000"),
    *_set("args", "''", ""),
    *_set("shell", "true", "True"),
    *_set("shell", "false", "False"),
    *_set("max_age", "1000"),
    *_set("max_age_variance", "10"),
    *_set("copy_env", "true", "True", "False", IGNORED),
    *_set("max_retry", "7", "7", "5", IGNORED),
    *_set("respawn", "false", "False", "True", IGNORED),
    *_set("respawn", "true", "True"),
    *_set("close_child_stdin", "false", "False", "True", IGNORED),
    *_set("close_child_stdout", "true", "True", "False", IGNORED),
    *_set("close_child_stderr", "true", "True", "False", IGNORED),
    *_set("singleton", "true", "True", "False", IGNORED),
    *_set("singleton", "false", "False"),
    Ctl("set tuned retry_in 2"),
    Ctl("set tuned rlimit_nofile 100 --waiting"),
    Call("get", {"name": "tuned", "keys": ["rlimit_nofile"]}, {"options": {"rlimit_nofile": 100}}, no(3, "'rlimit_nofile' option not found"), IGNORED),
    Ctl("set tuned hooks before_start:tour_hooks.agree --waiting"),
    Ctl("set tuned hooks before_start:tour_hooks.agree,after_start:tour_hooks.agree --waiting"),
    Ctl("set tuned hooks.before_spawn tour_hooks.agree,true --waiting"),
    Ctl("restart tuned --waiting"),
    Ctl("numprocesses tuned", Answer(r"1\n")),
    Ctl("set tuned hooks nonsense:tour_hooks.agree", refused("nonsense")),
    Ctl("set tuned hooks.nonsense tour_hooks.agree", refused("nonsense")),
    Ctl("set out stdout_stream.max_bytes 100000 --waiting"),
    Ctl("set out stdout_stream.filename %here%/other.log --waiting"),
    Ctl("set out stderr_stream.class StdoutStream --waiting"),
    Ctl("set tuned warmup_delay 0 graceful_timeout 4 --waiting"),
    Ctl("get tuned graceful_timeout warmup_delay", Answer(r"graceful_timeout: 4\.0\nwarmup_delay: 0(\.0)?\n")),
    Ctl("set TUNED NumProcesses 1 --waiting"),
    Call("set", {"name": "tuned", "options": {"env": {"A": "1"}}, "waiting": True}, {}),
    Ctl("get tuned env", Answer(r"env: A=1\n")),
    Call("set", {"name": "tuned", "options": {"hooks": {"before_start": "tour_hooks.agree,true"}}, "waiting": True}, {}),
    Call("set", {"name": "tuned", "options": {}, "waiting": True}, {}),
    Call("set", {"name": "tuned", "options": {"rlimit_nofile": None}, "waiting": True}, {}),
    Call("set", {"name": "tuned", "options": {"numprocesses": "1"}, "waiting": True}, {}, no(3, "'numprocesses' isn't an integer"), READ),
    Call("set", {"name": "tuned", "options": {"env": {"A": 1}}, "waiting": True}, {}, no(3, "'A' isn't a string"), READ),
    Call("set", {"name": "tuned", "options": {"priority": 3}, "waiting": True}, {}, no(3, "unknown key 'priority'"), "every option can be set"),
    Call("set", {"name": "tuned", "options": {"uid": "nosuchuser"}}, no(3, 'there is no user "nosuchuser"'), broken(".*"), BLAMED),
    Call("set", {"name": "tuned", "options": {"numprocesses": -5}, "waiting": True}, no(3, matches(".*is less than 0.*")), {}, "it was taken for 0"),
    Ctl("set tuned numprocesses 1 --waiting"),
    _wrong({"shell": "x"}, matches('.*"x" is neither yes nor no.*'), "'shell' isn't a valid boolean", PLAIN),
    _wrong({"uid": [1]}, matches(".*is neither a name nor a number.*"), "'uid' isn't an integer or string", PLAIN),
    _wrong({"rlimit_nofile": "x"}, matches('.*"x".*'), "'x' rlimit value isn't a valid int", PLAIN),
    _wrong({"rlimit_nonsense": 1}, matches('.*"nonsense" is no resource limit.*'), "'rlimit_nonsense' isn't a valid rlimit setting", PLAIN),
    _wrong({"nonsense": 1}, "unknown key 'nonsense'"),
    _wrong(["x"], "'options' property should be an object"),
    Call("set", {"name": "tuned"}, no(3, "message invalid 'options' is missing")),
    Call("set", {"name": "nope", "options": {"numprocesses": 1}}, NOT_FOUND),
    Ctl("set nope numprocesses 1", error("program nope not found")),
    Ctl("set solo numprocesses 2", error("Singleton watcher has a single process"), error("command b'.*': Singleton watcher has a single process"), BLAMED),
    Call("set", {"name": "solo", "options": {"numprocesses": 2}}, no(5, "Singleton watcher has a single process"), broken("Singleton watcher has a single process"), BLAMED),
    Ctl("set tuned env A=1,B=2", Answer(code=1, err=TRACEBACK)),
    Ctl("set tuned numprocesses x", Answer(code=1, err=TRACEBACK)),
    Ctl("set tuned send_hup maybe", Answer(code=1, err=TRACEBACK)),
    Ctl("set tuned colour blue", refused("unknown key 'colour'")),
    Ctl("set tuned numprocesses", refused("Invalid number of arguments")),
    Ctl("set tuned numprocesses 1 x", refused("List of key/values is invalid")),
)

ADDING: tuple[Step, ...] = (
    Ctl("add extra sleep 1000"),
    Ctl("status extra", Answer(r"stopped\n")),
    Ctl("start extra --waiting"),
    Ctl("numprocesses extra", Answer(r"1\n")),
    Call("rm", {"name": "extra", "waiting": True}, {}),
    Ctl("status extra", Answer(code=3, err=r"error\n")),
    Ctl("add --start extra sleep 1000"),
    Ctl("numprocesses extra", Answer(r"1\n"), awaits=True),
    Call("add", {"name": "EXTRA", "cmd": "sleep 1000"}, no(5, matches(".* already exists?")), broken(".*"), BLAMED),
    Ctl("rm extra"),
    Ctl("status extra", Answer(code=3, err=r"error\n"), awaits=True),
    Ctl("add x", refused("Invalid number of arguments")),
    Ctl("rm nope", error("program nope not found")),
    Ctl("rm a b", refused("Invalid number of arguments")),
    Ctl("rm", refused("Invalid number of arguments")),
    Call("add", {"name": "Extra", "cmd": "sleep", "args": ["1000"], "start": True, "waiting": True, "options": {
        "numprocesses": 2, "graceful_timeout": 2, "env": {"A": "1"}, "stop_signal": 2, "shell": False,
        "stdout_stream": {"class": "FileStream", "filename": "extra.log"}, "rlimit_nofile": None,
        "hooks": {"before_start": ["tour_hooks.agree", True]}}}, {"started": pids(2), "kept": []}),
    Call("get", {"name": "extra", "keys": ["numprocesses", "stop_signal", "env", "args"]},
         {"options": {"numprocesses": 2, "stop_signal": 2, "env": {"A": "1"}, "args": ["1000"]}}),
    Ctl("list", Answer(r".*deaf,extra,mixed.*\n")),
    Ctl("status", Answer(r"Extra: active\n[\s\S]*")),
    Ctl("list extra", Answer(r"(?P<one>\d+),\d+\n")),
    Call("rm", {"name": "extra", "nostop": True, "waiting": True}, {}),
    Ctl("signal extra CONT", error("program extra not found")),
    Call("add", {"name": "limited", "cmd": "sleep 1000", "options": {"rlimit_nofile": 100}, "start": True, "waiting": True},
         {"started": pids(1), "kept": []}, broken(r"object of type 'int' has no len\(\)"), "every option can be set"),
    Call("rm", {"name": "limited", "waiting": True}, {}, no(3, "program limited not found"), "every option can be set"),
    Call("add", {"name": "missing", "cmd": "nosuchprogram", "start": True, "waiting": True}, {"started": [], "kept": []}),
    Ctl("status missing", Answer(r"active\n"), Answer(r"stopped\n"), "with a pause that grows, it may come right"),
    Call("rm", {"name": "missing", "waiting": True}, {}),
    Call("add", {"name": "x", "cmd": "sleep 1", "options": {"nonsense": 1}}, no(3, "unknown key 'nonsense'")),
    Call("add", {"name": "x", "cmd": "sleep 1", "options": []}, no(3, "'options' property should be an object")),
    Call("add", {"name": "x"}, no(3, "message invalid 'cmd' is missing")),
    Call("add", {"cmd": "x"}, no(3, "message invalid 'name' is missing")),
    Call("add", {"name": "", "cmd": "sleep 1"}, no(3, "name must not be empty"), {}, "nothing was made"),
)

WIRE: tuple[Step, ...] = (
    Call("NumProcesses", {"name": "web"}, {"numprocesses": 2, "watcher_name": "web"}),
    Call("nosuch", {}, no(2, "unknown command: 'nosuch'")),
    Call("statuss", {}, no(2, "unknown command: 'statuss'")),
    Call("listen", {}, no(3, matches("listen is done by the client.*")), no(3, "invalid message. use a pub/sub socket"), PLAIN),
    Call("list", [], {"watchers": list}),
    Raw(("{",), ({**no(1, "json invalid"), "id": None},)),
    Raw(('{"id": {"a": [1]}, "command": "numprocesses", "properties": {"name": "web"}}',),
        ({"status": "ok", "numprocesses": 2, "watcher_name": "web", "id": {"a": [1]}},)),
    Raw(('{"command": "status", "properties": {"name": "web"}, "more": 1}',), ({"status": "active", "id": None},)),
    Raw(('{"id": 7, "command": "numwatchers", "msg_type": "cast"}',)),
    Raw(('{"id": 7, "command": "nosuch", "msg_type": "cast"}',)),
    Raw(('{"id": 7, "command": "get", "msg_type": "cast", "properties": {}}',)),
    Raw(("", '{"id": 1, "command": "numwatchers"}')),
    Raw(("",), (), DEAD := "no answer to the last question\n", "one bad message made it deaf to that client"),
    Raw(("  ",), (), DEAD, "one bad message made it deaf to that client"),
    Raw(("[]",), (), DEAD, "one bad message made it deaf to that client"),
    Raw(('{"id": 1}',), (), DEAD, "one bad message made it deaf to that client"),
    Raw(('{"id": 1, "command": 3}',), (), DEAD, "one bad message made it deaf to that client"),
    Call("incr", {"name": "scale"}, {}, cast=True),
    Ctl("numprocesses scale", Answer(r"3\n"), awaits=True),
    Call("decr", {"name": "scale"}, {}, cast=True),
    Ctl("numprocesses scale", Answer(r"2\n"), awaits=True),
)

NEW = "\n[watcher:new]\ncmd = sleep 1000\n"

CONFIGURATION: tuple[Step, ...] = (
    Ctl("reloadconfig --waiting"),
    Ctl("reloadconfig"),
    Edit(NEW),
    Ctl("reloadconfig --waiting"),
    Ctl("status new", Answer(r"active\n"), awaits=True),
    Ctl("list new", Answer(r"(?P<a>\d+)\n"), awaits=True),
    Edit(NEW + "numprocesses = 2\n"),
    Ctl("reloadconfig --waiting"),
    Ctl("list new", Answer(r"%a%,\d+\n"), awaits=True),
    Edit(NEW.replace("1000", "2000")),
    Ctl("reloadconfig --waiting"),
    Ctl("list new", Answer(r"(?!%a%)\d+\n"), awaits=True),
    Edit(NEW.replace("1000", "2000") + "max_age = 1000\n"),
    Ctl("reloadconfig --waiting"),
    Ctl("get new max_age", Answer(r"max_age: 1000\n"), Answer(r"max_age: 0\n"), "a key that was added or taken away was ignored"),
    Edit("\n[watcher:new]\nnumprocesses = 1\n"),
    Ctl("reloadconfig --waiting", error(r".*circus\.ini:\d+: error: \[watcher:new\] cmd: is missing; .*"), error("server error"), "the file, the line and the option are told"),
    Call("reloadconfig", {"waiting": True}, no(3, matches(".*cmd: is missing.*")), no(6, "server error"), "the file, the line and the option are told"),
    Ctl("reloadconfig"),
    Edit(),
    Call("reloadconfig", {"waiting": True}, {"summary": str, "plan": list, "kept": list, "warnings": list}, {}, "it says what was changed"),
    Ctl("status new", Answer(code=3, err=r"error\n")),
)

ALL: tuple[Step, ...] = (
    Ctl("reload --waiting"),
    Ctl("status off", Answer(r"stopped\n"), Answer(r"active\n"), "nobody had asked for it"),
    Ctl("stop off --waiting"),
    Ctl("reload --waiting --sequential"),
    Ctl("reload --waiting --terminate"),
    Ctl("stop off --waiting"),
    Ctl("stop --waiting"),
    Ctl("numprocesses", Answer(r"0\n")),
    Ctl("status", Answer(r"(\S+: stopped\n)+")),
    Ctl("start --waiting"),
    Ctl("status off", Answer(r"stopped\n")),
    Ctl("status web", Answer(r"active\n")),
    Ctl("stop --match simple --waiting"),
    Ctl("start --match glob --waiting"),
    Ctl("numprocesses web", Answer(r"2\n")),
)

PROMPT: tuple[Step, ...] = (
    Ctl("", Answer(r"circusctl 0\.19\.0\n(\S+: \w+\n)+\(circusctl\) active\n\(circusctl\) 2\n\(circusctl\) \n"),
        stdin="status web\nnumprocesses web\n"),
    Ctl("", Answer(r"circusctl 0\.19\.0\n(\S+: \w+\n)+\(circusctl\) \*\*\* Unknown syntax: nonsense\n\(circusctl\) \(circusctl\) ok\n\(circusctl\) \n", err=r"error: program nope not found\n"),
        stdin="nonsense\nstop nope\nsignal web CONT\n"),
    Ctl("", Answer(r"circusctl 0\.19\.0\n(\S+: \w+\n)+\(circusctl\) Get list of watchers[\s\S]*\(circusctl\) \n"), stdin="help list\n"),
    Ctl("--help", Answer(r"usage: [\s\S]*\n  add[\s\S]*reloadconfig[\s\S]*")),
    Ctl("--help reload", Answer(r"[\s\S]*sequential[\s\S]*")),
)

QUITTING: tuple[Step, ...] = (
    Ctl("--json quit --waiting", Answer(r'\{"status": "ok", "time": [\d.]+, "id": "\w+"\}\n')),
)

# fmt: on

CHAPTERS: dict[str, tuple[Step, ...]] = {
    "reading": READING,
    "scaling": SCALING,
    "turning": TURNING,
    "matching": MATCHING,
    "signals": SIGNALS,
    "setting": SETTING,
    "adding": ADDING,
    "wire": WIRE,
    "configuration": CONFIGURATION,
    "all": ALL,
    "prompt": PROMPT,
    "quitting": QUITTING,
}
"""In this order; each leaves the daemon as it found it, as far as the others look."""
