"""Notes in the store: numbered in their session, renamed, deleted, gone with it, and whole after an import."""

from pathlib import Path

import pytest

from engine.answer.citations import Citation, Status
from engine.errors import UsageError
from storage.store import Store

CITED = (Citation(statement=(0, 4), status=Status.VERIFIED, quote="Word", path="a.txt", lines=(1, 1)),)


def test_notes_are_numbered_in_their_session_and_go_with_it(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        one, two = (store.sessions.create(title=title, model="m").id for title in ("one", "two"))
        first = store.kept_notes.add(one, title="A", text="Wor\ud800d", turn_index=None, citations=CITED)
        second = store.kept_notes.add(one[:6], title="B", text="", turn_index=4)
        assert (first.number, second.number, first.citations, second.turn_index) == (1, 2, CITED, 4)
        assert store.kept_notes.add(two, title="C", text="c", turn_index=0).number == 1
        assert store.kept_notes.rename(one, 1, "A2").title == "A2"
        assert [note.title for note in store.overview(one).kept_notes] == ["A2", "B"]
        assert store.record(one).kept_notes == store.kept_notes.of(one)
        listed, whole = store.overview(one).kept_notes[0], store.kept_notes.one(one, 1)
        assert (listed.number, listed.created, listed.turn_index) == (1, whole.created, whole.turn_index)
        assert (listed.text, listed.citations) == ("", ()), "a page lists them at each of its redraws"
        store.kept_notes.delete(one, 1)
        with pytest.raises(UsageError, match="has no note 1"):
            store.kept_notes.one(one, 1)
        assert store.kept_notes.add(one, title="D", text="d", turn_index=0).number == 3
        store.sessions.delete(one)
        with pytest.raises(UsageError, match="There is no session"):
            store.kept_notes.of(one)
        assert len(store.kept_notes.of(two)) == 1


def test_a_record_is_put_with_its_notes(tmp_path: Path) -> None:
    with Store(tmp_path / "one") as store:
        session = store.sessions.create(title="one", model="m").id
        store.kept_notes.add(session, title="A", text="Words", turn_index=0, citations=CITED)
        store.kept_notes.add(session, title="B", text="b", turn_index=0)
        store.kept_notes.delete(session, 1)
        record = store.record(session)
    with Store(tmp_path / "two") as store:
        assert store.record(store.put(record).id).kept_notes == record.kept_notes
