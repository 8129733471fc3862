"""The names in a zip, in the encoding that they are in.

A zip says of a name that it is UTF-8, or says nothing: then it is in whatever its maker's machine used. Names that say
nothing and are no UTF-8 are taken together, since one of them alone is too short to tell by. What is guessed is marked
as a guess. Where the parts of a path end is left to `zip_tree`: a byte 5C may be half of a character.
"""

import re
import struct
import unicodedata
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

_UNICODE_PATH = 0x7075  # APPNOTE 4.6.9: version, CRC-32 of the name that it stands for, the name in UTF-8
_MOST_BYTES = 16 * 1024  # of the names that a guess is made from
_NO_MATCH = 0.10  # what chardet says where nothing fits
_ODD = 0.05  # by how much a guess loses for each character that names do not have

# Python's name of each, what people call it, and how often it is met in zips against the others
_ENCODINGS: dict[str, tuple[str, float]] = {
    "cp437": ("code page 437", 1.0),
    "cp850": ("code page 850", 0.9),
    "cp1252": ("Windows-1252", 0.8),
    "gb18030": ("GBK", 1.0),
    "cp932": ("Shift-JIS", 1.0),
    "cp950": ("Big5", 1.0),
    "big5hkscs": ("Big5", 0.5),
    "cp949": ("Korean (code page 949)", 1.0),
    "cp866": ("code page 866", 1.0),
    "cp1251": ("Windows-1251", 0.9),
    "koi8-r": ("KOI8-R", 0.4),
    "cp1125": ("code page 1125", 0.8),
    "cp852": ("code page 852", 0.6),
    "cp1250": ("Windows-1250", 0.6),
    "cp857": ("code page 857", 0.6),
    "cp1254": ("Windows-1254", 0.8),
    "cp737": ("code page 737", 0.5),
    "cp1253": ("Windows-1253", 0.4),
    "cp862": ("code page 862", 0.4),
    "cp1255": ("Windows-1255", 0.9),
    "cp720": ("code page 720", 0.7),
    "cp1256": ("Windows-1256", 0.4),
    "cp874": ("Thai (code page 874)", 0.6),
    "euc_jp": ("EUC-JP", 0.2),
}
_AS_CHARDET_HAS_THEM = {"cp950": "big5hkscs", "euc_jp": "euc_jis_2004"}
_WIDE = frozenset({"CJK", "HIRAGANA", "KATAKANA", "HALFWIDTH", "FULLWIDTH", "HANGUL", "IDEOGRAPHIC"})
_PUNCTUATION = frozenset("«»“”„‘’–—…¿¡·№§°©®€、。，；：！？（）【】《》「」『』〈〉〔〕～・ー々〇×￥＆％＋－＝")
_BESIDE_LETTERS = frozenset("’・ー々〇–—“”„«»¿¡")


@dataclass(frozen=True, slots=True)
class RawName:
    """A name as it lies in the zip's directory. says_utf8: its flag. extra: the extra fields of its entry."""

    data: bytes
    says_utf8: bool
    extra: bytes = b""


@dataclass(frozen=True, slots=True)
class ZipName:
    """A name as text. guess: in words the encoding that was guessed; "" where the zip tells, or it is UTF-8."""

    text: str
    guess: str = ""


def decode_names(names: Sequence[RawName]) -> list[ZipName]:
    """The names in their order. Bytes that no encoding explains become lone surrogates, as in names on disk."""
    told = [_told(name) for name in names]
    open_at = [at for at, text in enumerate(told) if text is None]
    decoded = [ZipName(text or "") for text in told]
    if open_at:
        raw = [names[at].data for at in open_at]
        encoding = _guess(raw)
        for at, data in zip(open_at, raw, strict=True):
            decoded[at] = _decoded(data, encoding)
    return decoded


def _told(name: RawName) -> str | None:
    """The name where there is nothing to guess."""
    if name.data.isascii():
        return name.data.decode()
    unicode_path = _unicode_path(name)
    if unicode_path is not None and not name.says_utf8:
        return unicode_path
    text = _strictly(name.data, "utf-8")
    # a pair of bytes of another encoding may be UTF-8 by chance, and then makes no word
    return text if text is not None and (name.says_utf8 or not _n_odd(text)) else None


def _unicode_path(name: RawName) -> str | None:
    """What the Unicode path field says; None without one, and for one that was made for another name."""
    for kind, field in extra_fields(name.extra):
        if kind == _UNICODE_PATH and len(field) > 5 and field[0] == 1:
            (crc,) = struct.unpack_from("<L", field, 1)
            if crc == zlib.crc32(name.data):
                return _strictly(field[5:], "utf-8")
    return None


def extra_fields(extra: bytes) -> Iterator[tuple[int, bytes]]:
    """The extra fields of an entry, as far as they make sense."""
    at = 0
    while at + 4 <= len(extra):
        kind, n_bytes = struct.unpack_from("<HH", extra, at)
        at += 4
        yield kind, extra[at : at + n_bytes]
        at += n_bytes


def _decoded(data: bytes, encoding: str) -> ZipName:
    text = _strictly(data, encoding)
    utf8 = _strictly(data, "utf-8")
    if utf8 is not None and (text is None or _n_odd(utf8) <= _n_odd(text)):
        return ZipName(utf8)
    if text is None:
        text = data.decode("utf-8", "surrogateescape")
    return ZipName(text, _ENCODINGS[encoding][0])


def _guess(names: Sequence[bytes]) -> str:
    """The encoding that makes the best names of all these together."""
    import chardet  # here: it takes 60 ms to import, and most zips do without

    sample = _sample(names)
    known = {encoding: _AS_CHARDET_HAS_THEM.get(encoding, encoding) for encoding in _ENCODINGS}
    found = chardet.detect_all(
        b"\n".join(sample), ignore_threshold=True, include_encodings=set(known.values()), compat_names=False
    )
    confidence = {str(each["encoding"]): each["confidence"] for each in found if each["confidence"] != _NO_MATCH}
    best, best_score = "cp437", -1.0  # what the format's description says
    for encoding, (_, share) in _ENCODINGS.items():
        texts = [_strictly(name, encoding) for name in sample]
        n_failed = texts.count(None)
        n_odd = sum(_n_odd(text) + _rarity(text, encoding) for text in texts if text is not None) + 3 * n_failed
        score = share * max(confidence.get(known[encoding], 0.0), 1e-4) * _ODD ** min(n_odd * 8 / (len(sample) + 7), 40)
        if score > best_score:
            best, best_score = encoding, score
    return best


def _sample(names: Sequence[bytes]) -> list[bytes]:
    """Different names, without the ASCII ending that says nothing, up to _MOST_BYTES of them."""
    sample, n_bytes = [], 0
    for name in dict.fromkeys(re.sub(rb"\.[A-Za-z0-9]{1,5}$", b"", name) for name in names):
        sample.append(name)
        n_bytes += len(name)
        if n_bytes >= _MOST_BYTES:
            break
    return sample


def _strictly(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None


def _n_odd(text: str) -> float:
    """How many of its characters a name would hardly have there: signs and lines, a letter of another script within a
    word, a capital behind a small letter. Names are short: that counts for more than how often letters are met."""
    n_odd, before = 0.0, " "
    for character in text:
        if character == "\\" and before > "\x7f":
            n_odd += 0.5  # more often the second half of a character than the end of a folder's name
        elif character > "\x7f" or before > "\x7f":
            n_odd += _is_odd(before, character)
        before = character
    return n_odd + (before > "\x7f" and _is_odd(before, " "))


def _rarity(text: str, encoding: str) -> float:
    """How many characters of a name are rare ones, by their place: the old standards put the common ones first."""
    if encoding not in _RARE_FROM:
        return 0.0
    return sum(_rarity_of(character, encoding) for character in text if character > "\x7f")


@lru_cache(maxsize=1 << 14)
def _rarity_of(character: str, encoding: str) -> float:
    raw = character.encode(encoding)
    if encoding in _EXTENDED and len(raw) > 1 and (len(raw) > 2 or min(raw) < 0xA1):
        return 0.7  # what was added to the old standard
    rare_from, weight = _RARE_FROM[encoding]
    return weight if len(raw) > 1 and raw >= rare_from else 0.0


_RARE_FROM = {
    "gb18030": (b"\xd8\xa1", 0.2),
    "cp949": (b"\xca\xa1", 0.5),
    "cp950": (b"\xc9\x40", 0.5),
    "cp932": (b"\x98\x9f", 0.3),
}
_EXTENDED = frozenset({"gb18030", "cp949"})


@lru_cache(maxsize=1 << 14)
def _is_odd(before: str, character: str) -> bool:
    """Whether one of two neighbours, of which at least one is beyond ASCII, does not belong there."""
    if character > "\x7f" and not _script(character):
        if character not in _PUNCTUATION:
            return True
        return before.isalpha() and not _is_wide(before) and character not in _BESIDE_LETTERS
    if before > "\x7f" and not _script(before):  # told when it came; here what it stands before
        return before in _PUNCTUATION and before not in _BESIDE_LETTERS and character.isalpha() and before not in "№§"
    first, second = _script(before), _script(character)
    if not first or not second:
        return False
    if _is_wide(before) or _is_wide(character):  # "USB説明" is a name, "fran軋is" is none
        return _is_wide(before) != _is_wide(character) and (before.islower() or character.islower())
    return first != second or (before.islower() and character.isupper())


def _is_wide(character: str) -> bool:
    return _script(character) in _WIDE


@lru_cache(maxsize=1 << 14)
def _script(character: str) -> str:
    """The first word of a letter's or a mark's name: "LATIN", "CJK"; "" for anything else."""
    if unicodedata.category(character)[0] not in "LM":
        return ""
    return unicodedata.name(character, "").partition(" ")[0]
