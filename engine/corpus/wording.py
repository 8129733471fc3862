"""Paths, sizes and lists as they are written: printable and unique paths, and what reasons and notes say in numbers.

What is said is left to the modules that say it, where a file lies to `walk`.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
_NAMED = 5  # how many paths a sentence names
_DIGITS = re.compile(r"([0-9]+)")


def printable(name: str) -> str:
    """The name, with an escape for what cannot be shown: "caf\\xe9.txt" for a name that is no UTF-8, "\\x0a" for a line
    end, "\\u202e" for a sign that turns the writing round. A name of ordinary characters stays as it is."""
    return name if name.isprintable() else "".join(map(_printable, name))


def _printable(character: str) -> str:
    if character.isprintable() or unicodedata.category(character) == "Zs":
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8, as Python hands it over
        code -= 0xDC00
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def natural_key(name: str) -> tuple[list[str | tuple[int, str]], str]:
    """Sorts "page 2" before "page 10". Ties ("1" and "01") are settled by the name itself."""
    parts: list[str | tuple[int, str]] = list(_DIGITS.split(name))
    for at in range(1, len(parts), 2):
        digits = str(parts[at]).lstrip("0")
        parts[at] = (len(digits), digits)
    return parts, name


@dataclass(slots=True)
class Names:
    """The paths that are taken. The first to ask for a path has it; a later root's gets its root's name in front.

    State: of each path that was asked for again, the first number that may be free: a zip may hold one name 100,000
    times.
    """

    _taken: set[str] = field(default_factory=set)
    _next: dict[tuple[str, str], int] = field(default_factory=dict)

    def claim(self, path: str, root: str) -> str:
        """`path`, or else "root/path", or else "root-2/path", and so on: the first that is free."""
        if path not in self._taken:
            self._taken.add(path)
            return path
        unique, number = path, self._next.get((root, path), 1)
        while unique in self._taken:
            unique = f"{root}/{path}" if number == 1 else f"{root}-{number}/{path}"
            number += 1
        self._taken.add(unique)
        self._next[root, path] = number
        return unique


def counted(number: int, one: str, many: str = "") -> str:
    """ "1 file", "1,240 files". many: of a word that does not just take an s."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def size_in_words(n_bytes: int) -> str:
    """ "812 bytes", "64.0 KiB", "2.0 GiB": binary units, one decimal."""
    if n_bytes < KIB:
        return counted(n_bytes, "byte")
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


def with_notes(reason: str, notes: Sequence[str]) -> str:
    """A reason, and sentences behind it: what is known all the same of a file that is skipped."""
    return ". ".join([reason, *(note.removesuffix(".") for note in notes)])
