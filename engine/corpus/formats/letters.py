"""How likely a text is as writing, in bits: by the letters of its languages, and by where signs stand.

A text read in a wrong encoding is still a text, only an unlikely one: letters that no language sets side by side, a
small letter before a capital, a box corner within a word, a currency sign without a number. `letters.txt` holds how
often letters follow each other in 46 languages, and how often the signs of Chinese, Japanese and Korean stand at all;
`tests/letters.py` makes it and says from what. Which encodings are tried is left to `guess`.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib.resources import files

_FILE = "letters.txt"
_EDGE = "_"  # of a word
_UNSEEN_PAIR = 3  # both letters are the language's, but do not follow each other in what was counted
_FOREIGN = 4  # a letter, or a pair, of another language that is written in the same encoding: names
_NO_LETTER = 18  # one that no language of the encoding has
_PLAIN = 3  # a digit or a mark of ASCII
_IMPOSSIBLE = 20  # a control character, one that is not assigned, one for private use, a byte that is no character
_TWO_SCRIPTS = 8  # within a word
_WRONG_CASE, _CAPITAL = 7, 2
_ODD_PLACE = 10
_NO_END = 1 << 62
_PLAIN_CONTROLS = "\t\n\r\f\x1b\x01\x02\x1c\x1d\x1e\x1f"  # the last six separate fields
_SIGN_LANGUAGES = ("zh", "tw", "ja", "ko")
_MOST_KEPT = 20_000  # costs of pairs, of each language
_NEAR = 3  # characters to either side in which a currency sign has its number
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")

_COMMON = dict.fromkeys("’“”–—«»…\xa0€°", 7) | dict.fromkeys("„‘‚•·©®™§±×£½²³µºª¿¡№‐‑‒―", 9)
_RARE = dict.fromkeys("¹¼¾÷´¨¸¢¥†‡‰‹›¶\xad₪₫฿", 11)
_SIGNS: Mapping[str, int] = _COMMON | _RARE
_OTHER_SIGN = 13
_CURRENCY = frozenset("€£¥¢¤ƒ₪₫฿")
_LOW_QUOTES, _DASHES = frozenset("„‚"), frozenset("–—")
_IN_WORDS = frozenset("’·\xad\xa0‐‑ªº")
_BESIDE_WORDS = _IN_WORDS | frozenset("“”‘«»‹›…–—™®©°¿¡²³\xa0§‒―¹№")
_BEHIND_DIGITS = frozenset("°ºª½¼¾²³¹‰")


@dataclass(frozen=True, slots=True)
class Language:
    """Costs in bits. letters: of a letter by itself. pairs: of the second after the first, _EDGE being no letter."""

    letters: dict[str, int] = field(default_factory=dict)
    pairs: dict[str, int] = field(default_factory=dict)


@cache
def languages() -> Mapping[str, Language]:
    """By their codes: "de"; "sh" is Croatian and its like, "zh" and "tw" are Chinese in either script."""
    found: dict[str, Language] = {}
    for line in files(__package__).joinpath(_FILE).read_text("utf-8").splitlines():
        if line.startswith("#"):
            continue
        code, bits, signs = line.split(" ", 2)
        language = found.setdefault(code, Language())
        if bits.endswith("+"):
            cost = int(bits[:-1])
            language.pairs.update((signs[at : at + 2], cost) for at in range(0, len(signs), 2))
        else:
            language.letters.update(dict.fromkeys(signs, int(bits)))
    latin = found["en"]
    for language in found.values():
        if "a" not in language.letters:  # what is Latin in such a text is code, tags and names
            language.letters.update(latin.letters)
            language.pairs.update(latin.pairs)
    return found


@cache
def _together(codes: tuple[str, ...]) -> Language:
    """What the cheapest of these languages takes: for names from one in another."""
    whole = Language()
    for code in codes:
        for mine, theirs in (
            (whole.letters, languages()[code].letters),
            (whole.pairs, languages()[code].pairs),
        ):
            for key, cost in theirs.items():
                if cost < mine.get(key, 99):
                    mine[key] = cost
    return whole


@cache
def kind_of(character: str) -> str:
    """ "l" a letter of an alphabet or a mark on one, "s" a sign of Chinese, Japanese or Korean, "p" ASCII that is no
    letter, "b" a box's line or shade, "x" what no text has, "o" another."""
    if character.isascii():
        return "l" if character.isalpha() else "p" if character.isprintable() or character in _PLAIN_CONTROLS else "x"
    code, category = ord(character), unicodedata.category(character)
    if category in ("Cc", "Cn", "Co", "Cs") or character == "\ufffd":
        return "x"
    if 0x2500 <= code <= 0x25A0:
        return "b"
    if 0x2E80 <= code <= 0x9FFF or 0xAC00 <= code <= 0xD7A3 or 0xF900 <= code <= 0xFAFF or code >= 0x20000:
        return "s"
    if 0xFF00 <= code <= 0xFFEF or 0x1100 <= code <= 0x11FF:
        return "s"
    return "l" if category[0] in "LM" and character not in "ªº\xb5ˆ" else "o"


def cost(text: str, codes: tuple[str, ...]) -> float:
    """What a text takes as one in the likeliest of these languages, in bits: the fewer, the better it reads."""
    seen = _look_at(text)
    least = _NO_END
    for code in codes:
        least = min(least, _pairs_cost(seen.pairs, code, codes, most=least))
    if seen.signs:
        least += min(_signs_cost(seen.signs, code) for code in codes)
    return least + seen.places_cost


@dataclass(frozen=True, slots=True)
class _Seen:
    """What costs in any language: a text's pairs of letters and its signs, with how often they occur, and the rest."""

    pairs: Mapping[str, int]
    signs: Mapping[str, int]
    places_cost: float


@lru_cache(maxsize=64)
def _look_at(text: str) -> _Seen:
    """Kept for a moment: most encodings make the same text of a file with few bytes beyond ASCII."""
    kinds = [kind_of(character) for character in text]
    low = text.lower()
    if len(low) != len(text):  # a capital I with a dot becomes two
        low = "".join(character.lower()[:1] for character in text)
    letters = "".join(character if kind == "l" else _EDGE for character, kind in zip(low, kinds, strict=True))
    pairs = Counter(map("".join, zip(_EDGE + letters, letters + _EDGE, strict=True)))
    del pairs[_EDGE + _EDGE]
    signs = Counter(character for character, kind in zip(text, kinds, strict=True) if kind == "s")
    return _Seen(pairs, signs, _places_cost(text, kinds))


def _pairs_cost(pairs: Mapping[str, int], code: str, codes: tuple[str, ...], *, most: int) -> int:
    """most: what another language takes; where this one takes more, any figure above will do."""
    known, total = _costs_so_far(code, codes), 0
    if len(known) > _MOST_KEPT:
        known.clear()
    for pair, n_times in pairs.items():
        bits = known.get(pair)
        if bits is None:
            bits = known[pair] = _pair_cost(pair, languages()[code], _together(codes))
        total += bits * n_times
        if total > most:
            break
    return total


@cache
def _costs_so_far(code: str, codes: tuple[str, ...]) -> dict[str, int]:
    """Of pairs of one language among these: the same come again in every text, and 50 languages are tried."""
    return {}


def _pair_cost(pair: str, language: Language, known: Language) -> int:
    bits = language.pairs.get(pair, 99)
    if bits == 99 and pair[1] in language.letters and pair[0] in language.letters:
        bits = language.letters[pair[1]] + _UNSEEN_PAIR
    if bits > _FOREIGN:
        other = known.pairs.get(pair, 99)
        if other == 99:
            other = known.letters.get(pair[1], _NO_LETTER - _FOREIGN) + (0 if pair[0] in known.letters else 4)
        bits = min(bits, other + _FOREIGN)
    first, second = pair[0], pair[1]
    if first.isascii() != second.isascii() and _EDGE not in pair and not (_is_latin(first) and _is_latin(second)):
        bits += _TWO_SCRIPTS
    return bits


def _is_latin(letter: str) -> bool:
    return letter < "\u0250" or "\u1e00" <= letter < "\u1f00" or "\u0300" <= letter < "\u0370"


def _signs_cost(signs: Mapping[str, int], code: str) -> int:
    known = languages()[code].letters
    return sum((known.get(sign) or _unknown_sign(sign, code)) * n_times for sign, n_times in signs.items())


@cache
def _unknown_sign(sign: str, code: str) -> int:
    """By where it stands in the national standard: the frequent ones come first in each."""
    number = ord(sign)
    if number in range(0x3000, 0x3040) or number in range(0xFF00, 0xFF61):
        return 9
    if code == "ja" and number in range(0x3040, 0x3100):
        return 10
    if number in range(0xFF61, 0xFFA0):
        return 7 if code == "ja" else 10
    standard, last_of_first = {
        "zh": ("gb2312", 0xD7), "tw": ("big5", 0xC6), "ja": ("euc_jp", 0xCF), "ko": ("euc_kr", 0xC8)
    }.get(code, ("ascii", 0))  # fmt: skip
    try:
        written = sign.encode(standard)
    except UnicodeError:
        return 21
    return (15 if written[0] <= last_of_first else 18) if len(written) == 2 else 21


def share_of_known_signs(signs: Iterable[str]) -> float:
    """How many of these are among the frequent ones of Chinese, Japanese or Korean, of one; 1 where there are none.
    Fullwidth forms of other signs do not count."""
    counted = [sign for sign in signs if not "\uff00" <= sign < "\uff60"]
    if not counted:
        return 1.0
    known = [languages()[code].letters for code in _SIGN_LANGUAGES]
    return max(sum(s in letters or "\u3000" <= s < "\u3100" for s in counted) for letters in known) / len(counted)


def _places_cost(text: str, kinds: list[str]) -> float:
    """What does not lie in pairs of letters: other signs by themselves and where they stand, and capitals."""
    total = float(kinds.count("p") * _PLAIN + kinds.count("x") * _IMPOSSIBLE)
    last = len(text) - 1
    for at in _not_plain(text):
        character, kind = text[at], kinds[at]
        before = text[at - 1] if at else "\n"
        if kind == "o" or kind == "b":
            after = text[at + 1] if at < last else "\n"
            total += _sign_cost(character, kind, before, after, text[max(0, at - _NEAR) : at + _NEAR + 1])
        elif kind == "s":
            beside = kinds[at - 1 : at] + kinds[at + 1 : at + 2]
            if "s" not in beside:
                total += _TWO_SCRIPTS * beside.count("l")
        elif kind == "l":
            if character.isupper():
                total += _WRONG_CASE if before.islower() else 0 if character.isascii() else _CAPITAL
            elif at > 1 and character.islower() and before.isupper() and text[at - 2].isupper():
                total += _CAPITAL
    return total


def _not_plain(text: str) -> list[int]:
    """The places of what is beyond ASCII, or right behind such: nothing else costs by where it stands."""
    beyond = [match.start() for match in _BEYOND_ASCII.finditer(text)]
    return sorted({*beyond, *(at + 1 for at in beyond if at + 1 < len(text))})


def _sign_cost(sign: str, kind: str, before: str, after: str, around: str) -> int:
    left, right = before.isalpha(), after.isalpha()
    if kind == "b":
        if before == sign or after == sign:
            return 4
        if not left and not right and (kind_of(before) == "b" or kind_of(after) == "b"):
            return 9
        return 9 if before.isspace() and after.isspace() else 16
    bits = _SIGNS.get(sign, _OTHER_SIGN)
    if sign in _CURRENCY:
        return bits - 3 if any(each.isdigit() for each in around) else bits + 4
    if sign in _LOW_QUOTES:
        return bits + (_ODD_PLACE if before.isalnum() or not after.isprintable() or after.isspace() else 0)
    if sign == "´" and left:
        return bits + 3
    if left and right and sign not in _IN_WORDS:
        return bits + _ODD_PLACE
    if (left or right) and sign not in _BESIDE_WORDS:
        return bits + _ODD_PLACE
    if sign == "’" and left:
        return bits - 2
    if sign == "’" and right or sign == "‘" and left:
        return bits + 4
    if sign in _DASHES and left != right and (before.isspace() or after.isspace()):
        return bits + 5
    if sign == "\xa0" and (before == " " or after == " "):
        return bits + _ODD_PLACE
    if sign in _BEHIND_DIGITS and before.isdigit():
        return bits - 2
    return bits
