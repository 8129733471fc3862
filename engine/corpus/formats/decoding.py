"""Bytes to text, in any encoding: UTF-8 first, then what the file itself declares, then a guess that is said to be one.

Owns the order in which encodings are tried, telling text from binary, and what is said of either. Whatever is replaced,
left out or guessed leaves a note.
"""

import codecs
import re
from collections import Counter
from dataclasses import dataclass, replace

from engine.corpus.formats.declared import Declared, declared
from engine.corpus.formats.guess import Guess, ranking, reading_cost
from engine.corpus.formats.shifted import read_shifted
from engine.corpus.formats.wide import Wide, read_marked, read_unmarked
from engine.corpus.wording import counted

_HEAD = 8000  # bytes at the start that tell text from binary, where nothing else makes one doubt
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig", ""),
    (codecs.BOM_UTF32_LE, "utf-32", "utf-32-le"),  # before UTF-16: its mark begins with theirs
    (codecs.BOM_UTF32_BE, "utf-32", "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16", "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16", "utf-16-be"),
)
_MARK_BYTES = frozenset(mark[:1] for mark, *_ in _MARKS)
_CONTROLS = bytes(set(range(0x20)) - {7, 8, 9, 10, 11, 12, 13, 26, 27} | {0x7F})
_OTHERS = bytes(set(range(0x100)) - set(_CONTROLS))
_KINDS, _TIMES = 3, 2  # separators are of few kinds, each of which comes again
_SEPARATORS = frozenset(b"\x01\x02\x1c\x1d\x1e\x1f")
_RUN = 16  # so many zeros are a hole, fewer are characters
_ZEROS = re.compile(rb"\x00{%d,}" % _RUN)
_MOST_BITS, _MOST_BITS_BY_CONTROLS = 8.0, 6.5  # a byte, of a guess: writing takes 3 to 6, random bytes 10 to 12
_SURELY = 10.0  # bits by which lines must be better as UTF-8
_TRIED = 6  # of the likeliest encodings
_QUITE = "Not quite UTF-8: {} replaced by \ufffd."
_OUTVOTED = 40.0  # bits by which a guess must be better than what the file declares
_NULS = "Characters that are NUL: "
_LFS = "version https://git-lfs.github.com/spec/"


@dataclass(frozen=True, slots=True)
class Decoded:
    """A file's text, the encoding as Python names it, and what the user should know about it."""

    text: str
    encoding: str
    notes: tuple[str, ...] = ()


def decode(data: bytes) -> Decoded | None:
    """The text of a file, line ends as they are; None where it is no text."""
    if data[:1] in _MARK_BYTES:
        for mark, encoding, order in _MARKS:
            if not data.startswith(mark):
                continue
            found = _without_end(data) if data.endswith(bytes(_RUN)) else _marked(data, mark, encoding, order)
            if found is not None:
                return found
    if b"\x00" in data:
        return _with_zeros(data)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return _other_than_utf8(data)
    if text.isascii():
        # one byte is found ten times as fast as two
        if (b"\x1b" in data or b"~" in data) and (shifted := read_shifted(data)):
            were = "character was", "characters were"
            bad = (f"{counted(shifted.n_bad, *were)} replaced by \ufffd.",) if shifted.n_bad else ()
            return Decoded(shifted.text, shifted.encoding, bad)
        notes = _notes_on(text)
    else:
        notes = (*_notes_on(text), *_outvoted_by_utf8(data))
    if _has_controls(data[:_HEAD]):
        kept = _notes_on_controls(data)
        return None if kept is None else Decoded(text, "utf-8", (*notes, *kept))
    return Decoded(text, "utf-8", notes)


def _notes_on(text: str) -> tuple[str, ...]:
    return ("A Git LFS pointer: the file itself is not in this folder.",) if text.startswith(_LFS) else ()


def _outvoted_by_utf8(data: bytes) -> tuple[str, ...]:
    """Where a file declares itself; elsewhere it is more likely a program that speaks of encodings."""
    if data.startswith(b"#"):
        data = b"\n".join(data[:400].split(b"\n", 2)[:2])
    elif not data[:40].lstrip().startswith((b"<", b"@charset")):
        return ()
    said = declared(data)
    if said is None or said.encoding.startswith("utf-8"):
        return ()
    return (f"It declares {said.label}, but is UTF-8, and was read as that.",)


def _has_controls(head: bytes) -> bool:
    """Whether more than one byte in a hundred is a control character that text does not have."""
    return (len(head) - len(head.translate(None, _CONTROLS))) * 100 > len(head)


def _notes_on_controls(data: bytes) -> tuple[str, ...] | None:
    """What control characters separate the fields of a text, which they do in few kinds, again and again; None where
    there are others, as in a file that is no text."""
    counts = Counter(data.translate(None, _OTHERS))
    if len(counts) > _KINDS or sum(counts.values()) * 2 > len(data) or min(counts.values(), default=9) < _TIMES:
        return None
    if not set(counts) <= _SEPARATORS and len(counts) > 1:
        return None
    found = ", ".join(f"{n_times:,} times U+{code:04X}" for code, n_times in sorted(counts.items()))
    return (f"Control characters stand in it, and were kept: {found}.",) if counts else ()


def _marked(data: bytes, mark: bytes, encoding: str, order: str) -> Decoded | None:
    """A text with a byte order mark; None where what follows is something else."""
    try:
        text = data.decode(encoding)
    except UnicodeError:
        if order:
            wide = read_marked(data, mark, order)
            return None if wide is None else Decoded(wide.text, encoding, wide.notes)
        repaired = _mostly_utf8(data[len(mark) :], is_sure=True)
        return repaired and replace(repaired, encoding=encoding)
    if not order:
        return Decoded(text, encoding, (*_notes_on(text), *_notes_on_nuls(text)))
    wide = read_marked(data, mark, order)  # of an even number of bytes anything is UTF-16
    return (
        None
        if wide is None
        else Decoded(wide.text, encoding, (*_notes_on(text), *wide.notes, *_notes_on_nuls(wide.text)))
    )


def _notes_on_nuls(text: str) -> tuple[str, ...]:
    n_nuls = text.count("\x00")
    return (f"{_NULS}{n_nuls:,}.",) if n_nuls else ()


def _without_end(data: bytes) -> Decoded | None:
    """With a mark, and zeros at the end: one of UTF-16 or UTF-32 may end in zeros that belong to it."""
    body = data.rstrip(b"\x00")
    decoded = decode(data[: len(body) + -len(body) % 4])
    if decoded is None:
        return None
    kept = [note for note in decoded.notes if not note.startswith(_NULS)]
    left = f"{len(data) - len(body):,} zero bytes at its end left out."
    return replace(decoded, text=decoded.text.rstrip("\x00"), notes=(*kept, left))


def _with_zeros(data: bytes) -> Decoded | None:
    """UTF-16 or UTF-32 without a mark; else a text that a crash, a full disk or a program left zeros in."""
    body = data.rstrip(b"\x00")
    is_holed = len(data) - len(body) >= _RUN
    wide = read_unmarked(data[: len(body) + -len(body) % 4] if is_holed else data)
    if wide is not None:
        found = _as_guess(replace(wide, text=wide.text.rstrip("\x00")) if is_holed else wide)
        left = (f"{len(data) - len(body):,} zero bytes at its end left out.",) if is_holed else ()
        return replace(found, notes=(*found.notes, *left))
    whole, notes = _without_runs(data)
    if not whole:
        return None
    if b"\x00" not in whole:
        decoded = decode(whole)
        return decoded and replace(decoded, notes=(*decoded.notes, *notes))
    bare = whole.replace(b"\x00", b"")
    n_nuls = len(whole) - len(bare)
    if n_nuls * 3 > len(whole) or (kept := _notes_on_controls(bare)) is None:
        return None
    try:
        text, encoding = whole.decode(), "utf-8"
    except UnicodeDecodeError:
        decoded = decode(bare)
        if decoded is None or n_nuls * 50 > len(whole):
            return None
        text, encoding = whole.decode(decoded.encoding, "replace"), decoded.encoding
        notes = (*decoded.notes, *notes)
    return Decoded(text, encoding, (*notes, *kept, *_notes_on_nuls(text)))


def _as_guess(wide: Wide) -> Decoded:
    said = f"Read as {wide.encoding.upper()}, a guess: the file has no byte order mark."
    return Decoded(wide.text, wide.encoding, (said, *wide.notes))


def _without_runs(data: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Without the zeros at either end and long runs of them within, which leave their mark; and what was left out."""
    body = data.rstrip(b"\x00")
    n_end = len(data) - len(body)
    text = body.lstrip(b"\x00")
    n_start = len(body) - len(text)
    places = [(n_start, "at its beginning"), (n_end, "at its end")]
    if n_end == 1:  # a string as C ends it
        places.pop()
    whole, n_runs = _ZEROS.subn(lambda run: b"[%d zero bytes, left out]" % len(run[0]), text)
    within = sum(len(run[0]) for run in _ZEROS.finditer(text)) if n_runs else 0
    places.append((within, "within it"))
    notes = tuple(
        f"{'1 zero byte' if n_zeros == 1 else f'{n_zeros:,} zero bytes'} {where} left out."
        for n_zeros, where in places
        if n_zeros
    )
    return whole + (b"\x00" if n_end == 1 else b""), notes


def _other_than_utf8(data: bytes) -> Decoded | None:
    """UTF-16 without a zero; as it declares; as UTF-8 but for some bytes or lines; or as the likeliest guess."""
    wide = read_unmarked(data)
    if wide is not None:
        return _as_guess(wide)
    n_controls = len(data.translate(None, _OTHERS))
    kept = _notes_on_controls(data) if n_controls else ()
    if kept is None and (n_controls * 200 > len(data) or _has_controls(data[:_HEAD])):
        return None
    said, guesses = declared(data), ranking(data)
    found = _believed(data, said, guesses[0]) if said is not None else None
    if found is None:
        found = _mostly_utf8(data) or _guessed(data, guesses, _MOST_BITS_BY_CONTROLS if n_controls else _MOST_BITS)
        if found is not None and said is not None and codecs.lookup(found.encoding).name != said.encoding:
            found = replace(found, notes=(f"It declares {said.label}, which its bytes are not.", *found.notes))
    return None if found is None else replace(found, notes=(*found.notes, *(kept or ())))


def _believed(data: bytes, said: Declared, guess: Guess) -> Decoded | None:
    """As the file declares; None where its bytes speak against it."""
    if said.is_wide or said.encoding.startswith("utf-8"):
        return None
    text, n_bad = _leniently(data, said.whole)
    if n_bad * 20 > _beyond_ascii(text) or reading_cost(data, said.whole) > guess.cost + _OUTVOTED:
        return None
    bad = _notes_on_bad(n_bad)
    if said.whole == said.encoding or text == _leniently(data, said.encoding)[0]:
        return Decoded(text, said.encoding, bad)
    return Decoded(text, said.whole, (f"It declares {said.label}; read as {said.whole}, as browsers do.", *bad))


def _mostly_utf8(data: bytes, *, is_sure: bool = False) -> Decoded | None:
    """UTF-8 in which a few bytes are broken, which become U+FFFD, or some lines are in another encoding.

    is_sure: it has a mark. None where that does not read better than the whole in one other encoding.
    """
    lines = data.split(b"\n")
    others, valid, texts, n_broken = [], [], [], 0
    for at, line in enumerate(lines):
        text = line.decode(errors="replace")
        n_bad = 0 if line.isascii() else _new_bad(text, line)
        if n_bad and n_bad * 2 > _beyond_ascii(text):
            others.append(at)
        elif not line.isascii():
            valid.append(line)
            n_broken += n_bad
        texts.append(text)
    whole = b"\n".join(valid)
    if not is_sure and (not valid or reading_cost(whole, "utf-8") > ranking(whole)[0].cost - _SURELY):
        return None
    notes = [_QUITE.format(f"{n_broken:,} {'place was' if n_broken == 1 else 'places were'}")] if n_broken else []
    if others:
        guess = codecs.lookup(ranking(b"\n".join(lines[at] for at in others))[0].encoding).name
        for at in others:
            texts[at] = _leniently(lines[at], guess)[0]
        are = "1 line is" if len(others) == 1 else f"{len(others):,} lines are"
        notes.append(f"{are} not UTF-8 and {'was' if len(others) == 1 else 'were'} read as {guess}, which is a guess.")
    return Decoded("\n".join(texts), "utf-8", tuple(notes))


def _guessed(data: bytes, guesses: list[Guess], most_bits: float) -> Decoded | None:
    """As the likeliest encoding that all of the file can be in, or all but a character in fifty."""
    if guesses[0].bits_a_byte > most_bits:
        return None
    for guess in guesses[:_TRIED]:
        text, n_bad = _leniently(data, guess.encoding)
        if n_bad > 1 and n_bad * 50 > _beyond_ascii(text):
            continue
        # what a guess has in common with Windows-1252, such as its quotation marks, is most likely that
        name = "cp1252" if text == _leniently(data, "cp1252")[0] else codecs.lookup(guess.encoding).name
        return Decoded(text, name, (f"Not UTF-8; read as {name}, which is a guess.", *_notes_on_bad(n_bad)))
    return None


def _leniently(data: bytes, encoding: str) -> tuple[str, int]:
    """The text, and how many places in it are no characters in this encoding: they become U+FFFD."""
    try:
        return data.decode(encoding), 0
    except UnicodeError:
        text = data.decode(encoding, "replace")
        return text, text.count("\ufffd")


def _new_bad(text: str, line: bytes) -> int:
    return text.count("\ufffd") - line.count("\ufffd".encode())


def _beyond_ascii(text: str) -> int:
    return len(text) - len(text.encode("ascii", "ignore"))


def _notes_on_bad(n_bad: int) -> tuple[str, ...]:
    were = "1 place was" if n_bad == 1 else f"{n_bad:,} places were"
    return (f"{were} no character in it and became \ufffd.",) if n_bad else ()
