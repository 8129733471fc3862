"""The clock of a file system: what time it is for the files of a folder, whoever looks at them.

Machines and containers that share a folder may have clocks that differ; the times of its files come from one clock. A
file's age is therefore told by that clock and never by the machine's.
"""

import os
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile

_ALIKE_S = 2.0  # file systems count in ticks of up to 10 ms, some in seconds: the machine's own clock is finer


def now_at(folder: Path) -> float:
    """Seconds since the epoch, by the clock that the files of this folder get their times from. Never raises OSError:
    where nothing can be written, it is the machine's own."""
    machine = time.time()
    with suppress(OSError), TemporaryFile(dir=folder) as file:
        told = os.fstat(file.fileno()).st_mtime
        return machine if abs(told - machine) < _ALIKE_S else told
    return machine


def age_s(file: Path) -> float:
    """For how long a file has not been written to, in seconds, by its file system's clock. Raises OSError where it is
    not there."""
    return now_at(file.parent) - file.stat().st_mtime
