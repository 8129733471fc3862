"""Spoilt inputs over all readers, each in a parent that must live: `python -m tests.abuse.inputs N [--seed S]`.

Parents are children of this process, a few hundred inputs each. Counted are those that died, those that waited for
longer than the limit, what they raised but sentences, and the most memory that one of them, or a reader below it, took.
"""

import argparse
import random
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from traceback import extract_tb

from tests.bench.table import Row
from tests.fuzzing import LIMIT_S, ROOT, lines

_A_CHILD = 500
_PARENT_CAP_MIB, _READER_CAP_MIB = 1_024, 4_096  # the second: engine.corpus.readers.limits.MEMORY_BYTES


@dataclass
class Seen:
    """What became of them. slowest: seconds, and of which. peaks: MiB of a parent, of a reader below it."""

    died: list[str] = field(default_factory=list)
    hung: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    slowest: tuple[float, str] = (0.0, "")
    peaks: tuple[float, float] = (0.0, 0.0)
    n_read: int = 0


def rows(n: int, *, seed: int = 0) -> Iterator[Row]:
    """Of n inputs."""
    seen = seen_of(range(n), seed=seed)
    assert seen.n_read == n, f"{seen.n_read} of {n} were read"
    for line in (*seen.died, *seen.hung, *seen.faults):
        print(line, file=sys.stderr, flush=True)
    yield Row(f"crashes of the parent, {n:,} inputs", len(seen.died), n, "", 0.0)
    yield Row(f"inputs of {n:,} over the limit of time", len(seen.hung), n, "", 0.0)
    yield Row(f"errors that are no sentence, {n:,} inputs", len(seen.faults), n, "", 0.0)
    yield Row(f"the slowest input, {seen.slowest[1]}", seen.slowest[0], LIMIT_S, "s", 1.0)
    yield Row("peak memory of a parent", seen.peaks[0], _PARENT_CAP_MIB, "MiB", 1.0)
    yield Row("peak memory of a reader", seen.peaks[1], _READER_CAP_MIB, "MiB", 1.0)


def seen_of(numbers: range, *, seed: int) -> Seen:
    """What became of the inputs of these numbers. Each hangs on its number and the seed alone."""
    seen, first = Seen(), numbers.start
    while first < numbers.stop:
        first = _read_some(range(first, min(first + _A_CHILD, numbers.stop)), seed, seen)
    return seen


def _read_some(numbers: range, seed: int, seen: Seen) -> int:
    """By one parent; the number to go on from."""
    span = (str(numbers.start), str(numbers.stop))
    command = [sys.executable, "-m", "tests.abuse.inputs", "--child", *span, "--seed", str(seed)]
    now, name, begun = numbers.start, "nothing yet", monotonic()
    with tempfile.TemporaryFile() as errors:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, cwd=ROOT) as process:
            for line in lines(process):
                word, _, rest = line.partition(" ")
                if word == "reading":
                    number, _, name = rest.partition(" ")
                    now, begun = int(number), monotonic()
                    seen.n_read += 1
                elif word == "read":
                    seen.slowest = max(seen.slowest, (monotonic() - begun, name))
                elif word == "fault":
                    seen.faults.append(f"{now} {name}: {rest}")
                elif word == "peaks":
                    peaks = [float(each) for each in rest.split()]
                    seen.peaks = (max(seen.peaks[0], peaks[0]), max(seen.peaks[1], peaks[1]))
        if process.returncode == 0:
            return numbers.stop
        errors.seek(0)
        words = errors.read().decode(errors="replace").strip()[-300:]
        assert name != "nothing yet", words
        (seen.hung if process.returncode == -9 and monotonic() - begun >= LIMIT_S else seen.died).append(
            f"{now} {name}: ended with {process.returncode} {words}"
        )
    return now + 1


def _child(numbers: range, seed: int) -> None:
    from engine.errors import LongdeskError
    from tests.abuse.kinds import kinds

    with tempfile.TemporaryDirectory() as folder:
        (shared := Path(folder, "shared")).mkdir()
        all_kinds = kinds(shared)
        for number in numbers:
            kind = all_kinds[number % len(all_kinds)]
            data = kind.spoil(random.Random(f"{seed} {number}"))
            (place := Path(folder, "one")).mkdir()
            print(f"reading {number} {kind.name}", flush=True)
            try:
                kind.read(place, data)
            except LongdeskError as error:
                if not str(error).strip() or not str(error).isprintable():
                    print(f"fault a sentence that cannot be shown: {error!r}"[:300], flush=True)
            except Exception as error:
                at = extract_tb(error.__traceback__)[-1]
                words = f"{type(error).__name__} at {Path(at.filename).name}:{at.lineno}: {error}"
                print(f"fault {words!a}"[:300], flush=True)
            print("read", flush=True)
            shutil.rmtree(place)
    from engine.corpus.formats.apart import POOL

    POOL.close()
    own, below = (
        resource.getrusage(whose).ru_maxrss / 1024 for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    print(f"peaks {own} {below}", flush=True)


def main() -> int:
    """Reads so many; 1 where there are faults."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("n", type=int, nargs="?", default=10_000)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--child", type=int, nargs=2)
    given = options.parse_args()
    if given.child:
        _child(range(*given.child), given.seed)
        return 0
    found = list(rows(given.n, seed=given.seed))
    print(*found, sep="\n")
    return int(not all(row.holds for row in found))


if __name__ == "__main__":
    sys.exit(main())
