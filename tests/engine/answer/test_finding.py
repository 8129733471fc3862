"""Quotes found again: true ones at their place, altered and invented ones never as verified."""

import random
import re

import pytest

from engine.answer.finding import Finder, Status, finder

_PROSE = (
    "the engine reads every page of a folder before it answers and keeps what was read on disk so that nobody waits "
    "twice for the same prompt while memory of weights cache buffers is checked against what is free now not later"
)
_WORDS = sorted(set(_PROSE.split()))


def make_texts(rng: random.Random, n: int = 12) -> list[str]:
    """Prose and code, with line ends anywhere, and no two alike."""
    texts = []
    for number in range(n):
        words = [
            rng.choice(_WORDS) + rng.choice(["", "", "", ",", ".", f" {rng.randrange(10_000)}"]) for _ in range(400)
        ]
        text = " ".join(words)
        text = re.sub(" ", lambda _: rng.choice([" "] * 9 + ["\n", "  ", "\n    "]), text)
        texts.append(f"# {number}\n{text}\n")
    return texts


def found_in(texts: list[str]) -> Finder:
    return finder([text.encode() for text in texts])


@pytest.mark.parametrize("seed", range(10))
def test_of_quotes_all_true_ones_are_found_where_they_stand_and_no_other_is_verified(seed: int) -> None:
    """50 quotes a seed: true, with other white space and marks, altered by a word, by a number, by a not, invented."""
    rng = random.Random(seed)
    texts = make_texts(rng)
    find = found_in(texts).find
    for _ in range(50):
        number = rng.randrange(len(texts))
        spans = [match.span() for match in re.finditer(r"\S+", texts[number])]
        first = rng.randrange(5, len(spans) - 25)
        last = first + rng.randrange(8, 20)
        passage = texts[number][spans[first][0] : spans[last][1]]
        loose = " ".join(passage.split())
        for quote in (passage, loose, loose.replace(" ", "\n")):
            found = find(quote)
            assert found.status is Status.VERIFIED
            [place] = found.places
            assert place.document == number and texts[number].encode()[place.start : place.end].decode() == passage
        words = loose.split()
        at = rng.randrange(2, len(words) - 2)
        for other in ("seldom", "never", "77777"):
            altered = " ".join([*words[:at], other, *words[at + 1 :]])
            found = find(altered)
            assert found.status is Status.ALTERED, altered
            assert found.places[0].document == number and other not in found.words
        assert find(" ".join(rng.choice(_WORDS)[::-1] for _ in range(12))).status is Status.MISSING


@pytest.mark.parametrize(
    ("text", "quote", "status"),
    [
        ("He said \u201cno\u201d \u2014 twice.", 'He said "no" - twice.', Status.VERIFIED),
        ('He said "no" - twice.', "said \u201cno\u201d \u2013 twice", Status.VERIFIED),
        ("an e\ufb03cient way", "an efficient way", Status.VERIFIED),
        ("a long exam-\nple of it", "a long example of it", Status.VERIFIED),
        ("a well-\nknown case", "a well-known case", Status.VERIFIED),
        ("a well-known case", "a well-known case", Status.VERIFIED),
        ("an exam-\nple of a well-\r\n  known case, as well-known", "an example of a well-known case, as well-known",
         Status.VERIFIED),
        ("a state-of-\nthe-art case", "state-of-the-art", Status.VERIFIED),
        ("a state-of-\nthe-art case", "state-ofthe-art", Status.VERIFIED),
        ("a stateof-\nthe-art case", "state-of-the-art", Status.MISSING),
        ("a stateof-the-art case", "state-of-the-art", Status.MISSING),
        ("unwell-\nknown", "well-known", Status.MISSING),
        ("well-\nknowns", "well-known", Status.MISSING),
        ("a well-known case", "a wellknown case", Status.MISSING),
        ("line one\r\n\tline two", "line one line two", Status.VERIFIED),
        ("soft\u00adly and\u00a0hard", "softly and hard", Status.VERIFIED),
        ("concatenate", "concat", Status.MISSING),
        ("one cat", "cat", Status.VERIFIED),
        ("a = b", "...", Status.MISSING),
        ("", "words", Status.MISSING),
        ("\u6771\u4eac\u90fd\u306b\u884c\u304d\u307e\u3057\u305f", "\u4eac\u90fd\u306b\u884c", Status.VERIFIED),
        ("It does not fit into memory or on disk.", "It does fit into memory or on disk.", Status.ALTERED),
    ],
)  # fmt: skip
def test_what_counts_as_the_same_words(text: str, quote: str, status: Status) -> None:
    found = found_in(["before it", text, "behind it"]).find(quote)
    assert found.status is status
    if status is Status.VERIFIED:
        assert [place.document for place in found.places] == [1]
        assert "\ufffd" not in found.words


@pytest.mark.parametrize(
    ("text", "quote", "words"),
    [
        ("He said \u201cno\u201d.", 'said "no"', "said \u201cno\u201d"),
        ("all the dogs\u2019 and more", "the dogs'", "the dogs\u2019"),
        ("far o\ufb00 it", "far off", "far o\ufb00"),
        ("so it is\u2026 and", "it is...", "it is\u2026"),
        ("a well-\nknown case\u2019", "well-known case'", "well-\nknown case\u2019"),
        ("soft\u00adly\u00ad done", "softly", "soft\u00adly"),
    ],
)
def test_what_is_shown_are_whole_characters_of_the_source(text: str, quote: str, words: str) -> None:
    found = found_in(["before", text]).find(quote)
    assert (found.status, found.words) == (Status.VERIFIED, words)


def test_every_place_is_named_in_order() -> None:
    found = found_in(["a cat sat", "b", "a cat sat, a cat\nsat"]).find("a cat sat")
    assert [(place.document, place.start) for place in found.places] == [(0, 0), (2, 0), (2, 11)]


def test_a_passage_of_two_documents_is_none() -> None:
    texts = ["the first document ends with these words", "and the second one begins with others"]
    assert found_in(texts).find("ends with these words and the second one begins").status is not Status.VERIFIED
