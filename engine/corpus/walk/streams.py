"""What comes through a pipe: standard input, `<(command)` of a shell, a named pipe. Read to its end, up to a limit.

Only what the user named is read so; a pipe that is found in a folder would be waited for without an end.
"""

import errno
import os
import re
import selectors
import stat
from pathlib import Path

STDIN = Path("/dev/stdin")
"""Standard input, also on systems that have no file of this name; `-` on the command line."""

_DESCRIPTOR = re.compile(r"/(?:dev|proc/[^/]+)/fd/[0-9]+")
_OTHER_NAMES = frozenset({Path("/dev/fd/0"), Path("/proc/self/fd/0")})
_PIECE_BYTES = 1024 * 1024
_UNWAITING = getattr(os, "O_NONBLOCK", 0)
PATIENCE_S = 60.0


def is_stdin(path: Path) -> bool:
    """Whether a path is one of the names of standard input."""
    return path == STDIN or path in _OTHER_NAMES


def exists(path: Path) -> bool:
    """Whether something is there, or may be: what cannot be looked at, such as in a folder without permission, is not
    called missing."""
    try:
        if not is_stdin(path):
            os.stat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a NUL in the path
        return False
    except OSError as error:
        return error.errno != errno.ENAMETOOLONG
    return True


def is_stream(path: Path) -> bool:
    """Whether what lies there has no size and can be read once. Errors: OSError."""
    if is_stdin(path):
        return True
    mode = os.stat(path).st_mode
    return stat.S_ISFIFO(mode) or (_DESCRIPTOR.fullmatch(str(path)) is not None and stat.S_ISREG(mode))


def stream_name(path: Path) -> str:
    """What a source from there goes by: "stdin", "dev/fd/63", or the name of a named pipe."""
    if is_stdin(path):
        return "stdin"
    return str(path).lstrip("/") if _DESCRIPTOR.fullmatch(str(path)) else path.name


def read_stream(path: Path, max_bytes: int) -> bytes | None:
    """All that comes, None where that is more than max_bytes. Waits for who writes; for somebody to begin with a named
    pipe, PATIENCE_S. Errors: OSError."""
    if is_stdin(path):
        return read_up_to(0, max_bytes)
    is_named = _DESCRIPTOR.fullmatch(str(path)) is None
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | (_UNWAITING if is_named else 0))
    try:
        if is_named:
            _wait_for_writer(descriptor)
        return read_up_to(descriptor, max_bytes)
    finally:
        os.close(descriptor)


def _wait_for_writer(descriptor: int) -> None:
    """Until something can be read, or somebody wrote nothing and left. Errors: OSError where nobody does either."""
    if _UNWAITING:
        with selectors.DefaultSelector() as waiting:
            waiting.register(descriptor, selectors.EVENT_READ)
            if not waiting.select(PATIENCE_S):
                raise TimeoutError(errno.ETIMEDOUT, f"nobody wrote into it for {PATIENCE_S:.0f} s")
        os.set_blocking(descriptor, True)


def read_up_to(descriptor: int, max_bytes: int) -> bytes | None:
    """What is left to be read there, None where that is more than max_bytes. Errors: OSError."""
    pieces, n_bytes = [], 0
    while piece := os.read(descriptor, _PIECE_BYTES):
        pieces.append(piece)
        n_bytes += len(piece)
        if n_bytes > max_bytes:
            return None
    return b"".join(pieces)
