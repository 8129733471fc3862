"""Real sentences, tables, code and names in 43 languages, in the encodings that each was kept in before UTF-8: true
texts to hold a guess against. The texts lie beside this module in UTF-8, written for it; none was counted in
`engine/corpus/formats/letters.txt`.
"""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SHORTEST, LONG, LONGEST = 40, 200, 4000  # bytes

_WESTERN = "cp1252 iso8859_15 cp850 cp437 mac_roman"
_WESTERN_LANGUAGES = (
    "de", "fr", "es", "it", "pt", "nl", "sv", "da", "nb", "fi", "is", "ca", "ga", "sq", "en", "eu"
)  # fmt: skip
_CENTRAL = "cp1250 iso8859_2 cp852"
_CYRILLIC = "cp1251 iso8859_5 cp866 koi8_r koi8_u"
ENCODINGS = {
    **dict.fromkeys(_WESTERN_LANGUAGES, _WESTERN),
    "et": "cp1257 cp1252 iso8859_15",
    **dict.fromkeys(["pl", "cs", "hu", "sk", "ro", "hr", "sl"], _CENTRAL),
    **dict.fromkeys(["lt", "lv"], "cp1257 iso8859_13"),
    **dict.fromkeys(["ru", "uk", "bg", "be", "sr", "mk"], _CYRILLIC),
    "tr": "cp1254 iso8859_9",
    "vi": "cp1258",
    "el": "cp1253 iso8859_7",
    "he": "cp1255",
    "ar": "cp1256",
    "fa": "cp1256",
    "th": "cp874",
    "zh": "gb18030 gbk gb2312 hz utf_16_le utf_16_be",
    "tw": "big5 gb18030",
    "ja": "cp932 shift_jis euc_jp iso2022_jp utf_16_le",
    "ko": "cp949 euc_kr iso2022_kr utf_16_le",
}
_TONES = frozenset("\u0300\u0301\u0303\u0309\u0323")


@dataclass(frozen=True, slots=True)
class Sample:
    """A text and the bytes that it was kept in. kind: "prose", "table", "code", "names" or "all" of them."""

    language: str
    kind: str
    encoding: str
    text: str
    data: bytes

    @property
    def is_long(self) -> bool:
        return len(self.data) >= LONG


def samples() -> Iterator[Sample]:
    """Every text in every encoding that can hold it, of 40 to 4,000 bytes; those that are plain ASCII left away."""
    seen = set()
    for language, kind, text in _pieces():
        for encoding in ENCODINGS[language].split():
            written = _with_tones_apart(text) if encoding == "cp1258" else text
            try:
                data = written.encode(encoding)
            except UnicodeEncodeError:
                continue
            if not SHORTEST <= len(data) <= LONGEST or (written.isascii() and data.isascii()):
                continue
            if (encoding, data) not in seen:
                seen.add((encoding, data))
                yield Sample(language, kind, encoding, written, data)


def _pieces() -> Iterator[tuple[str, str, str]]:
    """Each kind by itself, the sentences of the prose one by one and in pairs, and all kinds of a language together."""
    for language, kinds in texts().items():
        for kind, text in kinds.items():
            yield language, kind, text
        sentences = [each + "." for each in kinds["prose"].strip().split(". ")]
        for at, sentence in enumerate(sentences):
            yield language, "prose", sentence.replace("..", ".") + "\n"
            yield language, "prose", " ".join(sentences[at : at + 2]).replace("..", ".") + "\n"
        yield language, "table", kinds["table"].split("\n", 1)[1]
        yield language, "all", "\n".join(kinds.values())


def texts() -> dict[str, dict[str, str]]:
    """By language and kind."""
    found: dict[str, dict[str, str]] = {}
    for path in sorted(Path(__file__).parent.glob("*.txt")):
        for block in ("\n" + path.read_text("utf-8")).split("\n== ")[1:]:
            head, text = f"{block}\n".split("\n", 1)
            language, kind = head.split()
            found.setdefault(language, {})[kind] = text.strip("\n") + "\n"
    return found


def _with_tones_apart(text: str) -> str:
    """As Windows-1258 keeps Vietnamese: the tone of a vowel follows it as a mark of its own."""
    whole = []
    for character in unicodedata.normalize("NFC", text):
        parts = unicodedata.normalize("NFD", character)
        tones = "".join(part for part in parts if part in _TONES)
        rest = unicodedata.normalize("NFC", "".join(part for part in parts if part not in _TONES))
        whole.append(rest + tones)
    return "".join(whole)
