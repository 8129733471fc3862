"""Encodings of seven bits, whose bytes are valid ASCII and unreadable as such: ISO-2022 of Japan, Korea and China, HZ.

Escape sequences say which set of characters the bytes after them are of. Python's own decoders read what keeps to the
standards; where they give up, on a file that was cut or on signs that only vendors have, sequences are read here.
"""

import re
from dataclasses import dataclass

_STRICT = ("iso2022_jp_2", "iso2022_jp_ext", "iso2022_jp_2004")
_SEQUENCE = re.compile(rb"\x1b(\$\([A-Z]|\$\)[A-Z]|\$[@AB]|\([ABHIJ])|([\x0e\x0f])|(\n)")
_SETS = {  # what follows the escape: the encodings whose two bytes with the eighth bit set are of that set
    b"$@": ("euc_jp", "euc_jis_2004"),
    b"$B": ("euc_jp", "euc_jis_2004"),
    b"$(B": ("euc_jp", "euc_jis_2004"),
    b"$(O": ("euc_jis_2004",),
    b"$(Q": ("euc_jis_2004",),
    b"$A": ("gb18030",),
    b"$(C": ("cp949",),
    b"$)A": ("gb18030",),
    b"$)C": ("cp949",),
}
_NAMES = {b"$)A": "iso-2022-cn", b"$)C": "iso2022_kr", b"$(C": "iso2022_jp_2", b"$A": "iso2022_jp_2"}
_HZ = re.compile(rb"~\{(?:[\x21-\x77][\x21-\x7e])+(?:~\}|\n|$)")


@dataclass(frozen=True, slots=True)
class Shifted:
    """encoding: as Python names it; ISO-2022-CN, which it lacks, as its standard does. n_bad: characters replaced."""

    text: str
    encoding: str
    n_bad: int = 0


def read_shifted(data: bytes) -> Shifted | None:
    """The text of bytes below 0x80; None where no sequence stands in it that means anything."""
    if b"\x1b$" in data:
        for encoding in ("iso2022_kr",) if b"\x1b$)" in data else _STRICT:
            try:
                return Shifted(data.decode(encoding), encoding)
            except UnicodeError:
                continue
        return _by_sequences(data)
    if b"~{" in data and _HZ.search(data):
        try:
            return Shifted(data.decode("hz"), "hz")
        except UnicodeError:
            return None
    return None


def _by_sequences(data: bytes) -> Shifted | None:
    parts: list[str] = []
    now, shifted_to, encoding = b"", b"", ""
    at, n_bad = 0, 0
    for found in (*_SEQUENCE.finditer(data), None):
        part = _read(data[at : found.start() if found else len(data)], now)
        n_bad += part.count("\ufffd")
        parts.append(part)
        if found is None:
            break
        at = found.end()
        escape, shift = found[1], found[2]
        if escape and escape.startswith(b"$)"):
            shifted_to = escape
        elif escape:
            now = escape
        elif shift:
            now = shifted_to if shift == b"\x0e" else b""
        else:  # a line's end puts an end to what was not closed
            parts.append("\n")
            now = b""
        if escape in _SETS:
            encoding = encoding or _NAMES.get(escape, "iso2022_jp")
    n_characters = sum(not character.isascii() for part in parts for character in part)
    return Shifted("".join(parts), encoding, n_bad) if encoding and n_bad * 5 <= n_characters else None


def _read(part: bytes, named: bytes) -> str:
    if named == b"(I":
        return bytes(byte | 0x80 for byte in part).decode("cp932", "replace")
    if named not in _SETS:
        return part.decode("ascii", "replace")
    eighth = bytes(byte | 0x80 if byte > 0x20 else byte for byte in part)
    for encoding in _SETS[named]:
        try:
            return eighth.decode(encoding)
        except UnicodeError:
            continue
    return eighth.decode(_SETS[named][0], "replace")
