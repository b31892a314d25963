"""Files: the dialect of circus.ini, line by line, environments and sections."""

from __future__ import annotations

from pathlib import Path

import pytest

from circusd.config.ini import load
from circusd.config.model import Configuration, HookConfig
from tests.inifiles import ENVIRON, Files


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


# The dialect


def test_an_option_name_keeps_its_case(files: Files) -> None:
    """``CMD`` is not ``cmd``."""
    watcher = files.watcher("[watcher:a]\ncmd = one\nCMD = two\n")
    assert (watcher.cmd, watcher.extras) == ("one", {"CMD": "two"})


def test_a_colon_separates_as_an_equals_sign_does(files: Files) -> None:
    """The first of the two is the separator."""
    watcher = files.watcher("[watcher:a]\ncmd: run --url=http://x\nargs = a:b\nmine : 1\n")
    assert (watcher.cmd, watcher.args, watcher.extras) == ("run --url=http://x", "a:b", {"mine": "1"})


def test_the_first_value_of_an_option_wins(files: Files) -> None:
    """Within a section and over repeated sections, which are merged."""
    text = "[watcher:a]\ncmd = one\ncmd = two\n[circus]\n[watcher:a]\ncmd = three\nnumprocesses = 3\n"
    watcher = files.watcher(text)
    assert (watcher.cmd, watcher.numprocesses) == ("one", 3)
    assert files.problems(text) == [
        "circus.ini:3: warning: [watcher:a] cmd: is given again; the first value, at circus.ini:2, is kept",
        "circus.ini:6: warning: [watcher:a] cmd: is given again; the first value, at circus.ini:2, is kept",
    ]


def test_lines_that_continue_an_ignored_value_are_ignored_with_it(files: Files) -> None:
    """They don't end up in the value that is kept."""
    assert files.watcher("[watcher:a]\ncmd = one\ncmd = two\n  three\n").cmd == "one"


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("cmd = run ; note", "run"),
        ("cmd = run\t; note", "run"),
        ("cmd = run;more", "run;more"),
        ("cmd = run # data", "run # data"),
        ('cmd = sh -c "a; b ; c"', 'sh -c "a; b ; c"'),
        ("cmd = run --x=%(y)s", "run --x=%(y)s"),
        ("cmd =    run   ", "run"),
        ("cmd=run", "run"),
    ],
)
def test_only_a_first_semicolon_after_a_space_begins_a_comment(files: Files, line: str, value: str) -> None:
    """Everything else in a value is data, percent signs too."""
    assert files.watcher(f"[watcher:a]\n{line}\n").cmd == value


def test_comments_stand_in_the_first_column(files: Files) -> None:
    """``#``, ``;`` and ``rem`` there; blank lines don't end a value."""
    text = "# one\n; two\nrem three\nREM four = 4\n[watcher:a]\n# five\ncmd = run\n\n; six\n  more\nrem\n"
    assert files.watcher(text).cmd == "run\nmore"
    assert files.watcher("[watcher:a]\ncmd = x\nremark = 1\n").extras == {"remark": "1"}


def test_indented_lines_continue_a_value_and_suspicious_ones_are_told(files: Files) -> None:
    """They are joined by line breaks; what looks like a comment or an option in there is probably none."""
    text = (
        "[watcher:a]\ncmd = run\n    --first\n\t--second\n  # no comment\n  numprocesses = 5\n  key=value\n"
    )
    watcher = files.watcher(text)
    assert watcher.cmd == "run\n--first\n--second\n# no comment\nnumprocesses = 5\nkey=value"
    assert watcher.numprocesses == 1
    lines = files.problems(text)
    assert [line.split(": ")[0] for line in lines] == ["circus.ini:5", "circus.ini:6"]
    assert "numprocesses is not set" in lines[1]


def test_a_lone_pair_of_quotes_is_an_empty_value(files: Files) -> None:
    """``""`` and nothing mean the same."""
    watcher = files.watcher('[watcher:a]\ncmd = run\nargs = ""\nworking_dir =\nmine = ""\n')
    assert (watcher.args, watcher.working_dir, watcher.extras) == (None, None, {"mine": ""})


@pytest.mark.parametrize("line", ["no separator", "= value", "  indented = first"])
def test_a_line_that_is_nothing_is_an_error_at_its_place(files: Files, line: str) -> None:
    """The rest of the file is read all the same."""
    (told,) = files.problems(f"[watcher:a]\n{line}\ncmd = run\n")
    assert told.startswith("circus.ini:2: error: [watcher:a]")


def test_lines_before_any_section_are_one_error(files: Files) -> None:
    """Told once, at the first of them."""
    lines = files.problems("cmd = run\nargs = x\n[watcher:a]\ncmd = run\n")
    assert len(lines) == 1
    assert lines[0].startswith("circus.ini:1: error:")


def test_line_ends_of_other_systems_and_a_byte_order_mark_are_read(files: Files) -> None:
    """Lines are counted as an editor counts them."""
    loaded = files.load(b"\xef\xbb\xbf[watcher:a]\r\ncmd = run\r\nnumprocesses = x\r\n")
    assert [problem.line for problem in loaded.problems] == [3]


def test_a_byte_that_is_no_text_is_an_error_with_its_line(files: Files) -> None:
    """Other problems of the file are told too."""
    lines = files.problems(b"[watcher:a]\ncmd = run\n# caf\xe9\nnumprocesses = x\n")
    assert [line.split(":")[1] for line in lines] == ["3", "4"]


def test_empty_sections_are_skipped(files: Files) -> None:
    """A watcher without a single option is none, and the file says so."""
    assert files.good("[watcher:a]\n[plugin:b]\n[socket:c]\n[env]\n[circus]\n") == Configuration(
        files=(str(files.folder / "circus.ini"),)
    )


def test_no_synthetic_name_leaks(files: Files) -> None:
    """Nothing but what the file says is in environments, free keys and what a plugin is passed."""
    configuration = files.good(
        "[env]\nA = 1\n[env:a]\nB = 2\n[watcher:a]\ncmd = x\n[plugin:p]\nuse = m.P\nk = v\n"
    )
    assert configuration.watchers[0].env == {"A": "1", "B": "2"}
    assert configuration.watchers[0].extras == {}
    assert configuration.plugins[0].options == {"k": "v"}


def test_options_of_the_default_section_are_those_of_every_other(files: Files) -> None:
    """A section's own value wins, and environments get nothing from it."""
    configuration = files.good(
        "[DEFAULT]\nnumprocesses = 4\n[env]\nA = 1\n[watcher:a]\ncmd = x\n[watcher:b]\ncmd = x\nnumprocesses = 2\n"
    )
    assert [watcher.numprocesses for watcher in configuration.watchers] == [4, 2]
    assert configuration.env == {"A": "1"}


def test_watchers_keep_the_case_of_their_names_and_sockets_lose_it(files: Files) -> None:
    """All kinds are sorted by name."""
    configuration = files.good(
        "[watcher:b]\ncmd = x\n[watcher:A b]\ncmd = x\n[socket:Web]\nport = 0\n[socket:api]\nport = 0\n"
    )
    assert [watcher.name for watcher in configuration.watchers] == ["A b", "b"]
    assert [socket.name for socket in configuration.sockets] == ["api", "web"]


# Includes


def test_included_files_are_read_and_the_main_file_wins(files: Files) -> None:
    """Globs and folders, relative to the main file; the first value wins over files, with a note."""
    files.write("conf.d/a.ini", "[watcher:a]\ncmd = from-a\nnumprocesses = 3\n")
    files.write("conf.d/b.ini", "[watcher:b]\ncmd = from-b\n[watcher:a]\nnumprocesses = 4\n")
    files.write("more/c.ini", "[watcher:c]\ncmd = from-c\n")
    files.write("more/c.txt", "[watcher:no]\ncmd = no\n")
    loaded = files.load("[circus]\ninclude = conf.d/*.ini\ninclude_dir = more\n[watcher:a]\ncmd = main\n")
    assert loaded.configuration is not None
    assert [(w.name, w.cmd, w.numprocesses) for w in loaded.configuration.watchers] == [
        ("a", "main", 3),
        ("b", "from-b", 1),
        ("c", "from-c", 1),
    ]
    names = [Path(file).name for file in loaded.configuration.files]
    assert names == ["circus.ini", "a.ini", "b.ini", "c.ini"]
    assert [(Path(p.file).name, p.line, p.severity) for p in loaded.problems] == [
        ("a.ini", 2, "note"),
        ("b.ini", 4, "note"),
    ]


def test_an_include_of_an_included_file_is_told_and_not_followed(files: Files) -> None:
    """Includes are not recursive."""
    files.write("one.ini", "[circus]\ninclude = two.ini\n[watcher:one]\ncmd = x\n")
    files.write("two.ini", "[watcher:two]\ncmd = x\n")
    loaded = files.load("[circus]\ninclude = one.ini\n")
    assert loaded.configuration is not None
    assert [watcher.name for watcher in loaded.configuration.watchers] == ["one"]
    assert [problem.severity for problem in loaded.problems] == ["warning"]


def test_an_include_that_leads_nowhere_is_a_warning(files: Files) -> None:
    """The rest is used."""
    (told,) = files.problems("[circus]\ninclude = $(circus.env.HOME)/no-such-*.ini\n[watcher:a]\ncmd = x\n")
    assert told.startswith("circus.ini:2: warning: [circus] include: /my/home/no-such-*.ini leads to no file")


def test_an_include_that_finds_the_main_file_reads_it_once(files: Files) -> None:
    """``include = *.ini`` beside the main file gives no duplicates."""
    files.write("a.ini", "[watcher:a]\ncmd = x\n")
    loaded = files.load("[circus]\ninclude = *.ini\n[watcher:b]\ncmd = x\n")
    assert loaded.problems == ()
    assert loaded.configuration is not None
    assert len(loaded.configuration.watchers) == 2


@pytest.mark.parametrize("name", ["no-such.ini", "a\0b.ini", "."])
def test_a_file_that_cannot_be_read_is_an_error(files: Files, name: str) -> None:
    """Nothing is raised for a missing file, a folder, or a name that can be none."""
    loaded = load(str(files.folder / name), ENVIRON)
    assert loaded.configuration is None
    assert [problem.severity for problem in loaded.problems] == ["error"]
    assert "can't be read" in str(loaded.problems[0])


def test_an_included_file_that_cannot_be_read_is_told_at_the_include(files: Files) -> None:
    """With the name of the file."""
    (files.folder / "folder.ini").mkdir()
    (told,) = files.problems("[circus]\ninclude = folder.ini\n[watcher:a]\ncmd = x\n")
    assert told.startswith("circus.ini:2: error: [circus] include: ")
    assert "folder.ini can't be read" in told


# Environment and interpolation


def test_environment_sections_lie_over_each_other_in_their_order(files: Files) -> None:
    """``[env]`` for all, ``[env:…]`` by name or pattern with the case of letters; later ones win."""
    configuration = files.good(
        "[env:web*, api]\nA = web\nB = web\n[env]\nA = all\nC = all\n[env:WEB1]\nA = no\n"
        "[env:web1]\nB = one\n[watcher:web1]\ncmd = x\n[watcher:api]\ncmd = x\n[watcher:db]\ncmd = x\n"
    )
    envs = {watcher.name: watcher.env for watcher in configuration.watchers}
    assert envs == {
        "web1": {"A": "web", "B": "one", "C": "all"},
        "api": {"A": "web", "B": "web", "C": "all"},
        "db": {"A": "all", "C": "all"},
    }
    assert configuration.env == {"A": "all", "C": "all"}


def test_an_environment_section_for_nobody_is_told(files: Files) -> None:
    """A pattern that no watcher's name fits is a slip."""
    assert files.problems("[env:wbe]\nA = 1\n[watcher:web]\ncmd = x\n") == [
        "circus.ini:1: warning: [env:wbe] no watcher is named wbe"
    ]


def test_upper_case_dollar_names_are_replaced_in_variables_only(files: Files) -> None:
    """From circusd's own environment; an unknown one is nothing; elsewhere a dollar is data."""
    watcher = files.watcher(
        "[env]\nA = $HOME/bin:$PATH\nB = [$NONE]\nC = $lower $1\nD = $(circus.env.HOME)/x\n"
        "[watcher:a]\ncmd = echo $HOME\n"
    )
    assert watcher.env == {"A": "/my/home/bin:/usr/bin", "B": "[]", "C": "$lower $1", "D": "/my/home/x"}
    assert watcher.cmd == "echo $HOME"


def test_variables_are_replaced_everywhere_at_load(files: Files) -> None:
    """In both spellings and any case of letters, with the watcher's own environment sections on top."""
    configuration = files.good(
        "[circus]\nhttpd_port = $(circus.env.PORT)\n"
        "[env]\nPORT = 1000\nROOT = /srv\n[env:a]\nROOT = /srv/a\n"
        "[socket:s]\nport = ((CIRCUS.ENV.port))\n"
        "[plugin:p]\nuse = m.P\nfolder = $(circus.env.ROOT)\n"
        "[watcher:a]\ncmd = $(circus.env.ROOT)/run ((circus.env.mixed)) $(circus.wid)\nnumprocesses = 2\n"
        "stdout_stream.filename = $(circus.env.ROOT)/log\nrlimit_nofile = $(circus.env.PORT)\n"
        "hooks.before_start = hooks$(circus.env.NONE).call\nmine = ((circus.env.home))\n".replace(
            "$(circus.env.NONE)", ""
        )
    )
    (watcher,) = configuration.watchers
    assert configuration.circus.httpd_port == 1000
    assert configuration.sockets[0].port == 1000
    assert configuration.plugins[0].options == {"folder": "/srv"}
    assert watcher.cmd == "/srv/a/run case $(circus.wid)"
    assert watcher.stdout_stream is not None
    assert watcher.stdout_stream.options["filename"] == "/srv/a/log"
    assert watcher.rlimits == {"nofile": 1000}
    assert watcher.hooks == {"before_start": HookConfig("hooks.call")}
    assert watcher.extras == {"mine": "/my/home"}


def test_names_that_can_never_be_replaced_are_told_at_load(files: Files) -> None:
    """They are left as they stand; an unknown socket is an error, since nothing could run."""
    text = (
        "[socket:front]\nport = 0\n[watcher:a]\nuse_sockets = true\nmine = 1\n"
        "cmd = run $(circus.wid) $(circus.sockets.front) $(circus.numprocesses) $(circus.env.PATH) $(other.x)\n"
        "args = $(circus.sockets.frnot) $(circus.env.NONE) $(circus.wdi) $(circus.mine) $WID\n"
        "working_dir = /srv/$(circus.wid)\n"
        "stop_command = end $(circus.pid) $(circus.wid) $(circus.sockets.front) $(circus.nobody)\n"
        "ready = exec:look $(circus.wid) $(circus.pid)\n"
    )
    lines = files.problems(text)
    assert [line.split("] ")[1] for line in lines] == [
        (
            "args: $(circus.sockets.frnot) names a socket that there is not; "
            "expected one of front; did you mean front?"
        ),
        "args: $(circus.env.NONE) is left as it stands: no such variable",
        "args: $(circus.wdi) is left as it stands: nothing has that name; did you mean wid?",
        "args: $(circus.mine) is left as it stands: nothing has that name; options of one's own are not replaced",
        "args: $WID is not replaced; write $(circus.wid)",
        "working_dir: $(circus.wid) is left as it stands: only variables of the environment are known here",
        "stop_command: $(circus.sockets.front) is left as it stands: what stops a process is given no socket",
        "stop_command: $(circus.nobody) is left as it stands: nothing has that name",
        "ready: $(circus.pid) is left as it stands: nothing has that name",
    ]


def test_a_named_socket_needs_no_word_more(files: Files) -> None:
    """What a command names is handed down, with or without ``use_sockets``."""
    assert files.problems("[socket:s]\nport = 0\n[watcher:a]\ncmd = run --fd $(circus.sockets.s)\n") == []


def test_python_path_of_environment_sections_is_recorded(files: Files) -> None:
    """Each folder once, in order, so that the daemon finds hooks there."""
    configuration = files.good(
        "[env]\nPYTHONPATH = /a:/b\n[env:w]\nPYTHONPATH = /c:$HOME/lib:/a\n[watcher:w]\ncmd = x\n"
    )
    assert configuration.python_path == ("/a", "/b", "/c", "/my/home/lib")


# Sections


def test_all_options_of_the_daemon_are_read(files: Files) -> None:
    """Types and empty values of ``[circus]``."""
    circus = files.good(
        "[circus]\nendpoint = ipc:///run/c.sock\npubsub_endpoint = tcp://127.0.0.1:1\nstats_endpoint = tcp://[::1]:2\n"
        "multicast_endpoint =\ncheck_delay = 0.5\nwarmup_delay = 2\nhttpd = True\nhttpd_host = 127.0.0.1\n"
        "httpd_port = 0\nhttpd_hosts = a.example b.example\numask = 027\nloglevel = DEBUG\npidfile = run/c.pid\n"
        "history_bytes = 64K\nhistory_limit = 1G\nendpoint_owner = me\nname = blue\n"
    ).circus
    assert circus.endpoint == "ipc:///run/c.sock"
    assert circus.multicast_endpoint is None
    assert (circus.httpd, circus.httpd_port, circus.httpd_hosts) == (True, 0, ("a.example", "b.example"))
    assert (circus.umask, circus.loglevel, circus.history_bytes) == (0o27, "debug", 65536)
    assert (circus.history_limit, circus.endpoint_owner, circus.name) == (1 << 30, "me", "blue")


def test_all_options_of_a_watcher_are_read(files: Files) -> None:
    """Types of ``[watcher:NAME]``, with limits, hooks, streams and free keys."""
    watcher = files.watcher(
        "[watcher:a]\ncmd = run\nargs = -x 'y z'\nnumprocesses = 0\nshell = yes\nshell_args = -e\nuid = 1000\n"
        "gid = www-data\nmax_retry = -1\ngraceful_timeout = 1.5\nstop_signal = QUIT\nstop_children = 1\n"
        "priority = -3\nclose_child_stdin = off\nrlimit_NOFILE = 500\nrlimit_core =\n"
        "hooks.before_start = mod.one, True\nhooks.after_stop = mod:two\n"
        "stderr_stream.class = FancyStdoutStream\nstderr_stream.color = red\nstderr_stream.queue_bytes = 2M\n"
        "flapping.window = 3\nteam = blue\n"
    )
    assert (watcher.args, watcher.numprocesses, watcher.shell) == ("-x 'y z'", 0, True)
    assert (watcher.uid, watcher.gid, watcher.max_retry) == (1000, "www-data", -1)
    assert (watcher.graceful_timeout, watcher.stop_signal, watcher.priority) == (1.5, 3, -3)
    assert (watcher.stop_children, watcher.close_child_stdin) == (True, False)
    assert watcher.rlimits == {"nofile": 500, "core": None}
    assert watcher.hooks == {
        "before_start": HookConfig("mod.one", ignore_failure=True),
        "after_stop": HookConfig("mod:two"),
    }
    assert watcher.stdout_stream is None
    assert watcher.stderr_stream is not None
    assert watcher.stderr_stream.classname == "FancyStdoutStream"
    assert watcher.stderr_stream.options == {
        "queue_bytes": 2 << 20,
        "overflow": "drop_oldest",
        "color": "red",
        "time_format": "%Y-%m-%d %H:%M:%S",
    }
    assert watcher.extras == {"flapping.window": "3", "team": "blue"}


def test_a_stream_with_only_a_filename_is_a_file_stream(files: Files) -> None:
    """As in the original; dotted paths of its classes are their short names; others are kept as they are."""
    watcher = files.watcher(
        "[watcher:a]\ncmd = x\nstdout_stream.filename = /log\nstdout_stream.max_bytes = 10M\n"
        "stdout_stream.backup_count = 3\nstderr_stream.class = my.own.Stream\nstderr_stream.depth = 7\n"
    )
    assert watcher.stdout_stream is not None
    assert watcher.stderr_stream is not None
    assert watcher.stdout_stream.classname == "FileStream"
    assert watcher.stdout_stream.options["max_bytes"] == 10 << 20
    assert watcher.stderr_stream.classname == "my.own.Stream"
    assert watcher.stderr_stream.options["depth"] == "7"
    known = files.watcher("[watcher:a]\ncmd = x\nstdout_stream.class = circus.stream.StdoutStream\n")
    assert known.stdout_stream is not None
    assert known.stdout_stream.classname == "StdoutStream"


def test_sockets_are_read(files: Files) -> None:
    """A path makes a unix socket; the mask is octal; families and types have their short names."""
    unix, web = files.good(
        "[socket:Web]\nhost = ::1\nport = 0\nfamily = inet6\ntype = dgram\nbacklog = 10\nblocking = 1\n"
        "[socket:App]\npath = /run/app.sock\numask = 077\nreplace = True\n"
    ).sockets
    assert (web.name, web.family, web.type, web.port, web.backlog) == ("web", "AF_INET6", "SOCK_DGRAM", 0, 10)
    assert (unix.family, unix.path, unix.umask, unix.replace) == ("AF_UNIX", "/run/app.sock", 0o77, True)


def test_plugins_are_read(files: Files) -> None:
    """Every key but ``use`` is passed on; those of a watcher are also that."""
    (plugin,) = files.good(
        "[env:plugin:*]\nA = 1\n[plugin:flap]\nuse = circus.plugins.flapping.Flapping\nattempts = 3\n"
        "priority = 9\nloop_rate = 1\n"
    ).plugins
    assert (plugin.name, plugin.watcher_name, plugin.use) == (
        "flap",
        "plugin:flap",
        "circus.plugins.flapping.Flapping",
    )
    assert plugin.options == {"attempts": "3", "priority": "9", "loop_rate": "1"}
    assert plugin.watcher_options == {"priority": "9"}
    assert plugin.env == {"A": "1"}
