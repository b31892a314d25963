"""Problems of files: all at once, each at its place; and three real files."""

from __future__ import annotations

from pathlib import Path

import pytest

from circusd.config.ini import load, validate
from circusd.config.problems import Problem
from tests.inifiles import ENVIRON, Files

FIXTURES = Path(__file__).parent.parent / "fixtures" / "ini"


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


# Problems


def test_all_problems_of_all_files_are_told_at_once(files: Files) -> None:
    """One line each: place, option, what is wrong, what was expected, the nearest right name."""
    files.write(
        "more.ini",
        "[watcher:WEB]\ncmd = again\n[watcher:b]\ncmd = run 'x\nstop_signal = SIGTREM\nstdin_socket = wep\n",
    )
    text = (
        "[circus]\ninclude = more.ini\nhttpd_prot = 80\nhttpd = maybe\n"
        "[watcher:web]\ncmd = run\nnumprocesses = many\nworking_directory = /srv\n"
        "[watcher:a]\nnumprocesses = 2\nsingleton = yes\nhooks.before_strat = a.b\nhooks.after_start = nothing\n"
        "rlimit_nofiles = 3\nstdout_stream.class = FileStreem\nstderr_stream.filename = /x\nstderr_stream.max_byte = 1\n"
        "[socket:web]\nfamily = AF_UNIX\nprot = 80\n"
        "[plugin:p]\nclass = a.b\nnumprocesses = x\n[watchers:c]\ncmd = x\n[watcher]\ncmd = x\n"
    )
    assert files.problems(text) == [
        (
            "circus.ini:3: warning: [circus] httpd_prot: is no option of the daemon, and has no effect; "
            "did you mean httpd_port?"
        ),
        (
            'circus.ini:4: error: [circus] httpd: "maybe" is neither yes nor no; '
            "expected yes, true, on, 1 or no, false, off, 0"
        ),
        (
            'circus.ini:7: error: [watcher:web] numprocesses: "many" is not a whole number; '
            "expected a whole number, 0 to 10000"
        ),
        (
            "circus.ini:8: warning: [watcher:web] working_directory: is no option of a watcher and has no effect by itself; "
            "did you mean working_dir?"
        ),
        "circus.ini:9: error: [watcher:a] cmd: is missing; expected the command to run",
        "circus.ini:10: error: [watcher:a] numprocesses: 2 processes of a singleton; expected 0 or 1, or singleton off",
        (
            'circus.ini:12: warning: [watcher:a] hooks.before_strat: "before_strat" is no hook; expected one of before_start, '
            "after_start, before_spawn, after_spawn, before_stop, after_stop, before_signal, after_signal, before_reap, "
            "after_reap, extended_stats; did you mean before_start?"
        ),
        (
            'circus.ini:13: error: [watcher:a] hooks.after_start: "nothing" is not a dotted path; '
            "expected a dotted path, and after a comma true to ignore its failures"
        ),
        (
            'circus.ini:14: error: [watcher:a] rlimit_nofiles: "nofiles" is no resource limit; expected one of as, core, cpu, '
            "data, fsize, memlock, msgqueue, nice, nofile, nproc, ofile, rss, rtprio, rttime, sigpending, stack; "
            "did you mean nofile?"
        ),
        (
            'circus.ini:15: error: [watcher:a] stdout_stream.class: "FileStreem" is no class of streams; expected one of '
            "FileStream, WatchedFileStream, TimedRotatingFileStream, StdoutStream, FancyStdoutStream, QueueStream, "
            "JsonFileStream, SyslogStream, JournalStream, or the "
            "dotted path of a class; did you mean FileStream?"
        ),
        (
            "circus.ini:17: warning: [watcher:a] stderr_stream.max_byte: FileStream has no option max_byte; "
            "did you mean max_bytes?"
        ),
        "circus.ini:19: error: [socket:web] family: AF_UNIX without a path; expected path, the file of the socket",
        "circus.ini:20: warning: [socket:web] prot: is no option of a socket, and has no effect; did you mean port?",
        (
            "circus.ini:21: error: [plugin:p] use: is missing; expected the dotted path of the plugin's class; "
            "class is no option of a plugin"
        ),
        'circus.ini:23: error: [plugin:p] numprocesses: "x" is not a whole number; expected a whole number, 0 to 10000',
        "circus.ini:24: warning: [watchers:c] is no section that is known, and has no effect; did you mean watcher?",
        "circus.ini:26: error: [watcher] the section has no name; expected [watcher:NAME]",
        (
            "more.ini:1: error: [watcher:WEB] [watcher:web] at circus.ini:5 has the same name; "
            "expected names that differ in more than the case of letters"
        ),
        "more.ini:4: error: [watcher:b] cmd: has a quote that is not closed; \\' stands for one",
        (
            'more.ini:5: error: [watcher:b] stop_signal: "SIGTREM" is not a signal; expected a signal\'s name or number, such '
            "as TERM, SIGQUIT, 15 or SIGRTMIN+1; did you mean SIGTERM?"
        ),
        ("more.ini:6: error: [watcher:b] stdin_socket: there is no socket named wep; expected one of web"),
    ]


def test_a_file_with_an_error_gives_no_configuration(files: Files) -> None:
    """Warnings and notes alone do."""
    assert files.load("[watcher:a]\nnumprocesses = 1\n").configuration is None
    assert files.load("[watcher:a]\ncmd = x\ncommand = y\n").configuration is not None


def test_legacy_and_later_options_are_accepted_and_told(files: Files) -> None:
    """Nothing is ignored without a word; switched off they need none."""
    text = (
        "[circus]\ncheck_delay = 5\nstatsd = True\nuse_papa = 1\npapa_endpoint = x\nssh_server = y\nstream_backend = z\n"
        "httpd_close_outputs = 1\nstatsd_close_outputs = 1\nprereload_fn = a.b\n"
        "[watcher:a]\ncmd = x\ncheck_flapping = True\nflapping_window = 7\nuse_papa = True\n"
        "stdout_stream.class = WatchedFileStream\nstdout_stream.filename = /x\nstdout_stream.refresh_time = 1\n"
        "[socket:s]\nport = 1\nuse_papa = 1\n"
    )
    loaded = files.load(text)
    assert loaded.configuration is not None
    assert {problem.severity for problem in loaded.problems} == {"note"}
    assert len(loaded.problems) == 14
    assert all("accepted" in str(problem) for problem in loaded.problems)
    assert loaded.configuration.watchers[0].extras == {
        "check_flapping": "True",
        "flapping_window": "7",
        "use_papa": "True",
    }
    off = "[circus]\nstatsd = False\nmulticast_endpoint =\n[watcher:a]\ncmd = x\n"
    assert files.problems(off) == []


def test_what_answers_in_the_network_needs_something_to_tell(files: Files) -> None:
    """A group that is none is an error; one without an endpoint of the file has no effect, which is told."""
    multicast = "multicast_endpoint = udp://237.219.251.97:12027\n"
    tail = "[watcher:a]\ncmd = x\n"
    assert files.problems(f"[circus]\nendpoint = tcp://127.0.0.1:5555\n{multicast}{tail}") == []
    (told,) = files.problems(f"[circus]\n{multicast}{tail}")
    assert "note" in str(told) and "nothing to tell" in str(told)
    for wrong in (
        "udp://10.0.0.1:12027",
        "tcp://237.219.251.97:12027",
        "udp://[ff02::1]:5",
        "udp://237.1.1.1:*",
    ):
        (told,) = files.problems(f"[circus]\nmulticast_endpoint = {wrong}\n{tail}")
        assert "is no multicast group" in str(told), wrong


def test_whom_the_file_lets_in_needs_a_way_in(files: Files) -> None:
    """The runtime folder is closed to others; a mark without a name names nobody, nor does a star."""
    tail = "[watcher:a]\ncmd = x\n"
    assert (
        files.problems(f"[circus]\nendpoint = ipc:///run/x.sock\nallow_viewer = a, @b group:c\n{tail}") == []
    )
    (told,) = files.problems(f"[circus]\nallow_operator = anna\n{tail}")
    assert "closed to others" in str(told) and "endpoint = ipc://" in str(told)
    for word in ("@", "group:", "*"):
        (told,) = files.problems(f"[circus]\nendpoint = ipc:///run/x.sock\nallow_admin = anna {word}\n{tail}")
        assert "allow_admin" in str(told) and f'"{word}"' in str(told)


def test_free_keys_are_kept_without_a_word(files: Files) -> None:
    """Keys for plugins and for oneself, unless they look like a slip."""
    assert files.problems("[watcher:a]\ncmd = x\nflapping.window = 1\nteam = blue\nurl: http://x\n") == []


def test_an_env_option_in_a_watchers_section_is_told(files: Files) -> None:
    """It had no effect in the original, and has none here."""
    text = "[watcher:a]\ncmd = x\nenv = SECRET=1\n"
    (told,) = files.problems(text)
    assert told.endswith("env: has no effect here; write the variables in a section [env:a]")
    assert files.watcher(text).env == {}


def test_the_name_of_the_console_is_taken(files: Files) -> None:
    """With ``httpd`` on, a watcher of that name can't be."""
    (told,) = files.problems("[circus]\nhttpd = 1\n[watcher:CircusHttpd]\ncmd = x\n")
    assert "error" in told


def test_a_problem_is_one_line_whatever_the_value(files: Files) -> None:
    """Line breaks are shown, long values cut."""
    (told,) = files.problems("[watcher:a]\ncmd = x\nnumprocesses = 1\n  2\n")
    assert '"1\\n2" is not' in told
    (told,) = files.problems(f"[watcher:a]\ncmd = x\nnumprocesses = {'9' * 5000}\n")
    assert len(told) < 250
    assert str(Problem("error", "", 0, "watcher:a", "cmd", "is missing")) == "[watcher:a] cmd: is missing"


# Real files


def test_a_django_stack_of_2013_loads(files: Files) -> None:
    """A web application, redis and five workers, the console on; a slip of a name is told."""
    loaded = load(str(FIXTURES / "django-stack.ini"), ENVIRON)
    assert loaded.configuration is not None
    assert loaded.configuration.circus.httpd
    assert loaded.configuration.circus.stats_endpoint == "tcp://localhost:5557"
    assert [(w.name, w.numprocesses, w.singleton) for w in loaded.configuration.watchers] == [
        ("django", 1, True),
        ("redis", 1, True),
        ("retools-workers", 5, False),
    ]
    (problem,) = loaded.problems
    assert (problem.severity, problem.option, problem.hint) == (
        "warning",
        "working_directory",
        "did you mean working_dir?",
    )


def test_workers_on_one_socket_load(files: Files) -> None:
    """Five workers that accept on a socket of the daemon."""
    loaded = load(str(FIXTURES / "wsgi-socket.ini"), ENVIRON)
    assert loaded.configuration is not None
    assert loaded.problems == ()
    (watcher,) = loaded.configuration.watchers
    (socket,) = loaded.configuration.sockets
    assert (watcher.numprocesses, watcher.use_sockets) == (5, True)
    assert (socket.name, socket.host, socket.port) == ("web", "0.0.0.0", 8000)


def test_a_file_name_given_twice_says_which_was_meant(files: Files) -> None:
    """The second ``stdout_stream.filename`` was meant for the other stream."""
    path = FIXTURES / "insight.ini"
    problems = validate(str(path), ENVIRON)
    warnings = [(p.line, p.option, p.hint) for p in problems if p.severity == "warning"]
    assert warnings == [
        (12, "stdout_stream.filename", "did you mean stderr_stream.filename?"),
        (27, "stdout_stream.filename", "did you mean stderr_stream.filename?"),
    ]
    assert {p.severity for p in problems} == {"warning", "note"}
    configuration = load(str(path), ENVIRON).configuration
    assert configuration is not None
    api, consumer = configuration.watchers
    assert api.stdout_stream is not None
    assert api.stdout_stream.options["filename"] == "/var/log/insight_api.log"
    assert (api.singleton, consumer.numprocesses, consumer.copy_env, consumer.copy_path) == (
        True,
        3,
        True,
        True,
    )
