"""Saved KV caches on disk: how much room they have, which go when it is needed, and what crashes left behind.

Each is a file; the index in the store says what it holds. Several processes may work over one home: whoever makes room
or tidies up holds one lock, and a cache that goes while another process reads it is read again by that one. Which of
them a prompt starts from is left to `reuse`.
"""

import secrets
import shutil
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from app.kv.disk_lock import Reservations, reserving
from app.sizes import show_bytes
from engine.errors import LongdeskError
from engine.file_clock import age_s
from engine.memory.budget import DISK_RESERVE_BYTES
from engine.runtime.chain import blocks_in, tokens_in
from engine.runtime.state_file import verify
from storage.hosts import is_foreign, is_marked, is_of_the_dead, own_mark
from storage.records import Snapshot
from storage.snapshots import Snapshots

MOST_BYTES = 256 << 30  # of the default budget
_ORPHANED_S = 3600.0  # a file that the index does not know by then is nobody's
_ABANDONED_S = 86_400.0  # a half-written one whose process id lives: by then it is another process's
_FREED_AFTER_S = 2.0
_MOSTLY = 0.5  # of a state's tokens


@dataclass(frozen=True, slots=True)
class Room:
    """Whether a state may be written now: what went for it, or the sentence that says why it is not kept."""

    evicted: tuple[Snapshot, ...] = ()
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """What the tier holds, the state not used for longest first, and the bytes that all of them may take."""

    snapshots: tuple[Snapshot, ...]
    budget_bytes: int

    @property
    def total_bytes(self) -> int:
        return sum(snapshot.n_bytes for snapshot in self.snapshots)

    def unused_for(self, age: timedelta) -> tuple[Snapshot, ...]:
        """Those that were not used for so long."""
        limit = f"{datetime.now(UTC) - age:%Y-%m-%dT%H:%M:%SZ}"
        return tuple(snapshot for snapshot in self.snapshots if snapshot.last_used < limit)


@dataclass(frozen=True, slots=True)
class Verified:
    """A state whose file was read to its end. problem: what is wrong with it, as the end of a sentence."""

    snapshot: Snapshot
    problem: str | None


class Home(Protocol):
    """Where states lie, and the bytes that they may take; None to choose."""

    @property
    def home(self) -> Path: ...
    @property
    def snapshot_budget(self) -> int | None: ...


class Tier:
    """The KV states on disk of a home. Any thread may call any method; each holds one reservation at most."""

    def __init__(self, settings: Home, index: Snapshots) -> None:
        self._settings, self._index = settings, index
        self.folder = settings.home / "snapshots"
        self._lock_path = settings.home / "snapshots.lock"  # not among the states, so that the folder holds only them
        self._token = secrets.token_hex(8)

    def total_bytes(self) -> int:
        """What all of them take."""
        return self._index.total_bytes()

    def kept(self) -> Kept:
        """What there is now."""
        return Kept(self._index.list(), self.budget_bytes())

    def budget_bytes(self) -> int:
        """What all states together may take: what was set, else a quarter of what they have and could have."""
        if self._settings.snapshot_budget is not None:
            return self._settings.snapshot_budget
        return min(MOST_BYTES, (self._free_bytes() + self._index.total_bytes()) // 4)

    def new_path(self, process_id: int) -> Path:
        """A name for a state that this process writes: its file is swept if it dies before the index knows it."""
        return self.folder / f"{own_mark(process_id)}{secrets.token_hex(8)}.kv"

    def keep(self, n_bytes: int, *, protected: Collection[Path] = (), blocks: Sequence[bytes] = ()) -> Room:
        """Makes room for a state of so many bytes, and reserves it until `release` or the next call.

        First goes what this state, of which these are the blocks, or one that stays holds as well; then what was not
        used for longest. Never what is protected; nothing goes where that would not be enough.
        """
        try:
            with self._alone() as reservations:
                self._sweep()
                room = self._make_room(n_bytes, protected, reservations.others_bytes, blocks)
                reservations.reserve(0 if room.refusal else n_bytes)
                return room
        except (OSError, LongdeskError) as error:
            return Room(refusal=f"The KV cache was not kept: {error}")

    def set_aside(self, n_bytes: int) -> str | None:
        """Reserves room until `release` for a file that goes in a while, such as what a reading goes back to: it counts
        for no budget, and nothing that is kept goes for it. A sentence where the disk has no room."""
        try:
            with self._alone() as reservations:
                self._sweep()
                free = self._free_bytes() - reservations.others_bytes - DISK_RESERVE_BYTES
                if n_bytes > free:
                    return (
                        f"It takes {show_bytes(n_bytes)} of the disk for a while, and {show_bytes(max(0, free))} are "
                        f"free beside the {show_bytes(DISK_RESERVE_BYTES)} that are always left."
                    )
                reservations.reserve(n_bytes)
                return None
        except (OSError, LongdeskError) as error:
            return str(error)

    def release(self) -> None:
        """The state that room was made for is written and in the index, or will not be."""
        with suppress(OSError, LongdeskError), self._alone() as reservations:
            reservations.reserve(0)

    def prune(self, *, older_than: timedelta | None = None, to_bytes: int | None = None) -> tuple[Snapshot, ...]:
        """Evicts what was not used for so long, then what was not used for longest until to_bytes are left.

        Raises LongdeskError when another process does not let go of the lock; OSError.
        """
        gone = []
        with self._alone():
            self._sweep()
            kept = self.kept()
            old = kept.unused_for(older_than) if older_than is not None else ()
            left = kept.total_bytes
            for snapshot in kept.snapshots:
                if snapshot in old or (to_bytes is not None and left > to_bytes):
                    self._evict(snapshot)
                    left -= snapshot.n_bytes
                    gone.append(snapshot)
        return tuple(gone)

    def delete(self, path: Path) -> None:
        """Evicts one state; one that has gone already is no error. Raises as prune does."""
        with self._alone():
            for snapshot in self._index.list():
                if snapshot.path == path:
                    self._evict(snapshot)

    def verify(self) -> Iterator[Verified]:
        """Reads every state to its end, one after the other; those that are broken go. Raises as prune does."""
        for snapshot in self._index.list():
            problem = problem_of(snapshot)
            if problem is not None:
                with self._alone():
                    if not any(one.path == snapshot.path for one in self._index.list()):
                        continue  # it was evicted while it was read
                    self._evict(snapshot)
            yield Verified(snapshot, problem)

    def sweep(self) -> None:
        """Deletes what crashes left behind, and forgets states whose files are gone. Never raises OSError."""
        if self.folder.is_dir() or self._index.total_bytes():
            with suppress(OSError, LongdeskError), self._alone():
                self._sweep()

    def _make_room(
        self, n_bytes: int, protected: Collection[Path], reserved_bytes: int, blocks: Sequence[bytes]
    ) -> Room:
        """Evicts until there is room, where evicting can make it."""
        refused = f"The KV cache was not kept: it takes {show_bytes(n_bytes)}, and "
        no_space = f"{refused}{show_bytes(DISK_RESERVE_BYTES)} of the disk are always left free."
        evictable = [snapshot for snapshot in self._index.list() if snapshot.path not in protected]
        most = sum(snapshot.n_bytes for snapshot in evictable)
        budget, wanted = self.budget_bytes(), n_bytes + reserved_bytes
        over_budget = self._index.total_bytes() + wanted - budget
        if over_budget > most:
            return Room(refusal=f"{refused}all that are kept may take {show_bytes(budget)} (snapshot_budget).")
        over_disk = wanted + DISK_RESERVE_BYTES - self._free_bytes()
        if over_disk > most:
            return Room(refusal=no_space)
        evicted: list[Snapshot] = []
        over = max(over_budget, over_disk)
        while over > 0:
            evicted.append(self._least_missed(evictable, blocks))
            evictable.remove(evicted[-1])
            self._evict(evicted[-1])
            over -= evicted[-1].n_bytes
        has_room = self._wait_for(wanted + DISK_RESERVE_BYTES, _FREED_AFTER_S if evicted else 0)
        return Room(tuple(evicted), None if has_room else no_space)

    def _least_missed(self, evictable: Sequence[Snapshot], blocks: Sequence[bytes]) -> Snapshot:
        """Of states with the one not used for longest first, the one that goes first; blocks: of one that comes.

        Sessions over one corpus have it each in a state of their own: the last that holds a corpus is worth more than
        another session's few turns.
        """
        shared = self._index.shared_blocks()
        for match in self._index.matches(blocks):
            shared[match.snapshot.path] = max(match.n_blocks, shared.get(match.snapshot.path, 0))

        def loss(snapshot: Snapshot) -> int:
            n_blocks = shared.get(snapshot.path, 0)
            mostly = tokens_in(n_blocks) >= _MOSTLY * snapshot.n_tokens if n_blocks else False
            return 0 if n_blocks and n_blocks == blocks_in(snapshot.n_tokens) else 1 if mostly else 2

        return min(evictable, key=loss)

    def _wait_for(self, n_bytes: int, seconds: float) -> bool:
        """Whether so much is free: some file systems give back late, and what is still read is given back later."""
        deadline = time.monotonic() + seconds
        while self._free_bytes() < n_bytes:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def _evict(self, snapshot: Snapshot) -> None:
        self._index.forget(snapshot.path)  # first: nobody begins to read it now
        remove((snapshot.path,))

    def _sweep(self) -> None:
        files = [path for path in self.folder.iterdir() if path.suffix in (".kv", ".part")]
        listed = self._index.list()  # after the files: what was entered meanwhile is known
        known = {snapshot.path for snapshot in listed}
        for file in files:
            if file not in known and _is_left_behind(file):
                remove((file,))
        for snapshot in listed:
            if not snapshot.path.exists():
                self._index.forget(snapshot.path)
            elif not snapshot.session_ids and is_of_the_dead(snapshot.path.name):
                self._evict(snapshot)  # a reading held it for its questions, and was killed meanwhile

    def _free_bytes(self) -> int:
        return shutil.disk_usage(self.folder if self.folder.is_dir() else self._settings.home).free

    @contextmanager
    def _alone(self) -> Iterator[Reservations]:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self.folder.stat().st_mode & 0o077:
            self.folder.chmod(0o700)
        with reserving(self._lock_path, self._token) as reservations:
            yield reservations


def problem_of(snapshot: Snapshot) -> str | None:
    """What is wrong with a state's file, as the end of a sentence; None for a whole one. Reads all of it."""
    return verify(snapshot.path)


def model_words(snapshot: Snapshot) -> str:
    """What people call the model, else the beginning of its digest."""
    return snapshot.model_name or f"model {snapshot.model[:8]}"


def session_words(snapshot: Snapshot) -> str:
    """The first session that used it, and how many more."""
    if not snapshot.titles:
        return "(no session)"
    more = len(snapshot.titles) - 1
    return snapshot.titles[0] + (f" and {more:,} more" if more else "")


def _is_left_behind(file: Path) -> bool:
    """Whether a file that the index does not know is nobody's any more: its writer died, or it is old."""
    try:
        old_s = age_s(file)
    except OSError:
        return False
    if file.suffix == ".part":
        pid = file.suffixes[-2].removeprefix(".") if len(file.suffixes) > 1 else ""
        return (not is_foreign(file.name) and not _is_running(pid)) or old_s > _ABANDONED_S
    # a reading holds one for as long as it asks
    return is_of_the_dead(file.name) or old_s > (_ABANDONED_S if is_marked(file.name) else _ORPHANED_S)


def _is_running(pid: str) -> bool:
    """Whether there is such a process; a name without a number says nothing, so that it may."""
    import psutil  # it takes a while, and a count does without

    return not pid.isdecimal() or psutil.pid_exists(int(pid))


def remove(paths: Iterable[Path]) -> None:
    """Deletes files of saved caches that no session needs."""
    for path in paths:
        with suppress(OSError):
            path.unlink()
