"""engine.memory.rope: a window that is stretched, by how much, and what is said of it."""

from pathlib import Path
from typing import Any

import pytest

from engine.errors import UsageError
from engine.memory.budget import Device, Hardware, Placement, Verdict, Wanted, placement_from
from engine.memory.card import ModelCard, card_at, with_rope
from engine.memory.placement import estimate
from engine.memory.planner import make_plan
from engine.memory.rope import Rope
from tests.models.other_files import build_other

SCALING = "llama.rope.scaling"
HARDWARE = Hardware(Device("RAM", "ram", 8 << 30, 8 << 30))


def card_of(tmp_path: Path, architecture: str = "llama", **fields: Any) -> ModelCard:
    """A window of 512 tokens. fields: a dot is written __."""
    named = {name.replace("__", "."): value for name, value in fields.items()}
    return card_at(build_other(tmp_path / "m.gguf", architecture, fields=named))


def test_factor_is_the_context_by_the_window(tmp_path: Path) -> None:
    card = card_of(tmp_path)
    for scaling, n_ctx, factor in (("yarn", 2_048, 4.0), ("linear", 1_024, 2.0), ("yarn", 768, 1.5)):
        stretched = with_rope(card, scaling, n_ctx)
        assert stretched.rope == Rope(scaling, factor, 512) and stretched.window == n_ctx
        assert f"from 512 to {n_ctx:,} tokens by {scaling}" in stretched.notes[-1]
        assert "worse answers" in stretched.notes[-1]


def test_none_goes_on_without_scaling(tmp_path: Path) -> None:
    stretched = with_rope(card_of(tmp_path), "none", 600)
    assert stretched.rope == Rope("none", 1.0, 512) and "nonsense" in stretched.notes[-1]


@pytest.mark.parametrize(("scaling", "n_ctx"), [("yarn", None), ("yarn", 512), ("linear", 100), ("none", None)])
def test_within_the_window_nothing_changes(scaling: str, n_ctx: int | None, tmp_path: Path) -> None:
    card = card_of(tmp_path)
    same = with_rope(card, scaling, n_ctx)
    assert (same.rope, same.window) == (None, 512) and "changes nothing" in same.notes[-1]


@pytest.mark.parametrize("declared", ["yarn", "linear"])
@pytest.mark.parametrize("asked", ["yarn", "linear"])
@pytest.mark.parametrize("says_original", [True, False])
def test_a_models_own_scaling_is_replaced_not_multiplied(
    declared: str, asked: str, says_original: bool, tmp_path: Path
) -> None:
    original = {f"{SCALING}.original_context_length": 128} if says_original else {}
    card = card_of(tmp_path, **{f"{SCALING}.type": declared, f"{SCALING}.factor": 4.0, **original})
    stretched = with_rope(card, asked, 1_024)
    assert stretched.rope == Rope(asked, 8.0, 128)
    assert f"own {declared} scaling from 128, not on top" in stretched.notes[-1]
    off = with_rope(card, "none", None)
    assert (off.rope, off.window) == (Rope("none", 1.0, 128), 128) and "switched off" in off.notes[-1]


def test_a_window_that_leaves_its_own_scaling_out(tmp_path: Path) -> None:
    """Some declare the factor and give the window from before."""
    fields = {f"{SCALING}.type": "yarn", f"{SCALING}.factor": 4.0, f"{SCALING}.original_context_length": 512}
    assert with_rope(card_of(tmp_path, **fields), "yarn", 2_048).rope == Rope("yarn", 4.0, 512)


@pytest.mark.parametrize("architecture", ["mamba", "gpt2", "bloom"])
def test_what_does_not_turn_cannot_be_stretched(architecture: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no rotary positions"):
        with_rope(card_of(tmp_path, architecture), "yarn", 1_024)


def test_factors_of_its_own_are_not_turned_twice(tmp_path: Path) -> None:
    path = build_other(tmp_path / "m.gguf", "phi3", tensors=["token_embd.weight", "rope_factors_long.weight"])
    with pytest.raises(UsageError, match="twice"):
        with_rope(card_at(path), "yarn", 1_024)


def test_a_plan_beyond_the_window_names_the_option_and_with_it_fits(tmp_path: Path) -> None:
    card, wanted = card_of(tmp_path), Wanted(n_ctx=1_000, reply_tokens=10)

    def plan(card: ModelCard, n_tokens: int = 10, wanted: Wanted = wanted) -> Any:
        return make_plan(card, prompt_tokens=n_tokens, wanted=wanted, hardware=HARDWARE, measure=estimate)

    refused = plan(card)
    assert refused.verdict is Verdict.OVER_WINDOW
    assert [(advice.rope_scaling, advice.n_ctx) for advice in refused.advice[:2]] == [(None, 512), ("yarn", 1_024)]
    fits = plan(with_rope(card, "yarn", 1_000))
    assert fits.fits and fits.placed.rope == Rope("yarn", 1_000 / 512, 512)
    assert any("stretched" in note for note in fits.notes)
    longer = plan(card, 900, Wanted(reply_tokens=10))
    assert [advice.rope_scaling for advice in longer.advice][-2:] == ["yarn", None]
    assert not any(advice.rope_scaling for advice in plan(card, 9_000, Wanted(reply_tokens=10)).advice)


def test_a_placement_comes_back_from_json() -> None:
    from dataclasses import asdict

    for rope in (None, Rope("yarn", 2.0, 512)):
        placement = Placement(n_ctx=1_024, rope=rope)
        assert placement_from(asdict(placement)) == placement
