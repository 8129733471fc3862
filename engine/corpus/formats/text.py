"""Text, in any encoding: UTF-8 first, then what the file itself declares, then a guess that is said to be one.

Owns decoding, telling text from binary, and how large a text may be. Which file is worth trying is left to `sniff`.
"""

import codecs
import re
from dataclasses import dataclass

from engine.corpus.formats.format import Format, Incoming
from engine.corpus.formats.sniff import describe, is_called_image, misnamed
from engine.corpus.source import Cause, Skipped, Source, digest_bytes, digest_text
from engine.corpus.wording import over_limit

_SAMPLE_BYTES = 16 * 1024  # chardet took 60 ms for 64 KiB of Latin-1 and answered the same
_CONTEXT_BYTES = 100
_BEYOND_ASCII = re.compile(rb"[\x80-\xff]+")
_NUL_WINDOW = 8000  # as git does it: a NUL in there means binary

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16: its mark begins with theirs
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MARK_BYTES = frozenset(mark[:1] for mark, _ in _MARKS)
_DECLARED = re.compile(rb"""(?:coding[:=][ \t]*|charset[ \t]*=[ \t]*["']?|<\?xml[^>]{0,80}encoding=["'])([-\w.]+)""")
_CONTROLS = bytes(set(range(0x20)) - {7, 8, 9, 10, 11, 12, 13, 26, 27} | {0x7F})
_ESCAPING_CODECS = frozenset({"idna", "punycode", "raw-unicode-escape", "unicode-escape", "undefined", "utf-7"})
_SHIFTED = ("iso2022_jp_2", "iso2022_kr")  # seven-bit encodings: valid ASCII, and unreadable as such
_NUL = "\x00"
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
        for mark, encoding in _MARKS:
            if data.startswith(mark):
                marked = _strictly(data, encoding)
                return Decoded(marked, encoding, _notes_on(marked)) if marked is not None else _guess(data)
    if b"\x00" in data[:_NUL_WINDOW]:
        return _wide(data)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return _guess(data)
    if _is_binary(data):
        return None
    if b"\x1b" in data and b"\x1b$" in data:  # one byte is found ten times as fast as two
        for encoding in _SHIFTED:
            if (shifted := _strictly(data, encoding)) is not None:
                return Decoded(shifted, encoding)
    return Decoded(text, "utf-8", _notes_on(text))


def _notes_on(text: str) -> tuple[str, ...]:
    if text.startswith(_LFS):
        return ("A Git LFS pointer: the file itself is not in this folder.",)
    return (f"Characters that are NUL: {text.count(_NUL):,}.",) if _NUL in text else ()


def _is_binary(data: bytes) -> bool:
    """Whether more than one byte in a hundred at the start is a control character that text does not have."""
    head = data[:_NUL_WINDOW]
    return (len(head) - len(head.translate(None, _CONTROLS))) * 100 > len(head)


def _strictly(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except (UnicodeError, LookupError, ValueError):
        return None


def _wide(data: bytes) -> Decoded | None:
    """UTF-16 or UTF-32 without a mark: the zero bytes of its Latin characters stand in every second or fourth place."""
    head = data[: _NUL_WINDOW - _NUL_WINDOW % 4]
    zeros = [head[at::4].count(0) for at in range(4)]
    if len(data) % 4 == 0 and zeros[1] == zeros[2] == len(head) // 4 and min(zeros[0], zeros[3]) == 0:
        candidates = ["utf-32-le" if zeros[3] else "utf-32-be"]
    else:
        even, odd = zeros[0] + zeros[2], zeros[1] + zeros[3]
        if max(even, odd) * 12 < len(head):  # Russian has a zero in every sixth character, for its spaces alone
            return None
        candidates = ["utf-16-le"] if odd > 10 * even else ["utf-16-be"] if even > 10 * odd else []
    for encoding in candidates:
        text = _strictly(data, encoding)
        if text is not None and _reads_well(text):
            return Decoded(text, encoding, (f"Read as {encoding.upper()}, a guess: the file has no byte order mark.",))
    return None


def _reads_well(text: str) -> bool:
    sample = text[:4000]
    n_odd = sum(not (character.isprintable() or character.isspace()) for character in sample)
    n_plain = sum(character.isascii() for character in sample)
    return n_odd * 50 <= len(sample) and n_plain * 10 >= len(sample)


def _guess(data: bytes) -> Decoded | None:
    """The text of a file that is no UTF-8: as it declares, as UTF-8 with a few broken bytes, or as chardet takes it."""
    if _is_binary(data):
        return None
    declared = _declared(data)
    if declared is not None:
        return declared
    repaired = _almost_utf8(data)
    if repaired is not None:
        return repaired
    for encoding in (*_detected(data), "cp1252", "latin-1"):
        text = _strictly(data, encoding)
        if text is not None and _few_controls(text):
            # what a guess has in common with Windows-1252, such as its quotation marks, is most likely that
            name = "cp1252" if _strictly(data, "cp1252") == text else codecs.lookup(encoding).name
            return Decoded(text, name, (f"Not UTF-8; read as {name}, which is a guess.",))
    return None


def _declared(data: bytes) -> Decoded | None:
    """By a coding line of Python or Emacs, an XML declaration, or an HTML charset, in the first 1,024 bytes."""
    match = _DECLARED.search(data[:1024])
    if match is None:
        return None
    try:
        codec = codecs.lookup(match[1].decode())
    except (LookupError, ValueError):
        return None
    if codec.name in _ESCAPING_CODECS:
        return None
    text = _strictly(data, codec.name)
    return Decoded(text, codec.name) if text is not None and _few_controls(text) else None


def _almost_utf8(data: bytes) -> Decoded | None:
    """UTF-8 in which at most one of ten characters beyond ASCII is broken; what is broken becomes U+FFFD."""
    text = data.decode(errors="replace")
    n_broken = text.count("\ufffd")
    n_beyond_ascii = len(text) - len(text.encode("ascii", "ignore"))
    if n_broken * 10 > n_beyond_ascii:
        return None
    were = "place was" if n_broken == 1 else "places were"
    return Decoded(text, "utf-8", (f"Not quite UTF-8: {n_broken:,} {were} replaced by \ufffd.",))


def _detected(data: bytes) -> tuple[str, ...]:
    """What chardet says to the surroundings of the first bytes beyond ASCII: the start of a file may have none."""
    import chardet  # here: it takes 60 ms to import, and most folders are UTF-8

    sample, size, end = [], 0, 0
    for beyond_ascii in _BEYOND_ASCII.finditer(data):
        if beyond_ascii.start() < end:
            continue
        start = max(end, beyond_ascii.start() - _CONTEXT_BYTES)
        end = beyond_ascii.end() + _CONTEXT_BYTES
        sample.append(data[start:end])
        size += end - start
        if size >= _SAMPLE_BYTES:
            break
    encoding = chardet.detect(b"".join(sample)[:_SAMPLE_BYTES])["encoding"]
    if not encoding or encoding.lower().startswith(("utf-8", "utf-7", "ascii")):
        return ()
    return (encoding,)


def _few_controls(text: str) -> bool:
    """Whether the text does without the control characters U+0080 to U+009F, which a wrong guess is full of."""
    sample = text[:100_000]
    n_controls = sum("\x80" <= character <= "\x9f" and character != "\x85" for character in set(sample))
    return n_controls <= 1


def read_text(file: Incoming) -> Source | Skipped:
    """The file as text, or why it is none."""
    rules = file.rules
    limit = max(rules.max_text_bytes, rules.max_file_bytes) if file.included else rules.max_text_bytes
    if file.n_bytes > limit:
        head = file.head.data
        if decode(head[: len(head) // 2]) is None:  # half: not cut within a character that the rest would complete
            return _not_text(file)
        return file.skipped(Cause.TOO_LARGE, over_limit(file.n_bytes, limit, "text"), can_include=not file.included)
    data = file.data()
    decoded = decode(data)
    if decoded is None:
        return _not_text(file, is_void=not data.strip(b"\x00"))
    text, notes = decoded.text, decoded.notes
    if is_called_image(file.path):
        notes = (*notes, "Named as an image, but it holds text and is sent as text.")
    elif named := misnamed(file.path, file.head.data):
        notes = (*notes, named)
    if not text or text.isspace():
        return file.skipped(Cause.EMPTY, "nothing but white space")
    # the digest is of the text in UTF-8, which the file's bytes already are: 30 ms saved on 40 MB
    digest = digest_bytes(data) if decoded.encoding == "utf-8" and not notes else digest_text(text)
    return Source(file.path, TEXT.kind, text, file.n_bytes, digest, encoding=decoded.encoding, notes=notes)


def _not_text(file: Incoming, *, is_void: bool = False) -> Skipped:
    """is_void: all zeros, as a download leaves it that broke off."""
    if is_called_image(file.path):
        what = "nothing but zeros in it; copy it anew" if is_void else "not in a format that is known; save it as PNG"
        return file.skipped(Cause.BROKEN, f"named as an image, but {what}")
    return file.skipped(Cause.BINARY, describe(file.path) or "not text")


TEXT = Format(kind="text", recognise=lambda head: None if head.other else "text", read=read_text)
