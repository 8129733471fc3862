"""Makes engine/corpus/formats/letters.txt: `python -m tests.letters DJANGO LANGDETECT JIEBA OUT`.

DJANGO and LANGDETECT are the folders of these packages (5.2 and 1.0.9 were used), JIEBA is the file dict.txt of jieba
0.42. From Django's translations (BSD) and langdetect's profiles (Apache-2.0) come pairs of letters, from Django's and
from jieba's list of words (MIT) the signs of Chinese, Japanese and Korean. What is kept are counts, rounded to bits.
None of `tests/writing` is in it.
"""

import gettext
import json
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from math import log2
from pathlib import Path

_BOTH = "af ar bg ca cs cy da de el en es et fa fi fr he hr hu id it lt lv mk nl pl pt ro ru sk sl sq sv th tr uk ur vi"
_TRANSLATED = {"is": "is", "ga": "ga", "be": "be", "sr": "sr", "sh": "sr_Latn", "gl": "gl", "eu": "eu", "eo": "eo"}
_MARKUP = re.compile(r"%\(\w+\)[a-z]|%[a-z]|<[^>]*>|\{[^}]*\}|&\w+;|https?:\S+")
_LOANS = (
    "café naïve résumé façade cliché fiancé fiancée déjà vu décor über Zoë Chloë Noël Renée jalapeño piñata señor "
    "crêpe entrée protégé soufflé crème brûlée à la carte vis-à-vis Müller Brontë touché matinée rosé sauté exposé"
)  # English as it is written with accents, of which there are none in the translations
_CEDILLAS = str.maketrans("țș", "ţş")  # as Romanian was written before Unicode had its commas
_SEEN, _LEAST_PAIR = 2.5e-5, 6e-6  # of all letters; of all pairs
_PROFILES = 0.7  # their weight, where there are both


def main(django: Path, langdetect: Path, jieba: Path, out: Path) -> None:
    lines = [
        "# Made by tests/letters.py. A line: a language, bits, letters that cost so many; with +, pairs of letters.\n"
    ]
    for language in (*_BOTH.split(), "nb", *_TRANSLATED):
        profile = None if language in _TRANSLATED else langdetect / "profiles" / {"nb": "no"}.get(language, language)
        lines += _language(language, profile, _messages(django, _TRANSLATED.get(language, language)))
    words = _signs_of_words(jieba)
    for name, locale, share, codec, last, n_signs in (
        ("zh", "zh_Hans", 0.15, None, 0, 1500),
        ("tw", "zh_Hant", 0.4, "big5", 0xC9, 1500),
        ("ja", "ja", 0.75, "shift_jis", 0x98, 1000),
        ("ko", "ko", 1.0, None, 0, 900),
    ):
        theirs = Counter(sign for text in _messages(django, locale) for sign in text if sign >= "\u3000")
        common = Counter({sign: n for sign, n in words.items() if codec is None or _is_common(sign, codec, last)})
        total = _shares(theirs, share) + _shares(common, 1 - share)
        costs = {sign: round(-log2(total[sign])) for sign, _ in total.most_common(n_signs)}
        lines += _by_bits(name, costs, "")
    out.write_text("".join(lines), "utf-8")


def _messages(django: Path, locale: str) -> list[str]:
    found = []
    for path in sorted(django.glob(f"**/locale/{locale}/LC_MESSAGES/*.mo")):
        with path.open("rb") as file:
            catalog = gettext.GNUTranslations(file)._catalog
        found += [_MARKUP.sub(" ", text) for key, text in catalog.items() if key and isinstance(text, str)]
    return [unicodedata.normalize("NFC", text) for text in found]


def _language(name: str, profile: Path | None, messages: Iterable[str]) -> Iterator[str]:
    written = _shares(_pairs_of(messages), 1.0 if profile is None else 1 - _PROFILES)
    counted = Counter() if profile is None else _shares(_pairs_in(profile, name), _PROFILES)
    pairs = counted + written
    if name == "en":
        pairs += _shares(_pairs_of([_LOANS]), 0.01)
    if name == "ro":
        pairs = Counter({pair.translate({0x163: "ț", 0x15F: "ș"}): n for pair, n in pairs.items()})
        pairs += Counter(
            {pair.translate(_CEDILLAS): n for pair, n in pairs.items() if pair.translate(_CEDILLAS) != pair}
        )
    seen = Counter[str]()
    for pair, share in pairs.items():
        seen[pair[0]] += share
    kept = {letter for letter in seen if letter == " " or (_is_letter(letter) and seen[letter] > _SEEN)}
    latin = sum(share for letter, share in seen.items() if "a" <= letter <= "z")
    if latin * 2 < sum(share for letter, share in seen.items() if letter != " "):
        kept = {letter for letter in kept if not "a" <= letter <= "z"}
    pairs = Counter({p: n for p, n in pairs.items() if p[0] in kept and p[1] in kept and p != "  "})
    first, second = Counter[str](), Counter[str]()
    for pair, share in pairs.items():
        first[pair[0]] += share
        second[pair[1]] += share
    total = sum(second.values())
    single = {letter: -log2(share / total) for letter, share in second.items()}
    follow = {}
    for pair, share in pairs.items():
        bits = -log2(0.97 * share / first[pair[0]] + 0.03 * second[pair[1]] / total)
        if share > _LEAST_PAIR and bits < single[pair[1]] + 2:
            follow[pair] = round(bits)
    yield from _by_bits(name, {letter: round(bits) for letter, bits in single.items()}, "")
    yield from _by_bits(name, follow, "+")


def _pairs_of(texts: Iterable[str]) -> Counter[str]:
    found = Counter[str]()
    for text in texts:
        letters = "".join(each if _is_letter(each) else " " for each in text.lower())
        whole = f" {' '.join(letters.split(' '))} ".replace("  ", " ")
        found.update(map("".join, zip(whole, whole[1:], strict=False)))
    return found


def _pairs_in(profile: Path, name: str) -> Counter[str]:
    found = Counter[str]()
    for pair, n_times in json.loads(profile.read_text("utf-8"))["freq"].items():
        # in the Vietnamese profile one letter stands for many
        if len(pair) == 2 and len(pair.lower()) == 2 and not (name == "vi" and "ể" in pair):
            found[pair.lower()] += n_times
    return found


def _signs_of_words(jieba: Path) -> Counter[str]:
    found = Counter[str]()
    for line in jieba.read_text("utf-8").splitlines():
        word, n_times, *_ = line.split(" ")
        for sign in word:
            if "\u4e00" <= sign <= "\u9fff":
                found[sign] += int(n_times)
    return found


def _is_common(sign: str, codec: str, last: int) -> bool:
    """Whether it stands in the first part of a national standard, where the frequent ones are."""
    written = sign.encode(codec, "ignore")
    return bool(written) and written[0] < last


def _shares(counts: Mapping[str, float], weight: float) -> Counter[str]:
    total = sum(counts.values())
    return Counter({key: weight * n / total for key, n in counts.items()}) if total else Counter()


def _is_letter(character: str) -> bool:
    return unicodedata.category(character)[0] in "LM"


def _by_bits(name: str, costs: Mapping[str, int], mark: str) -> Iterator[str]:
    for bits in sorted(set(costs.values())):
        keys = sorted(key.replace(" ", "_") for key, cost in costs.items() if cost == bits)
        yield f"{name} {bits}{mark} {''.join(keys)}\n"


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:5]))
