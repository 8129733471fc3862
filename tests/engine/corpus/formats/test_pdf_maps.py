"""formats.pdf_maps: fonts whose maps to characters are wrong are read by the names of their letters, and no others."""

import string
from collections.abc import Callable

import pytest

from engine.corpus.source import Source
from tests.engine.corpus.formats.pdf_builder import ONE_BYTE, TWO_FONTS, build, cmap, one, pages_of, read

WORDS = {
    "English": "The tenant shall pay the rent within five days of each month, or quit the house.",
    "German": "Der Mieter zahlt die Miete bis zum dritten Werktag eines jeden Monats auf das Konto.",
    "French": "Le locataire paie le loyer avant le cinq de chaque mois, sans aucune retenue.",
    "Polish": "Najemca wynajmuje lokal na czas nieokreslony i zaplaci czynsz z gory do dnia dziesiatego.",
    "short": "The fee is 4200 euros a year.",
}
GUESS = (
    "The fonts' maps to characters make no words on page 1, the names of their letters do: those were taken, "
    "which is a guess."
)


def shifted(letter: str) -> str:
    """The letter 13 further on, round and round."""
    for letters in (string.ascii_lowercase, string.ascii_uppercase):
        if letter in letters:
            return letters[(letters.index(letter) + 13) % 26]
    return letter


def swapped(letter: str) -> str:
    return letter.swapcase() if letter in "aeiouAEIOU" else chr(219 - ord(letter)) if letter.islower() else letter


def in_greek(letter: str) -> str:
    return chr(ord(letter) - ord("a") + 0x3B1) if letter.islower() else letter


def map_to(change: Callable[[str], str]) -> bytes:
    """A map that says of each letter that it is another."""
    letters = string.ascii_letters + string.digits + " .,-"
    lines = b"".join(b"<%02x> <%04x>\n" % (ord(each), ord(change(each))) for each in letters)
    return cmap(ONE_BYTE + b"%d beginbfchar\n%sendbfchar\n" % (len(letters), lines))


WIN_ANSI = b"/Encoding /WinAnsiEncoding"
NAMES = (
    b"/Encoding << /Type /Encoding /Differences [32 /space 44 /comma 46 /period 48 /zero /one /two /three /four /five "
)
NAMES += b"/six /seven /eight /nine 65 %s 97 %s] >>" % tuple(
    b" ".join(b"/%c" % ord(letter) for letter in letters)
    for letters in (string.ascii_uppercase, string.ascii_lowercase)
)


def page_of(words: str, encoding: bytes, change: Callable[[str], str], *, kind: bytes = b"/Type1") -> bytes:
    font = b"<< /Type /Font /Subtype %s /BaseFont /Helvetica %s /ToUnicode 7 0 R >>" % (kind, encoding)
    content = b"BT /F2 12 Tf 72 700 Td (%s) Tj ET\n" % words.encode()
    return build(one(content, {6: font, 7: map_to(change)}, fonts=TWO_FONTS))


@pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)
@pytest.mark.parametrize("encoding", [WIN_ANSI, NAMES], ids=["a standard encoding", "names"])
@pytest.mark.parametrize("change", [shifted, swapped, in_greek])
def test_a_map_that_makes_no_words_is_outvoted(words: str, encoding: bytes, change: Callable[[str], str]) -> None:
    found = read(page_of(words, encoding, change))
    assert pages_of(found) == [words]
    assert isinstance(found, Source) and found.notes == (GUESS,)


def test_fonts_of_other_kinds() -> None:
    for kind in (b"/TrueType", b"/MMType1"):
        assert pages_of(read(page_of(WORDS["English"], WIN_ANSI, shifted, kind=kind))) == [WORDS["English"]]


@pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)
def test_a_right_map_stands_whatever_the_names_are(words: str) -> None:
    """Codes that are another letter's, as a subset has them: the names are wrong, or agree."""
    coded = "".join(map(shifted, words))
    for encoding in (WIN_ANSI, NAMES):
        for text, change in ((coded, shifted), (words, lambda letter: letter)):
            found = read(page_of(text, encoding, change))
            assert pages_of(found) == [words]
            assert isinstance(found, Source) and found.notes == ()


@pytest.mark.parametrize(
    "encoding", [b"", b"/Encoding << /Differences [97 %s] >>" % b" ".join(b"/g%d" % at for at in range(26))],
    ids=["no encoding", "names that are numbers"],
)  # fmt: skip
def test_without_other_evidence_the_map_stands(encoding: bytes) -> None:
    coded = "".join(map(shifted, WORDS["English"]))
    found = read(page_of(WORDS["English"], encoding, shifted))
    assert pages_of(found) == [coded]


@pytest.mark.parametrize(
    "words",
    [
        "qx7 vbnm wrt4 kjhg zzk pqr xcv bdf mnp wqt lkj hgf dsz qwp rtv bnk",
        "SKU AB-1234-XZ QWRT-77 PLMK-09 ZXCV-55 HGFD-31 BNMK-88",
        "dGhlIHRlbmFudCBzaGFsbCBwYXkgdGhlIHJlbnQgd2l0aGluIGZpdmUgZGF5cyBvZiBlYWNo",
        "ACGT GATTACA TTAGGC CCGTA GATC TTAACCGG ATATCG GGCATT",
    ],
)
def test_what_is_no_writing_by_either_stays(words: str) -> None:
    for change in (lambda letter: letter, shifted):
        found = read(page_of("".join(map(change, words)), WIN_ANSI, change))
        assert pages_of(found) == [words]
        assert isinstance(found, Source) and found.notes == ()


def test_only_the_page_with_the_wrong_map_is_read_otherwise() -> None:
    objects = one(b"BT /F2 12 Tf 72 700 Td (%s) Tj ET\n" % WORDS["English"].encode(), fonts=TWO_FONTS)
    objects |= {2: b"<< /Type /Pages /Kids [3 0 R 8 0 R] /Count 2 >>", 7: map_to(shifted)}
    objects |= {
        6: b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding /ToUnicode 7 0 R >>"
    }
    objects |= {8: objects[3].replace(b"/Contents 4", b"/Contents 9"), 9: objects[4].replace(b"/F2", b"/F1")}
    found = read(build(objects))
    assert pages_of(found) == [WORDS["English"]] * 2
    assert isinstance(found, Source) and found.notes == (GUESS,)
