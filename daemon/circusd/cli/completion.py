"""``circusctl completion``: scripts for bash, zsh and fish, made from the tables of commands and options.

What never changes stands in the script; names of watchers, processes, people and so on are asked from the daemon by
``circusctl --names``. All three read the line in the same way: options of circusctl, the command, then its own.
"""

from __future__ import annotations

import shlex
import signal
from collections.abc import Iterable, Sequence

from circusd.cli.arguments import GLOBAL, flag_name, flags_of, positionals_of, verbs_of
from circusd.cli.names import LISTED
from circusd.schema.commands import COMMANDS, WAITING, Command, Field, find

SHELLS = ("bash", "zsh", "fish")

_TARGETS = {
    "watcher": "watchers",
    "process": "processes",
    "socket": "sockets",
    "option": "options",
    "person": "people",
    "token": "tokens",
    "key": "keys",
    "session": "sessions",
}


def script(shell: str) -> str:
    """The script for that shell."""
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell]()


def rows() -> list[Command]:
    """The commands that people give."""
    return [row for row in COMMANDS if row.where != "door"]


def kind_of(field: Field) -> str:
    """What may be given for a field: a kind of names, ``=`` with the choices, or nothing that is known."""
    if field.choices:
        return "=" + ",".join(field.choices)
    if field.name in ("command", "cmd", "endpoint"):
        return {"command": "commands", "cmd": "programs", "endpoint": "endpoints"}[field.name]
    if field.name == "name" and not field.positional:
        return "daemons"
    if field.type == "signal":
        return "signals"
    if field.metavar in ("FILE", "OPTION"):
        return {"FILE": "files", "OPTION": "globals"}[field.metavar]
    return _TARGETS.get(field.target, "")


def places(row: Command) -> list[str]:
    """For each place of a command the kinds that may stand there, joined by ``+``; ``-`` where nothing is known."""
    fields = positionals_of(row)
    found = []
    if verbs := verbs_of(row):
        # What a verb takes is behind it.
        meant = [find(f"{row.name} {verb}") for verb in verbs]
        kinds = [kind for other in meant if other is not None for kind in places(other)[:1] if kind != "-"]
        found += ["=" + ",".join(verbs), *(["+".join(dict.fromkeys(kinds))] if kinds else [])]
    for number, field in enumerate(fields):
        # Who is added has a name that nothing has yet.
        kinds = [kind_of(field) if row.name != f"add{field.target}" else ""]
        # What may be left out has the next one in its place.
        for before, after in enumerate(fields[number + 1 :], number):
            if fields[before].required:
                break
            kinds.append(kind_of(after))
        found.append("+".join(dict.fromkeys(filter(None, kinds))) or "-")
    if fields and fields[-1].type == "object":
        found.append("-")  # the value of each pair
    return found


def names_of(row: Command) -> list[str]:
    """The single words by which a command is given."""
    return [name for name in (row.name, *row.aliases) if " " not in name]


def repeats(row: Command) -> int:
    """How many of the last places of a command come again and again."""
    fields = positionals_of(row)
    return {"strings": 1, "object": 2}.get(fields[-1].type, 0) if fields else 0


def wanted(words: Sequence[str]) -> tuple[str, str, list[str]]:
    """What may follow these words of a line, as the scripts have it: the command, the kinds that fit, and what it was given.

    The command is empty as long as none was named. Where a flag may stand as well, that is for who asks to see.
    """
    command, ended = "", False
    given: list[str] = []
    rest = list(words)
    values = dict(_values())
    while rest:
        word = rest.pop(0)
        if word == "--" and not ended:
            ended = True
        elif len(word) > 1 and word[0] == "-" and not word[1].isdecimal() and not ended:
            name, equals, _ = word.partition("=")
            kind = values.get(f"{command}:{name}", values.get(f"*:{name}", ""))
            if kind and not equals:
                if not rest:
                    return command, kind, given
                rest.pop(0)
        elif command:
            given.append(word)
        else:
            command = word
    row = find(command) if command else None
    if row is None:
        return command, "" if command else "commands", given
    kinds, again, at = places(row), repeats(row), len(given)
    if at >= len(kinds):
        if not again:
            return command, "", given
        at = len(kinds) - again + (at - len(kinds)) % again
    return command, kinds[at], given


def flag_words(fields: Iterable[Field]) -> list[tuple[str, Field]]:
    """The words by which flags are given, each with its field."""
    found = []
    for field in fields:
        if field.type == "bool" and field.default is True:
            continue
        found.append(("--" + flag_name(field), field))
        if field is WAITING:
            found.append(("--wait", field))
        if field.short:
            found.append(("-" + field.short, field))
    return found


def own_words(row: Command) -> list[tuple[str, Field]]:
    """The words by which a command's own flags are given, those for options of a section included."""
    return [*flag_words(flags_of(row)), *(_option_words(row.options) if row.options else ())]


def _option_words(kind: str) -> list[tuple[str, Field]]:
    from circusd.cli.optionflags import rows as options

    found = []
    for written, option in options(kind):
        word, _, value = written.partition(" ")
        if option.pattern:
            continue
        found.append(
            (
                word,
                Field(
                    option.name,
                    "bool" if not value else "signal" if option.type.widget == "signal" else "string",
                    option.doc,
                    choices=option.type.choices if option.type.widget == "select" else (),
                    metavar="FILE" if option.type.widget == "path" else "",
                ),
            )
        )
    return found


def lists() -> dict[str, list[str]]:
    """The kinds whose names are always the same."""
    from circusd.schema.options import CIRCUS, WATCHER

    signals = [member.name.removeprefix("SIG") for member in signal.Signals]
    return {
        "commands": [row.name for row in rows()],
        "options": sorted(option.name for option in WATCHER if not option.legacy and not option.pattern),
        "globals": sorted(option.name for option in CIRCUS if not option.legacy and not option.pattern),
        "signals": sorted(signals),
        "endpoints": ["ipc://", "tcp://127.0.0.1:5555", "ssh://"],
    }


def _values() -> list[tuple[str, str]]:
    """``COMMAND:FLAG`` with the kind of its value, those of single commands first; ``-`` where nothing is known."""
    own = [
        (f"{row.name}:{word}", kind_of(field) or "-")
        for row in rows()
        for word, field in own_words(row)
        if field.type != "bool"
    ]
    # A switch of a command may have the letter of an option of circusctl.
    switches = [
        (f"{row.name}:{word}", "")
        for row in rows()
        for word, field in flag_words(flags_of(row))
        if field.type == "bool" and len(word) == 2
    ]
    common = [
        (f"*:{word}", kind_of(field) or "-") for word, field in flag_words(GLOBAL) if field.type != "bool"
    ]
    return [*own, *switches, *common]


_POSIX_LIST = r"""
_circusctl_live() {
    [ -n "$_circusctl_far" ] || command "$_circusctl_program" --names "$@" "${_circusctl_where[@]}" </dev/null 2>/dev/null
}

_circusctl_list() {
    case $1 in
__LISTS__
        __LIVE__|daemons) _circusctl_live "$1" ;;
        processes) _circusctl_live processes "$_circusctl_watcher" ;;
        '='*) printf '%s\n' "${1#?}" | tr , '\n' ;;
    esac
}
"""


def _posix_tables() -> str:
    lines = ["_circusctl_flags() {", "    case $1 in"]
    for row in rows():
        own = " ".join(word for word, _ in own_words(row) if word.startswith("--"))
        lines.append(f"        {row.name}) REPLY='{own}' ;;")
    common = " ".join(word for word, _ in flag_words(GLOBAL) if word.startswith("--"))
    lines += ["        *) REPLY='' ;;", "    esac", f'    REPLY="$REPLY {common}"', "}", ""]
    lines += ["_circusctl_value() {", "    case $1:$2 in"]
    lines += [f"        {key}) REPLY='{kind}' ;;" for key, kind in _values()]
    lines += ["        *) REPLY='' ;;", "    esac", "}", "", "_circusctl_places() {", "    case $1 in"]
    for row in rows():
        if places(row):
            names = "|".join(names_of(row))
            lines.append(f"        {names}) REPLY='{' '.join(places(row))}' REPEATS={repeats(row)} ;;")
    lines += ["        *) REPLY='' REPEATS=0 ;;", "    esac", "}"]
    shown = "\n".join(
        f"        {kind}) printf '%s\\n' {' '.join(map(shlex.quote, names))} ;;"
        for kind, names in lists().items()
    )
    return (
        "\n".join(lines)
        + "\n"
        + _POSIX_LIST.replace("__LISTS__", shown).replace("__LIVE__", "|".join(LISTED))
    )


_BASH = r"""# Completion of circusctl for bash: made by "circusctl completion bash" from the tables of its commands.
# For this shell: eval "$(circusctl completion bash)"; for good: put it into ~/.local/share/bash-completion/completions/circusctl

__TABLES__
_circusctl() {
    local words=() rest=$COMP_LINE word trimmed i last command='' kind='' given=() ended='' prefix='' quoted=''
    local _circusctl_program=${COMP_WORDS[0]} _circusctl_where=() _circusctl_far='' _circusctl_watcher='' REPLY REPEATS
    COMPREPLY=()
    # readline parts words at colons and equals signs, which names and endpoints have: they are joined again.
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        trimmed=${rest#"${rest%%[![:space:]]*}"}
        if ((i)) && [[ $trimmed == "$rest" ]]; then
            words[${#words[@]} - 1]+=$word
        else
            words+=("$word")
        fi
        rest=${trimmed#"$word"}
    done
    last=$((${#words[@]} - 1))
    local current=${words[last]}
    for ((i = 1; i < last; i++)); do
        word=${words[i]//[\'\"\\]/}
        if [[ -z $ended && $word == -- ]]; then
            ended=1
        elif [[ -z $ended && $word == -[^0-9]* ]]; then
            _circusctl_value "$command" "${word%%=*}"
            if [[ -n $REPLY && $word != *=* ]]; then
                ((++i == last)) && kind=$REPLY
                trimmed=${words[i]//[\'\"\\]/}
            else
                trimmed=${word#*=}
            fi
            case ${word%%=*} in
                --endpoint | -e) _circusctl_where+=(--endpoint "$trimmed") ;;
                --name) _circusctl_where+=(--name "$trimmed") ;;
                --ssh | --key) _circusctl_far=1 ;;
            esac
        elif [[ -z $command ]]; then
            command=$word
        else
            given+=("$word")
        fi
    done
    _circusctl_watcher=${given[0]-}
    local candidates=''
    if [[ -z $kind && -z $ended && $current == --*=* ]]; then
        _circusctl_value "$command" "${current%%=*}"
        kind=$REPLY prefix=${current%%=*}= current=${current#*=}
    elif [[ -z $kind && -z $ended && $current == -* ]]; then
        _circusctl_flags "$command"
        candidates=${REPLY// /$'\n'}
    elif [[ -z $kind && -z $command ]]; then
        kind=commands
    elif [[ -z $kind ]]; then
        _circusctl_places "$command"
        local -a places
        read -ra places <<<"$REPLY"
        i=${#given[@]}
        if ((i >= ${#places[@]})); then
            ((REPEATS)) && i=$((${#places[@]} - REPEATS + (i - ${#places[@]}) % REPEATS)) || i=-1
        fi
        ((i >= 0)) && kind=${places[i]}
    fi
    case $current in
        \'* | \"*) quoted=${current:0:1} current=${current:1} ;;
    esac
    current=${current//\\/}
    case $kind in
        files) COMPREPLY=($(compgen -f -- "$current")); compopt -o filenames; return ;;
        programs) COMPREPLY=($(compgen -c -- "$current")); return ;;
    esac
    # Names come from outside: they are compared and quoted, and never expanded as compgen -W would.
    local part parts
    IFS=+ read -ra parts <<<"$kind"
    for part in "${parts[@]}"; do
        candidates+=$'\n'$(_circusctl_list "$part")
    done
    # What stands before the last character at which readline parts words is there already.
    local breaks='' there
    [[ $COMP_WORDBREAKS == *:* ]] && breaks+=:
    [[ $COMP_WORDBREAKS == *=* ]] && breaks+==
    there=$prefix$current
    [[ -n $breaks && -z $quoted ]] && there=${there%"${there##*[$breaks]}"} || there=''
    while IFS= read -r word; do
        [[ -n $word && $word == "$current"* ]] || continue
        word=$prefix$word
        word=${word#"$there"}
        [[ -n $quoted ]] || printf -v word %q "$word"
        COMPREPLY+=("$word")
    done <<<"$candidates"
    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *:// ]] && compopt -o nospace
    return 0
}

complete -F _circusctl circusctl
"""


def _bash() -> str:
    return _BASH.replace("__TABLES__", _posix_tables())


_ZSH = r"""#compdef circusctl
# Completion of circusctl for zsh: made by "circusctl completion zsh" from the tables of its commands.
# For this shell, after compinit: eval "$(circusctl completion zsh)"; for good: put it as _circusctl into a folder of $fpath

__TABLES__
_circusctl() {
    local word value command='' kind='' ended='' _circusctl_program=${(Q)words[1]/#\~/$HOME}
    local _circusctl_far='' _circusctl_watcher='' REPLY REPEATS
    local -a given places candidates _circusctl_where
    integer i
    for ((i = 2; i < CURRENT; i++)); do
        word=${(Q)words[i]}
        if [[ -z $ended && $word == -- ]]; then
            ended=1
        elif [[ -z $ended && $word == -[^0-9]* ]]; then
            _circusctl_value "$command" "${word%%=*}"
            if [[ -n $REPLY && $word != *=* ]]; then
                ((++i == CURRENT)) && kind=$REPLY
                value=${(Q)words[i]}
            else
                value=${word#*=}
            fi
            case ${word%%=*} in
                --endpoint|-e) _circusctl_where+=(--endpoint "$value") ;;
                --name) _circusctl_where+=(--name "$value") ;;
                --ssh | --key) _circusctl_far=1 ;;
            esac
        elif [[ -z $command ]]; then
            command=$word
        else
            given+=("$word")
        fi
    done
    _circusctl_watcher=${given[1]-}
    if [[ -z $kind && -z $ended && $PREFIX == --*=* ]]; then
        _circusctl_value "$command" "${PREFIX%%=*}"
        kind=$REPLY
        compset -P '*='
    elif [[ -z $kind && -z $ended && $PREFIX == -* ]]; then
        _circusctl_flags "$command"
        compadd -- ${=REPLY}
        return
    elif [[ -z $kind && -z $command ]]; then
        local -a described
        described=(
__COMMANDS__
        )
        _describe -t commands command described
        return
    elif [[ -z $kind ]]; then
        _circusctl_places "$command"
        places=(${=REPLY})
        i=$((${#given} + 1))
        if ((i > ${#places})); then
            ((REPEATS)) && i=$((${#places} - REPEATS + 1 + (i - ${#places} - 1) % REPEATS)) || return 1
        fi
        kind=${places[i]}
    fi
    local part
    for part in ${(s:+:)kind}; do
        case $part in
            files) _files ;;
            programs) _command_names -e ;;
            *) candidates=(${(f)"$(_circusctl_list "$part")"}); ((${#candidates})) && compadd -- "${candidates[@]}" ;;
        esac
    done
}

if [[ ${funcstack[1]} == _circusctl ]]; then
    _circusctl "$@"
else
    compdef _circusctl circusctl
fi
"""


def _zsh() -> str:
    described = "\n".join(f"            {shlex.quote(f'{row.name}:{row.summary}')}" for row in rows())
    return _ZSH.replace("__TABLES__", _posix_tables()).replace("__COMMANDS__", described)


_FISH = r"""# Completion of circusctl for fish: made by "circusctl completion fish" from the tables of its commands.
# For good: circusctl completion fish > ~/.config/fish/completions/circusctl.fish

__TABLES__
function __circusctl_list
    switch $argv[1]
__LISTS__
        case '=*'
            string split , -- (string sub -s 2 -- $argv[1])
        case __LIVE__ processes daemons
            set -q __circusctl_far[1]; and return
            set -l asked $argv[1]
            test $asked = processes; and set -a asked $__circusctl_watcher
            command $__circusctl_program --names $asked $__circusctl_where </dev/null 2>/dev/null
        case files
            __fish_complete_path (commandline -ct)
        case programs
            complete -C (commandline -ct)
    end
end

function __circusctl_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l command
    set -l kind
    set -l given
    set -l ended
    set -l skip
    set -g __circusctl_program (string replace -r '^~/' $HOME/ -- $words[1])
    set -g __circusctl_where
    set -g __circusctl_far
    for word in $words[2..-1]
        if set -q skip[1]
            switch $skip[1]
                case --endpoint -e
                    set -a __circusctl_where --endpoint $word
                case --name
                    set -a __circusctl_where --name $word
            end
            set -e skip
            set -l skip
            set kind
        else if not set -q ended[1]; and test "$word" = --
            set ended 1
        else if not set -q ended[1]; and string match -qr '^-[^0-9]' -- $word
            set -l flag (string split -m 1 = -- $word)
            contains -- $flag[1] --ssh --key; and set __circusctl_far 1
            set kind (__circusctl_value "$command" $flag[1])
            if test -n "$kind"; and test (count $flag) = 1
                set skip $flag[1]
            else
                set kind
                switch $flag[1]
                    case --endpoint
                        set -a __circusctl_where --endpoint $flag[2]
                    case --name
                        set -a __circusctl_where --name $flag[2]
                end
            end
        else if test -z "$command"
            set command $word
        else
            set -a given $word
        end
    end
    set -g __circusctl_watcher $given[1]
    if not set -q skip[1]
        if not set -q ended[1]; and string match -qr '^--.*=' -- $current
            set -l flag (string split -m 1 = -- $current)
            set kind (__circusctl_value "$command" $flag[1])
            for part in (string split + -- $kind)
                string replace -r '^' -- $flag[1]= (__circusctl_list $part)
            end
            return
        else if not set -q ended[1]; and string match -q -- '-*' $current
            __circusctl_flags "$command"
            return
        else if test -z "$command"
            __circusctl_commands
            return
        end
        set -l places (__circusctl_places "$command")
        set -l repeats $places[1]
        set -e places[1]
        set -l at (math (count $given) + 1)
        if test $at -gt (count $places)
            test -n "$repeats" -a "$repeats" != 0; or return
            set at (math (count $places) - $repeats + 1 + \( $at - (count $places) - 1 \) % $repeats)
        end
        set kind $places[$at]
    end
    for part in (string split + -- $kind)
        __circusctl_list $part
    end
end

complete -c circusctl -e
complete -c circusctl -f -a '(__circusctl_complete)'
"""


def _fish() -> str:
    tables: list[str] = ["function __circusctl_commands"]
    tables += [f"    printf '%s\\t%s\\n' {row.name} {_quoted(row.summary)}" for row in rows()]
    tables += ["end", "", "function __circusctl_flags", "    switch $argv[1]"]
    for row in rows():
        pairs = [(word, field) for word, field in own_words(row) if word.startswith("--")]
        if pairs:
            tables.append(f"        case {row.name}")
            tables += [
                f"            printf '%s\\t%s\\n' {word} {_quoted(_plain(field))}" for word, field in pairs
            ]
    tables.append("    end")
    tables += [
        f"    printf '%s\\t%s\\n' {word} {_quoted(_plain(field))}"
        for word, field in flag_words(GLOBAL)
        if word.startswith("--")
    ]
    tables += ["end", "", "function __circusctl_value", "    switch $argv[1]:$argv[2]"]
    for key, kind in _values():
        tables += [
            f"        case '{key}'",
            f"            echo {_quoted(kind)}" if kind else "            return",
        ]
    tables += ["    end", "end", "", "function __circusctl_places", "    switch $argv[1]"]
    for row in rows():
        if places(row):
            tables.append(f"        case {' '.join(names_of(row))}")
            tables.append(f"            printf '%s\\n' {repeats(row)} {_words(places(row))}")
    tables += ["    end", "end", ""]
    shown = "\n".join(
        f"        case {kind}\n            printf '%s\\n' {_words(names)}" for kind, names in lists().items()
    )
    script = _FISH.replace("__TABLES__", "\n".join(tables)).replace("__LISTS__", shown)
    return script.replace("__LIVE__", " ".join(LISTED))


def _plain(field: Field) -> str:
    return field.doc.replace("``", "")


def _words(words: Sequence[str]) -> str:
    return " ".join(map(_quoted, words))


def _quoted(text: str) -> str:
    """A word of fish, in which a backslash and a quote have a backslash between single quotes."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
