"""Pages that --draw-pages names one by one, held against the files that there are. Which pages are drawn without such
a list is left to `rules`."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from engine.corpus.rules import Rules
from engine.corpus.source import Cause, Skipped, Source
from engine.corpus.wording import ranges_in_words
from engine.errors import UsageError


def names_any(rules: Rules, n_pages: int) -> bool:
    """Whether a file of so many pages has one that is named; True where none are named one by one."""
    return not rules.listed_pages or any(pages[0] <= n_pages for pages in rules.listed_pages)


def none_of_its(rules: Rules, n_pages: int) -> str:
    """ "--draw-pages 50 names none of its 40 pages; choose from 1-40", for a reason."""
    if n_pages == 1:
        return f"--draw-pages {rules.draw_pages} does not name its only page; choose 1"
    return f"--draw-pages {rules.draw_pages} names none of its {n_pages:,} pages; choose from 1-{n_pages}"


def refuse_absent(sources: Iterable[Source], skipped: Iterable[Skipped], rules: Rules) -> None:
    """Nothing where a file has a page that is named, or there are no files with pages. Errors: UsageError."""
    reasons = {one.path: one.reason for one in skipped if one.cause is Cause.NO_PAGE}
    for source in sources:
        if source.n_pages is not None:
            if names_any(rules, source.n_pages):
                return
            reasons[source.path] = none_of_its(rules, source.n_pages)
    if len(reasons) == 1:
        ((path, reason),) = reasons.items()
        raise UsageError(f"{path}: {reason}.")
    if reasons:
        fact = f"--draw-pages {rules.draw_pages} names no page of any of the {len(reasons):,} files with pages."
        raise UsageError(fact, "Choose pages that one of them has; `longdesk count` without it says how many.")


def with_absent_noted(sources: Sequence[Source], rules: Rules) -> list[Source]:
    """The sources; the longest of those with pages has a note on what is named beyond its end."""
    longest = max(sources, key=lambda source: source.n_pages or 0, default=None)
    n_pages = longest.n_pages if longest else None
    beyond = sorted({pages[0] for pages in rules.listed_pages if n_pages and pages[0] > n_pages})
    if not beyond:
        return list(sources)
    are = "page {} is" if len(beyond) == 1 else "pages {} are"
    note = f"{are.format(ranges_in_words(beyond)).capitalize()} not there: the last is page {n_pages}."
    return [replace(source, notes=(*source.notes, note)) if source is longest else source for source in sources]
