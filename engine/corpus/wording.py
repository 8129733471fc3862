"""Numbers and lists in the words that reasons and notes use. What is said is left to the modules that say it."""

from collections.abc import Sequence

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
_NAMED = 5  # how many paths a sentence names


def size_in_words(n_bytes: int) -> str:
    """ "812 bytes", "64.0 KiB", "2.0 GiB": binary units, one decimal."""
    if n_bytes < KIB:
        return f"{n_bytes:,} byte{'' if n_bytes == 1 else 's'}"
    for unit, name in ((KIB, "KiB"), (MIB, "MiB")):
        if n_bytes < 1024 * unit - unit // 20:  # 1,023.96 KiB would round to "1024.0 KiB"
            return f"{n_bytes / unit:.1f} {name}"
    return f"{n_bytes / GIB:,.1f} GiB"


def over_limit(n_bytes: int, limit: int, what: str) -> str:
    """ "2.0 GiB, over the limit of 64.0 MiB for text"; in bytes where both would read the same."""
    size, allowed = size_in_words(n_bytes), size_in_words(limit)
    if size == allowed:
        size, allowed = f"{n_bytes:,} bytes", f"{limit:,} bytes"
    return f"{size}, over the limit of {allowed} for {what}"


def ranges_in_words(numbers: Sequence[int]) -> str:
    """ "3, 7-9" for 3, 7, 8, 9. The numbers ascend."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", ".join(f"{first}" if first == last else f"{first}-{last}" for first, last in spans)


def pages_in_words(numbers: Sequence[int]) -> str:
    """ "page 3" or "pages 3, 7-9"."""
    return f"page{'' if len(numbers) == 1 else 's'} {ranges_in_words(numbers)}"


def listed(paths: Sequence[str]) -> str:
    """ "a.txt, b.txt": the first five, and how many more there are."""
    return ", ".join(paths[:_NAMED]) + (f" and {len(paths) - _NAMED:,} more" if len(paths) > _NAMED else "")
