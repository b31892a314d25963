"""The arguments of ``circusctl``: options, then a command of the table with its own.

Read by hand and only for the row that is asked, as a command that answers in a blink is worth more than argparse.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from circusd.schema.commands import COMMANDS, WAITING, Command, Field, find
from circusd.schema.errors import CircusError
from circusd.schema.nearest import nearest

if TYPE_CHECKING:
    from circusd.cli.optionflags import OptionFlags

GLOBAL: tuple[Field, ...] = (
    Field(
        "endpoint", doc="the daemon's endpoint, ipc://PATH or tcp://HOST:PORT", short="e", metavar="ENDPOINT"
    ),
    Field("name", doc="the name of the daemon, where several run", metavar="NAME"),
    Field("timeout", "seconds", "seconds to wait for an answer; 5 when not given", metavar="SECONDS"),
    Field("json", "bool", "print the reply as JSON; the exit code is then 0 for whatever it says"),
    Field("prettify", "bool", "print JSON in lines, sorted"),
    Field(
        "strict",
        "bool",
        "exit codes that tell more: 3 not running, 4 denied, 5 not found, 6 time, 69 no daemon",
    ),
    Field("no_color", "bool", "no colours, whatever the terminal can do", flag="no-color"),
    Field(
        "ssh", doc="the daemon of another machine, by ssh and without a password", metavar="USER@HOST:PORT"
    ),
    Field(
        "ssh_keyfile", doc="the private key for --ssh; otherwise what ssh itself would take", metavar="FILE"
    ),
    Field(
        "key",
        doc="the key for a daemon on another machine, at --endpoint tcp://HOST:PORT; otherwise that of CIRCUSCTL_KEY",
        metavar="FILE",
    ),
    Field(
        "bridge",
        "bool",
        "join standard input and output to the endpoint, which is what --ssh runs on the other machine",
    ),
    Field("version", "bool", "print the version and exit"),
    Field("help", "bool", "print help and exit", short="h"),
)
"""What may stand before any command, and after it where it does not mean something else there."""

_ALIASES = {"wait": "waiting", "nocolor": "no-color"}


class Usage(CircusError):
    """The line could not be read: an unknown command or option, a missing value; exit code 2."""

    code = "bad_request"


class WrongArguments(CircusError):
    """The command was given too few or too many arguments, or one of a wrong form; exit code 1, as the original."""

    code = "bad_request"


class Line:
    """A command line that was read."""

    def __init__(self) -> None:
        self.options: dict[str, Any] = {}
        """Options of circusctl itself, by their names in `GLOBAL`."""
        self.row: Command | None = None
        self.properties: dict[str, Any] = {}
        """Properties of the request, as they go over the wire; ``waiting`` is not among them."""
        self.waiting = False
        self.notes: list[str] = []
        """What a person should know though it is no error."""


def read(words: Sequence[str]) -> Line:
    """The line; raises `Usage` and `WrongArguments`, unless it asks for help."""
    line = Line()
    rest = _Words(words)
    while (word := rest.next()) is not None:
        if word == "--":
            continue
        if not _is_flag(word):
            line.row = _of_two_words(word, rest) or command_named(word)
            break
        _take_flag(word, rest, GLOBAL, line.options, "circusctl")
    if line.row is not None:
        _read_command(line, line.row, rest)
    return line


def flags_of(row: Command) -> tuple[Field, ...]:
    """The flags that a command takes beside those of circusctl."""
    own = tuple(
        secret_flag(field) if field.type == "secret" else field
        for field in row.args
        if not field.positional and field.type not in ("json", "object")
    )
    return (*own, WAITING) if row.waits else own


def secret_flag(field: Field) -> Field:
    """The flag that names the file from which a secret is taken: everybody on a machine can read arguments."""
    doc = f"{field.doc}: the first line of this file, or of standard input with ``-``"
    name = f"{field.name}_file"
    return Field(name, doc=doc, flag=name.replace("_", "-"), metavar="FILE")


def positionals_of(row: Command) -> tuple[Field, ...]:
    """What a command takes by position."""
    return tuple(field for field in row.args if field.positional)


def verbs_of(row: Command) -> list[str]:
    """The words that behind its name mean another command, such as ``add`` behind ``keys``."""
    begin = f"{row.name} "
    return sorted(
        alias.removeprefix(begin) for other in COMMANDS for alias in other.aliases if alias.startswith(begin)
    )


def flag_name(field: Field) -> str:
    """The long name of a flag, without the dashes."""
    return field.flag or field.name


def command_named(word: str) -> Command:
    """The row of a command that people can give; raises `Usage` with what was probably meant."""
    row = find(word)
    if row is None or row.where == "door":
        names = [row.name for row in COMMANDS if row.where != "door"]
        begun = [name for name in names if name.startswith(word.lower())]
        near = begun[0] if len(begun) == 1 else nearest(word, names)
        hint = f"did you mean {near}?" if near else "circusctl help lists the commands"
        raise Usage(f"no command is named {word!r}", hint=hint)
    return row


def _of_two_words(word: str, rest: _Words) -> Command | None:
    """The row that the word means together with the next one, which is then taken; None where it means none."""
    behind = rest.peek()
    row = None if behind is None or _is_flag(behind) else find(f"{word} {behind}")
    if row is not None:
        rest.next()
    return row


def _read_command(line: Line, row: Command, rest: _Words) -> None:
    own = flags_of(row)
    names = {flag_name(field) for field in own}
    fields = (*own, *(field for field in GLOBAL if field.name not in names))
    shorts = {field.short for field in own if field.short}
    found: dict[str, Any] = {}
    words: list[str] = []
    positional = positionals_of(row)
    # The words of a command to run may look like anything: nothing of ours is looked for behind its first one.
    to_the_end = 1 if positional and positional[-1].name == "cmd" else None
    takes_signal = any(field.type == "signal" for field in positional)
    options = _option_flags(row)
    while (word := rest.next()) is not None:
        if options is not None and not _is_behind(words, to_the_end) and options.is_one(word):
            _take_option(word, rest, options)
        elif to_the_end is not None and len(words) > to_the_end:
            words.append(word)
        elif word == "--":
            words += rest.all()
            to_the_end = None
        elif _is_flag(word) and not (takes_signal and word[1].isupper()):
            short = word[1] if not word.startswith("--") else ""
            usable = fields if short not in shorts else own
            _take_flag(word, rest, usable, found, row.name, options)
        else:
            words.append(word)
    if options is not None and options.values:
        found["options"] = options.values
    if to_the_end is not None:
        switches = _switches(own)
        _trailing_flags(words, switches, found)
        _note_flags(line, words, switches, options)
    for field in GLOBAL:
        if field.name in found and field.name not in names:
            line.options[field.name] = found.pop(field.name)
    if line.options.get("help"):
        return
    line.waiting = bool(found.pop("waiting", False))
    line.properties = found
    _assign(line, row, positional, words)
    _fit_to_the_original(line, row)


def _option_flags(row: Command) -> OptionFlags | None:
    if not row.options:
        return None
    from circusd.cli.optionflags import OptionFlags

    return OptionFlags(row.options)


def _is_behind(words: Sequence[str], to_the_end: int | None) -> bool:
    """Whether what looks like a flag belongs to the command to run; behind a whole line in quotes nothing does."""
    if to_the_end is None or len(words) <= to_the_end:
        return False
    return len(words) > to_the_end + 1 or not any(letter.isspace() for letter in words[to_the_end])


def _take_option(word: str, rest: _Words, options: OptionFlags) -> None:
    try:
        options.take(word, lambda: _value(word, rest))
    except Usage:
        raise
    except CircusError as problem:
        raise WrongArguments(problem.text) from None


def _switches(own: Sequence[Field]) -> dict[str, str]:
    switches = {"--" + flag_name(field): field.name for field in own if field.type == "bool"}
    return {**switches, "--wait": WAITING.name}


def _trailing_flags(words: list[str], switches: Mapping[str, str], found: dict[str, Any]) -> None:
    """Flags of ours that stand last, behind the command to run, are ours, as with the original; ``--`` prevents it."""
    while len(words) > 2 and words[-1] in switches:
        found[switches[words.pop()]] = True


def _note_flags(
    line: Line, words: Sequence[str], switches: Mapping[str, str], options: OptionFlags | None
) -> None:
    """Arguments of the command to run that could be ours are named: whose they were meant to be nobody can tell."""
    ours = [w for w in words[2:] if w in switches or (options is not None and options.is_one(w))]
    if ours:
        name, command, *_ = words
        are, them = ("are its own arguments", "them") if len(ours) > 1 else ("is its own argument", "it")
        line.notes.append(
            f"behind {command}, {' '.join(dict.fromkeys(ours))} {are}; for the watcher, put {them} before {name} "
            f"(with -- before {command} this is not said)"
        )


def _assign(line: Line, row: Command, positional: Sequence[Field], words: list[str]) -> None:
    """Give the words to the fields by position: the required ones first, the others from the left."""
    if row.name == "stop" and len(words) > 1:
        # The original takes one name and passes over what follows.
        line.notes.append(f"stop takes one NAME (or a pattern); passed over: {' '.join(words[1:])}")
        words = words[:1]
    spare = len(words) - sum(field.required for field in positional)
    if spare < 0:
        raise WrongArguments(f"Invalid number of arguments; expected: {usage(row)}")
    for field in positional:
        if field.type in ("strings", "object") or field.name == "cmd":
            taken, words = words, []
            if taken:
                line.properties[field.name] = _many(row, field, taken)
        elif field.required or spare > 0:
            spare -= not field.required
            line.properties[field.name] = value_of(field, words.pop(0))
    if words:
        raise WrongArguments(f"Invalid number of arguments; expected: {usage(row)}")


def _many(row: Command, field: Field, words: list[str]) -> Any:
    if field.name == "cmd":
        # One word is a command line as it stands; of several, each was a word to the shell and stays one.
        return words[0] if len(words) == 1 else shlex.join(words)
    if field.type == "object":
        if len(words) % 2:
            raise WrongArguments(f"List of key/values is invalid; expected: {usage(row)}")
        return {key.lower(): value for key, value in zip(words[::2], words[1::2], strict=True)}
    return words


def _fit_to_the_original(line: Line, row: Command) -> None:
    """What circusctl says otherwise than the wire does."""
    if row.name == "reload" and line.properties.pop("terminate", False):
        line.properties["graceful"] = False
    elif row.name == "set" and "options" in line.properties:
        from circusd.cli.values import typed

        line.properties["options"] = typed(line.properties["options"])


def _take_flag(
    word: str,
    rest: _Words,
    fields: Sequence[Field],
    found: dict[str, Any],
    what: str,
    options: OptionFlags | None = None,
) -> None:
    if word.startswith("--"):
        name, has_value, value = word[2:].partition("=")
        field, negated = _long(name, fields, what, options)
        if field.type == "bool":
            if has_value:
                raise Usage(f"--{name} takes no value")
            found[field.name] = not negated
        else:
            found[field.name] = value_of(field, value if has_value else _value(word, rest))
        return
    letters = word[1:]
    while letters:
        letter, letters = letters[0], letters[1:]
        match = next((field for field in fields if field.short == letter), None)
        if match is None:
            raise Usage(f"{what} has no option -{letter}", hint=_see(what))
        if match.type == "bool":
            found[match.name] = True
        else:
            found[match.name] = value_of(match, letters or _value(f"-{letter}", rest))
            return


def _long(name: str, fields: Sequence[Field], what: str, options: OptionFlags | None) -> tuple[Field, bool]:
    wanted = _ALIASES.get(name, name)
    known: dict[str, tuple[Field, bool]] = {}
    for field in fields:
        long = flag_name(field)
        known[long] = (field, False)
        known.setdefault(long.replace("_", "-"), (field, False))
        if field.type == "bool" and field.default is True:
            known["no-" + long] = (field, True)
    if wanted in known:
        return known[wanted]
    secret = next((field for field in fields if field.name == f"{wanted}_file"), None)
    if secret is not None:
        raise Usage(
            f"{what} has no option --{name}: everybody on this machine can read arguments",
            hint=f"--{flag_name(secret)} FILE, or - for standard input",
        )
    # Scripts for the original may have shortened names, as long as only one begins so.
    begun = {id(known[key][0]): known[key] for key in known if key.startswith(wanted)}
    if len(begun) == 1:
        return next(iter(begun.values()))
    near = nearest(wanted, known)
    flag = f"--{near}" if near else options.near(name) if options is not None else None
    hint = f"did you mean {flag}?" if flag else _see(what)
    raise Usage(f"{what} has no option --{name}" if not begun else f"--{name} may mean several", hint=hint)


def _see(what: str) -> str:
    return "circusctl --help lists them" if what == "circusctl" else f"circusctl help {what} lists them"


def _value(word: str, rest: _Words) -> str:
    value = rest.next()
    if value is None:
        raise Usage(f"{word} needs a value")
    return value


def value_of(field: Field, text: str) -> Any:
    """The value that a text is for a field; raises `WrongArguments` with what was expected."""
    what = field.metavar or flag_name(field)
    if field.type == "int":
        if not text.lstrip("-").isdecimal():
            raise WrongArguments(f"{what}: {text!r} is not a whole number")
        return int(text)
    if field.type == "seconds":
        try:
            seconds = float(text.removesuffix("s"))
        except ValueError:
            raise WrongArguments(f"{what}: {text!r} is not a number of seconds") from None
        if not 0 <= seconds < 1e9:
            raise WrongArguments(f"{what}: {text!r} is not a number of seconds")
        return seconds
    if field.type == "signal":
        # "-9" and "-HUP", as for kill(1).
        text = text.removeprefix("-")
        return int(text) if text.isdecimal() else text
    if field.choices and text not in field.choices:
        near = nearest(text, field.choices)
        hint = f"did you mean {near}?" if near else ""
        raise WrongArguments(f"{what}: {text!r} is not one of {', '.join(field.choices)}", hint=hint)
    return text


def usage(row: Command) -> str:
    """The form of a command in one line."""
    parts = [row.name]
    if verbs := verbs_of(row):
        parts.append(f"[{'|'.join(verbs)} ...]")
    if row.options:
        parts.append("[--OPTION VALUE]...")
    for field in flags_of(row):
        long = "--" + flag_name(field)
        if field.type != "bool":
            long += f" {field.metavar or '|'.join(field.choices) or field.name.upper()}"
        if not (field.type == "bool" and field.default is True):
            parts.append(f"[{long}]")
    for field in positionals_of(row):
        word = field.metavar or field.name.upper()
        if field.type in ("strings", "object") or field.name == "cmd":
            word += "..."
        parts.append(word if field.required else f"[{word}]")
    return " ".join(parts)


def _is_flag(word: str) -> bool:
    # A dash alone is a word, and so is a negative number.
    return len(word) > 1 and word[0] == "-" and not word[1].isdecimal()


class _Words:
    """The words that are left."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = list(words)
        self._at = 0

    def next(self) -> str | None:
        if self._at == len(self._words):
            return None
        self._at += 1
        return self._words[self._at - 1]

    def peek(self) -> str | None:
        return self._words[self._at] if self._at < len(self._words) else None

    def all(self) -> list[str]:
        rest, self._at = self._words[self._at :], len(self._words)
        return rest
