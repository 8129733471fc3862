"""Quotes found again in much text: what setting up takes, 20 quotes of every kind, and the memory for it."""

import random
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from engine.answer.finding import finder
from engine.answer.places import Places
from engine.answer.quotations import cite_quotations
from engine.corpus.source import Source, digest_text
from tests.bench.table import Row
from tests.quoting import Answers

_MB = 40
_QUOTES = 20
_MOST_SETUP_S, _MOST_QUOTES_S, _MOST_MEMORY = 8.0, 1.0, 3.0


def rows() -> Iterator[Row]:
    """Set-up and 20 quotes in seconds of this machine; memory as times the text. A process of its own does it."""
    run = subprocess.run([sys.executable, "-m", "tests.bench.found"], check=True, capture_output=True, text=True)
    setup_s, quotes_s, memory = map(float, run.stdout.split())
    yield Row(f"setting up {_MB} MB to find quotes in", setup_s, _MOST_SETUP_S, "s", 1.0)
    yield Row(f"{_QUOTES} quotes found again in {_MB} MB", quotes_s, _MOST_QUOTES_S, "s", 1.0)
    yield Row("peak of memory for that, times the text", memory, _MOST_MEMORY, "x", 1.0)


def _measured() -> Iterator[float]:
    import resource

    sources = list(_sources())
    n_bytes = sum(len(source.text.encode()) for source in sources)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = perf_counter()
    places = Places(sources)
    found = finder(places.documents)
    yield perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answers = Answers(sources[:400], random.Random(1))  # takes more memory than what is measured
    asked = [answers.one() for _ in range(_QUOTES)]
    begun = perf_counter()
    for each in asked:
        cite_quotations(each.text, places, found)
    yield perf_counter() - begun
    yield (peak - before) * 1024 / n_bytes


def _sources() -> Iterator[Source]:
    """Modules of the standard library and of what is installed, until there are enough."""
    n_left = _MB * 1_000_000
    paths = sysconfig.get_paths()
    for root in dict.fromkeys((paths["stdlib"], paths["purelib"], paths["platlib"])):
        for path in sorted(Path(root).rglob("*.py")):
            try:
                text = path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError):
                continue
            if len(text) > 1_000 and n_left > 0:
                n_left -= len(text.encode())
                yield Source(str(path.relative_to(root)), "text", text, len(text), digest_text(text))


if __name__ == "__main__":
    print(*_measured())
