"""``circusd --convert``: a configuration in another form, on standard output or in a file that was not there."""

from __future__ import annotations

import os
import stat
import sys

from circusd.config.convert import convert
from circusd.config.forms import ENDINGS, form_of
from circusd.kernel.files import atomic_write

EXIT_OK, EXIT_ERROR, EXIT_USAGE = 0, 1, 2


def convert_file(path: str, form: str | None, output: str | None, *, force: bool) -> int:
    """Exit code: 0 when the file was written, 1 when it could not be, 2 for names that contradict each other."""
    form = form or (form_of(output) if output else "ini" if form_of(path) == "toml" else "toml")
    if output and form_of(output) != form:
        endings = " or ".join(ENDINGS[form])
        return _refused(
            f"{output} would be read as {form_of(output)}: its name should end in {endings}", EXIT_USAGE
        )
    if output and not force and os.path.lexists(output):
        return _refused(f"{output} is there already; --force replaces it")
    converted = convert(path, form, os.environ)
    for problem in converted.problems:
        print(f"circusd: {problem}", file=sys.stderr)
    if converted.text is None:
        return EXIT_ERROR
    if not output:
        # a configuration is UTF-8, whatever the terminal is
        sys.stdout.flush()
        sys.stdout.buffer.write(converted.text.encode())
        return EXIT_OK
    try:
        _write(output, converted.text, _mode(path), force)
    except FileExistsError:
        return _refused(f"{output} is there already; --force replaces it")
    except OSError as problem:
        return _refused(f"{output} can't be written: {problem.strerror}")
    if _folder(output) != _folder(path) and any(word in converted.text for word in _RELATIVE):
        print(
            f"circusd: {output} names files relative to {_folder(path)}, and is in another folder",
            file=sys.stderr,
        )
    return EXIT_OK


_RELATIVE = ("include", "env_file", "circus_config_dir")


def _folder(path: str) -> str:
    return os.path.dirname(os.path.abspath(path))


def _write(path: str, text: str, mode: int, force: bool) -> None:
    if force:
        atomic_write(path, text.encode(), None if os.path.exists(path) else mode)
        return
    # whoever makes the name in the meantime keeps his file
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(fd, "wb") as file:
            os.fchmod(fd, mode)
            file.write(text.encode())
    except OSError:
        os.unlink(path)
        raise


def _mode(path: str) -> int:
    """The mode of the file that is converted: what only some could read, only they can read afterwards."""
    return stat.S_IMODE(os.stat(path).st_mode) & 0o666


def _refused(problem: str, code: int = EXIT_ERROR) -> int:
    print(f"circusd: {problem}", file=sys.stderr)
    return code
