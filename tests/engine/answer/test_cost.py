"""What tokens cost: prices, published ones, a question before it is asked, and what was spent."""

import pytest

from engine.answer.cost import Prices, Spent, cost_of, published_prices

SCOUT = Prices(input=0.08, output=0.30, cached=0.02)


def test_tokens_cost_by_the_million() -> None:
    assert SCOUT.of(prompt_tokens=1_000_000) == 0.08
    assert SCOUT.of(prompt_tokens=118_420, cached_tokens=117_990, reply_tokens=500) == pytest.approx(
        (430 * 0.08 + 117_990 * 0.02 + 500 * 0.30) / 1e6, abs=1e-9
    )
    assert Prices(input=2, output=8).of(prompt_tokens=1000, cached_tokens=1000) == 0.002  # as others
    assert SCOUT.of(prompt_tokens=10, cached_tokens=20) == pytest.approx(10 * 0.02 / 1e6, abs=1e-9)


def test_a_question_costs_less_where_the_server_has_what_stands_before_it() -> None:
    cost = cost_of(SCOUT, prompt_tokens=100_050, question_tokens=50, reply_tokens=2048)
    assert cost.input == pytest.approx(0.008004) and cost.input_cached == pytest.approx(0.002004)
    assert cost.reply_most == pytest.approx(0.0006144) and not cost.estimated
    assert cost_of(SCOUT, prompt_tokens=1, reply_tokens=1, exact=False).estimated
    same = cost_of(Prices(input=1, output=1), prompt_tokens=9, reply_tokens=1)
    assert same.input == same.input_cached
    assert cost.to_json()["prices"] == {"input": 0.08, "cached": 0.02, "output": 0.30, "published": False}


def test_prices_are_read_where_the_api_says_them() -> None:
    said = {"prompt": "0.00000008", "completion": "0.0000003", "request": "0", "image": "0"}
    assert published_prices(said) == Prices(input=0.08, output=0.3, published=True)
    cached = published_prices({**said, "input_cache_read": "0.00000002", "input_cache_write": "0.0000001"})
    assert cached == Prices(input=0.08, output=0.3, cached=0.02, published=True, more=True)
    assert published_prices({"prompt": "0", "completion": "0"}) == Prices(input=0, output=0, published=True)
    assert cost_of(cached or SCOUT, prompt_tokens=1, reply_tokens=1).estimated


@pytest.mark.parametrize(
    "said",
    [
        None, [], "0.1", {}, {"prompt": "0.1"}, {"prompt": "-1", "completion": "-1"},
        {"prompt": "x", "completion": "1"},
        {"prompt": "nan", "completion": "1"}, {"prompt": "inf", "completion": "1"}, {"prompt": True, "completion": 1},
        {"prompt": {}, "completion": "1"}, {"prompt": "1" * 400, "completion": "1"},
    ],
)  # fmt: skip
def test_what_is_no_price_is_none(said: object) -> None:
    assert published_prices(said) is None


def test_what_was_spent_adds_up() -> None:
    spent = Spent(100, 0, 10) + Spent(200, 90, 20)
    assert spent == Spent(300, 90, 30)
    told = spent.to_json(SCOUT)
    assert told["total"] == pytest.approx((210 * 0.08 + 90 * 0.02 + 30 * 0.30) / 1e6, abs=1e-9)
    assert (told["prompt_tokens"], told["cached_tokens"], told["reply_tokens"]) == (300, 90, 30)
