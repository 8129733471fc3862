import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.records import Outcome
from storage.search import excerpt, fold
from storage.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "home") as store:
        yield store


def session(store: Store, title: str, *turns: tuple[str, str]) -> str:
    made = store.sessions.create(title=title, model="m")
    with store.leases.acquire(made.id) as lease:
        for question, answer in turns:
            turn = store.turns.begin(lease, question=question)
            store.turns.finish(turn.id, Outcome(text=answer, stop="end"))
    return made.id


def found(store: Store, text: str) -> list[str]:
    return [hit.title for hit in store.search(text)]


def test_titles_questions_and_answers_are_found(store: Store) -> None:
    one = session(store, "Contract", ("Which notice period?", "Three months."), ("And the penalty?", "5 % of the sum."))
    [hit] = store.search("contract")
    assert (hit.session_id, hit.part, hit.turn_index, hit.snippet) == (one, "title", None, "Contract")
    [hit] = store.search("NOTICE")
    assert (hit.part, hit.turn_index, hit.snippet) == ("question", 0, "Which notice period?")
    [hit] = store.search("sum")
    assert (hit.part, hit.turn_index, hit.snippet[slice(*hit.matches[0])]) == ("text", 1, "sum")
    assert store.search("contract penalty month")[0].session_id == one, "each word may stand elsewhere"
    assert store.search("contract holiday") == ()


def test_it_finds_while_typing(store: Store) -> None:
    session(
        store,
        "About Longdesk",
        ("snake_case and camelCase in src/core.py?", "See `KvCache.lookup()`, 東京都 and Straße."),
    )
    for word in (
        "longdesk",
        "snake_case",
        "camelCase",
        "src/core.py",
        "KvCache.lookup()",
        "東京都",
        "straße",
        "strasse",
    ):
        for end in range(1, len(word) + 1):
            assert found(store, word[:end]) == ["About Longdesk"], word[:end]
    for text in ("desk", "ke_ca", "core py", "STRASSE", "京"):
        assert found(store, text) == ["About Longdesk"], text


def test_accents_and_case_do_not_matter(store: Store) -> None:
    session(store, "Résumé für Ångström", ("İstanbul?", "한국어"))
    for text in ("resume", "RÉSUMÉ", "re\u0301sume\u0301", "angstrom", "fur", "istanbul", "한국", "한"):
        assert found(store, text) == ["Résumé für Ångström"], text


@pytest.mark.parametrize(
    "text",
    ["", " ", "\0", '"', "'", '"""', "a AND", "NOT", "a OR b", "*", "a*", "^a", "NEAR(a b)", "folded:x", "-a", "(", "%"]
    + [
        "_",
        "\\",
        "\ud800",
        "\udcff\udcff\udcff",
        "😀",
        "😀😀😀",
        "a\0bcd",
        "\u0301",
        "\u0301\u0301\u0301",
        "x" * 20_000,
    ]
    + ["a " * 5000, "; DROP TABLE turns", "\u202e\ufeff", "{a b}: c", "a + b", "🏳️\u200d🌈"],
)
def test_no_text_breaks_it(store: Store, text: str) -> None:
    session(store, "t", ("nothing", "here"))
    for hit in store.search(text):
        assert hit.snippet
    session(store, text, (text, text))
    if fold(text).split():
        assert text in found(store, text) or len(text.split()) > 16


def test_any_text_finds_itself(store: Store) -> None:
    draw = random.Random(7)
    alphabet = "ab\"'*()^:-+ éßİ東한\u0301\0\ud83d😀AND"
    for _ in range(60):
        text = "".join(draw.choices(alphabet, k=draw.randrange(1, 30)))
        store.sessions.create(title=text, model="m")
        if fold(text).split():
            assert text in found(store, text), text
        for _ in range(5):
            store.search("".join(draw.choices(alphabet, k=draw.randrange(8))))


def test_what_was_renamed_or_deleted_is_not_found(store: Store) -> None:
    one = session(store, "before", ("question", "answer"))
    store.sessions.rename(one, "after")
    assert found(store, "before") == []
    assert found(store, "after") == ["after"]
    store.sessions.delete(one)
    assert found(store, "after") == found(store, "question") == []
    with store._database.write() as connection:
        connection.execute("INSERT INTO passage_index (passage_index) VALUES ('integrity-check')")


def test_the_newest_comes_first_and_limit_holds(store: Store) -> None:
    for number in range(5):
        session(store, f"the same {number}")
    assert found(store, "same") == [f"the same {number}" for number in (4, 3, 2, 1, 0)]
    assert [hit.title for hit in store.search("same", limit=2)] == ["the same 4", "the same 3"]


def test_the_excerpt_stands_around_the_first_match() -> None:
    text = "é" * 700 + " " + "word " * 500 + "Ünique needle\n\nhere " + "tail " * 500
    line, matches = excerpt(text, ["needle", "unique"])
    assert len(line) <= 160 and "\n" not in line
    assert [line[start:end] for start, end in matches] == ["Ünique", "needle"]
    assert excerpt("short", ["absent"]) == ("short", ())
    line, [(start, end)] = excerpt("x" * 5000 + "needle" + "y" * 5000, ["needle"])
    assert line[start:end] == "needle"
    line, [(start, end)] = excerpt("ﬃ" * 600 + " Straße", ["strasse"])
    assert line[start:end] == "Straße"
