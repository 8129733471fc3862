"""The text of a PDF page, by the better of two readers.

PDFium reads every page: it is five to twenty times as fast as pypdf and knows more fonts, and `glyphs` holds its spaces
and its order against where the letters stand. pypdf is asked where there is doubt:

1. PDFium cannot open the file or the page, or finds no letters on a page whose content shows text.
2. The file is a hybrid: it has tables for old and for new readers, and PDFium may have believed the wrong ones.
3. PDFium's text has characters that are no text (control or private-use characters, replacements), or bare codes of
   fonts that do not say which characters they hold, while every font of the page has a map of its own.
4. Many letters stand a little apart, less than words do and more than letters, or many stand in one place: words may be
   glued together, or letters lost.
5. Few words are of those that every text has, and a font's map to characters contradicts its encoding: see `pdf_maps`.
   There it is PDFium again that is asked, without the map.

pypdf's text is taken where it has letters and PDFium's has none (1), where it has a fifth more letters (2), where fewer
of its characters are no text (3), and where it makes more words of the same letters or has more letters (4); else
PDFium's. Words in CJK fonts without a map of their own, words without space glyphs, fonts with encodings of their own
and /ActualText need no second reader: pypdf is the worse one at all four.

What no reader can know is not sent as if it were text. A bare code is kept as a guess where codes make words of a
language (TeX's bitmap fonts do; what their ligatures are is known), or are few; else it is a U+FFFD, as every control
character is. A page half of which is such is unreadable, and is to be seen instead.
"""

import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from engine.corpus.formats.format import without_surrogates
from engine.corpus.formats.glyphs import Glyphs
from engine.corpus.formats.pdf_maps import reads_better, spelled_by_names, without_maps
from engine.corpus.formats.pdf_tree import mapping, resolved
from engine.corpus.source import Skipped

if TYPE_CHECKING:
    from engine.corpus.formats.pdfium import Pages

_UNREAD = "\ufffd"
_NO_TEXT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffd\ufffe\uffff]")
_PRIVATE = re.compile("[\ue000-\uf8ff\U000f0000-\U0010ffff]")
_RUN = re.compile("\ufffd(?:[ \t]*\ufffd)+")
_WORD = re.compile(r"[^\W\d_]+")
_FEW, _FEW_SHARE = 20, 0.03  # bare codes that are kept as they are, and said to be a guess; of a page's characters
_LIGATURES = ("ff", "fi", "fl", "ffi", "ffl")
_QUOTES = {"'": "’", "`": "‘"}
_CORK = {  # T1
    **dict(zip("\x10\x11\x12\x13\x14\x15\x16", "“”„«»–—", strict=True)),
    **dict(zip("\x1b\x1c\x1d\x1e\x1f", _LIGATURES, strict=True)),
    **dict(zip("\x9f\xd7\xf7\xff", "§Œœß", strict=True)),
    **_QUOTES,
}
_OLD_TEX = {  # OT1
    **dict(zip("\x0b\x0c\r\x0e\x0f", _LIGATURES, strict=True)),
    **dict(zip("\x10\x19\x1a\x1b\x1c\x1d\x1e\x1f", "ıßæœøÆŒØ", strict=True)),
    **dict(zip('\\"{|', "“”–—", strict=True)),
    **_QUOTES,
}
_MOST_CONTENT = 4 << 20  # bytes; a page of text has 10,000, a map millions, and pypdf takes a second for each
_MORE = 1.2
_LOST = 1.05
_BY_CHANCE = 2  # words of one language that are common ones in another
_COMMON_SHARE = 0.04  # of the words of a text: of English ones, a third
_COMMON = frozenset(
    word
    for words in (
        "the of and to in is that for be by with",
        "der die und das ist den von zu mit nicht des im",
        "le la les et des est que pour dans un une el los las en por con il di che per del",
        "van het een niet op och att som av er og det se na nie jest",
        "και το την и не на что",
    )
    for word in words.split()
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PageText:
    """The text of a page and how it was read.

    reader: "PDFium" or "pypdf"; "" where the page is lost. why: what speaks for pypdf, where it was taken. n_unread:
    characters that became U+FFFD, n_guessed: bare codes that were kept, n_private: of a private-use area.
    is_unreadable: half of it or more cannot be read. is_renamed: read by the names of letters, for the fonts' maps are
    wrong. n_spaces, n_accents, n_turned, n_unsure, n_silent: see Glyphs.
    """

    text: str = ""
    reader: str = "PDFium"
    why: str = ""
    n_unread: int = 0
    n_guessed: int = 0
    n_private: int = 0
    is_unreadable: bool = False
    n_spaces: int = 0
    n_accents: int = 0
    n_turned: int = 0
    n_unsure: int = 0
    n_silent: int = 0
    is_renamed: bool = False


def read_page(opened: "Pages | None", page: Any, number: int, *, is_hybrid: bool) -> PageText:
    """The text of a page (from 1). opened: the file by PDFium, None where it cannot. page: by pypdf, None where it is
    lost. To be called within `quietly`."""
    glyphs = opened.glyphs(number) if opened is not None else None
    if glyphs is None:
        second = _by_pypdf(page)
        why = "PDFium cannot open " + ("the file" if opened is None else "it" if second is not None else "")
        return _judged(Glyphs(second), why) if second is not None else PageText(reader="")
    if glyphs.unmapped and page is not None:
        glyphs = _spelled(glyphs, page)
    first = _judged(glyphs)
    n_letters = _n_letters(glyphs.text)
    if not n_letters and not glyphs.n_silent and page is not None and _shows_text(page):
        second = _by_pypdf(page) or ""
        return _judged(Glyphs(second), "PDFium finds no text") if _n_letters(second) else first
    if is_hybrid:
        second = _by_pypdf(page) or ""
        if _n_letters(second) > _MORE * n_letters:
            return _judged(Glyphs(second), "PDFium finds less text in a hybrid file")
    if (first.n_unread or first.n_guessed or first.n_private) and page is not None and _has_maps(page):
        second = _by_pypdf(page) or ""
        other = _judged(Glyphs(second), "PDFium takes characters for others than their font's map has")
        if _n_bad(other) < _n_bad(first) and _n_letters(second) * _MORE >= n_letters:
            is_confirmed = second.split() == glyphs.text.split()
            return _judged(replace(glyphs, unmapped=())) if is_confirmed else other
    if glyphs.may_be_glued and page is not None:
        second = _by_pypdf(page) or ""
        if _tells_words_apart(second, first.text):
            return _judged(Glyphs(second), "PDFium glues words together")
        if _n_letters(second) > _LOST * n_letters:
            return _judged(Glyphs(second), "PDFium loses letters that stand in one place")
    return _renamed(first, page) or first


def _spelled(glyphs: Glyphs, page: Any) -> Glyphs:
    """The text with bare codes as the names of their glyphs have them, as far as those say something."""
    names = spelled_by_names(page)
    unmapped = set(glyphs.unmapped)
    if not any(ord(glyphs.text[at]) in names for at in unmapped):
        return glyphs
    parts: list[str] = []
    left: list[int] = []
    length = 0
    for at, character in enumerate(glyphs.text):
        words = names.get(ord(character), "") if at in unmapped else character
        if not words:
            left.append(length)
        parts.append(words or character)
        length += len(parts[-1])
    return replace(glyphs, text="".join(parts), unmapped=tuple(left))


def _renamed(read: PageText, page: Any) -> PageText | None:
    """The page by the names of its letters, where its fonts' maps make no words and those do."""
    words = _WORD.findall(read.text)
    n_common = sum(word.lower() in _COMMON for word in words)
    if page is None or read.n_turned or n_common > max(_BY_CHANCE, _COMMON_SHARE * len(words)):
        return None
    data = without_maps(page) if any("/ToUnicode" in font for font in _fonts(page)) else b""
    if not data:
        return None
    from engine.corpus.formats.pdfium import open_pages

    pages = open_pages("", data)
    if isinstance(pages, Skipped):
        return None
    with pages:
        glyphs = pages.glyphs(1)
    if glyphs is None or glyphs.unmapped or not reads_better(glyphs.text, read.text):
        return None
    return replace(_judged(glyphs), is_renamed=True)


def _tells_words_apart(second: str, first: str) -> bool:
    """Whether a text has the same letters as another in more words, and words of the length that words have."""
    words = second.split()
    if "".join(words) != "".join(first.split()) or len(words) <= len(first.split()):
        return False
    return sum(len(word) == 1 for word in words) * 4 < len(words)


def _n_bad(read: PageText) -> int:
    return read.n_unread + read.n_guessed + read.n_private


def _by_pypdf(page: Any) -> str | None:
    if page is None:
        return None
    try:
        return without_surrogates(page.extract_text())
    except Exception:  # a damaged page makes pypdf raise nearly anything
        return None


def _judged(glyphs: Glyphs, why: str = "") -> PageText:
    """The text with what is no text replaced."""
    text, n_guessed = _guessed(glyphs)
    n_characters = _n_characters(text)
    n_private = len(_PRIVATE.findall(text))
    if n_private * 2 >= max(n_characters, 1):
        text, n_private = _PRIVATE.sub(_UNREAD, text), 0
    text, n_control = _NO_TEXT.subn(_UNREAD, text.replace("\x00", ""))
    is_unreadable = n_control > 0 and n_control * 2 >= n_characters
    text = _RUN.sub(_UNREAD, text)
    if is_unreadable:
        text = "\n".join(line for line in text.splitlines() if _WORD.search(line) or re.search(r"\d", line))
    return PageText(
        text=text.strip("\n"),
        reader="pypdf" if why else "PDFium",
        why=why,
        n_unread=n_control,
        n_guessed=n_guessed,
        n_private=n_private,
        is_unreadable=is_unreadable,
        n_spaces=glyphs.n_spaces,
        n_accents=glyphs.n_accents,
        n_turned=glyphs.n_turned,
        n_unsure=glyphs.n_unsure,
        n_silent=glyphs.n_silent,
    )


def _guessed(glyphs: Glyphs) -> tuple[str, int]:
    """The text with bare codes as they are, as TeX's fonts have them, or replaced; and how many of them are a guess."""
    text, unmapped = glyphs.text, glyphs.unmapped
    if not unmapped:
        return without_surrogates(text), 0
    characters, n_characters = list(text), _n_characters(text)
    if _makes_words(glyphs):
        table = _tex_table(Counter(text[at] for at in unmapped))
        for at in unmapped:
            characters[at] = table.get(text[at], text[at])
    elif not len(unmapped) <= max(_FEW, _FEW_SHARE * n_characters) < n_characters:
        for at in unmapped:
            characters[at] = _UNREAD
    n_guessed = sum(_NO_TEXT.match(characters[at]) is None for at in unmapped)
    return without_surrogates("".join(characters)), n_guessed


def _tex_table(codes: Counter[str]) -> dict[str, str]:
    """What the codes of TeX's bitmap fonts stand for, by the ligatures among them: every text has some, and TeX's two
    encodings have them in different places. Empty where there are none."""
    n_cork, n_old = (
        sum(codes[code] for code in "\x1b\x1c\x1d\x1e\x1f"),
        sum(codes[code] for code in "\x0b\x0c\r\x0e\x0f"),
    )
    return {} if not (n_cork or n_old) else _CORK if n_cork > n_old else _OLD_TEX


def _makes_words(glyphs: Glyphs) -> bool:
    """Whether what the bare codes spell reads as a language: words that every text has are among its words."""
    unmapped = set(glyphs.unmapped)
    words = [found for found in _WORD.finditer(glyphs.text) if unmapped.issuperset(range(*found.span()))]
    n_common = sum(len(found[0]) > 1 and found[0].lower() in _COMMON for found in words)
    return n_common >= 2 and n_common >= _COMMON_SHARE * len(words)


def _n_characters(text: str) -> int:
    return len("".join(text.split()))


def _n_letters(text: str) -> int:
    return sum(map(len, _WORD.findall(text)))


def _shows_text(page: Any) -> bool:
    """Whether a page's content has an operator that shows text, outside of images."""
    try:
        contents = page.get_contents()
        data = contents.get_data() if contents is not None else b""
    except Exception:
        return False
    return len(data) <= _MOST_CONTENT and (b"Tj" in data or b"TJ" in data or b"Do" in data)


def _has_maps(page: Any) -> bool:
    """Whether each font that a page names has a map to characters, and there is one."""
    needing = [font for font in _fonts(page) if not _is_plain(font)]
    return bool(needing) and all("/ToUnicode" in font for font in needing)


def _fonts(page: Any) -> list[dict[str, Any]]:
    fonts = mapping((mapping(page.get("/Resources")) or {}).get("/Font")) or {}
    return [font for each in fonts.values() if (font := mapping(each)) is not None]


def _is_plain(font: dict[str, Any]) -> bool:
    """Whether a font goes by a standard encoding, and needs no map."""
    return str(resolved(font.get("/Encoding"))) in ("/WinAnsiEncoding", "/MacRomanEncoding", "/StandardEncoding")
