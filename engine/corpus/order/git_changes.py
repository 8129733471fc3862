"""How often the files of a git checkout changed of late, by its commits; which somebody works on, by its index.

For the commits git is run, but never on the checkout: a configuration there could make it run a program, be the
checkout the user's own or unpacked from who knows where. It gets an empty repository of ours that borrows the
checkout's objects, a commit's id, nobody's settings, and no way to fetch what is missing. The index is read without
git, and beside it the size and time of each file; their content is not looked at.
"""

import os
import re
import shutil
import struct
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import new
from pathlib import Path
from time import monotonic

from engine.corpus.walk.checkout import git_folders, read_small

_MAX_COMMITS = 500
_HALF_LIFE = 50  # commits; 25 to 100 come out alike in the replays that `ordering` speaks of
_MAX_SECONDS = 2.0
_ID = re.compile(rb"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_REFERENCE = re.compile(rb"ref: (refs/[^\0\n]+)")
_COMMIT = re.compile(rb"\x01([0-9a-f ]*)\x02")  # as --format has it: the ids of the parents

_CONFIG = "[core]\n\trepositoryformatversion = {version}\n\tbare = true\n{extensions}"
_SHA256 = "[extensions]\n\tobjectformat = sha256\n"
_MAX_INDEX_BYTES = 64 * 2**20  # some 500,000 files
_STAT = struct.Struct(">8x2I20xI")  # of an entry's first 40 bytes: the time of change in s and ns, and the size
_EXTENDED = 0x4000


class Histories:
    """The histories of all checkouts that a corpus touches. State: what was read, and the time that is left for it."""

    def __init__(self, max_seconds: float = _MAX_SECONDS) -> None:
        self._seconds = max_seconds
        self._checkouts: dict[str, str | None] = {}  # by folder
        self._rates: dict[str, dict[bytes, float]] = {}  # by checkout

    def rates(self, checkout: str, files: Sequence[str]) -> list[float]:
        """How often commits changed each of these files of a checkout, the newest counting most; 0 where none did, and
        where the history cannot be read."""
        if checkout not in self._rates:
            begun = monotonic()
            self._rates[checkout] = read_rates(Path(checkout), max_seconds=self._seconds) or {}
            self._seconds -= monotonic() - begun
        rates = self._rates[checkout]
        below = (os.fsencode(os.path.relpath(file, checkout).replace(os.sep, "/")) for file in files)
        return [rates.get(path, 0.0) for path in below]

    def checkout_of(self, file: str) -> str | None:
        """The root of the checkout that a file lies in, if any. The path is absolute, its links resolved."""
        return self._checkout_above(os.path.dirname(file))

    def _checkout_above(self, folder: str) -> str | None:
        """The nearest folder upward that has a .git."""
        if folder not in self._checkouts:
            if os.path.lexists(os.path.join(folder, ".git")):
                self._checkouts[folder] = folder
            else:
                above = os.path.dirname(folder)
                self._checkouts[folder] = None if above == folder else self._checkout_above(above)
        return self._checkouts[folder]


def read_rates(
    checkout: Path, *, max_seconds: float = _MAX_SECONDS, max_commits: int = _MAX_COMMITS
) -> dict[bytes, float] | None:
    """By path below the checkout: 1 for a change by the newest commit, half as much every 50 commits back, summed up.

    A commit without parents counts for nothing: with it files come to be, or a shallow history begins. None where
    there is no git, no history, one that is not whole, or where reading takes too long: part of it would make the
    order depend on how busy the machine is.
    """
    git, folders = shutil.which("git"), git_folders(str(checkout))
    if git is None or folders is None or max_seconds <= 0:
        return None
    head = _head(*folders)
    if head is None:
        return None
    try:
        with tempfile.TemporaryDirectory(prefix="longdesk-history-") as empty:
            _make_repository(Path(empty), head, shallow=read_small(os.path.join(folders[1], "shallow")))
            output = _log(git, empty, head, objects=os.path.join(folders[1], "objects"),
                          max_seconds=max_seconds, max_commits=max_commits)  # fmt: skip
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return _rates(output)


def _head(git_folder: str, common: str) -> str | None:
    """The id of the commit that is checked out; None where it cannot be told from files, as with reftables."""
    value = (read_small(os.path.join(git_folder, "HEAD")) or b"").strip()
    found = _REFERENCE.fullmatch(value)
    if found is not None:
        name = found[1]
        if b".." in name:
            return None
        value = (read_small(os.path.join(common, os.fsdecode(name))) or b"").strip() or _packed(common, name)
    return value.decode() if _ID.fullmatch(value) else None


def _packed(common: str, name: bytes) -> bytes:
    for line in (read_small(os.path.join(common, "packed-refs")) or b"").splitlines():
        value, _, of = line.partition(b" ")
        if of == name:
            return value
    return b""


def _make_repository(folder: Path, head: str, *, shallow: bytes | None) -> None:
    """An empty repository, to stand in for the checkout's own."""
    is_sha256 = len(head) == 64
    (folder / "refs").mkdir()
    (folder / "HEAD").write_text(head + "\n")
    (folder / "config").write_text(_CONFIG.format(version=int(is_sha256), extensions=_SHA256 if is_sha256 else ""))
    if shallow:
        (folder / "shallow").write_bytes(shallow)


def _log(git: str, repository: str, head: str, *, objects: str, max_seconds: float, max_commits: int) -> bytes:
    options = [
        "--no-pager",
        f"--git-dir={repository}",
        "-c",
        "core.fsmonitor=false",
        "-c",
        f"core.hooksPath={os.devnull}",
    ]
    what = [f"--max-count={max_commits}", "--name-only", "-z", "--format=%x01%P%x02", "--no-renames", "--diff-filter=d"]
    without = ["--no-show-signature", "--no-ext-diff", "--no-textconv", "--no-mailmap", "--no-notes"]
    return subprocess.run(
        [git, *options, "log", *what, *without, "--end-of-options", head],
        env=_environment(repository, objects),
        cwd=repository,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=max_seconds,
        check=True,
    ).stdout


def _environment(repository: str, objects: str) -> dict[str, str]:
    """Nothing of the user's but where programs lie: no settings, no helpers, no transports."""
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    return kept | {
        "GIT_OBJECT_DIRECTORY": objects,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_ALLOW_PROTOCOL": "none",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "HOME": repository,
        "XDG_CONFIG_HOME": repository,
        "LC_ALL": "C",
    }


def _rates(output: bytes) -> dict[bytes, float]:
    rates: defaultdict[bytes, float] = defaultdict(float)
    age, weight = -1, 0.0
    for piece in output.split(b"\0"):
        commit = _COMMIT.fullmatch(piece)
        if commit is not None:
            age += 1
            weight = 0.5 ** (age / _HALF_LIFE) if commit[1] else 0.0
        elif piece and weight:
            rates[piece.removeprefix(b"\n")] += weight  # the first name of a commit stands on a new line
    return dict(rates)


@dataclass(frozen=True, slots=True)
class Known:
    """A file as git last saw it: modification time in s and ns, and its size modulo 2**32."""

    seconds: int
    nanoseconds: int
    n_bytes: int


def in_work(checkout: str, files: Sequence[str]) -> list[bool]:
    """Of these files of a checkout: whether each is new to git, or was written since git last looked at it.

    All False where the index cannot be read or knows none of them. Where more than half were written they came some
    other way, such as by a copy of the whole checkout; then only those count that are new. The paths are absolute.
    """
    index = read_index(checkout)
    if index is None:
        return [False] * len(files)
    known = [index.get(os.fsencode(os.path.relpath(file, checkout).replace(os.sep, "/"))) for file in files]
    if not any(known):
        return [False] * len(files)
    written = [each is not None and _is_written(file, each) for file, each in zip(files, known, strict=True)]
    if 2 * sum(written) > len(files):
        written = [False] * len(files)
    return [each is None or new for each, new in zip(known, written, strict=True)]


def _is_written(file: str, known: Known) -> bool:
    try:
        status = os.lstat(file)
    except OSError:
        return False
    seconds, nanoseconds = divmod(status.st_mtime_ns, 10**9)
    same_time = seconds & 0xFFFFFFFF == known.seconds and known.nanoseconds in (0, nanoseconds)
    return not same_time or status.st_size & 0xFFFFFFFF != known.n_bytes


def read_index(checkout: str) -> dict[bytes, Known] | None:
    """The entries of a checkout's index by path; None without one, for one that is damaged, and for one that git has
    split over two files."""
    folders = git_folders(checkout)
    try:
        if folders is None:
            return None
        path = os.path.join(folders[0], "index")
        if os.path.islink(path) or os.path.getsize(path) > _MAX_INDEX_BYTES:
            return None
        with open(path, "rb") as file:
            data = file.read(_MAX_INDEX_BYTES)
    except (OSError, ValueError):  # ValueError: a NUL in a path that a .git file points to
        return None
    for n_digest, name in ((20, "sha1"), (32, "sha256")):
        digest = new(name, data[:-n_digest], usedforsecurity=False).digest()
        if data[-n_digest:] in (digest, bytes(n_digest)):  # 0: git was told to skip it
            with suppress(struct.error, IndexError):
                return _parse(data, n_digest)
    return None


def _parse(data: bytes, n_digest: int) -> dict[bytes, Known] | None:
    """https://git-scm.com/docs/index-format, versions 2 to 4. None where the entries lead nowhere."""
    signature, version, n_entries = struct.unpack_from(">4s2I", data)
    if signature != b"DIRC" or version not in (2, 3, 4):
        return None
    entries: dict[bytes, Known] = {}
    at, path = 12, b""
    for _ in range(n_entries):
        if at + 42 + n_digest > len(data):
            return None
        known = Known(*_STAT.unpack_from(data, at))
        (flags,) = struct.unpack_from(">H", data, at + 40 + n_digest)
        name_at = at + 42 + n_digest + (2 if flags & _EXTENDED else 0)
        n_kept = 0
        if version == 4:  # a path is told by what it shares with the one before
            n_dropped, name_at = _variable(data, name_at)
            n_kept = len(path) - n_dropped
        end = data.find(b"\0", name_at)
        if end < 0 or n_kept < 0:
            return None
        path = path[:n_kept] + data[name_at:end]
        entries[path] = known
        at = end + 1 if version == 4 else at + (end - at + 8) // 8 * 8  # padded to 8, with 1 NUL at least
    return entries if _ends_well(data, at, n_digest) else None


def _variable(data: bytes, at: int) -> tuple[int, int]:
    """A number of git's variable width, and where it ends."""
    value = data[at] & 0x7F
    while data[at] & 0x80:
        at += 1
        value = (value + 1) << 7 | data[at] & 0x7F
    return value, at + 1


def _ends_well(data: bytes, at: int, n_digest: int) -> bool:
    """Whether extensions follow up to the digest at the end, and none of them says that there is more elsewhere."""
    while at + 8 <= len(data) - n_digest:
        name, n_bytes = struct.unpack_from(">4sI", data, at)
        if name == b"link":
            return False
        at += 8 + n_bytes
    return at == len(data) - n_digest
