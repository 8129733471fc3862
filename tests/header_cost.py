"""A model file's header as the product reads it first, and what that takes. In a child process of its own, where no
other test's threads or garbage count: `python -m tests.header_cost`, with a job as JSON coming in.
"""

import json
import sys
import tracemalloc
from contextlib import suppress
from pathlib import Path

from engine.errors import ModelRefused
from engine.gguf import Header, StringArray, read_header
from engine.memory.card import ModelCard, read_card
from engine.memory.kv_cache import kv_bytes
from tests.errand import sent
from tests.work import calls


def read(path: Path) -> tuple[Header, ModelCard] | None:
    """What the product does with a model file first; None where that refuses it. Anything else is a failure."""
    try:
        header = read_header(path)
        card = read_card(header)
    except ModelRefused as refusal:
        assert refusal.fact and refusal.remedy
        return None
    for value in header.metadata.values():
        assert isinstance(list(value) if isinstance(value, StringArray) else value, int | float | bool | str | list)
    assert card.weights_bytes >= 0 and card.window > 0
    assert isinstance(kv_bytes(card, 4_096), int)
    return header, card


def calls_and_bytes(path: Path) -> tuple[int, int]:
    """What reading takes in a new process: calls, and growth at its peak. Raises AssertionError when it fails."""
    n_calls, peak = sent("tests.header_cost", {"path": str(path)})
    return n_calls, peak


def _measured(path: Path) -> tuple[int, int]:
    """Growth of this process (of Python's memory where /proc is not)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")  # sets the peak to what is resident now
    except OSError:
        tracemalloc.start()
    before = _resident("VmRSS")
    n_calls = calls(lambda: read(path))
    peak = _resident("VmHWM") - before
    if tracemalloc.is_tracing():
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return n_calls, peak


def _resident(field: str) -> int:
    """A figure of /proc/self/status in bytes, 0 where there is none."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) * 1024
    return 0


if __name__ == "__main__":
    json.dump(_measured(Path(json.load(sys.stdin)["path"])), sys.stdout)
