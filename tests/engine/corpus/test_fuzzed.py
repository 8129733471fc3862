"""Mutated files of every format are read, or refused with a reason. `python -m tests.fuzzing` takes 20,000 of them."""

import pytest

from tests.fuzzing import SEEDS, faults_of, inputs


@pytest.mark.slow  # 2.1 s
@pytest.mark.parametrize("first", [0, 150])
def test_no_mutated_file_is_too_much(first: int) -> None:
    assert faults_of(range(first, first + 150), seed=1) == []


def test_an_input_is_made_again_by_its_number() -> None:
    some = {each.number: each.data for each in inputs(range(40, 80), seed=3)}
    assert {each.number: each.data for each in inputs(range(60, 70), seed=3)} == {n: some[n] for n in range(60, 70)}
    assert {each.name for each in inputs(range(60), seed=0)} == set(SEEDS)
