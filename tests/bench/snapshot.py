"""Saving and loading a KV state of 1 GiB, against writing and syncing as many bytes and a cold read of the file.

In turns, in one run, each file dropped from the page cache before it is read. Anonymous memory of the engine's child is
looked at all the while, against what it held before and the one layer's K or V that llama.cpp copies at once. Needs
Linux.
"""

import ctypes
import mmap
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from threading import Event as Flag
from threading import Thread

import numpy as np

from engine.gguf import read_header
from engine.local.process import EngineProcess
from engine.memory.budget import Placement
from engine.memory.card import read_card
from engine.memory.kv_cache import largest_part_bytes
from engine.prompt.prompt import Part, Prompt, Segment
from engine.runtime.binding import Binding
from engine.runtime.events import Finished, Sampling, Stop
from engine.runtime.keeping import Keeping
from engine.runtime.settings import EngineSettings
from engine.tokens.document import Ids
from tests.bench.table import Row, seconds
from tests.models.cache import cached, folder

_N_TOKENS, _N_CTX = 5_500, 5_632
_TIMES = 5
_TIME_LIMIT, _MEMORY_LIMIT = 1.5, 1.05
_PIECE = 8 << 20
_POLL_S = 0.002
_MIB = 1 << 20
_BINDING = Binding(model="bench", llama_cpp="", kv_k="f16", kv_v="f16")


@dataclass(slots=True)
class Measured:
    """One direction: seconds of ours and of theirs, and anonymous bytes of the child at most and before."""

    ours_s: list[float] = field(default_factory=list)
    theirs_s: list[float] = field(default_factory=list)
    peak_bytes: list[int] = field(default_factory=list)
    own_bytes: list[int] = field(default_factory=list)

    def rows(self, doing: str, beside: str, part_bytes: int) -> Iterator[Row]:
        """Time, and the worst of the memory. part_bytes: of one layer's K or V."""
        what = f"{doing} a KV state of 1 GiB, against {beside}"
        yield Row(what, median(self.ours_s), median(self.theirs_s), "s", _TIME_LIMIT)
        allowed = [(peak, own + part_bytes) for peak, own in zip(self.peak_bytes, self.own_bytes, strict=True)]
        peak, own = max(allowed, key=lambda pair: pair[0] / pair[1])
        yield Row(f"anonymous memory while {doing.lower()} it", peak / _MIB, own / _MIB, "MiB", _MEMORY_LIMIT)


def rows() -> Iterator[Row]:
    """Saving, then loading."""
    model = cached("llama", n_layer=48, n_head=8, n_head_kv=8, head_dim=128)
    settings = EngineSettings(model=model, placement=Placement(n_ctx=_N_CTX))
    part_bytes = largest_part_bytes(read_card(read_header(model)), _N_TOKENS, kv_type="f16")
    ids = np.random.default_rng(0).integers(300, 1_500, _N_TOKENS, dtype=np.int32)
    with tempfile.TemporaryDirectory(dir=folder()) as place:  # where models lie: /tmp may be memory
        state = Path(place) / "state.kv"
        yield from _saving(settings, ids, state).rows("Saving", "write and sync", part_bytes)
        yield from _loading(settings, ids, state).rows("Loading", "a cold read", part_bytes)


def _saving(settings: EngineSettings, ids: Ids, state: Path) -> Measured:
    """Fills an engine once and saves its state again and again; the last one stays."""
    measured = Measured()
    with closing(EngineProcess(settings)) as engine:
        _ask(engine, ids)

        def save() -> None:
            state.unlink(missing_ok=True)
            with _watched(engine, measured):
                measured.ours_s.append(seconds(lambda: engine.save(_BINDING, state)))

        def write() -> None:
            measured.theirs_s.append(_write(state.with_name("plain"), state.stat().st_size))

        save()
        write()  # of this pair only the memory counts
        measured.ours_s.clear(), measured.theirs_s.clear()
        _in_turns(save, write)
    return measured


def _loading(settings: EngineSettings, ids: Ids, state: Path) -> Measured:
    """Loads the state into a new engine each time: with another prompt behind it, as it has in life."""
    measured = Measured()

    def load() -> None:
        with closing(EngineProcess(settings)) as engine:
            _ask(engine, ids[::-1][:600])
            _drop(state)
            engine.keep(Keeping(binding=_BINDING, states=(state,)))
            with _watched(engine, measured):
                end = _ask(engine, ids)
            assert end.reused_tokens == _N_TOKENS - 1, end
            measured.ours_s.append(end.restore_s)

    def read() -> None:
        _drop(state)
        measured.theirs_s.append(seconds(lambda: _read(state)))

    _in_turns(load, read)
    return measured


def _in_turns(ours: Callable[[], None], theirs: Callable[[], None]) -> None:
    """Each first every other time."""
    for turn in range(_TIMES):
        for run in (ours, theirs) if turn % 2 else (theirs, ours):
            os.sync()  # what others wrote is not to be paid for here
            run()


def _ask(engine: EngineProcess, ids: Ids) -> Finished:
    prompt = Prompt((Segment(Part.SOURCE, ids),))
    *_, end = engine.generate(prompt, Sampling(max_tokens=1), cancel=Flag())
    assert isinstance(end, Finished) and end.stop is not Stop.ERROR
    return end


def _write(path: Path, n_bytes: int) -> float:
    """Seconds to write so many random bytes and to sync them."""
    data = memoryview(np.random.default_rng(0).bytes(_PIECE))

    def write() -> None:
        with path.open("wb", buffering=0) as file:
            for at in range(0, n_bytes, _PIECE):
                file.write(data[: n_bytes - at])
            os.fsync(file.fileno())

    try:
        return seconds(write)
    finally:
        path.unlink()


def _read(path: Path) -> None:
    piece = bytearray(_PIECE)
    with path.open("rb", buffering=0) as file:
        while file.readinto(piece):
            pass


def _drop(path: Path) -> None:
    """Takes a file out of the page cache, and looks whether it is out."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as view:
            pages = np.zeros(-(-len(view) // mmap.PAGESIZE), dtype=np.uint8)
            start = (ctypes.c_uint8 * len(view)).from_buffer(view)
            ctypes.CDLL(None).mincore(start, ctypes.c_size_t(len(view)), pages.ctypes.data_as(ctypes.c_void_p))
            del start  # or the map could not be closed
    share = float(np.mean(pages & 1))
    assert share < 0.01, f"{share:.0%} of the file stay in the page cache of {path.parent}"


@contextmanager
def _watched(engine: EngineProcess, measured: Measured) -> Iterator[None]:
    """Adds the child's anonymous bytes: as they are now, and at most meanwhile."""
    assert engine.pid is not None
    pid, seen, done = engine.pid, [_anonymous(engine.pid)], Flag()

    def watch() -> None:
        while not done.is_set():
            seen.append(_anonymous(pid))
            time.sleep(_POLL_S)

    watcher = Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
    measured.own_bytes.append(seen[0])
    measured.peak_bytes.append(max(seen))


def _anonymous(pid: int) -> int:
    """A process's anonymous resident memory in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"process {pid} has no memory")
