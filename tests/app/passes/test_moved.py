"""A file that is cut, and edited: what did not change keeps its cut, its note, and the places of its words."""

import random
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from app.checking_again import verify_session
from app.desk import Desk
from app.passes.slices import Slice, slices_of, to_json
from app.passes.summary.steps import Step
from app.question import Passing
from app.settings import Settings
from engine.backend import Corpus, Source
from tests.app.passes.summary.scribe import Scribe
from tests.app.passes.summary.test_summarize import session_of, summarized
from tests.app.passes.test_reading import NewDesk, heard, last, new_desk, over
from tests.app.passes.test_slices import check_whole, source, words_of

__all__ = ["new_desk"]


def functions(n: int) -> list[str]:
    return [f"def f{at}(x):\n    return x + {at}\n\n\n" for at in range(n)]


def texts(slices: Sequence[Slice]) -> list[str]:
    return [piece.as_source().text for each in slices for piece in each.pieces]


@pytest.mark.parametrize("seed", range(25))
def test_parts_whose_text_stays_are_parts_again(seed: int) -> None:
    """Whatever is put in, taken out or changed: at most the parts around each edit are cut anew."""
    rng, lines = random.Random(seed), functions(300)
    before = slices_of([source("a.py", "".join(lines)), source("b.py", "b " * 20)], 200, words_of)
    n_edits = rng.randrange(1, 4)
    for _ in range(n_edits):
        at, what = rng.randrange(len(lines)), rng.choice(["put", "take", "change"])
        changed = {"put": [lines[at], f"def new{at}():\n    pass\n\n\n"], "take": [], "change": [f"# edited {at}\n"]}
        lines[at : at + 1] = changed[what]
    now = [source("a.py", "".join(lines)), source("b.py", "b " * 20)]
    after = slices_of(now, 200, words_of, kept=to_json(before))
    check_whole(after, now)
    assert all(each.n_tokens <= 200 for each in after)
    assert len({*texts(before)} - {*texts(after)}) <= 2 * n_edits
    for each in after:
        for piece in each.pieces:
            assert piece.first_byte == len(piece.source.text[: piece.start].encode())
    again = slices_of(now, 200, words_of, kept=to_json(after))
    assert [each.pieces for each in again] == [each.pieces for each in after]


def test_parts_of_one_file_in_a_slice_are_one_file() -> None:
    now = [source("a.py", "".join(functions(300)))]
    before = slices_of(now, 200, words_of)
    edited = [source("a.py", "# first\n" + now[0].text)]
    first, *_ = slices_of(edited, 230, words_of, kept=to_json(before))
    assert len(first.pieces) == 2 and first.title == f"a.py, parts 1 to 2 of {len(before) + 1}"


def test_parts_of_a_larger_room_are_cut_anew() -> None:
    now = [source("a.py", "".join(functions(300)))]
    large = slices_of(now, 500, words_of)
    assert all(each.n_tokens <= 100 for each in slices_of(now, 100, words_of, kept=to_json(large)))


def test_a_plan_that_knows_no_digests_serves_unless_the_file_changed() -> None:
    """As an older Longdesk kept it."""
    now = [source("a.py", "".join(functions(300)))]
    before = slices_of(now, 200, words_of)
    older = [{"pieces": [piece[:4] for piece in each["pieces"]]} for each in to_json(before)]
    assert slices_of(now, 200, words_of, kept=older) == before
    edited = [source("a.py", "# first\n" + now[0].text)]
    check_whole(slices_of(edited, 200, words_of, kept=older), edited)


def long_file(first: str, *, of: int = 6) -> Corpus:
    parts = (f"# Part {at}\n{' '.join(f'p{at}x{word}' for word in range(150))}\n" for at in range(of))
    return Corpus((Source.written("long.md", first + "\n".join(parts)),))


def test_an_edit_at_the_top_rereads_the_top(new_desk: NewDesk) -> None:
    desk, _ = new_desk(shows=lambda fact: " ".join(fact.rstrip(".").split()[-2:]))
    first = last(heard(desk, corpus=long_file("one\n"), pass_tokens=200))
    events = heard(desk, corpus=long_file("one\n\nand two\n"), session=first.session_id, beside=0, pass_tokens=200)
    passes = [each for each in over(events) if not each.merging]
    assert isinstance(passes[0], Passing) and len(passes) > 5
    assert [each.kept for each in passes] == [False, *[True] * (len(passes) - 1)]
    turn = desk.turns(first.session_id)[-1]
    faults = verify_session(desk.record(first.session_id), lambda model: desk.backend()).faults
    assert "is kept as it was read later" in str(faults) and "up to character" not in str(faults)
    [now] = desk.record(first.session_id).sources
    assert turn.receipt is not None
    for each in turn.receipt["passes"]["slices"]:
        for fact in each["note"]["facts"]:
            citation = fact["citation"]
            start, end = citation["bytes"]
            assert now.source.text.encode()[start:end].decode() == citation["quote"]
            assert citation["quote"] in "\n".join(now.source.text.splitlines()[citation["lines"][0] - 1 :][:1])
            assert citation["source_digest"] == now.source.digest


def test_a_summary_reads_the_edited_part_of_a_long_file_alone(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    code = tmp_path / "code" / "long.py"
    blocks = [f"def f{at}(x):\n    return x\n\n\n" + "# more\n" * 40 + "\n\n" for at in range(20)]
    code.write_text("".join(blocks))
    with closing(Desk(Settings(home=tmp_path / "home"), backend=Scribe())) as desk:
        session = session_of(desk, tmp_path / "code")
        before, _ = summarized(desk, session, pass_tokens=300)
        code.write_text("".join(["# a line more\n", *blocks]))
        session_of(desk, tmp_path / "code", session)
        after, steps = summarized(desk, session, pass_tokens=300)
    read = [step for step in steps if isinstance(step, Step) and step.doing == "read"]
    assert len(read) > 2 and [step.kept for step in read] == [False, *[True] * (len(read) - 1)]
    assert after.reading.n_once == 1
    moved = {each.text: each.citation for page in after.pages for each in page.statements if each.is_shown}
    stood = {each.text: each.citation for page in before.pages for each in page.statements if each.is_shown}
    shifted = [text for text in moved if text in stood and moved[text] != stood[text]]
    assert shifted
    lines = ("# a line more\n" + "".join(blocks)).splitlines()
    for citation in moved.values():
        assert citation is not None and citation.lines is not None and citation.quote in lines[citation.lines[0] - 1]
