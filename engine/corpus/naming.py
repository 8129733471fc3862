"""The paths that sources go by: printable and unique in their corpus. Where a file lies is left to `walk`."""

import re
import unicodedata
from dataclasses import dataclass, field

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
    """The paths that are taken. The first to ask for a path has it; a later root's gets its root's name in front."""

    _taken: set[str] = field(default_factory=set)

    def claim(self, path: str, root: str) -> str:
        """`path`, or else "root/path", or else "root-2/path", and so on: the first that is free."""
        unique, number = path, 1
        while unique in self._taken:
            unique = f"{root}/{path}" if number == 1 else f"{root}-{number}/{path}"
            number += 1
        self._taken.add(unique)
        return unique
