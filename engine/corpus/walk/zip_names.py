"""The names in a zip, in the encoding that they are in.

A zip says of a name that it is UTF-8, or says nothing: then it is in whatever its maker's machine used. Names that say
nothing and are no UTF-8 are taken together, since one of them alone is too short to tell by: `guess` weighs them as
writing, and here they are weighed as names. What is guessed is marked as a guess. `python -m tests.names_in_zips` says
how many come out right. Where the parts of a path end is left to `zip_tree`: a byte 5C may be half of a character.
"""

import re
import struct
import unicodedata
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from engine.corpus.formats.guess import BALTIC, CENTRAL, CYRILLIC, WESTERN, Candidate, ranking

_UNICODE_PATH = 0x7075  # APPNOTE 4.6.9: version, CRC-32 of the name that it stands for, the name in UTF-8
_MOST_BYTES = 4 * 1024  # of the names that a guess is made from
_ODD, _FAILED = 8.0, 24.0  # bits for a character that names do not have, for a name that is none in an encoding
_TRIED = 6  # of the likeliest encodings

# What people call each, and how much less common it is in zips than code page 437
_ENCODINGS = {
    Candidate("cp437", 0, WESTERN): "code page 437",
    Candidate("cp850", 0.3, WESTERN): "code page 850",
    Candidate("cp1252", 2.6, WESTERN): "Windows-1252",
    Candidate("gb18030", 0, ("zh", "tw")): "GBK",
    Candidate("cp932", 0, ("ja",)): "Shift-JIS",
    Candidate("cp950", 0, ("tw",)): "Big5",
    Candidate("big5hkscs", 2, ("tw",)): "Big5",
    Candidate("cp949", 0, ("ko",)): "Korean (code page 949)",
    Candidate("cp866", 0, CYRILLIC): "code page 866",
    Candidate("cp1251", 0.3, CYRILLIC): "Windows-1251",
    Candidate("koi8-r", 2.6, ("ru", "bg")): "KOI8-R",
    Candidate("cp1125", 3, CYRILLIC): "code page 1125",
    Candidate("cp852", 1.5, CENTRAL): "code page 852",
    Candidate("cp1250", 3.5, CENTRAL): "Windows-1250",
    Candidate("cp857", 1.5, ("tr", "en")): "code page 857",
    Candidate("cp1254", 2.6, ("tr", "en")): "Windows-1254",
    Candidate("cp737", 2, ("el",)): "code page 737",
    Candidate("cp1253", 2.6, ("el",)): "Windows-1253",
    Candidate("cp862", 2.6, ("he",)): "code page 862",
    Candidate("cp1255", 0.3, ("he",)): "Windows-1255",
    Candidate("cp720", 1, ("ar", "fa", "ur")): "code page 720",
    Candidate("cp1256", 2.6, ("ar", "fa", "ur")): "Windows-1256",
    Candidate("cp874", 1.5, ("th",)): "Thai (code page 874)",
    Candidate("euc_jp", 2.6, ("ja",)): "EUC-JP",
    Candidate("cp775", 6, BALTIC): "code page 775",
    Candidate("cp1257", 7, BALTIC): "Windows-1257",
    Candidate("mac_roman", 7, WESTERN): "Mac Roman",
    Candidate("cp860", 7, ("pt",)): "code page 860",
    Candidate("cp861", 7, ("is",)): "code page 861",
    Candidate("cp869", 7, ("el",)): "code page 869",
    Candidate("cp855", 8, CYRILLIC): "code page 855",
    Candidate("mac_cyrillic", 9, CYRILLIC): "Mac Cyrillic",
}
_IN_WORDS = {candidate.encoding: words for candidate, words in _ENCODINGS.items()}
_WIDE = frozenset({"CJK", "HIRAGANA", "KATAKANA", "HALFWIDTH", "FULLWIDTH", "HANGUL", "IDEOGRAPHIC"})
_PUNCTUATION = frozenset("«»“”„‘’–—…¿¡·№§°©®€、。，；：！？（）【】《》「」『』〈〉〔〕～・ー々〇×￥＆％＋－＝")
_SECOND_HALVES = frozenset("\\^`{|}~")
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
    return ZipName(text, _IN_WORDS[encoding])


def _guess(names: Sequence[bytes]) -> str:
    """The encoding that makes the best names of all these together: as writing, and as names."""
    sample = _sample(names)
    ranked = ranking(b"\n".join([*sample, b""]), tuple(_ENCODINGS))
    found = [
        (guess.cost + _ODD * sum(_oddity(name, guess.encoding) for name in sample), guess.encoding) for guess in ranked
    ]
    likely = sorted(found)[:_TRIED]
    a_failure = _FAILED * len(sample) / len(names)
    return min((cost + a_failure * _n_failed(names, encoding), encoding) for cost, encoding in likely)[1]


def _oddity(name: bytes, encoding: str) -> int:
    text = _strictly(name, encoding)
    return 0 if text is None else _n_odd(text)


def _n_failed(names: Sequence[bytes], encoding: str) -> int:
    return sum(_strictly(name, encoding) is None for name in names)


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


def _n_odd(text: str) -> int:
    """How many of its characters a name would hardly have there: signs and lines, a letter of another script within a
    word, a capital behind a small letter. Names are short: that counts for more than how often letters are met."""
    n_odd, before = 0, " "
    for character in text:
        if character in _SECOND_HALVES and before > "\x7f":
            n_odd += 1  # more often the second half of a character than the end of a folder's name
        elif character > "\x7f" or before > "\x7f":
            n_odd += _is_odd(before, character)
        before = character
    return n_odd + (before > "\x7f" and _is_odd(before, " "))


@lru_cache(maxsize=1 << 14)
def _is_odd(before: str, character: str) -> bool:
    """Whether one of two neighbours, of which at least one is beyond ASCII, does not belong there."""
    if character > "\uffff":
        return True  # four bytes that happen to be UTF-8
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
