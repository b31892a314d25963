"""What one process is and holds, read from /proc within bounds: for a thread, as some of these reads can wait for it.

Everything that a process can choose (its command line, variables, names of files) is text of a stranger: it is
cut to a length, and bytes that are no UTF-8 come out escaped.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Collection
from typing import Any, Final, NamedTuple

from circusd.kernel import proc
from circusd.kernel.proc import Identity

FILES_LIMIT: Final = 200
"""Descriptors that are told one by one; of the others only the number."""
COUNT_LIMIT: Final = 20_000
"""Descriptors that are counted."""
ENVIRONMENT_BYTES: Final = 256 << 10
SOCKETS_BYTES: Final = 4 << 20
"""What is read of each table of the system's connections to find those of the process."""
TEXT_LIMIT: Final = 400
"""Characters of a command line or a path."""
VALUE_LIMIT: Final = 4096
"""Characters of a variable's value."""
BELOW_LIMIT: Final = 400
"""Descendants of processes that are told one by one."""
PSS_LIMIT: Final = 4 << 30
"""Bytes of memory of which is told what is the process's part, where it shares with others: the kernel goes through all pages."""
LOOK_SECONDS: Final = 0.2
"""Two looks that are nearer to each other tell the same share of a processor."""
KNOWN_SECONDS: Final = 30.0
"""For so long it is remembered what a process had taken at the last look."""

_STATUS: Final = {"Threads": "threads", "VmSize": "vms", "VmSwap": "swap", "VmHWM": "rss_peak"}
_TCP: Final = "? ESTABLISHED SYN_SENT SYN_RECV FIN_WAIT1 FIN_WAIT2 TIME_WAIT CLOSE CLOSE_WAIT LAST_ACK LISTEN CLOSING".split()
"""The states of a connection, by the kernel's numbers."""
_UNIX: Final = {1: "stream", 2: "datagram", 5: "seqpacket"}
_LISTENING: Final = 0x10000
"""The flag of a unix socket that accepts connections."""


def text(raw: bytes, limit: int = TEXT_LIMIT) -> str:
    """The bytes as text of at most that many characters."""
    shown = raw.decode("utf-8", "backslashreplace")
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def read(path: str, limit: int = 1 << 16) -> bytes | None:
    """The beginning of a small file of the kernel; None where it is not there or not for us."""
    try:
        with open(path, "rb", buffering=0) as file:
            parts = []
            while limit > 0 and (part := file.read(min(limit, 1 << 16))):
                parts.append(part)
                limit -= len(part)
            return b"".join(parts)
    except OSError:
        return None


def command_line(pid: int) -> str:
    """The words of a process as one line; its name in brackets where it has none."""
    words = read(f"/proc/{pid}/cmdline", 4 * TEXT_LIMIT)
    if words:
        return text(words.rstrip(b"\0").replace(b"\0", b" "))
    name = read(f"/proc/{pid}/comm")
    return f"[{text(name.strip())}]" if name else ""


_Seen = dict[Identity, tuple[int, float, float | None]]
"""Ticks, when they were read, and the share of a processor that they told."""


class Trees(NamedTuple):
    """Processes with what is below them."""

    own: dict[int, dict[str, Any]]
    """Of each process: command, cpu (per cent of one processor; None at the first look) and rss."""
    below: dict[int, list[dict[str, Any]]]
    """Its descendants, each behind its parent."""
    left_out: int
    """Descendants that are not told for want of room."""
    is_known: bool
    """Whether the use of the processor is known of all."""


class Below:
    """The descendants of processes, each with its share of a processor since this object's last look at it."""

    def __init__(self) -> None:
        self._known: _Seen = {}

    def look(self, roots: Collection[int], now: float) -> Trees:
        """What is below each of these pids; ``now`` is a monotonic reading."""
        table = proc.sweep()
        children: dict[int, list[proc.Row]] = {}
        for row in sorted(table.values(), key=lambda row: row.start):
            children.setdefault(row.ppid, []).append(row)
        fresh: _Seen = {}
        found: dict[int, list[dict[str, Any]]] = {}
        left_out, total = 0, 0
        for root in roots:
            listed = found[root] = []
            waiting = [(child, 1) for child in reversed(children.get(root, ()))]
            # Two reads of a moving table could show a circle: nobody is looked at twice.
            seen = {root}
            while waiting:
                row, depth = waiting.pop()
                if row.pid in seen:
                    continue
                seen.add(row.pid)
                waiting += [(child, depth + 1) for child in reversed(children.get(row.pid, ()))]
                if total >= BELOW_LIMIT:
                    left_out += 1
                    continue
                view = self._view(row, depth, now, fresh)
                if view is not None:
                    listed.append(view)
                    total += 1
        own = {
            root: {"command": command_line(root), "cpu": share, "rss": rss}
            for root in roots
            if root in table
            for share, rss in [self._share(table[root].identity, now, fresh)]
            if rss is not None
        }
        # What nobody has asked for lately is not remembered.
        kept = {one: known for one, known in self._known.items() if now - known[1] < KNOWN_SECONDS}
        self._known = {**kept, **fresh}
        return Trees(own, found, left_out, all(share is not None for _, _, share in fresh.values()))

    def _view(self, row: proc.Row, depth: int, now: float, fresh: _Seen) -> dict[str, Any] | None:
        share, rss = self._share(row.identity, now, fresh)
        if rss is None:
            return None
        return {
            "pid": row.pid,
            "parent": row.ppid,
            "depth": depth,
            "command": command_line(row.pid),
            "state": row.state,
            "cpu": share,
            "rss": rss,
            "age": round(proc.age(row.start), 1),
        }

    def _share(self, identity: Identity, now: float, fresh: _Seen) -> tuple[float | None, int | None]:
        use = proc.use(identity.pid)
        if use is None or use.start != identity.start:
            return None, None
        share: float | None = None
        before = self._known.get(identity)
        if before is not None:
            ticks, then, share = before
            if now - then < LOOK_SECONDS:
                fresh[identity] = before
                return share, use.rss
            share = round((use.ticks - ticks) * 100 / proc.TICKS / (now - then), 1)
        fresh[identity] = (use.ticks, now, share)
        return share, use.rss


def facts(pid: int) -> dict[str, Any]:
    """What a process takes: times, memory, threads, descriptors, input and output; without what may not be read."""
    found: dict[str, Any] = {}
    use = proc.use(pid)
    if use is not None:
        found |= {
            "cpu_time": round(use.ticks / proc.TICKS, 2),
            "rss": use.rss,
            "age": round(proc.age(use.start), 1),
        }
    for line in (read(f"/proc/{pid}/status") or b"").splitlines():
        key, _, value = line.decode("ascii", "replace").partition(":")
        words = value.split()
        if key in _STATUS and words and words[0].isdigit():
            found[_STATUS[key]] = int(words[0]) * (1024 if words[1:] == ["kB"] else 1)
        elif key in ("Uid", "Gid") and len(words) > 1:
            found[key.lower()] = int(words[1])
        elif key in ("voluntary_ctxt_switches", "nonvoluntary_ctxt_switches") and words:
            found["switches"] = found.get("switches", 0) + int(words[0])
    for line in (read(f"/proc/{pid}/io") or b"").splitlines():
        name, _, amount = line.decode("ascii", "replace").partition(":")
        if name in ("read_bytes", "write_bytes", "rchar", "wchar"):
            found[name] = int(amount)
    if found.get("rss", 0) <= PSS_LIMIT:
        for line in (read(f"/proc/{pid}/smaps_rollup") or b"").splitlines():
            if line.startswith(b"Pss:"):
                found["pss"] = int(line.split()[1]) * 1024
    for name in ("cwd", "exe", "root"):
        target = _link(f"/proc/{pid}/{name}")
        if target:
            found[name] = target
    found["command"] = command_line(pid)
    return found


def _link(path: str) -> str:
    try:
        return text(os.fsencode(os.readlink(path)))
    except OSError:
        return ""


def limits(pid: int) -> list[dict[str, Any]]:
    """The resource limits in force: ``{name, soft, hard, unit}``; None for unlimited."""
    found = []
    for line in (read(f"/proc/{pid}/limits") or b"").decode("ascii", "replace").splitlines()[1:]:
        # The names have spaces, the columns a fixed place.
        name, rest = line[:26].strip(), line[26:].split()
        if len(rest) >= 2:
            soft, hard = (None if word == "unlimited" else int(word) for word in rest[:2])
            found.append({"name": name, "soft": soft, "hard": hard, "unit": " ".join(rest[2:])})
    return found


def environment(pid: int) -> tuple[dict[str, str], bool] | None:
    """The variables that the process was started with, and whether that is all of them; None where it may not be read."""
    raw = read(f"/proc/{pid}/environ", ENVIRONMENT_BYTES)
    if raw is None:
        return None
    variables = {}
    for part in raw.split(b"\0"):
        name, equals, value = part.partition(b"=")
        if equals:
            variables[text(name)] = text(value, VALUE_LIMIT)
    return dict(sorted(variables.items())), len(raw) < ENVIRONMENT_BYTES


def files(pid: int) -> dict[str, Any] | None:
    """The open descriptors: how many, and the first of them with what they lead to; None where they may not be read."""
    numbers: list[int] = []
    try:
        with os.scandir(f"/proc/{pid}/fd") as entries:
            for entry in entries:
                if len(numbers) >= COUNT_LIMIT:
                    break
                numbers.append(int(entry.name))
    except OSError:
        return None
    listed: list[dict[str, Any]] = []
    for number in sorted(numbers)[:FILES_LIMIT]:
        target = _link(f"/proc/{pid}/fd/{number}")
        if target:
            listed.append({"fd": number, "target": target})
    inodes = {
        int(one["target"][8:-1])
        for one in listed
        if one["target"].startswith("socket:[") and one["target"][8:-1].isdigit()
    }
    ends = sockets(pid, inodes) if inodes else {}
    for one in listed:
        if one["target"].startswith("socket:["):
            one["socket"] = ends.get(int(one["target"][8:-1]), "")
    return {"count": len(numbers), "files": listed, "left_out": max(0, len(numbers) - FILES_LIMIT)}


def sockets(pid: int, inodes: Collection[int]) -> dict[int, str]:
    """What the sockets with these inodes are, in words, as the process's own network namespace has them."""
    wanted = {str(inode).encode() for inode in inodes}
    found: dict[int, str] = {}
    for kind in ("tcp", "tcp6", "udp", "udp6"):
        for words in _rows(f"/proc/{pid}/net/{kind}"):
            if len(words) > 9 and words[9] in wanted:
                found[int(words[9])] = _inet(kind, words)
    for words in _rows(f"/proc/{pid}/net/unix"):
        if len(words) > 6 and words[6] in wanted:
            name = text(b" ".join(words[7:])) or "no name"
            sort = _UNIX.get(int(words[4], 16), "")
            listens = ", listens" if int(words[3], 16) & _LISTENING else ""
            found[int(words[6])] = f"unix {sort} {name}{listens}"
    return found


def _rows(path: str) -> list[list[bytes]]:
    return [line.split() for line in (read(path, SOCKETS_BYTES) or b"").splitlines()[1:]]


def _inet(kind: str, words: list[bytes]) -> str:
    near, far = _address(words[1]), _address(words[2])
    state = _TCP[int(words[3], 16)] if kind.startswith("tcp") and int(words[3], 16) < len(_TCP) else ""
    if state == "LISTEN" or far.endswith(":0"):
        return f"{kind} {near}" + (", listens" if state == "LISTEN" else "")
    return f"{kind} {near} → {far}" + (f", {state.lower()}" if state != "ESTABLISHED" else "")


def _address(word: bytes) -> str:
    """``0100007F:1F90`` as ``127.0.0.1:8080``: words of four bytes in the machine's order."""
    host, _, port = word.partition(b":")
    raw = bytes.fromhex(host.decode("ascii"))
    packed = b"".join(struct.pack("!I", number) for (number,) in struct.iter_unpack("=I", raw))
    family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    shown = socket.inet_ntop(family, packed)
    return f"{f'[{shown}]' if ':' in shown else shown}:{int(port, 16)}"


def all_of(identity: Identity) -> dict[str, Any] | None:
    """Facts, limits, environment and files of that process and of no other with its pid; None if it is gone."""
    found = {
        **facts(identity.pid),
        "limits": limits(identity.pid),
        "environment": environment(identity.pid),
        "files": files(identity.pid),
    }
    return found if proc.start_time(identity.pid) == identity.start else None
