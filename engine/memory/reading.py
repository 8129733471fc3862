"""How to read less: smaller images, fewer pages drawn, fewer sources. Pure arithmetic over what each source takes.

Whether less is enough for memory is left to `advice`.
"""

from collections.abc import Sequence

from engine.corpus.wording import ranges_in_words
from engine.memory.budget import Advice, FewerPages, Weight

_MOST_TILES = 9  # see engine.tokens.tiles; more than are in force save nothing


def less_to_read(over: int, sources: Sequence[Weight]) -> list[Advice]:
    """Ways to save at least `over` tokens, each enough by itself: what loses detail before what loses pages or files.

    Nothing for 0.
    """
    if not over:
        return []
    return [*_fewer_tiles(over, sources), *_fewer_pages(over, sources), *_leaving_out(over, sources)]


def _fewer_tiles(over: int, sources: Sequence[Weight]) -> list[Advice]:
    """The most tiles an image may have; nothing where even one is too many."""
    for max_tiles in range(_MOST_TILES - 1, 0, -1):
        saved = sum(source.n_tokens - source.within(max_tiles) for source in sources if source.within)
        if saved >= over:
            return [Advice(saves_tokens=saved, max_tiles=max_tiles)]
    return []


def _fewer_pages(over: int, sources: Sequence[Weight]) -> list[Advice]:
    """The most drawn pages that fit, of every source from its first on; nothing where the first is one too many."""
    drawn = [source for source in sources if source.pages]
    numbers = sorted({number for source in drawn for number in source.pages})
    n_pages, saved = sum(len(source.pages) for source in drawn), 0
    n_left = n_pages
    while saved < over and numbers:
        last = numbers.pop()
        dropped = [source.pages[last] for source in drawn if last in source.pages]
        saved, n_left = saved + sum(dropped), n_left - len(dropped)
    if saved < over or not n_left:
        return []
    pages = ("" if _are_drawn(numbers, sources) else "bare:") + ranges_in_words(numbers).replace(" ", "")
    fewer = FewerPages(pages, n_left, n_pages, tuple(source.path for source in drawn))
    return [Advice(saves_tokens=saved, fewer_pages=fewer)]


def _are_drawn(numbers: Sequence[int], sources: Sequence[Weight]) -> bool:
    """Whether these pages are drawn now in whichever source has them: else naming them would draw some more."""
    return all(number in source.pages for source in sources for number in numbers if number <= source.n_pages)


def _leaving_out(over: int, sources: Sequence[Weight]) -> list[Advice]:
    """The smallest single source that is enough; without one the fewest, the last of them as small as can be.

    Nothing where no source would be left.
    """
    if sum(source.n_tokens for source in sources) < over:
        return []
    left_out: list[Weight] = []
    largest_first = sorted(sources, key=lambda source: -source.n_tokens)
    while largest_first[0].n_tokens < over:
        left_out.append(largest_first.pop(0))
        over -= left_out[-1].n_tokens
    enough = min((source for source in largest_first if source.n_tokens >= over), key=lambda source: source.n_tokens)
    chosen = [*left_out, enough]
    if len(chosen) == len(sources):
        return []
    return [Advice(saves_tokens=sum(source.n_tokens for source in chosen), sources=tuple(chosen))]
