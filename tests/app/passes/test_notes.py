"""Notes: parsed whatever was cut, kept and sent again."""

from dataclasses import replace

from app.passes.notes import NOTHING, Fact, Note, as_source, asking, facts_in, note_from, read_note, with_facts_of
from engine.answer.citations import Citation, Status

WHOLE = "Fact: The pier is 31 m long.\nFact: Dunn built it.\nMissing: the year\nConfidence: high"


def test_a_whole_note() -> None:
    note = read_note(WHOLE)
    assert [fact.text for fact in note.facts] == ["The pier is 31 m long.", "Dunn built it."]
    assert (note.missing, note.confidence) == ("the year", "high")
    assert [WHOLE[start:end] for start, end in facts_in(WHOLE)] == [fact.text for fact in note.facts]


def test_one_that_was_cut_anywhere_has_its_whole_facts() -> None:
    for end in range(len(WHOLE)):
        note = read_note(WHOLE[:end])
        whole = WHOLE[:end].count("\n", 0, WHOLE.index("Missing"))
        assert len(note.facts) == whole
        assert note.missing == "" or "the year".startswith(note.missing)


def test_a_fact_that_is_said_again_is_one() -> None:
    text = "Fact: It is 31 m long.\nFact: Dunn built it.\nFact: it is 31 m long.\nMissing: all\nConfidence: low"
    assert [fact.text for fact in read_note(text).facts] == ["It is 31 m long.", "Dunn built it."]


def test_a_list_of_an_engine_that_no_form_holds_is_facts_too() -> None:
    text = "Here are notes:\n- It is 31 m long.\n- Dunn built it.\n\nMissing: all\nConfidence: low"
    assert [fact.text for fact in read_note(text).facts] == ["It is 31 m long.", "Dunn built it."]


def test_nothing_is_no_fact_and_nobody_is_told_that_it_may_be_so() -> None:
    note = read_note("Missing: all\nConfidence: low")
    assert note.facts == () and note.missing == "all" and note.confidence == "low"
    assert "nothing" not in asking("How long is it?").lower()


def test_it_is_kept_and_sent_with_the_words_that_show_it() -> None:
    first, second = facts_in(WHOLE)
    shown = Citation(
        statement=first,
        status=Status.VERIFIED,
        quote="31 metres\n long",
        held=True,
        path="pier.md",
        lines=(3, 4),
        places=1,
    )
    missing = Citation(statement=second, status=Status.MISSING, held=True)
    note = read_note(WHOLE, citations=[missing, shown], looked=True)
    assert note.facts == (Fact("The pier is 31 m long.", shown), Fact("Dunn built it.", missing))
    assert note_from(note.to_json()) == note
    assert as_source(note, "n").text == '- The pier is 31 m long.\n  "31 metres long" (pier.md, lines 3 to 4)\n'
    assert as_source(note, "n", bare=True).text == "- The pier is 31 m long.\n"
    unasked = replace(note, looked=False)
    assert as_source(unasked, "n", bare=True).text == "- The pier is 31 m long.\n- Dunn built it.\n"


def shown(text: str, start: int, end: int, path: str = "a.md") -> Fact:
    citation = Citation(statement=(0, 1), status=Status.VERIFIED, path=path, quote="words", text_bytes=(start, end))
    return Fact(text, citation)


def test_a_merge_has_what_its_parts_have_and_it_has_not() -> None:
    made = Note(text="", facts=(shown("Both.", 1_000, 1_100), Fact("Invented.")), confidence="low", looked=True)
    parts = [
        Note(text="", facts=(shown("Within.", 1_020, 1_100), shown("One.", 0, 10), Fact("Nothing.")), looked=True),
        Note(text="", facts=(shown("Else.", 1_020, 1_100, "b.md"), shown("Two.", 500, 1_030)), looked=True),
        Note(text="", facts=(Fact("Of a picture."), Fact("of a picture."))),
    ]
    note = with_facts_of(made, parts, lambda note: True)
    assert [fact.text for fact in note.used] == ["Both.", "Else.", "Of a picture.", "One.", "Two."]
    for fact in note.facts:
        assert fact.citation is None or note.text[slice(*fact.citation.statement)] == fact.text
    assert facts_in(note.text) and note.confidence == "low"
    few = with_facts_of(made, parts, lambda note: len(note.facts) <= 3)
    assert few.facts == note.facts[:3]
    assert len(with_facts_of(made, parts, lambda note: False).facts) == 1, "what the merge has stays"
    assert with_facts_of(NOTHING, [], lambda note: True).facts == ()
