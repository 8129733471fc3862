"""Slices of a corpus: every character in exactly one, cut where the source itself has a border, stable after edits."""

import random
from collections.abc import Sequence

import pytest

from app.passes.cutting import cut, piece_of
from app.passes.slices import Slice, slices_of, to_json
from engine.backend import Source
from engine.corpus.source import Picture, digest_text


def source(path: str, text: str, **known: object) -> Source:
    made = Source(path=path, kind="text", text=text, n_bytes=len(text.encode()), digest=digest_text(text))
    return made.changed(**known)


def words_of(sources: Sequence[Source]) -> list[int]:
    """A tokenizer of words, with a wrapper of four."""
    return [4 + len(each.text.split()) for each in sources]


def check_whole(slices: Sequence[Slice], sources: Sequence[Source]) -> None:
    """Every character of every source, once, in its order."""
    read: dict[str, str] = {}
    for each in slices:
        for piece in each.pieces:
            read[piece.source.path] = read.get(piece.source.path, "") + piece.as_source().text
            assert piece.n_tokens == words_of([piece.as_source()])[0]
    assert read == {each.path: each.text for each in sources}


@pytest.mark.parametrize("seed", range(20))
def test_every_source_is_read_once(seed: int) -> None:
    rng = random.Random(seed)
    sources = [
        source(f"{n}.py", "\n\n".join("def f(x): " + "y " * rng.randrange(60) for _ in range(rng.randrange(1, 40))))
        for n in range(rng.randrange(1, 15))
    ]
    room = rng.randrange(90, 400)
    slices = slices_of(sources, room, words_of)
    check_whole(slices, sources)
    assert all(each.n_tokens <= room for each in slices)


def test_a_source_is_cut_before_a_function() -> None:
    text = "".join(f"def f{n}(x):\n    a = {n}\n\n    return a + {n}\n\n\n" for n in range(200))
    spans = cut(source("a.py", text), 100, lambda each: words_of([each])[0])
    assert len(spans) > 10
    assert all(text[start:].startswith("def f") for start, _ in spans)


def test_a_pdf_is_cut_between_pages_and_keeps_their_pictures() -> None:
    pages = [f"[page {n}]\n" + "word " * 30 for n in range(1, 9)]
    starts = [0]
    for page in pages[:-1]:
        starts.append(starts[-1] + len(page))
    pictures = tuple(Picture(n, 10, 10) for n in range(1, 9))
    whole = source("a.pdf", "".join(pages), kind="pdf", page_starts=tuple(starts), pictures=pictures)
    spans = cut(whole, 80, lambda each: words_of([each])[0])
    assert [start for start, _ in spans] == starts[::2]
    shown = [piece_of(whole, start, end).pictures for start, end in spans]
    assert [picture.number for some in shown for picture in some] == list(range(1, 9))
    assert all(picture.span is not None and picture.span[1] <= 2 * len(pages[0]) for some in shown for picture in some)


def test_one_long_line_is_cut_at_a_space_and_a_word_anywhere() -> None:
    text = "word " * 1_000
    spans = cut(source("a.txt", text), 104, lambda each: words_of([each])[0])
    assert all(text[start - 1] == " " for start, _ in spans[1:])
    dense = "x" * 10_000
    spans = cut(source("b.txt", dense), 104, lambda each: 4 + len(each.text) // 10)
    assert "".join(dense[start:end] for start, end in spans) == dense and len(spans) < 15


def test_an_edit_changes_its_own_slice_only() -> None:
    sources = [source(f"{n}.txt", f"{n} " * 90) for n in range(20)]
    before = slices_of(sources, 400, words_of)
    kept = to_json(before)
    edited = [each if each.path != "7.txt" else source("7.txt", "seven " * 95) for each in sources]
    after = slices_of(edited, 400, words_of, kept=kept)
    check_whole(after, edited)
    changed = [n for n, (a, b) in enumerate(zip(before, after, strict=True)) if a.pieces != b.pieces]
    assert len(changed) == 1 and "7.txt" in before[changed[0]].paths


def test_what_is_new_comes_last_and_what_is_gone_leaves_a_gap() -> None:
    sources = [source(f"{n}.txt", f"{n} " * 90) for n in range(8)]
    before = slices_of(sources, 400, words_of)
    now = [each for each in sources if each.path != "1.txt"] + [source("new.txt", "new " * 50)]
    after = slices_of(now, 400, words_of, kept=to_json(before))
    check_whole(after, now)
    assert after[-1].paths[-1] == "new.txt"
    assert set(after[0].paths) == set(before[0].paths) - {"1.txt"}


def test_a_kept_plan_for_another_window_is_made_anew() -> None:
    sources = [source(f"{n}.txt", f"{n} " * 90) for n in range(40)]
    small = slices_of(sources, 100, words_of)
    large = slices_of(sources, 2_000, words_of, kept=to_json(small))
    assert len(small) == 40 and len(large) == 2
    again = slices_of(sources, 100, words_of, kept=to_json(large))
    check_whole(again, sources)
    assert all(each.n_tokens <= 100 for each in again)


def test_a_source_that_is_cut_stays_as_it_was_cut() -> None:
    text = "".join(f"def f{n}(x):\n    return x + {n}\n\n\n" for n in range(300))
    sources = [source("a.py", text), source("b.py", "b " * 20)]
    before = slices_of(sources, 200, words_of)
    edited = [sources[0], source("b.py", "c " * 25)]
    after = slices_of(edited, 200, words_of, kept=to_json(before))
    check_whole(after, edited)
    assert [each.paths for each in after] == [each.paths for each in before]
    assert all(a.pieces == b.pieces for a, b in zip(before, after, strict=True) if "b.py" not in a.paths)


def test_a_source_whose_path_fills_a_pass_is_not_cut_into_letters() -> None:
    calls: list[int] = []

    def tokens(some: Sequence[Source]) -> list[int]:
        calls.append(len(some))
        return [len(each.path) // 4 + len(each.text) // 4 for each in some]

    source = Source.written("deep/" * 120 + "a.md", "word " * 50_000)
    [only] = slices_of([source], 150, tokens)
    assert only.n_tokens > 150 and only.pieces[0].is_whole and len(calls) < 5
