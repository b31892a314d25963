"""The daemon itself as text: its process, doors, plugins, sockets in detail, and what is not in its files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from circusd.cli.terminal import Style, clean, columns, size, span
from circusd.schema.exposition import exposition

Reply = Mapping[str, Any]


def daemon(reply: Reply, style: Style) -> str:
    """What is known of circusd itself; its doors, and who came in by them."""
    now = float(reply.get("time") or 0)
    usage = reply.get("usage") or {}
    memory = " ".join(
        f"{word} {size(usage[key])}"
        for key, word in (("rss", "rss"), ("peak", "peak"), ("swap", "swap"))
        if usage.get(key)
    )
    most = usage.get("descriptors_limit")
    pairs = [
        ("circusd", f"{reply.get('version')}, name {reply.get('name')}, pid {reply.get('pid')}"),
        ("up", span(now - float(reply.get("started") or now))),
        ("loop lag", _lag(reply.get("loop") or {})),
        ("memory", memory or "-"),
        ("processor", f"{usage.get('cpu_seconds')} s, {usage.get('threads')} threads"),
        ("descriptors", f"{usage.get('descriptors')} of {'unlimited' if most is None else most}"),
        ("machine", _machine(reply.get("host") or {})),
        ("configuration", str((reply.get("configuration") or {}).get("path"))),
    ]
    lines = columns(
        [(key, clean(text)) for key, text in pairs], style, colors=[("cyan", "")] * len(pairs), whole=True
    )
    for door in reply.get("doors", ()):
        head = f"{door.get('name')}: {door.get('endpoint')}, {door.get('count')} connected"
        lines.append(style.paint(clean(head), "bold"))
        rows = [_connection(row, now) for row in door.get("connections", ())]
        header = ("WHO", "PID", "ROLE", "FROM", "SINCE", "SENT", "WAITING")
        lines += columns(rows, style, header=header if rows else (), right=(1, 4, 5, 6), indent="  ")
    return "\n".join(lines)


def _lag(loop: Reply) -> str:
    """In the last minute: at half of all moments, at all but one of a hundred, at the worst."""
    told = [f"{key} {float(loop.get(key) or 0) * 1000:.1f} ms" for key in ("p50", "p99", "max")]
    return f"{', '.join(told)} (last {span(float(loop.get('window') or 0))})"


def _machine(host: Reply) -> str:
    load = " ".join(f"{value:.2f}" for value in host.get("load", ())) or "-"
    total, available = host.get("memory_total"), host.get("memory_available")
    memory = f", memory {size(total - available)} of {size(total)}" if total and available else ""
    return f"load {load}{memory}"


def _connection(row: Mapping[str, Any], now: float) -> list[str]:
    who = (
        row.get("watcher")
        or row.get("user")
        or ("sessions" if row.get("uid") is None else f"uid {row['uid']}")
    )
    cells = (who, row.get("pid") or "-", row.get("role") or "-", row.get("address") or "-")
    since = span(now - float(row.get("since") or now))
    return [
        *(clean(str(cell)) for cell in cells),
        since,
        size(row.get("sent") or 0),
        size(row.get("queued") or 0),
    ]


def metrics(reply: Reply, style: Style) -> str:
    """The text that Prometheus reads; names are escaped as its format has it, and what would command a terminal is taken out."""
    text = b"".join(exposition(reply.get("groups") or (), openmetrics=False)).decode()
    return "\n".join(clean(line) for line in text.removesuffix("\n").split("\n"))


def plugins(reply: Reply, style: Style) -> str:
    """One line for each; its options below it."""
    lines = []
    for row in reply.get("plugins", ()):
        pids = ", ".join(map(str, row.get("pids") or ())) or "-"
        heard = sorted({str(door.get("channel")) for door in row.get("doors", ())})
        head = f"{row.get('name')}: {row.get('status')}, pid {pids}, {row.get('use')}"
        listens = f"connected to {', '.join(heard)}" if heard else "connected to nothing"
        lines.append(
            f"{style.paint(clean(head), 'bold')}, {row.get('restarts')} restarts in 1 h, {clean(listens)}"
        )
        lines += [clean(f"  {key} = {value}") for key, value in (row.get("options") or {}).items()]
    return "\n".join(lines) or "no plugins"


def drift(reply: Reply, style: Style) -> str:
    """What is not in the files, and what is not in force."""
    lines = [f"{style.paint('~', 'cyan')} {clean(str(text))}" for text in reply.get("changes", ())]
    lines += [f"note: {clean(str(text))}" for text in reply.get("left", ())]
    if reply.get("problems"):
        lines += [style.paint(clean(str(text)), "red") for text in reply["problems"]]
    elif reply.get("on_disk"):
        lines.append(
            style.paint(
                "the files have changed on disk since they were read: circusctl reloadconfig", "yellow"
            )
        )
    last = reply.get("last_save")
    if last:
        problem = last.get("problem")
        how = f"can't be undone, {problem}" if problem else "circusctl save --undo takes it back"
        lines.append(clean(f"last save: {', '.join(map(str, last.get('files', ())))}; {how}"))
    return "\n".join(lines) or "what is in force is what the files say"


def sockets(reply: Reply, style: Style) -> str:
    """The sockets with who has them and what the kernel tells."""
    rows = []
    for sock in reply.get("sockets", ()):
        address = sock["path"] if "path" in sock else f"{sock.get('host')}:{sock.get('port')}"
        waiting, limit = _told(sock.get("waiting")), _told(sock.get("limit"))
        asleep = sock.get("awaited_by", ())
        holders = (
            ", ".join(f"{w} (waits)" if w in asleep else str(w) for w in sock.get("watchers", ())) or "-"
        )
        pids = ", ".join(str(row.get("pid")) for row in sock.get("processes", ())) or "-"
        cells = (
            sock["name"],
            address,
            sock["fd"],
            f"{waiting}/{limit}",
            _told(sock.get("connections")),
            _told(sock.get("dropped")),
        )
        rows.append([clean(str(cell)) for cell in (*cells, holders, pids)])
    header = ("NAME", "ADDRESS", "FD", "WAITING", "OPEN", "TURNED AWAY", "WATCHERS", "PIDS")
    if style.terminal:
        return "\n".join(columns(rows, style, header=header, right=(2, 3, 4, 5))) or "no sockets"
    return "\n".join(" ".join(row) for row in rows)


def _told(value: object) -> str:
    return "-" if value is None else str(value)
