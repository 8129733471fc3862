"""What is known of how often each file of a corpus changes: from git where there is a checkout, else from times.

Owns which of the two counts. How they are read is left to `history`, `git_index`, `disk` and
`archive`.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from engine.corpus.git_index import in_work
from engine.corpus.history import Histories
from engine.corpus.order import volatilities_of_times

_BREATH_S = 1.0
_ZIP_BREATH_S = 3.0  # a zip has times to 2 s


@dataclass(frozen=True, slots=True)
class Trace:
    """What a file shows from outside. file: where it lies on disk, None in a zip. modified: in seconds, where known."""

    file: str | None
    modified: float | None


def volatilities(traces: Sequence[Trace], histories: Histories) -> list[float]:
    """A figure a file, to be held against each other: see Source.volatility.

    The commits of a checkout count where they changed any of these files, and a file that somebody works on counts as
    if the next commit would change it; else times do, those of all such files together.
    """
    files_of: defaultdict[str, list[int]] = defaultdict(list)
    for at, trace in enumerate(traces):
        checkout = histories.checkout_of(trace.file) if trace.file is not None else None
        if checkout is not None:
            files_of[checkout].append(at)
    found: dict[int, float] = {}
    for checkout, positions in files_of.items():
        files = [traces[at].file or "" for at in positions]
        working = in_work(checkout, files)
        rates = [rate + now for rate, now in zip(histories.rates(checkout, files), working, strict=True)]
        if any(rates):
            found.update(zip(positions, rates, strict=True))
    on_disk = [None if at in found or not trace.file else trace.modified for at, trace in enumerate(traces)]
    in_zips = [None if trace.file else trace.modified for trace in traces]
    for at, figures in enumerate(
        zip(
            volatilities_of_times(on_disk, breath_s=_BREATH_S),
            volatilities_of_times(in_zips, breath_s=_ZIP_BREATH_S),
            strict=True,
        )
    ):
        found.setdefault(at, max(figures))
    return [found[at] for at in range(len(traces))]
