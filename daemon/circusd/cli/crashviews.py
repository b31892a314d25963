"""Crash reports as text: a table of them, and one in full."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from circusd.cli.figures import spark
from circusd.cli.render import clock_of
from circusd.cli.terminal import Style, clean, clean_line, columns, prose, size, span

Reply = Mapping[str, Any]

NONE = "-"
CELLS = 40


def crashes(reply: Reply, style: Style) -> str:
    """The reply of ``crashes``: one line for each report."""
    now = float(reply.get("time") or 0)
    rows = []
    for row in reply.get("crashes", ()):
        last = float(row.get("last") or 0)
        rows.append(
            [
                clean(f"{row.get('watcher')} {row.get('wid')}"),
                str(row.get("id")),
                f"{span(now - last)} ago" if style.terminal else clock_of(last),
                str(row.get("count")),
                _lived(row),
                clean(str(row.get("how"))) + (", core dumped" if row.get("core") else ""),
            ]
        )
    problem = reply.get("problem")
    told = [style.paint(f"they will not outlive circusd: {clean(str(problem))}", "yellow")] if problem else []
    if not rows:
        return "\n".join(["no crash reports", *told])
    if not style.terminal:
        return "\n".join([*(" ".join(row) for row in rows), *told])
    header = ("PROCESS", "ID", "LAST", "TIMES", "UPTIME", "HOW")
    colors = [["", "cyan", "dim", "", "dim", "red"]] * len(rows)
    return "\n".join([*columns(rows, style, header=header, right=(1, 2, 3, 4), colors=colors), *told])


def _lived(row: Mapping[str, Any]) -> str:
    lived = row.get("lived")
    return NONE if lived is None else span(float(lived)) if lived >= 10 else f"{float(lived):.1f} s"


def crash(reply: Reply, style: Style) -> str:
    """The reply of ``crash``: the report, with the last lines at its end, where a person looks first."""
    report = reply.get("crash") or {}
    now = float(reply.get("time") or 0)
    head = f"{report.get('watcher')} {report.get('wid')}"
    after = "" if report.get("lived") is None or report.get("stage") else f" after {_lived(report)}"
    told = prose(clean(f"{head} {report.get('how')}{after}."), style)
    lines = [style.paint(clean(head), "bold") + told.removeprefix(clean(head))]
    if report.get("means"):
        lines.append(prose(clean(f"Usually that means: {report['means']}."), style))
    if report.get("killer"):
        lines.append(prose(clean(f"About SIGKILL: {report['killer']}."), style))
    lines.append("")
    lines += _table("", _facts(report, now), style)
    lines += _load(report.get("load") or {}, style)
    lines += _differences(report, style)
    lines += _output(report, style)
    return "\n".join(lines)


def _facts(report: Mapping[str, Any], now: float) -> list[tuple[str, str]]:
    pairs = [("report", str(report.get("id")))]
    ended = float(report.get("ended") or 0)
    pairs.append(("ended", f"{clock_of(ended, '%Y-%m-%d %H:%M:%S')}, {span(now - ended)} ago"))
    if report.get("started"):
        started = clock_of(float(report["started"]), "%Y-%m-%d %H:%M:%S")
        pairs.append(("started", f"{started}, pid {report.get('pid')}"))
    count = int(report.get("count") or 1)
    if count > 1:
        last = span(now - float(report.get("last") or 0))
        pairs.append(("times", f"{count}, the last {last} ago; what follows is of the first"))
    if report.get("others"):
        pairs.append(("then", f"{report['others']} more failures, too many to be looked at"))
    stop = report.get("stop")
    if stop:
        by = f" by {stop['by']}" if stop.get("by") else ""
        pairs.append(("meanwhile", f"it was being stopped: {stop.get('command')}{by}"))
    for one in report.get("sent") or ():
        by = f", a command of {one['by']}" if one.get("by") else ""
        when = clock_of(float(one.get("time") or 0), "%H:%M:%S")
        pairs.append(("circusd sent", f"{one.get('signal')} at {when}{by}"))
    if report.get("core"):
        pairs.append(("core dump", _core(report.get("core_dump"))))
    pairs += _usage(report.get("usage"))
    if report.get("next"):
        pairs.append(("next", f"{report['next']}"))
    return [(key, clean(text)) for key, text in pairs]


def _core(found: Mapping[str, Any] | None) -> str:
    if not found:
        return "dumped, it is not known where to"
    if found.get("handler"):
        hint = f": {found['hint']}" if found.get("hint") else ""
        return f"given to {found['handler']}{hint}"
    if not found.get("path"):
        return "dumped, it is not known where to"
    if found.get("size") is None:
        return f"it should be {found['path']}, and is not there"
    return f"{found['path']}, {size(found['size'])}"


def _usage(used: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    if not used:
        return []
    most = size(used.get("max_rss") or 0)
    most = f"no more than {most}" if used.get("is_bound") else f"{most} at the most"
    return [
        ("processor", f"{used.get('user')} s user, {used.get('system')} s system"),
        (
            "memory",
            f"{most}; page faults: {used.get('minor_faults')} minor, {used.get('major_faults')} major",
        ),
        ("switches", f"{used.get('voluntary')} voluntary, {used.get('involuntary')} involuntary"),
    ]


def _load(load: Mapping[str, Any], style: Style) -> list[str]:
    times = list(load.get("times") or ())
    if not times:
        return []
    pairs = []
    for key, shown in (("cpu", lambda value: f"{value:.1f} %"), ("rss", size)):
        values = list(load.get(key) or ())
        known = [value for value in values if value is not None]
        if known:
            pairs.append((key, f"{spark(values, CELLS)}  last {shown(known[-1])}, most {shown(max(known))}"))
    return _table(f"Its watcher in the {span(times[-1] - times[0])} before", pairs, style)


def _differences(report: Mapping[str, Any], style: Style) -> list[str]:
    since = report.get("since")
    if since is None:
        return ["", "It has not had a good start since circusd has started."]
    own = abs(float(since) - float(report.get("started") or 0)) < 1
    title = f"Since {'it was started' if own else 'the last good start'}, {clock_of(float(since), '%Y-%m-%d %H:%M:%S')}"
    pairs = [
        (clean(str(one.get("option"))), clean(f"{_value(one.get('was'))} → {_value(one.get('now'))}"))
        for one in report.get("changes") or ()
    ]
    pairs += [(clean(str(one.get("what"))), clean(_file(one))) for one in report.get("files") or ()]
    return _table(title, pairs or [("", "neither its options nor its files have changed")], style)


def _value(value: Any) -> str:
    return "not set" if value is None else str(value)


def _file(one: Mapping[str, Any]) -> str:
    was, now = one.get("was") or {}, one.get("now")
    if not now:
        return f"{one.get('file')} is gone"
    parts = []
    if was.get("modified") != now.get("modified"):
        parts.append(f"written {clock_of(float(now.get('modified') or 0), '%Y-%m-%d %H:%M:%S')}")
    if was.get("size") != now.get("size"):
        parts.append(f"{was.get('size')} → {now.get('size')} bytes")
    if was.get("inode") != now.get("inode"):
        parts.append("another file of that name")
    return f"{one.get('file')}: {', '.join(parts)}"


def _output(report: Mapping[str, Any], style: Style) -> list[str]:
    rows = list(report.get("lines") or ())
    if not rows:
        return ["", "It has written nothing, or its output is not captured."] if report.get("pid") else []
    lines = ["", style.paint("Its last lines", "bold")]
    for row in rows:
        when = style.paint(clock_of(float(row.get("time") or 0), "%H:%M:%S"), "dim")
        mark = style.paint("!", "red") if row.get("stream") == "stderr" else style.paint("|", "dim")
        lines.append(f"  {when} {mark} {clean_line(str(row.get('text', '')), color=style.color)}")
    return lines


def _table(title: str, pairs: list[tuple[str, str]], style: Style) -> list[str]:
    if not pairs:
        return []
    lines = ["", style.paint(title, "bold")] if title else []
    return lines + columns(pairs, style, colors=[("cyan", "")] * len(pairs), indent="  ", whole=True)
