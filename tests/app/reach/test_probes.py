"""What is planted and asked: disjoint words, one answer each, the same from the same seed."""

import re

import pytest

from app.reach.probes import MOST_DEPTHS, Kind, depths_of, planted
from app.reach.words import BEASTS, CARGO, COLOURS, FACTS, NAMES, THINGS, TOWNS, Fact

_SMALL = frozenset(
    re.findall(r"\w+", "a an and at for from in is of on the to who you could does was with what every its")
)


def stems(text: str) -> set[str]:
    return {word[:4] for word in re.findall(r"[a-z]+", text.casefold()) if word not in _SMALL}


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.question)
def test_a_fact_and_what_is_asked_have_no_word_in_common(fact: Fact) -> None:
    says = fact.says.replace("{name}", "")
    asked = f"{fact.question} Reply with the name of the person."
    assert says != fact.says and stems(says) and stems(fact.question)
    assert not stems(says) & stems(asked)


def test_every_word_is_there_once() -> None:
    for words in (NAMES, TOWNS, COLOURS, BEASTS, THINGS, CARGO, [fact.question for fact in FACTS]):
        assert len({word.casefold() for word in words}) == len(words)
    assert not {name.casefold() for name in NAMES} & {town.casefold() for town in TOWNS}
    assert len(NAMES) >= 3 * MOST_DEPTHS and len(TOWNS) >= 2 * MOST_DEPTHS and len(FACTS) >= MOST_DEPTHS


def test_depths_go_from_the_beginning_to_the_end() -> None:
    assert depths_of(1) == (50,) and depths_of(2) == (0, 100) and depths_of(5) == (0, 25, 50, 75, 100)


@pytest.mark.parametrize("n_depths", [1, 3, MOST_DEPTHS])
def test_four_probes_a_depth_from_a_seed(n_depths: int) -> None:
    depths = depths_of(n_depths)
    probes = planted(7, depths, frozenset())
    assert probes == planted(7, depths, frozenset()) and probes != planted(8, depths, frozenset())
    kinds = [Kind.FACT, Kind.CHAIN, Kind.THIRD, Kind.ABSENT]
    assert [(each.depth, each.kind) for each in probes] == [(depth, kind) for depth in depths for kind in kinds]
    assert len({each.question for each in probes}) == len(probes)
    for each in probes:
        assert each.answer not in each.others and all(0 <= plant.at <= 1 for plant in each.plants)
        assert each.answer.casefold() not in each.question.casefold() or not each.answer
        right = each.answer or "Not there."
        assert each.is_right(right) and not each.is_right("Cheese.") and not each.is_right("")
        assert not any(each.is_right(other) for other in each.others)


def test_a_chain_has_its_two_steps_apart() -> None:
    [chain] = [each for each in planted(0, (0, 50, 100), ()) if each.kind is Kind.CHAIN and each.depth == 0]
    first, second = chain.plants
    assert (first.at, second.at) == (0.0, 0.5)
    assert chain.answer in second.line and chain.answer not in first.line


def test_the_third_of_five_alike_stands_third() -> None:
    for probe in planted(0, (0, 50, 100), ()):
        if probe.kind is Kind.THIRD:
            places = [plant.at for plant in probe.plants]
            assert len(places) == 5 and places == sorted(places) and len(set(places)) == 5
            assert probe.answer in probe.plants[2].line and probe.chance == 0.2


def test_words_of_the_corpus_are_not_planted() -> None:
    taken = {name.casefold() for name in NAMES[:30]}
    names = {each.answer for each in planted(0, (0, 100), taken) if each.kind is Kind.FACT}
    assert not {name.casefold() for name in names} & taken
