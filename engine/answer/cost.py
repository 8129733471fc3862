"""What an engine asks for its tokens, and what a question comes to. Amounts are US dollars; prices are for a million
tokens. Where prices come from is left to whoever knows the engine."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

_MILLION = 1_000_000
_DIGITS = 9  # of a dollar that are kept: a token at 0.001 dollars for a million
# what OpenRouter's GET /models may ask for beside tokens: https://openrouter.ai/docs/api-reference/list-available-models
_BESIDE = ("request", "image", "input_cache_write", "internal_reasoning")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Dollars for a million tokens. cached: of the prompt, where the server has read them before; None: as others.

    published: as the API says, not as the user entered them. more: the API asks for other things too, which are not in.
    """

    input: float
    output: float
    cached: float | None = None
    published: bool = False
    more: bool = False

    def of(self, *, prompt_tokens: int, cached_tokens: int = 0, reply_tokens: int = 0) -> float:
        """Dollars. cached_tokens: of the prompt."""
        cached = self.input if self.cached is None else self.cached
        fresh = max(0, prompt_tokens - cached_tokens)
        paid = fresh * self.input + min(cached_tokens, prompt_tokens) * cached + reply_tokens * self.output
        return round(paid / _MILLION, _DIGITS)

    def to_json(self) -> dict[str, Any]:
        return {"input": self.input, "cached": self.cached, "output": self.output, "published": self.published}


def published_prices(pricing: object) -> Prices | None:
    """Those of `pricing` as OpenRouter's GET /models has it: dollars a token, as texts. None where it is no such thing,
    or says that prices vary."""
    if not isinstance(pricing, Mapping):
        return None
    input, output = _amount(pricing.get("prompt")), _amount(pricing.get("completion"))
    if input is None or output is None:
        return None
    return Prices(
        input=input,
        output=output,
        cached=_amount(pricing.get("input_cache_read")),
        published=True,
        more=any(_amount(pricing.get(name)) for name in _BESIDE),
    )


def _amount(a_token: object) -> float | None:
    """Dollars for a million tokens, of those for one; None for what is none."""
    if isinstance(a_token, bool) or not isinstance(a_token, str | int | float):
        return None
    try:
        amount = float(a_token) * _MILLION
    except (ValueError, OverflowError):
        return None
    return round(amount, _DIGITS) if isfinite(amount) and amount >= 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a question would cost before it is asked, in dollars.

    input: of its prompt where the server has nothing of it in its cache. input_cached: where it has all that stands
    before the question. reply_most: of the longest reply. estimated: the tokens are, or the API asks for more.
    """

    input: float
    input_cached: float
    reply_most: float
    prices: Prices
    estimated: bool = False

    def to_json(self) -> dict[str, Any]:
        """As `plan`, `count` and `ask` print it."""
        return {
            "currency": "USD",
            "input": self.input,
            "input_cached": self.input_cached,
            "reply_most": self.reply_most,
            "estimated": self.estimated,
            "prices": self.prices.to_json(),
        }


def cost_of(
    prices: Prices, *, prompt_tokens: int, reply_tokens: int, question_tokens: int = 0, exact: bool = True
) -> Cost:
    """Of a question of question_tokens at the end of a prompt. exact: the tokens are no estimate."""
    before = max(0, prompt_tokens - question_tokens)
    return Cost(
        input=prices.of(prompt_tokens=prompt_tokens),
        input_cached=prices.of(prompt_tokens=prompt_tokens, cached_tokens=before),
        reply_most=prices.of(prompt_tokens=0, reply_tokens=reply_tokens),
        prices=prices,
        estimated=prices.more or not exact,
    )


@dataclass(frozen=True, slots=True)
class Spent:
    """Tokens that were paid for: prompts, what of them the server had in its cache, replies."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    reply_tokens: int = 0

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(
            self.prompt_tokens + other.prompt_tokens,
            self.cached_tokens + other.cached_tokens,
            self.reply_tokens + other.reply_tokens,
        )

    def to_json(self, prices: Prices) -> dict[str, Any]:
        """As a receipt keeps it."""
        usd = prices.of(
            prompt_tokens=self.prompt_tokens, cached_tokens=self.cached_tokens, reply_tokens=self.reply_tokens
        )
        return {
            "currency": "USD",
            "total": usd,
            "prompt_tokens": self.prompt_tokens,
            "cached_tokens": self.cached_tokens,
            "reply_tokens": self.reply_tokens,
            "estimated": prices.more,
            "prices": prices.to_json(),
        }
