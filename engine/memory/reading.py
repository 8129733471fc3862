"""How to read less: smaller images, fewer pages drawn, fewer sources. Pure arithmetic over what each source takes.

Whether less is enough for memory is left to `advice`.
"""

from collections.abc import Sequence

from engine.corpus.wording import ranges_in_words
from engine.memory.budget import Advice, Weight

_MOST_NAMED = 12
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
            tiles = "1 tile" if max_tiles == 1 else f"{max_tiles} tiles"
            change = f"Scale images down to {tiles} at most, {saved:,} tokens less (--max-tiles {max_tiles})."
            return [Advice(change, saves_tokens=saved, max_tiles=max_tiles)]
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
    fit = "fits: send that one alone" if n_left == 1 else "fit: send those alone"
    where = drawn[0].path if len(drawn) == 1 else f"{len(drawn):,} files"
    change = (
        f"{n_left:,} of the {n_pages:,} drawn pages of {where} {fit}, {saved:,} tokens less (--draw-pages {pages})."
    )
    return [Advice(change, saves_tokens=saved, draw_pages=pages)]


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
    return [_leave_out(chosen)] if len(chosen) < len(sources) else []


def _leave_out(sources: Sequence[Weight]) -> Advice:
    shown = ", ".join(f"{source.path} ({source.n_tokens:,})" for source in sources[:_MOST_NAMED])
    more = f" and {len(sources) - _MOST_NAMED:,} more (--json names all)" if len(sources) > _MOST_NAMED else ""
    return Advice(
        f"Leave out {shown}{more}.",
        saves_tokens=sum(source.n_tokens for source in sources),
        leave_out=tuple(source.path for source in sources),
    )
