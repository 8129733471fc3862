"""What a reading of some paths comes across, told by no more than the files' sizes, inodes and times.

Two readings by the same rules that come across the same read the same; so what was made of the first still holds, and
not one file is opened to say so, but for those that rules stand in. A reading writes down what it comes across as it
goes; `survey` says what it would come across now. A file that was written in the very moment in which it was read may
have been changed since without its times telling, and is not trusted, as in git.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from engine.corpus.rules import Rules
from engine.corpus.source import Skipped
from engine.corpus.walk.checkout import checkout_above, level_above
from engine.corpus.walk.disk_tree import tree_at
from engine.corpus.walk.folder_walk import File, Start, Walk
from engine.corpus.walk.git_index import tracked_in
from engine.corpus.walk.streams import is_stream
from engine.corpus.wording import Names, printable

Look = tuple[int, int, int, int]
"""A file's size, its inode, and in nanoseconds when it was written and when it was last changed in any way."""

_TICK_NS = 100_000_000  # the kernel's clock for files moves every 1 to 10 ms
_COARSE_TICK_NS = 2_000_000_000  # FAT's, and where times have no fractions
_ALIVE = ("/proc/", "/sys/", "/dev/")  # whose files change without their times telling


def look_at(status: os.stat_result) -> Look:
    """What a file is told by."""
    return status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns


def is_settled(status: os.stat_result, begun_ns: int) -> bool:
    """Whether a later change would show in the file's times: it was not written just before it was read."""
    times = (status.st_mtime_ns, status.st_ctime_ns)
    tick_ns = _TICK_NS if all(each % 1_000_000_000 for each in times) else _COARSE_TICK_NS
    return S_ISREG(status.st_mode) and max(times) + tick_ns < begun_ns


def look_given(path: Path, begun_ns: int | None = None) -> Look | None:
    """What a file given by name, its links resolved, is told by; None where that cannot be trusted. begun_ns: when it
    is about to be read."""
    status = os.stat(path)
    if is_alive(str(path)) or not S_ISREG(status.st_mode) or (begun_ns and not is_settled(status, begun_ns)):
        return None
    return look_at(status)


def is_alive(root: str) -> bool:
    """Whether files below a folder change without their times telling."""
    return f"{root}/".startswith(_ALIVE)


@dataclass(slots=True)
class Survey:
    """What was come across, in its order. Once a file cannot be trusted, all of it cannot."""

    _met: list[object] = field(default_factory=list)
    _trusted: bool = True

    def add(self, found: File | Skipped | str, look: Look | None) -> None:
        """A file of a walk, or one given by its path, with what it was told by before it was read; None where it cannot
        be trusted."""
        if isinstance(found, File):
            self._met.append((found.where, found.path, found.included, look))
        else:
            self._met.append((found, look))
        self._trusted = self._trusted and look is not None

    def skip(self, skipped: Skipped) -> None:
        """What a walk does not hand on."""
        self._met.append((skipped.path, skipped.cause.value, skipped.reason, skipped.n_bytes))

    def distrust(self) -> None:
        """Something that nothing is told by, such as a pipe."""
        self._trusted = False

    @property
    def digest(self) -> str | None:
        """Tells it from any other; None where it cannot be trusted."""
        if not self._trusted:
            return None
        return blake2b(repr(self._met).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def survey(paths: Sequence[Path], rules: Rules) -> str | None:
    """The digest of what a reading of these paths would come across now; None where that cannot be told."""
    met, names = Survey(), Names()
    try:
        for path in once(paths):
            _survey_root(path, rules, names, met)
    except (OSError, ValueError):
        return None
    return met.digest


def once(paths: Sequence[Path]) -> list[Path]:
    """The paths without those that lead to the place of an earlier one."""
    first: dict[str, Path] = {}
    for path in paths:
        first.setdefault(os.path.realpath(path), Path(path))
    return list(first.values())


def _survey_root(given: Path, rules: Rules, names: Names, met: Survey) -> None:
    """A path as the user gave it. Raises OSError, ValueError."""
    if is_stream(given):
        return met.distrust()
    absolute, path = Path(os.path.abspath(given)), given.resolve()
    name, parent_name = printable(absolute.name or "root"), printable(absolute.parent.name or "root")
    status = os.stat(path)
    if not S_ISDIR(status.st_mode):
        names.claim(name, parent_name)
        return met.add(str(path), look_given(path))
    if is_alive(str(path)):
        return met.distrust()
    with tree_at(path, rules.max_file_bytes) as tree:
        for found in Walk(tree, rules, names, start_at(path, name)):
            if isinstance(found, Skipped):
                met.skip(found)
            else:
                met.add(found, look_at(tree.held.status(found.where)))
    return None


def start_at(folder: Path, name: str, *, top: str | None = None) -> Start:
    """Where the walk of a folder begins, which goes by this name: with what a checkout that it lies in says of it. top:
    a folder above which nothing is read, if any."""
    checkout = checkout_above(folder, top)
    if checkout is None:
        return Start(str(folder), name)
    level, prefix = level_above(checkout, folder, top=top)
    tracked = tracked_in(str(checkout), within=top, stays=top is not None)
    return Start(str(folder), name, level=level, prefix=prefix, tracked=tracked)
