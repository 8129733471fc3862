"""Texts in UTF-16 and UTF-32, with a byte order mark or without: in any script, cut, with bad units, or with lines of
single bytes that a program without an idea of them added.

What is no text at all is told by what comes out: characters that no text has, or rare ones of many scripts at once.
"""

import re
from collections import Counter
from dataclasses import dataclass

from engine.corpus.formats.letters import kind_of, share_of_known_signs

_SAMPLE = 1500  # characters
_ASCII = rb"[\t\n\r\x20-\x7e]"
_SINGLE_BYTES = re.compile(_ASCII + rb"{4,}")  # in Latin UTF-16, no four of them stand together
_ANCHORS = {
    "utf-16-le": re.compile(rb"(?:" + _ASCII + rb"\x00){3,}"),
    "utf-16-be": re.compile(rb"(?:\x00" + _ASCII + rb"){3,}"),
}
_LONG_RUN = 12  # bytes of ASCII that need not begin where a unit does
_FEWEST_UNITS = 8  # of UTF-16 that has no byte of zero
_SEPARATORS = "\x01\x02\x1c\x1d\x1e\x1f"
_KNOWN_SIGNS = 0.5  # of those in a text, at least so many are among the frequent ones; of random ones, one in ten


@dataclass(frozen=True, slots=True)
class Wide:
    """n_bad: units that are no character. n_single: bytes that were read one by one. is_cut: within the last one."""

    text: str
    encoding: str
    n_bad: int = 0
    n_single: int = 0
    is_cut: bool = False

    @property
    def notes(self) -> tuple[str, ...]:
        """What is wrong with it, in sentences."""
        notes = []
        if self.n_bad:
            units = (
                "1 unit is no character and was"
                if self.n_bad == 1
                else f"{self.n_bad:,} units are no characters and were"
            )
            notes.append(f"{units} replaced by \ufffd.")
        if self.n_single:
            are = "1 byte in it is" if self.n_single == 1 else f"{self.n_single:,} bytes in it are"
            notes.append(
                f"{are} not {self.encoding.upper()}, and {'was' if self.n_single == 1 else 'were'} read as ASCII."
            )
        if self.is_cut:
            notes.append("It ends within a character.")
        return tuple(notes)


def read_marked(data: bytes, mark: bytes, encoding: str) -> Wide | None:
    """What follows the mark. encoding: with its byte order. None where most of it is something else."""
    wide = _read(data[len(mark) :], encoding)
    n_odd = wide.n_bad + sum(kind_of(character) == "x" for character in wide.text[:_SAMPLE])
    return wide if n_odd * 5 <= len(wide.text) else None


def read_unmarked(data: bytes) -> Wide | None:
    """A text without a mark; None where it is none, or one in single bytes."""
    sample = data[: 4 * _SAMPLE]
    has_zeros = b"\x00" in sample
    if not has_zeros and len(data) < 2 * _FEWEST_UNITS:
        return None
    if has_zeros:
        for encoding in ("utf-32-le", "utf-32-be"):
            if _is_plausible(sample[: len(sample) & ~3].decode(encoding, "replace")):
                return _read(data, encoding)
    for encoding in _ANCHORS:
        if _is_plausible(sample[: len(sample) & ~1].decode(encoding, "replace")):
            return _read(data, encoding)
    # with lines of single bytes, or units at odd places
    found = [wide for wide in (_read(sample, encoding) for encoding in _ANCHORS) if wide.n_single * 2 < len(sample)]
    found = [wide for wide in found if has_zeros and _is_plausible(wide.text)]
    if not found:
        return None
    return _read(data, min(found, key=lambda wide: wide.n_bad + wide.n_single).encoding)


def _is_plausible(text: str) -> bool:
    """Whether this is writing: hardly a character that no text has, letters of a script or two, frequent signs."""
    text = text[:_SAMPLE]
    kinds = Counter(map(kind_of, text))
    n_odd = kinds["x"] + sum(text.count(control) for control in _SEPARATORS)
    if not text or n_odd > len(text) // 50 + (len(text) > 16):
        return False
    if len(text) > 200 and not any(each.isspace() or each in "，。、" for each in text):
        return False
    letters = Counter(ord(each) >> 8 for each in text if not each.isascii() and kind_of(each) == "l")
    signs = sorted({each for each in text if kind_of(each) == "s"})
    n_plain = kinds["p"] + sum(each.isascii() and each.isalpha() for each in text)
    n_common = sum(n_times for _, n_times in letters.most_common(2))
    if letters and n_common * 10 < sum(letters.values()) * 8:
        return False
    if signs and share_of_known_signs(signs) < _KNOWN_SIGNS:
        return False
    if kinds["o"] + kinds["b"] > len(text) // 3:
        return False
    return n_plain * 20 >= len(text) or bool(signs) or (bool(letters) and n_plain * 100 >= len(text))


def _read(data: bytes, encoding: str) -> Wide:
    if "32" in encoding:
        whole = len(data) - len(data) % 4
        text = data[:whole].decode(encoding, "replace")
        rest = data[whole:]
        is_cut = bool(rest) and rest != b"\n"
        text += "\n" if rest == b"\n" else "\ufffd" if rest else ""
        return Wide(text, encoding, text.count("\ufffd") - is_cut, int(rest == b"\n"), is_cut)
    parts, n_bad, n_single, is_cut, at = [], 0, 0, False, 0
    for start, end, is_single in _segments(data, encoding):
        part = data[start:end]
        if is_single:
            parts.append(part.decode("ascii"))
            n_single += len(part)
            continue
        text, rest = part[: len(part) & ~1].decode(encoding, "replace"), part[len(part) & ~1 :]
        n_bad += text.count("\ufffd") - part.decode(encoding, "ignore").count("\ufffd")
        parts.append(text)
        if rest:
            at = end == len(data)
            plain = rest.decode("latin-1")
            if plain == "\n" or (plain.isascii() and plain.isprintable()):
                parts.append(plain)
                n_single += 1
            else:
                parts.append("\ufffd")
                n_bad += not at
                is_cut = is_cut or at
    return Wide("".join(parts), encoding, n_bad, n_single, is_cut)


def _segments(data: bytes, encoding: str) -> list[tuple[int, int, bool]]:
    """Where UTF-16 begins and ends, and where single bytes stand: start, end, whether it is the latter."""
    found: list[tuple[int, int, bool]] = []
    at, low_first = 0, encoding == "utf-16-le"
    for run in _SINGLE_BYTES.finditer(data):
        start, end = run.span()
        if low_first and end < len(data):
            end = _end_of_single(data, end, data[at:start])
        aligned = start + (start - at) % 2
        if end - aligned < 3 or not _is_single(data[aligned:end], encoding):
            continue
        if end - start < _LONG_RUN or not low_first:
            start = aligned  # the first is the other byte of the unit before it
        found += [*_anchored(data, at, start, encoding), (start, end, True)]
        at = end
    return [*found, *_anchored(data, at, len(data), encoding)]


def _end_of_single(data: bytes, end: int, before: bytes) -> int:
    """Where a run of ASCII ends: its last byte may be the low one of a unit, whose high byte comes then."""
    pages = {0, *before[1::2]}
    return max((end, end - 1), key=lambda at: sum(page in pages for page in data[at + 1 : at + 24 : 2]))


def _is_single(run: bytes, encoding: str) -> bool:
    """Whether these bytes are ASCII rather than Chinese or Japanese, in UTF-16 all of whose bytes look like ASCII."""
    signs = run[: len(run) & ~1].decode(encoding, "replace")
    pages = Counter(ord(each) >> 8 for each in signs if kind_of(each) == "l")
    if max(pages.values(), default=0) * 2 > len(signs):
        return False  # high bytes of Indian scripts are those of a tab and of line ends
    known = [each for each in signs if kind_of(each) == "s"]
    return len(known) * 2 < len(signs) or (len(signs) >= 3 and share_of_known_signs(known) < _KNOWN_SIGNS)


def _anchored(data: bytes, start: int, end: int, encoding: str) -> list[tuple[int, int, bool]]:
    """A segment, cut anew where its units begin to stand at odd places: a byte was added or lost."""
    found = []
    for anchor in _ANCHORS[encoding].finditer(data, start, end):
        if (anchor.start() - start) % 2:
            found.append((start, anchor.start(), False))
            start = anchor.start()
    return [*found, (start, end, False)] if start < end else found
