"""How often the files of a git checkout changed of late, by its commits; which somebody works on, by its index.

For the commits git is run, but never on the checkout: a configuration there could make it run a program, be the
checkout the user's own or unpacked from who knows where. It gets an empty repository of ours that borrows the
checkout's objects, a commit's id, nobody's settings, and no way to fetch what is missing. Beside the index the size
and time of each file are looked at, their content is not.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from engine.corpus.walk.checkout import git_folders, lies_in, open_folder_as_it_lay, read_small
from engine.corpus.walk.git_index import Known, read_index

_MAX_COMMITS = 500
_HALF_LIFE = 50  # commits; 25 to 100 come out alike in the replays that `ordering` speaks of
_MAX_SECONDS = 2.0
COMMIT_ID = re.compile(rb"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_REFERENCE = re.compile(rb"ref: (refs/[^\0\n]+)")
_COMMIT = re.compile(rb"\x01([0-9a-f ]*)\x02")  # as --format has it: the ids of the parents

# of git, and of its log: what could run a program, or show what is no part of the commits
NOTHING_RUNS = ("-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}")
WITHOUT = ("--no-show-signature", "--no-ext-diff", "--no-textconv", "--no-mailmap", "--no-notes")
_CONFIG = "[core]\n\trepositoryformatversion = {version}\n\tbare = true\n{extensions}"
_OWN = "/proc/self/fd"  # where a process finds what it has open
_SHA256 = "[extensions]\n\tobjectformat = sha256\n"


class Histories:
    """The histories of all checkouts that a corpus touches. State: what was read, and the time that is left for it."""

    def __init__(self, max_seconds: float = _MAX_SECONDS) -> None:
        self._seconds = max_seconds
        self._checkouts: dict[tuple[str, str | None], str | None] = {}  # by folder and top
        self._rates: dict[str, dict[bytes, float]] = {}  # by checkout

    def rates(self, checkout: str, files: Sequence[str], top: str | None = None) -> list[float]:
        """How often commits changed each of these files of a checkout, the newest counting most; 0 where none did, and
        where the history cannot be read. top: see checkout_of."""
        if checkout not in self._rates:
            begun = monotonic()
            self._rates[checkout] = read_rates(Path(checkout), max_seconds=self._seconds, top=top) or {}
            self._seconds -= monotonic() - begun
        rates = self._rates[checkout]
        return [rates.get(_below(checkout, file), 0.0) for file in files]

    def checkout_of(self, file: str, top: str | None = None) -> str | None:
        """The root of the checkout that a file lies in, if any. The path is absolute, its links resolved. top: a folder
        above which nothing is looked at, nor what git keeps elsewhere."""
        return self._checkout_above(os.path.dirname(file), top)

    def _checkout_above(self, folder: str, top: str | None) -> str | None:
        """The nearest folder upward that has a .git."""
        key = folder, top
        if key not in self._checkouts:
            if os.path.lexists(os.path.join(folder, ".git")):
                self._checkouts[key] = folder
            else:
                above = os.path.dirname(folder)
                self._checkouts[key] = None if folder in (above, top) else self._checkout_above(above, top)
        return self._checkouts[key]


def _below(checkout: str, file: str) -> bytes:
    """A file's path as git has it. It lies in the checkout: to ask for a path between any two takes long."""
    return os.fsencode(file[len(checkout.rstrip(os.sep)) + 1 :].replace(os.sep, "/"))


def read_rates(
    checkout: Path, *, max_seconds: float = _MAX_SECONDS, max_commits: int = _MAX_COMMITS, top: str | None = None
) -> dict[bytes, float] | None:
    """By path below the checkout: 1 for a change by the newest commit, half as much every 50 commits back, summed up.

    A commit without parents counts for nothing: with it files come to be, or a shallow history begins. None where
    there is no git, no history, one that is not whole, or where reading takes too long: part of it would make the
    order depend on how busy the machine is.
    """
    git, folders = shutil.which("git"), git_folders(str(checkout), top, stays=top is not None)
    if git is None or folders is None or max_seconds <= 0 or leads_out(folders[1], top):
        return None
    head = head_of(*folders)
    if head is None:
        return None
    try:
        with tempfile.TemporaryDirectory(prefix="longdesk-history-") as empty:
            make_repository(Path(empty), head, shallow=read_small(os.path.join(folders[1], "shallow")))
            with objects_of(folders[1], top) as objects:
                output = _log(git, empty, head, objects, max_seconds=max_seconds, max_commits=max_commits)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return _rates(output)


def leads_out(common: str, top: str | None) -> bool:
    """Whether objects of a repository lie elsewhere than below this folder, as far as it says so itself: git would read
    them there. Nothing is elsewhere where top is None."""
    if top is None:
        return False
    objects = os.path.join(common, "objects")
    borrowed = os.path.join(objects, "info", "alternates")
    lines = (read_small(borrowed) or b"").splitlines()
    if not lines and os.path.lexists(borrowed):
        return True
    return not all(lies_in(os.path.join(objects, os.fsdecode(line)), top) for line in (b"", *lines))


@dataclass(frozen=True, slots=True)
class Objects:
    """Where git finds the objects of a repository. descriptors: that it is given for that."""

    path: str
    descriptors: tuple[int, ...] = ()


@contextmanager
def objects_of(common: str, top: str | None) -> Iterator[Objects]:
    """Those of a repository; where there is a top, as `Histories.checkout_of` has it, held by descriptor: git opens by
    name, and would follow a link that was put there meanwhile. Raises OSError."""
    path = os.path.join(common, "objects")
    descriptor = open_folder_as_it_lay(path) if top is not None and os.path.isdir(_OWN) else -1
    if descriptor < 0:
        yield Objects(path)
        return
    try:
        yield Objects(f"{_OWN}/{descriptor}", (descriptor,))
    finally:
        os.close(descriptor)


def head_of(git_folder: str, common: str) -> str | None:
    """The id of the commit that is checked out; None where it cannot be told from files, as with reftables."""
    value = (read_small(os.path.join(git_folder, "HEAD")) or b"").strip()
    found = _REFERENCE.fullmatch(value)
    if found is not None:
        name = found[1]
        if b".." in name:
            return None
        value = (read_small(os.path.join(common, os.fsdecode(name))) or b"").strip() or _packed(common, name)
    return value.decode() if COMMIT_ID.fullmatch(value) else None


def _packed(common: str, name: bytes) -> bytes:
    for line in (read_small(os.path.join(common, "packed-refs")) or b"").splitlines():
        value, _, of = line.partition(b" ")
        if of == name:
            return value
    return b""


def make_repository(folder: Path, head: str, *, shallow: bytes | None) -> None:
    """An empty repository, to stand in for the checkout's own."""
    is_sha256 = len(head) == 64
    (folder / "refs").mkdir()
    (folder / "HEAD").write_text(head + "\n")
    (folder / "config").write_text(_CONFIG.format(version=int(is_sha256), extensions=_SHA256 if is_sha256 else ""))
    if shallow:
        (folder / "shallow").write_bytes(shallow)


def _log(git: str, repository: str, head: str, objects: Objects, *, max_seconds: float, max_commits: int) -> bytes:
    options = ["--no-pager", f"--git-dir={repository}", *NOTHING_RUNS]
    what = [f"--max-count={max_commits}", "--name-only", "-z", "--format=%x01%P%x02", "--no-renames", "--diff-filter=d"]
    return subprocess.run(
        [git, *options, "log", *what, *WITHOUT, "--end-of-options", head],
        env=environment(repository, objects.path),
        pass_fds=objects.descriptors,
        cwd=repository,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=max_seconds,
        check=True,
    ).stdout


def environment(repository: str, objects: str) -> dict[str, str]:
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


def in_work(checkout: str, files: Sequence[str], top: str | None = None) -> list[bool]:
    """Of these files of a checkout: whether each is new to git, or was written since git last looked at it.

    All False where the index cannot be read or knows none of them. Where more than half were written they came some
    other way, such as by a copy of the whole checkout; then only those count that are new. The paths are absolute. top:
    see `Histories.checkout_of`.
    """
    index = read_index(checkout, within=top, stays=top is not None)
    if index is None:
        return [False] * len(files)
    known = [index.get(_below(checkout, file)) for file in files]
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
