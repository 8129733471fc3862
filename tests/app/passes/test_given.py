"""What each slice gave, out of a receipt: one text whose citations stand at their facts."""

from typing import Any

import pytest

from app.passes.given import gift_of, given, read_line
from app.passes.notes import Fact, Note
from engine.answer.citations import Citation, Status


def note(*facts: str, path: str = "a.py") -> dict[str, Any]:
    def citation(fact: str) -> Citation:
        return Citation(statement=(2, 2 + len(fact)), status=Status.VERIFIED, path=path, quote=fact)

    shown = tuple(Fact(fact, citation(fact)) for fact in facts)
    return Note(text="", facts=shown, missing="the rest", confidence="low", looked=True).to_json()


def one(*pieces: tuple[str, int, int], kept: bool = False, facts: tuple[str, ...] = ("It is so.",)) -> dict[str, Any]:
    return {
        "pieces": [{"path": path, "tokens": 10, "characters": [start, end]} for path, start, end in pieces],
        "kept": kept,
        "read_tokens": 20,
        "reused_tokens": 0,
        "note": note(*facts, path=pieces[0][0]),
    }


RECEIPT = {
    "sources_all": 3,
    "passes": {"slices": [one(("src/a.py", 0, 50), ("b*.py", 0, 9)), one(("c.py", 0, 5), kept=True, facts=())]},
}


def test_citations_stand_at_their_facts() -> None:
    gift = gift_of(given(RECEIPT))
    assert gift.n_facts == 1
    [citation] = gift.citations
    assert gift.text[slice(*citation.statement)] == "It is so."
    assert r"b\*\.py" in gift.text, "a path is no Markdown"
    assert "kept from before" in gift.text and "Nothing here that helps" in gift.text


def test_the_line_counts_sources_once() -> None:
    assert read_line(RECEIPT) == "read in 2 passes, 3 of 3 sources, each once"
    cut = {"sources_all": 1, "passes": {"slices": [one(("a", 0, 5)), one(("a", 5, 9))]}}
    assert read_line(cut) == "read in 2 passes, 1 of 1 source, each once"
    twice = {"sources_all": 1, "passes": {"slices": [one(("a", 0, 5)), one(("a", 4, 9))]}}
    assert read_line(twice) == "read in 2 passes, 1 of 1 source"
    assert read_line({"passes": None}) == "" == read_line(None)


@pytest.mark.parametrize(
    "receipt", [{"passes": 3}, {"passes": {"slices": 3}}, {"passes": {"slices": [{"pieces": []}]}}, {"passes": []}]
)
def test_a_strangers_receipt_is_nothing(receipt: dict[str, Any]) -> None:
    assert given(receipt) == () and read_line(receipt) == ""


@pytest.mark.parametrize(
    "changed",
    [
        {"pieces": [{"path": "a", "tokens": float("inf"), "characters": [0, 5]}]},
        {"note": {**note("So."), "missing": 5}},
        {"note": {**note("So."), "facts": [{"text": ["So."], "citation": None}]}},
        *(
            {"note": {**note("So."), "facts": [{"text": "So.", "citation": {"status": "verified", **field}}]}}
            for field in (
                {"statement": [0, 3], "lines": "ab"},
                {"statement": [0, 3], "quote": 7},
                {"statement": [0, 3], "boxes": [{"page": 1, "box": ["left"]}]},
                {"statement": [0, 3], "path": ["a"]},
            )
        ),
    ],
)
def test_a_strangers_pass_is_nothing(changed: dict[str, Any]) -> None:
    receipt = {"sources_all": 1, "passes": {"slices": [{**one(("a", 0, 5)), **changed}]}}
    assert given(receipt) == () and read_line(receipt) == ""


def test_a_strangers_count_of_characters_is_not_taken_for_once() -> None:
    pass_ = {**one(("a", 0, 5)), "pieces": [{"path": "a", "tokens": 1}]}
    assert read_line({"sources_all": "many", "passes": {"slices": [pass_]}}) == "read in 1 pass, 1 of 1 source"
