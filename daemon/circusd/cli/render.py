"""Replies as text: for pipes exactly what the original prints, for people tables.

Names and texts come from outside and may hold anything; everything that is printed goes through `clean`.
"""

from __future__ import annotations

import json
import os
import shlex
import time
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any

from circusd.cli.terminal import Style, clean, clean_line, color_of, columns, prose, span

Reply = Mapping[str, Any]

_INFO_KEYS = ("username", "nice", "mem_info1", "mem_info2", "cpu", "mem", "ctime")
UP = ("running", "ready", "frozen")
STATE_COLORS = {
    "active": "green",
    "running": "green",
    "ready": "green",
    "frozen": "cyan",
    "starting": "yellow",
    "stopping": "yellow",
    "waiting": "yellow",
    "backoff": "yellow",
    "unhealthy": "yellow",
    "exited": "yellow",
    "failed": "red",
    "stopped": "dim",
    "completed": "dim",
}


ILL = ("failed", "backoff", "exited")
"""Words of watchers whose last crash report says what is wrong."""
LATELY = 3600.0
"""Seconds after which a crash is no news of a watcher that is well."""


def text_of(command: str, reply: Reply, style: Style) -> str:
    """What is printed for an ok reply to that command."""
    results = reply.get("results")
    if isinstance(results, Mapping):
        return "\n".join(
            _named(str(name), text_of(command, item, style), style) for name, item in results.items()
        )
    return _RENDERERS.get(command, _done)(reply, style)


def _named(name: str, text: str, style: Style) -> str:
    """What is said of one of several watchers."""
    head = style.paint(clean(name), "bold") + ":"
    return (
        "\n".join([head, *(f"  {line}" for line in text.split("\n"))]) if "\n" in text else f"{head} {text}"
    )


def error_of(command: str, reason: str, style: Style) -> str:
    """What is printed for an error reply."""
    text = "\n".join(map(clean, reason.split("\n")))
    # Only this one has no prefix in the original.
    if command == "globaloptions":
        return prose(text, style)
    return style.paint("error:", "red") + prose(f"error: {text}", style).removeprefix("error:")


def json_of(data: Any, *, pretty: bool = False) -> str:
    """A reply as JSON: one line, or many with the keys sorted."""
    return json.dumps(data, indent=2, sort_keys=True) if pretty else json.dumps(data)


def value_text(key: str, value: Any) -> str:
    """The value of an option as the original writes it."""
    if value is None or value == []:
        return ""
    if key == "env" and isinstance(value, Mapping):
        return clean(",".join(f"{name}={text}" for name, text in sorted(value.items())))
    if key == "tags" and isinstance(value, list):
        return clean(", ".join(map(str, value)))
    return clean(str(value))


def clock_of(moment: float, form: str = "%Y-%m-%dT%H:%M:%S") -> str:
    """A time of day of this machine, with milliseconds."""
    return time.strftime(form, time.localtime(moment)) + f".{int(moment % 1 * 1000):03d}"


def output_line(line: Mapping[str, Any], style: Style, *, timestamps: bool = False, width: int = 0) -> str:
    """A line that a process wrote, with the process before it; ``!`` instead of ``|`` marks stderr."""
    when = clock_of(float(line["time"])) + " " if timestamps and line.get("time") else ""
    shown = clean_line(str(line.get("text", "")), color=style.color)
    return f"{style.paint(when, 'dim')}{before_line(line, style, width)} {shown}"


def before_line(line: Mapping[str, Any], style: Style, width: int = 0) -> str:
    """What stands before a line: its process, and whether it is of stdout or stderr."""
    who = process_of(line)
    mark = style.paint("!", "red") if line.get("stream") == "stderr" else style.paint("|", "dim")
    return f"{style.paint(who.ljust(width), color_of(who))} {mark}"


def process_of(line: Mapping[str, Any]) -> str:
    """The process that wrote a line, as far as that is known: a log file does not tell everything of a line."""
    return clean(f"{line.get('watcher') or '?'}.{line.get('wid') or '?'}")


def stream_of(line: Mapping[str, Any]) -> tuple[Any, ...]:
    """Tells the stream that a line is of from others."""
    return line.get("watcher"), line.get("wid"), line.get("stream")


def event_line(event: Mapping[str, Any], style: Style) -> str:
    """An event: when, which watcher, what."""
    watcher, name = clean(str(event.get("watcher") or "-")), clean(str(event.get("event", "")))
    text = clean(str(event.get("text", "")))
    when = float(event.get("time") or 0)
    if not style.terminal:
        return f"{clock_of(when)} {watcher} {name} {text}"
    today = clock_of(when, "%H:%M:%S")
    return f"{style.paint(today, 'dim')} {style.paint(watcher, color_of(watcher))}  {style.paint(text, *_level(name))}"


def audit_line(entry: Mapping[str, Any], style: Style) -> str:
    """An entry of the audit: when, who and from where, what, with which result."""
    when = clock_of(float(entry.get("time") or 0))
    uid = entry.get("uid")
    who = str(entry.get("person") or ("nobody known" if uid is None else f"uid {uid}"))
    role = f" ({entry['role']})" if entry.get("role") else ""
    where = f"token {entry['token']}, " if entry.get("token") else ""
    where += str(entry.get("door", ""))
    where += f" from {entry['from']}" if entry.get("from") not in (None, "", "unix", "inherited") else ""
    where += f" pid {entry['pid']}" if entry.get("pid") else ""
    what = [str(entry.get(key)) for key in ("command", "watcher") if entry.get(key)] or ["connection"]
    if entry.get("keys"):
        what.append("[" + ", ".join(map(str, entry["keys"])) + "]")
    what += [f"{key}={value}" for key, value in (entry.get("args") or {}).items()]
    result = str(entry.get("result", ""))
    times = f" {entry['count']} times" if entry.get("count", 1) != 1 else ""
    reason = f": {entry['reason']}" if entry.get("reason") else ""
    colors = () if result == "ok" else ("red",)
    return (
        f"{style.paint(when, 'dim')} {clean(who + role)}, {clean(where)}: {clean(' '.join(what))} "
        f"{style.paint(clean(result), *colors)}{clean(times + reason)}"
    )


def _audit(reply: Reply, style: Style) -> str:
    lines = [audit_line(entry, style) for entry in reply.get("entries", ())]
    if reply.get("problem"):
        lines.append(f"not recorded at present: {clean(str(reply['problem']))}")
    elif reply.get("file") is None:
        lines.append("nothing is recorded: audit = off")
    return "\n".join(lines) or "nothing yet"


def _word(watcher: Mapping[str, Any]) -> str:
    """The original's word, or ours where that says more."""
    state = str(watcher.get("state"))
    status = str(watcher["status"])
    ended = status == "stopped" and state in ("exited", "completed")
    waits = status == "active" and state == "waiting"
    return state if state in ("failed", "backoff", "unhealthy", "frozen") or ended or waits else status


def status_table(reply: Reply, style: Style) -> str:
    """The reply of ``inspect`` as people want it: one line for each watcher, and first what needs them."""
    now = float(reply.get("daemon", {}).get("time") or reply.get("time") or 0)
    rows, colors = [], []
    for watcher in reply.get("watchers", ()):
        processes = watcher.get("processes", ())
        state = _word(watcher)
        up = [p["started"] for p in processes if p.get("started") and p.get("state") in UP]
        tries = [p["next_try"] for p in processes if p.get("next_try")]
        detail = [watcher.get("detail") or ""]
        if tries:
            detail.append(f"next try in {span(min(tries) - now)}")
        job = watcher.get("job")
        if job and job.get("total") and "reload" not in str(watcher.get("detail")):
            detail.append(f"{job.get('command')}: {job.get('done')} of {job.get('total')}")
        if job and job.get("text"):
            detail.append(str(job["text"]))
        if state in ILL and watcher.get("crash"):
            detail.append(f"crash {watcher['crash']['id']}")
        rows.append(
            [
                clean(watcher["name"]),
                state,
                f"{len(up)}/{watcher.get('numprocesses')}",
                span(now - max(up)) if up else "-",
                clean(", ".join(filter(None, detail))),
            ]
        )
        colors.append(["", STATE_COLORS.get(state, ""), "", "dim", "yellow"])
    lines = []
    lead = reply.get("lead") or {}
    if lead.get("level") == "needs":
        title, text = clean(lead["title"]), clean(lead["text"])
        lines.append(style.paint(title, "bold") + prose(f"{title}: {text}", style).removeprefix(title))
    header = ("NAME", "STATE", "RUN", "SINCE", "")
    lines += columns(rows, style, header=header, right=(2, 3), colors=colors)
    return "\n".join(lines) if rows else "no watchers"


def watcher_text(reply: Reply, style: Style) -> str:
    """The reply of ``inspect NAME`` for people: the sentence that explains it, and its processes."""
    now = float(reply.get("daemon", {}).get("time") or reply.get("time") or 0)
    (watcher,) = reply["watchers"]
    state = _word(watcher)
    lines = [
        f"{style.paint(clean(watcher['name']), 'bold')}: {style.paint(state, STATE_COLORS.get(state, 'bold'))}",
        prose(clean(watcher.get("explain") or ""), style),
    ]
    lines.append(_last_crash(watcher, now, style))
    if watcher.get("tags"):
        lines.append(style.paint(clean(" ".join(f"@{tag}" for tag in watcher["tags"])), "dim"))
    rows, colors = [], []
    for process in watcher.get("processes", ()):
        end = process.get("exit") or {}
        note = []
        if process.get("reason"):
            what = "a connection" if process["reason"] == "socket" else f"its {process['reason']}"
            note.append(f"waits for {what}" if process["state"] == "waiting" else process["reason"])
        if process.get("side"):
            note.append(str(process["side"]))
        if process.get("awaits") and not process.get("reason"):
            left = f", {span(process['ready_by'] - now)} left" if process.get("ready_by") else ""
            note.append(f"not ready yet{left}")
        health = process.get("health") or {}
        if health.get("state") == "unhealthy" or health.get("text"):
            note.append(
                f"{health['state']}: {health['text']}" if health.get("text") else str(health["state"])
            )
        elif health.get("state") == "healthy":
            note.append("healthy")
        if process.get("frozen_by"):
            note.append(f"by {process['frozen_by']}")
        if process.get("thaw_at"):
            note.append(f"{span(process['thaw_at'] - now)} left")
        if process.get("main_pid"):
            note.append(f"main process {process['main_pid']}")
        if process.get("said"):
            note.append(str(process["said"]))
        if end.get("text") and process["state"] not in UP:
            note.append(str(end["text"]))
        if process.get("next_try"):
            note.append(f"next try in {span(process['next_try'] - now)}")
        rows.append(
            [
                str(process.get("wid")),
                str(process.get("pid") or "-"),
                process["state"],
                span(now - process["since"]) if process.get("since") else "-",
                str(process.get("starts", "")),
                clean(", ".join(note)),
            ]
        )
        colors.append(["", "", STATE_COLORS.get(process["state"], ""), "dim", "dim", "yellow"])
    header = ("WID", "PID", "STATE", "SINCE", "STARTS", "") if rows else ()
    lines += columns(rows, style, header=header, right=(0, 1, 3, 4), colors=colors, indent="  ", whole=True)
    return "\n".join(filter(None, lines))


def _done(reply: Reply, style: Style) -> str:
    if not style.terminal or not isinstance(reply.get("info", reply), Mapping):
        return "ok"
    # What was done to which processes stands in "info", and for `add` beside the status.
    info = reply["info"] if isinstance(reply.get("info"), Mapping) else reply
    parts = [
        f"{word} {', '.join(str(pid) for pid in info[word])}"
        for word in ("stopped", "started", "kept", "frozen", "thawed")
        if isinstance(info.get(word), list) and info[word]
    ]
    return "ok" + style.paint(f" ({'; '.join(parts)})", "dim") if parts else "ok"


def _reloaded(reply: Reply, style: Style) -> str:
    """What was done, or would be; scripts read "ok", as the original prints it."""
    trial = bool(reply.get("dry_run"))
    if not style.terminal and not trial:
        return "ok"
    lines = [style.paint(clean(str(text)), "yellow") for text in reply.get("warnings", ())]
    marks = {"add": "+", "open": "+", "remove": "-", "close": "-", "later": "!"}
    colors = {"+": "green", "-": "red", "!": "yellow", "~": "cyan"}
    for step in reply.get("plan", ()):
        mark = marks.get(step.get("action"), "~")
        lines.append(f"{style.paint(mark, colors[mark])} {clean(str(step.get('text')))}")
    lines += [style.paint(f"= {clean(str(step.get('text')))}", "dim") for step in reply.get("kept", ())]
    if not reply.get("plan"):
        lines.append("nothing changes" if trial else "nothing changed" if "plan" in reply else "ok")
    elif trial:
        lines.append(style.paint("Nothing is done yet: give the command without --dry-run.", "dim"))
    return "\n".join(lines)


def _saved(reply: Reply, style: Style) -> str:
    colors = {"+": ["green"], "-": ["red"], "@": ["cyan"]}
    lines = [
        style.paint(clean_line(line), *colors.get(line[:1], []))
        for line in str(reply.get("diff") or "").split("\n")
        if line
    ]
    lines += [f"note: {clean(str(text))}" for text in reply.get("left", ())]
    if not reply.get("changes"):
        lines.append("nothing to save")
    return "\n".join(lines)


def _set(reply: Reply, style: Style) -> str:
    applied = reply.get("applied")
    if not isinstance(applied, Mapping):
        return _done(reply, style)
    return "\n".join(f"{clean(str(key))}: {clean(str(text))}" for key, text in applied.items())


def _later(module: str, name: str) -> Callable[[Reply, Style], str]:
    """A view of a module of views that are seldom asked for: it is loaded when one is."""

    def view(reply: Reply, style: Style) -> str:
        text: str = getattr(import_module(f"circusd.cli.{module}"), name)(reply, style)
        return text

    return view


def _number(key: str) -> Callable[[Reply, Style], str]:
    return lambda reply, style: clean(str(reply.get(key)))


def _scaled(reply: Reply, style: Style) -> str:
    if reply.get("singleton"):
        return "This watcher is a Singleton - not changing the number of processes"
    return clean(str(reply.get("numprocesses", "ok")))


def _list(reply: Reply, style: Style) -> str:
    items = [clean(str(item)) for item in reply.get("pids", reply.get("watchers", ()))]
    return ("\n" if style.terminal else ",").join(items)


def _explain(reply: Reply, style: Style) -> str:
    watchers = reply.get("watchers", ())
    now = float(reply.get("time") or 0)
    told = [(str(w.get("name")), clean(str(w.get("explain"))), _last_crash(w, now, style)) for w in watchers]
    if len(told) == 1:
        ((_, text, crash),) = told
        return "\n".join(filter(None, (prose(text, style), crash)))
    return "\n".join(
        _named(name, "\n".join(filter(None, (text, crash))), style) for name, text, crash in told
    )


def _last_crash(watcher: Mapping[str, Any], now: float, style: Style) -> str:
    """How to see the report of its last crash; nothing where there was none, or all has been well for an hour."""
    crash = watcher.get("crash")
    if not crash or (watcher.get("state") not in ILL and now - float(crash["time"]) > LATELY):
        return ""
    name = clean(shlex.quote(str(watcher.get("name"))))
    return style.paint(f"Its last crash: circusctl crash {name} {crash['id']}", "dim")


def _waited(reply: Reply, style: Style) -> str:
    state = clean(str(reply.get("state")))
    return "\n".join(
        f"{clean(str(name))}: {style.paint(state, *_colors(state))}" for name in reply.get("watchers", ())
    )


def _jobs(reply: Reply, style: Style) -> str:
    from circusd.cli.progress import line_of

    now = float(reply.get("time") or 0)
    rows = []
    for job in reply.get("jobs", ()):
        since = span(now - job["since"]) if job.get("since") else "-"
        rows.append([str(job.get("id")), line_of(job), clean(str(job.get("by") or "-")), since])
    if style.terminal:
        return (
            "\n".join(columns(rows, style, header=("ID", "COMMAND", "BY", "SINCE"), right=(0, 3)))
            or "nothing is under way"
        )
    return "\n".join(f"{number} {text}" for number, text, _, _ in rows)


def _cancelled(reply: Reply, style: Style) -> str:
    kept = reply.get("kept") or {}
    return "\n".join(
        ["ok", *(f"{clean(str(name))} goes on: {clean(str(why))}" for name, why in kept.items())]
    )


def _options(reply: Reply, style: Style) -> str:
    pairs = [
        (clean(str(key)), value_text(str(key), value)) for key, value in reply.get("options", {}).items()
    ]
    if style.terminal:
        return "\n".join(columns(pairs, style, colors=[("cyan", "")] * len(pairs), whole=True))
    return "\n".join(f"{key}: {text}" for key, text in pairs)


def _status(reply: Reply, style: Style) -> str:
    if "statuses" in reply:
        states = {clean(str(name)): clean(str(state)) for name, state in reply["statuses"].items()}
        return "\n".join(
            f"{name}: {style.paint(states[name], *_colors(states[name]))}" for name in sorted(states)
        )
    return clean(str(reply.get("status")))


def _colors(state: str) -> list[str]:
    return [STATE_COLORS[state]] if state in STATE_COLORS else []


def _level(event: str) -> list[str]:
    from circusd.schema.events import EVENTS

    level = next((row.level for row in EVENTS if row.name == event), "info")
    return {"warning": ["yellow"], "error": ["red"]}.get(level, [])


def _info_line(info: Any) -> str:
    if not isinstance(info, Mapping):
        return clean(str(info))
    head = f"{info.get('pid')}  {info.get('cmdline')}"
    return clean(" ".join([head, *(str(info.get(key)) for key in _INFO_KEYS)]))


def _info_lines(info: Any) -> str:
    children = info.get("children", ()) if isinstance(info, Mapping) else ()
    return "\n".join([_info_line(info), *("   " + _info_line(child) for child in children)])


def _info_rows(info: Any, depth: int = 0) -> Iterable[list[str]]:
    if not isinstance(info, Mapping):
        yield ["", "", clean(str(info))]
        return
    command = "  " * depth + str(info.get("cmdline"))
    cells = ("pid", "wid", "", "username", "nice", "mem_info1", "mem_info2", "cpu", "mem", "ctime")
    yield [clean(command if key == "" else str(info.get(key, ""))) for key in cells]
    for child in info.get("children", ()):
        yield from _info_rows(child, depth + 1)


def _info_table(groups: Mapping[str, Mapping[str, Any]], style: Style) -> str:
    header = ("PID", "WID", "COMMAND", "USER", "NICE", "RSS", "VMS", "CPU%", "MEM%", "TIME")
    lines = []
    for name, infos in groups.items():
        rows = [row for info in infos.values() for row in _info_rows(info)]
        lines.append(style.paint(clean(name), "bold") + ("" if rows else ": no processes"))
        if rows:
            lines += columns(rows, style, header=header, right=(0, 1, 4, 5, 6, 7, 8, 9), indent="  ")
    return "\n".join(lines)


def _stats(reply: Reply, style: Style) -> str:
    if "name" in reply:
        groups = {str(reply["name"]): reply.get("info") or {}}
    elif "infos" in reply:
        groups = {str(name): infos or {} for name, infos in reply["infos"].items()}
    else:
        pid, info = clean(str(reply.get("process"))), reply.get("info")
        if style.terminal:
            return _info_table({pid: {pid: info}}, style)
        return f"{pid}: {_info_lines(info)}\n"
    if style.terminal:
        return _info_table(groups, style)
    lines = []
    for name, infos in groups.items():
        lines.append(f"{clean(name)}:")
        lines += [f"{clean(str(pid))}: {_info_lines(info)}" for pid, info in infos.items()]
    return "\n".join(lines)


def _dstats(reply: Reply, style: Style) -> str:
    info = reply.get("info") or {}
    lines = ["Main Process:", "    " + _info_line(info)]
    children = info.get("children") or ()
    if children:
        lines += ["Children:", *("    " + _info_line(child) for child in children)]
    return "\n".join(lines)


def _sockets(reply: Reply, style: Style) -> str:
    if any("watchers" in sock for sock in reply.get("sockets", ())):
        return _later("aboutviews", "sockets")(reply, style)
    rows = []
    for sock in reply.get("sockets", ()):
        address = sock["path"] if "path" in sock else f"{sock.get('host')}:{sock.get('port')}"
        rows.append(
            [clean(str(cell)) for cell in (sock["name"], address, sock["fd"], sock.get("backlog", ""))]
        )
    if style.terminal:
        return (
            "\n".join(columns(rows, style, header=("NAME", "ADDRESS", "FD", "BACKLOG"), right=(2, 3)))
            or "no sockets"
        )
    return "\n".join(f"{fd}:socket '{name}' at {address}" for name, address, fd, _ in rows)


def _opened(reply: Reply, style: Style) -> str:
    sock = reply.get("socket") or {}
    address = sock["path"] if "path" in sock else f"{sock.get('host')}:{sock.get('port')}"
    return clean(f"{sock.get('name')}: {address}")


def _ipython(reply: Reply, style: Style) -> str:
    if style.terminal and reply.get("msg"):
        return clean(str(reply["msg"]))
    return "error: Could not start ipython kernel"


def _ping(reply: Reply, style: Style) -> str:
    if not style.terminal:
        return "pong"
    return f"pong: circusd {clean(str(reply.get('version')))}, pid {clean(str(reply.get('pid')))}"


def _link(reply: Reply, style: Style) -> str:
    link = clean(str(reply.get("link")))
    if style.terminal and isinstance(reply.get("expires"), int | float):
        return (
            f"{link}\n{style.paint('opens once, until ' + clock_of(reply['expires'], '%H:%M:%S')[:8], 'dim')}"
        )
    return link


def _keys(reply: Reply, style: Style) -> str:
    rows = [
        [
            clean(str(key.get("name"))),
            clean(str(key.get("role"))),
            clock_of(float(key.get("added") or 0), "%Y-%m-%d %H:%M")[:16],
            clean(str(key.get("by"))),
            clean(", ".join(map(str, key.get("connections", ())))) or "-",
            clean(str(key.get("public"))),
        ]
        for key in reply.get("keys", ())
    ]
    if not rows:
        return "no keys: nobody on another machine is let in (circusctl keys add NAME)"
    header = ("NAME", "ROLE", "ADDED", "BY", "IN USE FROM", "PUBLIC KEY")
    server = style.paint("the server's public key:", "dim") + " " + clean(str(reply.get("server")))
    return "\n".join([*columns(rows, style, header=header), server])


def _key_added(reply: Reply, style: Style) -> str:
    key = reply.get("key") or {}
    name, role = clean(str(key.get("name"))), clean(str(key.get("role")))
    file = clean(str(reply.get("file", "")))
    lines = [f"{file}: the key of {name}, {role}" if file else f"{name} is let in as {role}"]
    if not file:
        server = shlex.quote(clean(str(reply.get("server"))))
        lines.append(f"there, if it was not yet: circusctl keys new {name} --server {server}")
    for endpoint in list((reply.get("endpoints") or {}).values())[:1]:
        place = clean(str(endpoint)).replace("0.0.0.0", _machine()).replace("[::]", _machine())
        lines.append(
            f"there: circusctl --key {shlex.quote(file) if file else f'{name}.key'} --endpoint {place} status"
        )
    if not reply.get("endpoints"):
        lines.append(
            "no endpoint can be reached from other machines yet: it takes endpoint = tcp://ADDRESS:PORT in the file"
        )
    return "\n".join(lines)


def _machine() -> str:
    return os.uname().nodename


def _key_made(reply: Reply, style: Style) -> str:
    name, file = clean(str(reply.get("name"))), clean(str(reply.get("file")))
    lines = [f"{file}: the key of {name}"]
    if reply.get("made"):
        public = shlex.quote(clean(str(reply.get("public"))))
        lines.append(f"on the server: circusctl keys add {name} --public {public}")
    if not reply.get("server"):
        lines.append(f"then here, with the public key that it shows: circusctl keys new {name} --server KEY")
    return "\n".join(lines)


def _key_gone(reply: Reply, style: Style) -> str:
    ended = reply.get("ended")
    return "ok" if not ended else f"ok; {ended} connection{'s' if ended != 1 else ''} ended"


def _person(reply: Reply) -> list[str]:
    return [
        clean(str(reply.get("person", ""))),
        str(reply.get("role", "")),
        clean(" ".join(map(str, reply.get("watchers") or ["all watchers"]))),
        "disabled" if reply.get("disabled") else "password" if reply.get("password") else "no password",
    ]


def _people(reply: Reply, style: Style) -> str:
    rows = [
        [*_person(row), f"{row.get('tokens', 0)} token{'' if row.get('tokens') == 1 else 's'}"]
        for row in reply.get("people", ())
    ]
    return "\n".join(columns(rows, style)) or "there are no people yet; add one with addperson"


def _made_token(reply: Reply, style: Style) -> str:
    return clean(str(reply.get("secret", "")))


def _moment(value: Any, none: str) -> str:
    return none if value is None else clock_of(float(value), "%Y-%m-%d %H:%M").partition(".")[0]


def _tokens(reply: Reply, style: Style) -> str:
    rows = [
        [
            str(row.get("id", "")),
            clean(str(row.get("person", ""))),
            clean(str(row.get("token", ""))),
            str(row.get("role", "")),
            clean(" ".join(map(str, row.get("watchers") or ["all watchers"]))),
            f"used {_moment(row.get('used'), 'never')}",
            f"ends {_moment(row.get('expires'), 'never')}",
        ]
        for row in reply.get("tokens", ())
    ]
    return "\n".join(columns(rows, style)) or "there are no tokens; make one with addtoken"


def _sessions(reply: Reply, style: Style) -> str:
    rows = [
        [
            str(row.get("id", "")),
            clean(str(row.get("person", ""))),
            str(row.get("role", "")),
            clean(str(row.get("address") or "-")),
            f"used {_moment(row.get('used'), 'never')}",
            f"ends {_moment(row.get('ends'), 'never')}",
        ]
        for row in reply.get("sessions", ())
    ]
    return "\n".join(columns(rows, style)) or "nobody is logged in"


_RENDERERS: Mapping[str, Callable[[Reply, Style], str]] = {
    "addkey": _key_added,
    "addperson": lambda reply, style: "\n".join(columns([_person(reply)], style)),
    "addsocket": _opened,
    "addtoken": _made_token,
    "audit": _audit,
    "cancel": _cancelled,
    "crash": _later("crashviews", "crash"),
    "crashes": _later("crashviews", "crashes"),
    "daemon": _later("aboutviews", "daemon"),
    "decr": _scaled,
    "drift": _later("aboutviews", "drift"),
    "dstats": _dstats,
    "events": lambda reply, style: "\n".join(event_line(e, style) for e in reply.get("events", ())),
    "explain": _explain,
    "get": _options,
    "globaloptions": _options,
    "history": _later("figures", "history"),
    "incr": _scaled,
    "inspect": lambda reply, style: json_of(dict(reply), pretty=True),
    "ipython": _ipython,
    "jobs": _jobs,
    "keys": _keys,
    "list": _list,
    "listsockets": _sockets,
    "metrics": _later("aboutviews", "metrics"),
    "newkey": _key_made,
    "numprocesses": _number("numprocesses"),
    "numwatchers": _number("numwatchers"),
    "options": _options,
    "grep": lambda reply, style: "\n".join(output_line(line, style) for line in reply.get("lines", ())),
    "output": lambda reply, style: "\n".join(output_line(line, style) for line in reply.get("lines", ())),
    "people": _people,
    "ping": _ping,
    "plugins": _later("aboutviews", "plugins"),
    "process": _later("figures", "process"),
    "reloadconfig": _reloaded,
    "reopen": _later("sinkviews", "files"),
    "rmkey": _key_gone,
    "rotate": _later("sinkviews", "files"),
    "run": _later("scheduleviews", "run"),
    "runs": _later("scheduleviews", "runs"),
    "save": _saved,
    "schedule": _later("scheduleviews", "schedules"),
    "sessions": _sessions,
    "set": _set,
    "setperson": lambda reply, style: "\n".join(columns([_person(reply)], style)),
    "sinks": _later("sinkviews", "sinks"),
    "stats": _stats,
    "status": _status,
    "tokens": _tokens,
    "graph": _later("figures", "graph"),
    "timeline": _later("starts", "timeline"),
    "tree": _later("figures", "tree"),
    "version": _number("version"),
    "wait": _waited,
    "weblink": _link,
}
