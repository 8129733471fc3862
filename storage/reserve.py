"""Room for a full disk: a file that takes some of it beforehand, and is given up so that something can be deleted.

SQLite writes down what it deletes before it does, and needs a file even to read: on a full disk nothing could go.
"""

import errno
import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path

NAME = "longdesk.reserve"
RESERVE_BYTES = 1 << 20  # the log of a deletion, and the index of the log
_BESIDE_BYTES = 4 * RESERVE_BYTES  # free, before so much is put aside
_PROBE_BYTES = 1 << 17
FULL = (errno.ENOSPC, errno.EDQUOT)


def put_aside(home: Path) -> None:
    """Makes the reserve where it is not there and the disk has room. Never raises OSError."""
    path = home / NAME
    with suppress(OSError):
        if path.exists() or shutil.disk_usage(home).free < _BESIDE_BYTES:
            return
        whole = _write(path.with_name(f"{NAME}.{secrets.token_hex(4)}"), RESERVE_BYTES)
        whole.rename(path)


def is_full(home: Path) -> bool:
    """Whether nothing more can be written there, a quota that is used up included: found by trying."""
    probe = home / f"{NAME}.{secrets.token_hex(4)}"
    try:
        _write(probe, _PROBE_BYTES)
    except OSError as error:
        return error.errno in FULL
    finally:
        with suppress(OSError):
            probe.unlink()
    return False


def give_up(home: Path) -> None:
    """Where the disk is full, makes room: of the reserve, else of what can be made again. Never raises OSError."""
    if not is_full(home):
        return
    with suppress(OSError):
        (home / NAME).unlink()
    for file in _remade(home):
        if not is_full(home):
            return
        with suppress(OSError):
            file.unlink()


def _remade(home: Path) -> list[Path]:
    """The files below `cache`, the largest first."""
    sizes: dict[Path, int] = {}
    for file in (home / "cache").rglob("*"):
        with suppress(OSError):
            if file.is_file():
                sizes[file] = file.stat().st_size
    return sorted(sizes, key=lambda file: -sizes[file])


def _write(path: Path, n_bytes: int) -> Path:
    """A file of noughts that takes its room. Raises OSError, and leaves nothing then."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        left = n_bytes
        while left:
            left -= os.write(handle, bytes(left))
    except OSError:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(handle)
    return path
