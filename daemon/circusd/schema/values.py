"""How single values are read from text and from JSON, and written back.

A reader raises ``ValueError`` with words that stand after the quoted value: ``"many" is not a whole number``.
Nothing here asks the system: whether a user or a file exists is the daemon's to find out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

YES = ("yes", "true", "on", "1")
NO = ("no", "false", "off", "0")

SIGNALS: Mapping[str, int] = {
    "SIGHUP": 1,
    "SIGINT": 2,
    "SIGQUIT": 3,
    "SIGILL": 4,
    "SIGTRAP": 5,
    "SIGABRT": 6,
    "SIGIOT": 6,
    "SIGBUS": 7,
    "SIGFPE": 8,
    "SIGKILL": 9,
    "SIGUSR1": 10,
    "SIGSEGV": 11,
    "SIGUSR2": 12,
    "SIGPIPE": 13,
    "SIGALRM": 14,
    "SIGTERM": 15,
    "SIGSTKFLT": 16,
    "SIGCHLD": 17,
    "SIGCLD": 17,
    "SIGCONT": 18,
    "SIGSTOP": 19,
    "SIGTSTP": 20,
    "SIGTTIN": 21,
    "SIGTTOU": 22,
    "SIGURG": 23,
    "SIGXCPU": 24,
    "SIGXFSZ": 25,
    "SIGVTALRM": 26,
    "SIGPROF": 27,
    "SIGWINCH": 28,
    "SIGIO": 29,
    "SIGPOLL": 29,
    "SIGPWR": 30,
    "SIGSYS": 31,
    "SIGRTMIN": 34,
    "SIGRTMAX": 64,
}
"""Names and numbers of Linux on the machines that Debian runs on (all but the MIPS family)."""

RLIMITS = (
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "ofile",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
)
"""What may follow ``rlimit_``, in any case of letters."""


def read_text(text: str) -> str:
    """Any text without a NUL byte."""
    if "\0" in text:
        raise ValueError("holds a NUL byte")
    return text


def read_filled(text: str) -> str:
    """A text that is not blank."""
    if not text.strip():
        raise ValueError("is empty")
    return read_text(text)


def json_word(value: Any) -> str:
    """A text, or a number as text."""
    if isinstance(value, str):
        return read_text(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    raise ValueError("holds something that is not a text")


def json_text(parse: Callable[[str], Any]) -> Callable[[Any], Any]:
    """A reader of JSON that takes text only, and numbers where a text of digits is meant."""

    def read(value: Any) -> Any:
        if isinstance(value, str):
            return parse(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return parse(f"{value:g}" if isinstance(value, float) else str(value))
        raise ValueError("is not a text")

    return read


def read_bool(text: str) -> bool:
    """yes, true, on, 1 or no, false, off, 0, in any case of letters."""
    word = text.strip().lower()
    if word in YES:
        return True
    if word in NO:
        return False
    raise ValueError("is neither yes nor no")


def json_bool(value: Any) -> bool:
    """The same, or a boolean, or 0 or 1."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    if isinstance(value, str):
        return read_bool(value)
    raise ValueError("is neither yes nor no")


_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]{1,15}(?:\.[0-9]*)?|\.[0-9]+)")


def read_whole(least: int | None = None, most: int | None = None) -> Callable[[str], int]:
    """A reader of whole numbers between two bounds."""

    def parse(text: str) -> int:
        text = text.strip()
        if not _WHOLE.fullmatch(text):
            raise ValueError("is not a whole number")
        value = int(text)
        if least is not None and value < least:
            raise ValueError(f"is less than {least}")
        if most is not None and value > most:
            raise ValueError(f"is more than {most}")
        return value

    return parse


def json_whole(parse: Callable[[str], int]) -> Callable[[Any], int]:
    """A reader of JSON numbers, or of the text that the other reader takes."""

    def read(value: Any) -> int:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return parse(str(value))
        if isinstance(value, str):
            return parse(value)
        raise ValueError("is not a whole number")

    return read


_SECONDS = re.compile(
    r"([0-9]{1,12}(?:\.[0-9]*)?|\.[0-9]+)\s*(ms|s|sec|seconds?|m|min|minutes?|h|hours?|d|days?)?", re.I
)
_UNITS = {"m": 60.0, "h": 3600.0, "d": 86400.0}


def read_seconds(text: str) -> float:
    """Seconds, with an optional unit from ms to d."""
    match = _SECONDS.fullmatch(text.strip())
    if match is None:
        raise ValueError("is not a number of seconds")
    unit = (match[2] or "s").lower()
    return float(match[1]) * (0.001 if unit == "ms" else _UNITS.get(unit[0], 1.0))


def json_seconds(value: Any) -> float:
    """A number of seconds, or its text."""
    if isinstance(value, str):
        return read_seconds(value)
    # the comparison is false for nan too
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e12:
        raise ValueError("is not a number of seconds")
    return float(value)


def format_number(value: Any) -> str:
    """The number, without a point when it is whole."""
    return str(int(value)) if float(value).is_integer() else f"{float(value):.15g}"


_BYTES = re.compile(r"([0-9]{1,15}(?:\.[0-9]*)?)\s*([kmgt]?)(?:i?b)?", re.I)
_BYTE_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def read_bytes(text: str) -> int:
    """A size, with an optional unit K, M, G or T of 1024."""
    match = _BYTES.fullmatch(text.strip())
    if match is None:
        raise ValueError("is not a size")
    return (
        int(float(match[1]) * _BYTE_UNITS[match[2].lower()])
        if "." in match[1]
        else int(match[1]) * _BYTE_UNITS[match[2].lower()]
    )


def format_bytes(value: Any) -> str:
    """The size in the largest unit that leaves no remainder."""
    size = int(value)
    for unit, scale in (("T", 1 << 40), ("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10)):
        if size and size % scale == 0:
            return f"{size // scale}{unit}"
    return str(size)


_SIGNAL = re.compile(r"([A-Za-z][A-Za-z0-9]*)\s*(?:([+-])\s*([0-9]{1,2}))?")


def read_signal(text: str) -> int:
    """The number of a signal given by number, name, or counted from SIGRTMIN or SIGRTMAX."""
    text = text.strip()
    if _WHOLE.fullmatch(text):
        return signal_number(int(text))
    match = _SIGNAL.fullmatch(text)
    if match is None:
        raise ValueError("is not a signal")
    name = match[1].upper()
    number = SIGNALS.get(name if name.startswith("SIG") else f"SIG{name}")
    if number is None:
        raise ValueError("is not a signal")
    if match[3]:
        if number not in (34, 64):
            raise ValueError("is not a signal: only SIGRTMIN and SIGRTMAX are counted from")
        number += int(match[3]) * (1 if match[2] == "+" else -1)
    return signal_number(number)


def signal_number(number: int) -> int:
    """The number, when a program can use that signal."""
    # 32 and 33 are the C library's own and can't be used by programs
    if not 1 <= number <= 64 or number in (32, 33):
        raise ValueError("is not a signal: numbers go from 1 to 64, without 32 and 33")
    return number


def json_signal(value: Any) -> int:
    """The number of a signal, or its text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return signal_number(value)
    if isinstance(value, str):
        return read_signal(value)
    raise ValueError("is not a signal")


def signal_name(number: int) -> str:
    """The usual name of a signal: ``SIGTERM``, ``SIGRTMIN+3``; its number as text when it has none."""
    for name, value in SIGNALS.items():
        if value == number:
            return name
    return f"SIGRTMIN+{number - 34}" if 34 < number < 64 else str(number)


MOST_STATUSES = 300


def _status(word: Any) -> int:
    """An exit code, or a signal as a negative number."""
    if isinstance(word, int) and not isinstance(word, bool):
        word = str(word)
    if not isinstance(word, str):
        raise ValueError("holds something that is neither an exit code nor a signal")
    if not word.isascii() or not word.isdigit():
        return -read_signal(word)
    if len(word) > 3 or int(word) > 255:
        raise ValueError("holds an exit code above 255")
    return int(word)


def read_statuses(text: str) -> tuple[int, ...]:
    """Exit codes, and signals (by name) as negative numbers, each once and in order."""
    return json_statuses(text.replace(",", " ").split())


def json_statuses(value: Any) -> tuple[int, ...]:
    """The same from a list, one number, or their text."""
    if isinstance(value, str):
        return read_statuses(value)
    if isinstance(value, int) and not isinstance(value, bool):
        value = [value]
    if not isinstance(value, (list, tuple)) or len(value) > MOST_STATUSES:
        raise ValueError("is no list of exit codes and signals")
    return tuple(sorted({_status(word) for word in value}, key=lambda status: (status < 0, abs(status))))


def format_statuses(value: Any) -> str:
    """The codes and the names of signals."""
    return " ".join(signal_name(-status) if status < 0 else str(status) for status in value)


MOST_RUNGS = 10
_RUNG = re.compile(r"(\S+)\s+(\S+(?:\s*[a-z]+)?)", re.I)


def read_ladder(text: str) -> tuple[tuple[int, float], ...]:
    """Signals in the order in which they are sent, and the seconds that each is waited for."""
    rungs = []
    for part in text.split(","):
        if not part.strip():
            continue
        found = _RUNG.fullmatch(part.strip())
        if found is None:
            raise ValueError("has a step that is not a signal with seconds")
        rungs.append((read_signal(found[1]), read_seconds(found[2])))
    if len(rungs) > MOST_RUNGS:
        raise ValueError(f"has more than {MOST_RUNGS} steps")
    return tuple(rungs)


def json_ladder(value: Any) -> tuple[tuple[int, float], ...]:
    """The same from a list of pairs, or their text."""
    if isinstance(value, str):
        return read_ladder(value)
    if not isinstance(value, (list, tuple)) or len(value) > MOST_RUNGS:
        raise ValueError("is no list of signals with seconds")
    rungs = []
    for rung in value:
        if not isinstance(rung, (list, tuple)) or len(rung) != 2:
            raise ValueError("has a step that is not a signal with seconds")
        rungs.append((json_signal(rung[0]), json_seconds(rung[1])))
    return tuple(rungs)


def format_ladder(value: Any) -> str:
    """As in a file."""
    return ", ".join(f"{signal_name(signum)} {format_number(seconds)}" for signum, seconds in value)


MOST_CPUS = 8192
_CPUS = re.compile(r"([0-9]{1,4})(?:-([0-9]{1,4}))?")


def read_cpus(text: str) -> tuple[int, ...]:
    """Numbers of processors, and ranges of them, each once and in order."""
    return json_cpus(text.replace(",", " ").split())


def json_cpus(value: Any) -> tuple[int, ...]:
    """The same from a list, one number, or their text."""
    if isinstance(value, str):
        return read_cpus(value)
    words = value if isinstance(value, (list, tuple)) else [value]
    found: set[int] = set()
    for word in words:
        match = (
            _CPUS.fullmatch(str(word))
            if isinstance(word, (int, str)) and not isinstance(word, bool)
            else None
        )
        if match is None:
            raise ValueError("is no list of processors")
        first, last = int(match[1]), int(match[2] or match[1])
        if first > last or last >= MOST_CPUS:
            raise ValueError("is no list of processors" if first > last else f"has one above {MOST_CPUS - 1}")
        found.update(range(first, last + 1))
    return tuple(sorted(found))


def format_cpus(value: Any) -> str:
    """The numbers, with ranges where several follow each other."""
    ranges: list[list[int]] = []
    for cpu in value:
        if ranges and cpu == ranges[-1][1] + 1:
            ranges[-1][1] = cpu
        else:
            ranges.append([cpu, cpu])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


IO_CLASSES: Mapping[str, int] = {"realtime": 1, "best-effort": 2, "idle": 3}
_USUAL_LEVEL = 4
_IO = re.compile(r"([a-z-]+)(?:\s+([0-7]))?")


def read_io_priority(text: str) -> tuple[int, int]:
    """Class and level, as ``ioprio_set(2)`` has them; 4 where a level is not given, and 0 for idle, which has none."""
    match = _IO.fullmatch(text.strip().lower())
    kind = IO_CLASSES.get(match[1], 0) if match else 0
    if match is None or not kind or (match[2] and match[1] == "idle"):
        raise ValueError("is no I/O priority")
    return kind, 0 if match[1] == "idle" else int(match[2] or _USUAL_LEVEL)


def json_io_priority(value: Any) -> tuple[int, int]:
    """The same from its text."""
    if isinstance(value, str):
        return read_io_priority(value)
    raise ValueError("is no I/O priority")


def format_io_priority(value: Any) -> str:
    """As in a file."""
    name = next(name for name, kind in IO_CLASSES.items() if kind == value[0])
    return name if name == "idle" else f"{name} {value[1]}"


_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.@\\-]*\$?")


def read_user(text: str) -> str | int:
    """A number, or a name that a user or group can have."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return int(text)
    if not _USER.fullmatch(text):
        raise ValueError("is neither a name nor a number")
    return text


def json_user(value: Any) -> str | int:
    """A number or a name."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str):
        return read_user(value)
    raise ValueError("is neither a name nor a number")


def read_env(text: str) -> dict[str, str]:
    """Variables as ``NAME=VALUE,NAME2=VALUE2``."""
    env: dict[str, str] = {}
    for pair in text.split(","):
        if not pair.strip():
            continue
        name, equals, value = pair.partition("=")
        if not equals:
            raise ValueError("has a variable without =")
        env[env_name(name.strip())] = read_text(value.strip())
    return env


def env_name(name: str) -> str:
    """The name, when a variable can have it."""
    if not name or "=" in name or "\0" in name:
        # Not which: behind a comma in a value it would be a part of that value.
        raise ValueError("has something for a variable's name that can't be one")
    return name


def json_env(value: Any) -> dict[str, str]:
    """An object of texts, or the text of variables."""
    if isinstance(value, str):
        return read_env(value)
    if isinstance(value, Mapping):
        return {env_name(json_word(name)): json_word(text) for name, text in value.items()}
    raise ValueError("is not an object of texts")


def format_env(value: Any) -> str:
    """Variables as ``NAME=VALUE,NAME2=VALUE2``."""
    return ",".join(f"{name}={text}" for name, text in value.items())


def json_args(value: Any) -> str | tuple[str, ...]:
    """A text, or a list of words."""
    if isinstance(value, str):
        return read_text(value)
    if isinstance(value, (list, tuple)):
        return tuple(json_word(word) for word in value)
    raise ValueError("is neither a text nor a list of texts")


_PLAIN_WORD = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")


def quote(word: str) -> str:
    """The word as a shell reads it back."""
    return word if _PLAIN_WORD.fullmatch(word) else "'" + word.replace("'", "'\"'\"'") + "'"


def format_args(value: Any) -> str:
    """Arguments as one text."""
    return value if isinstance(value, str) else " ".join(quote(word) for word in value)


_TCP = re.compile(r"(?:tcp|udp)://(\*|\[[0-9A-Fa-f:.%\w]+\]|[^\s:/\[\]]+):(\*|[0-9]{1,5})")


def read_endpoint(text: str) -> str:
    """An endpoint of ZeroMQ, or of UDP."""
    text = text.strip()
    if text.startswith("ipc://") and len(text) > len("ipc://"):
        return read_text(text)
    match = _TCP.fullmatch(text)
    if match is None:
        raise ValueError("is not an endpoint")
    if match[2] != "*" and int(match[2]) > 65535:
        raise ValueError("has a port above 65535")
    return text


_OCTAL = re.compile(r"(?:0o)?[0-7]{1,4}")


def read_octal(text: str) -> int:
    """An octal number up to 0777."""
    text = text.strip()
    if not _OCTAL.fullmatch(text):
        raise ValueError("is not an octal number")
    value = int(text, 8)
    if value > 0o777:
        raise ValueError("is more than 0777")
    return value


def json_octal(value: Any) -> int:
    """The number itself, or its octal text."""
    if isinstance(value, str):
        return read_octal(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 0o777:
        return value
    raise ValueError("is not an octal number")


_DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*[.:][A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")


def read_dotted(text: str) -> str:
    """The dotted path of an object in a module, or ``module:object``."""
    text = text.strip()
    if not _DOTTED.fullmatch(text):
        raise ValueError("is not a dotted path")
    return text


def read_hook(text: str) -> tuple[str, bool]:
    """A dotted path, and after a comma whether its failures are ignored."""
    path, comma, flag = text.partition(",")
    return read_dotted(path), read_bool(flag) if comma else False


def json_hook(value: Any) -> tuple[str, bool]:
    """A hook as text, as a pair, or as an object."""
    if isinstance(value, str):
        return read_hook(value)
    if isinstance(value, (list, tuple)) and len(value) == 2 and isinstance(value[0], str):
        return read_dotted(value[0]), json_bool(value[1])
    if isinstance(value, Mapping) and isinstance(value.get("path"), str):
        return read_dotted(value["path"]), json_bool(value.get("ignore_failure", False))
    raise ValueError("is not a hook")


def format_hook(value: Any) -> str:
    """A hook as in a file."""
    path, ignore = value
    return f"{path},true" if ignore else str(path)


def read_limit(text: str) -> int | None:
    """A limit, None for no limit."""
    text = text.strip()
    if text.lower() in ("", "infinity", "unlimited", "-1"):
        return None
    if not _WHOLE.fullmatch(text) or int(text) < 0:
        raise ValueError("is not a limit")
    return int(text)


def json_limit(value: Any) -> int | None:
    """A limit as number or text; null for no limit."""
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return read_limit(str(value))
    if isinstance(value, str):
        return read_limit(value)
    raise ValueError("is not a limit")


def read_words(text: str) -> tuple[str, ...]:
    """Words with spaces or commas between them."""
    return tuple(read_text(text).replace(",", " ").split())


def read_paths(text: str) -> tuple[str, ...]:
    """Paths with spaces between them."""
    return tuple(read_text(text).split())


def json_words(parse: Callable[[str], tuple[str, ...]]) -> Callable[[Any], tuple[str, ...]]:
    """A reader of a list of texts, or of their one text."""

    def read(value: Any) -> tuple[str, ...]:
        if isinstance(value, str):
            return parse(value)
        if isinstance(value, (list, tuple)) and all(isinstance(word, str) for word in value):
            return tuple(value)
        raise ValueError("is not a list of texts")

    return read


def format_words(value: Any) -> str:
    """The words with spaces between them."""
    return " ".join(value)
