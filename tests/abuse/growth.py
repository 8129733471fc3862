"""What processes hold, and whether that grows."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from statistics import median

import psutil

from tests.bench.table import Row

_MEMORY_LIMIT, _DESCRIPTORS_LIMIT = 1.10, 1.10  # of the late ones to the early ones: nothing is kept of each


@dataclass(frozen=True, slots=True)
class Held:
    """MiB that belong to a process and no other one, its open descriptors, its threads."""

    mib: float
    n_descriptors: int
    n_threads: int


def held_by(pids: Iterable[int]) -> Held:
    """By these processes together."""
    mib, n_descriptors, n_threads = 0.0, 0, 0
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            mib += process.memory_full_info().uss / 2**20
            n_descriptors += process.num_fds()
            n_threads += process.num_threads()
    return Held(mib, n_descriptors, n_threads)


def rows_of(name: str, samples: Sequence[Held]) -> Iterator[Row]:
    """The late samples held against early ones; the first fifth is for what is set up once. Of memory the median of a
    fifth; of descriptors and threads the most of two, since some are held for a while and come in waves: the web
    server keeps a page that was left for two minutes, should it come back."""
    fifth = len(samples) // 5
    assert fifth, f"{name}: {len(samples)} samples"
    early, late = samples[fifth : 2 * fifth], samples[-fifth:]
    mib = [median(each.mib for each in some) for some in (late, early)]
    yield Row(f"memory, {name}", *mib, "MiB", _MEMORY_LIMIT)
    early, late = samples[fifth : 3 * fifth], samples[-2 * fifth :]
    for what, of in (("descriptors", "n_descriptors"), ("threads", "n_threads")):
        n = [float(max(getattr(each, of) for each in some)) for some in (late, early)]
        yield Row(f"{what}, {name}", *n, "", _DESCRIPTORS_LIMIT)
