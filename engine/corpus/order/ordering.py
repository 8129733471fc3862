"""The order in which sources stand in a prompt: what changes often, for its length, last, so that an edit decodes as
little again as it can.

Owns how often a file may be expected to change, by git where there is a checkout and else by times, and how long it is
before it is counted. Reading git is left to `git_changes`, reading times to the trees of `walk`.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil

from engine.corpus.order.git_changes import Histories, in_work
from engine.corpus.source import Picture, Source

_WRAPPER_CHARACTERS = 150  # the document's tags and path
_CHARACTERS_A_TOKEN = 4.0
_TILE_PIXELS, _TILE_TOKENS, _MOST_A_SIDE = 336, 144, 3  # as llama.cpp cuts images for Llama 4, see engine.tokens.tiles
_WORTH_KEEPING = 0.1  # of a corpus: less, a licence that many projects have say, is not worth another order
_BREATH_S = 1.0
_ZIP_BREATH_S = 3.0  # a zip has times to 2 s


def order_for_reuse(sources: Sequence[Source], *, earlier: Iterable[Sequence[str]] = ()) -> tuple[Source, ...]:
    """The sources with what changes most often, for its length, last. Where nothing tells them apart they stay.

    earlier: paths of these sources that other prompts begin with, each with the same content as here. The longest of
    these beginnings stays in front as it is, the first one of equals: it may be kept. What stands behind is read again
    in any case, so that it is laid out anew: what was edited goes to the end, and its next edit costs little.

    An edit decodes the source and all behind it again. For edits that come one at a time, sorting by the rate of
    change over the length in tokens makes that least: swapping two neighbours shows it (Smith's rule for weighted
    delays).

    Measured by replaying the histories of three public repositories (click, datasette, nanochat; 795 commits), the
    share of the corpus that a commit has decoded again: 80, 64 and 69 % by path; 51, 49 and 38 % by rate alone; 40,
    42 and 33 % by rate over length.
    """
    source_of = {source.path: source for source in sources}
    kept = max(([source_of[path] for path in paths] for paths in earlier), key=_total_tokens, default=[])
    if _total_tokens(kept) < _WORTH_KEEPING * _total_tokens(sources):
        kept = []
    first = {source.path for source in kept}
    rest = [source for source in sources if source.path not in first]
    return (*kept, *sorted(rest, key=lambda source: source.volatility / estimated_tokens(source)))


def _total_tokens(sources: Iterable[Source]) -> float:
    return sum(map(estimated_tokens, sources))


def estimated_tokens(source: Source) -> float:
    """About what it takes in a prompt, with no model at hand: only ratios count.

    A token for four characters, and for each picture no less than Llama 4's tiles take: as much for most photos, 1.4
    times as much for a page of A4, up to 2.5 times for a long strip. A model that cannot see takes less of a source
    that has both.
    """
    words = (_WRAPPER_CHARACTERS + source.n_characters) / _CHARACTERS_A_TOKEN
    return words + sum(map(_picture_tokens, source.pictures))


def _picture_tokens(picture: Picture) -> int:
    columns, rows = (min(_MOST_A_SIDE, ceil(side / _TILE_PIXELS)) for side in (picture.width, picture.height))
    n_tiles = columns * rows
    return _TILE_TOKENS * (n_tiles + (n_tiles > 1)) + 2  # several are followed by the whole image in one tile


@dataclass(frozen=True, slots=True)
class Trace:
    """What a file shows from outside. file: where it lies on disk, None in a zip. modified: in seconds, where known.
    top: the folder above which nothing is read, if there is one."""

    file: str | None
    modified: float | None
    top: str | None = None


def volatilities(traces: Sequence[Trace], histories: Histories | None = None) -> list[float]:
    """A figure a file, to be held against each other: see Source.volatility.

    The commits of a checkout count where they changed any of these files, and a file that somebody works on counts as
    if the next commit would change it; else times do, those of all such files together.
    """
    found = _by_git(traces, histories or Histories()) if any(trace.file for trace in traces) else {}
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


def _by_git(traces: Sequence[Trace], histories: Histories) -> dict[int, float]:
    """The figures of those files that lie in a checkout whose commits or index know of changes, by position."""
    files_of: defaultdict[str, list[int]] = defaultdict(list)
    for at, trace in enumerate(traces):
        checkout = histories.checkout_of(trace.file, trace.top) if trace.file is not None else None
        if checkout is not None:
            files_of[checkout].append(at)
    found: dict[int, float] = {}
    for checkout, positions in files_of.items():
        files = [traces[at].file or "" for at in positions]
        top = traces[positions[0]].top
        working = in_work(checkout, files, top)
        rates = [rate + now for rate, now in zip(histories.rates(checkout, files, top), working, strict=True)]
        if any(rates):
            found.update(zip(positions, rates, strict=True))
    return found


def volatilities_of_times(times: Sequence[float | None], *, breath_s: float) -> list[float]:
    """What modification times, in seconds, say: 1 for the last that were written, then 1/2, 1/3, ...

    0 for the first ones, and for None: what was written in one breath, such as a whole folder that was copied, was not
    edited since, and nothing tells its files apart. breath_s: from which pause on a new breath begins.
    """
    breaths: dict[float, int] = {}
    breath, before = 0, None
    for time in sorted({time for time in times if time is not None}):
        breath += before is not None and time - before >= breath_s
        breaths[time], before = breath, time
    return [1 / (1 + breath - breaths[time]) if time is not None and breaths[time] else 0.0 for time in times]
