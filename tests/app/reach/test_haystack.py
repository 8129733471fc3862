"""Haystacks: to the token, at the boundaries of sources, with every probe once at its depth."""

import pytest

from app.reach.haystack import Field
from app.reach.probes import Kind, depths_of
from engine.backend import Corpus, Part
from engine.errors import UsageError
from tests.app.reach.corpus import corpus, source
from tests.fake_backend import FakeBackend


def field(of: Corpus, n_depths: int = 3, seed: int = 0) -> Field:
    return Field(of.sources, FakeBackend(), seed=seed, depths=depths_of(n_depths))


@pytest.mark.parametrize("tokens", [600, 1024, 2048, 3000])
def test_no_prompt_is_longer_than_its_length_and_none_is_much_shorter(tokens: int) -> None:
    made = field(corpus()).haystack(tokens)
    assert 0.85 * tokens <= made.prompt_tokens <= tokens
    prefixes = {tuple(prompt.ids()[: prompt.corpus_end].tolist()) for prompt in made.prompts}
    assert len(prefixes) == 1  # every question stands behind the same tokens
    assert all(prompt.segments[-2].part is Part.QUESTION for prompt in made.prompts)


def test_what_is_planted_stands_there_once_at_its_depth() -> None:
    made = field(corpus()).haystack(3000)
    text = "".join(each.text for each in made.sources)
    for probe in made.probes:
        for plant in probe.plants:
            assert text.count(f"{plant.line}\n") == 1
            assert abs(text.index(plant.line) / len(text) - plant.at) < 0.06
            assert text[text.index(plant.line) - 1] in "\n" or text.index(plant.line) == 0
        if probe.kind is Kind.FUNCTION:
            says = probe.question.split('"')[1]
            assert says not in text and text.count(f"def {probe.answer}(") == 1
            at = text.index(f"def {probe.answer}(") / len(text)
            assert abs(at - probe.depth / 100) <= 0.25 + 0.06
    assert [each.kind for each in made.probes] == list(Kind) * 3


def test_the_sources_stay_as_they_are_and_are_whole_but_for_the_last() -> None:
    given = corpus()
    before = [each.text for each in given.sources]
    made = field(given).haystack(2048)
    assert [each.text for each in given.sources] == before
    texts = {each.path: each.text for each in given.sources}
    plants = {plant.line for probe in made.probes for plant in probe.plants}
    for copy in made.sources:
        own = [line for line in copy.text.splitlines() if line not in plants]
        lines = texts[copy.path].splitlines()
        assert [line for line in lines if line in set(own)][: len(own)] == own
        gone = [line for line in lines if line not in set(own)]
        assert copy.path == made.cut or all('"""' in line for line in gone)


def test_the_same_seed_gives_the_same_haystack() -> None:
    first, again, other = (field(corpus(), seed=seed).haystack(1500) for seed in (3, 3, 4))
    assert first.sources == again.sources and first.probes == again.probes
    assert other.sources != first.sources


def test_all_of_a_small_corpus_is_taken_whole() -> None:
    small = field(corpus(2, 3))
    made = small.haystack(small.most_tokens)
    assert made.cut is None and len(made.sources) == 2 and made.prompt_tokens <= small.most_tokens


def test_text_without_functions_is_asked_of_all_else() -> None:
    prose = Corpus((source("a.txt", "A line of a letter that says little.\n" * 300),))
    made = field(prose).haystack(1024)
    assert {each.kind for each in made.probes} == set(Kind) - {Kind.FUNCTION}
    assert made.cut == "a.txt"


def test_one_line_without_an_end_is_cut_too() -> None:
    made = field(Corpus((source("min.js", "word " * 5000),))).haystack(1024)
    assert 700 < made.prompt_tokens <= 1024


@pytest.mark.parametrize("text", ["x", "\n", "\r\n\x00", "\ud800 lone", "word"])
def test_odd_little_sources_break_nothing(text: str) -> None:
    small = field(Corpus((source("odd.txt", text), source("empty.txt", ""), *corpus(2).sources)))
    assert small.haystack(900).prompt_tokens <= 900


def test_nothing_to_read_is_a_sentence() -> None:
    with pytest.raises(UsageError, match="No source can be cut"):
        field(Corpus((source("empty.txt", " \n"),))).haystack(1024)
