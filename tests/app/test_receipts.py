"""Receipts: what was sent of all that there is; and checking them, and citations, against what is stored."""

import json
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event as Flag
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from app.checking_again import verify_session
from app.desk import Desk
from app.question import Answered, Question
from app.settings import Settings
from engine.answer.citations import Citation, Status
from engine.answer.receipt import receipt_from
from engine.corpus.rules import Rules
from engine.corpus.source import digest_text
from storage.records import Turn
from storage.store import Store
from tests.command_line import CommandLine
from tests.fake_backend import FakeBackend
from tests.models.cache import cached
from tests.models.scout import SMALL as SMALL_SCOUT


def write_corpus(folder: Path) -> Path:
    (folder / "src").mkdir(parents=True)
    (folder / "README.md").write_text("# Bridges\n\nThe bridge at Ulm is 42 metres long.\n")
    (folder / "src" / "main.py").write_text("def main():\n    return 42\n")
    (folder / "notes.txt").write_text("Nobody knows the way.\n")
    (folder / "data.bin").write_bytes(bytes(range(256)) * 4)
    (folder / "package-lock.json").write_text("{}\n" * 50)
    return folder


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return write_corpus(tmp_path / "corpus")


@pytest.fixture
def desk(tmp_path: Path, llama_gguf: Path) -> Iterator[Desk]:
    desk = Desk(Settings(home=tmp_path / "home", model=str(llama_gguf), reply_tokens=4, seed=7))
    yield desk
    desk.close()


def ask(desk: Desk, text: str, **known: Any) -> Turn:
    *_, end = desk.ask(Question(text=text, **known), cancel=Flag())
    assert isinstance(end, Answered) and end.turn.stop in ("end", "length"), end
    return end.turn


def test_a_receipt_says_what_was_sent_of_all_that_there_is(desk: Desk, corpus: Path, llama_gguf: Path) -> None:
    turn = ask(desk, "How long?", corpus=desk.read([corpus], Rules()))
    kept = turn.receipt
    assert kept is not None and kept == json.loads(json.dumps(kept))
    assert receipt_from(kept).to_json() == kept
    assert {source["path"] for source in kept["sources"]} == {"README.md", "src/main.py", "notes.txt"}
    assert (kept["sources_sent"], kept["sources_all"]) == (3, 5)
    assert {(left["path"], left["by"]) for left in kept["left_out"]} == {
        ("data.bin", "reading"),
        ("package-lock.json", "rule"),
    }
    assert kept["tokens_sent"] == kept["tokens"]["source"] == kept["tokens_all"]
    assert kept["prompt_tokens"] == turn.prompt_tokens == sum(kept["tokens"].values())
    assert kept["read_tokens"] + kept["reused_tokens"] == turn.prompt_tokens
    assert kept["reply_tokens"] == turn.reply_tokens == len(turn.reply_ids)
    model = kept["model"]
    assert model["file"] == str(llama_gguf) and model["bytes"] == llama_gguf.stat().st_size
    assert model["header_digest"] and model["quantization"] and model["vocabulary"] == turn.vocabulary
    assert kept["kv_type"] == "f16" and kept["seed"] == kept["settings"]["seed"] == 7
    assert (kept["asked"], kept["answered"], kept["times"]["ttft_s"]) == (turn.created, turn.finished, turn.ttft_s)
    assert len(kept["prompt_hash"]) == 32 and "int32" in kept["prompt_hash_of"] and kept["longdesk"]


def test_who_left_something_out(desk: Desk, corpus: Path) -> None:
    turn = ask(desk, "How long?", corpus=desk.read([corpus], Rules()))
    desk.send(turn.session_id, ["notes.txt"], enabled=False)
    second = ask(desk, "And now?", session=turn.session_id)
    assert second.receipt is not None and second.receipt["history"] == [0]
    left = {each["path"]: each for each in second.receipt["left_out"]}
    assert left["notes.txt"]["by"] == "you" and left["notes.txt"]["tokens"] > 0
    assert second.receipt["tokens_all"] == second.receipt["tokens_sent"] + left["notes.txt"]["tokens"]
    third = ask(desk, "Of one?", session=turn.session_id, only=frozenset({"README.md"}))
    assert third.receipt is not None
    assert {each["path"] for each in third.receipt["left_out"] if each["by"] == "question"} == {
        "notes.txt",
        "src/main.py",
    }


def test_a_receipt_comes_with_answers_that_were_cut_off_too(tmp_path: Path, corpus: Path) -> None:
    for backend, stop in ((FakeBackend(breaks_at=1), "error"), (FakeBackend(breaks_at=0), "error")):
        desk = Desk(Settings(home=tmp_path / "home", model="fake.gguf", reply_tokens=8), backend=backend)
        *_, end = desk.ask(Question(text="Q", corpus=desk.read([corpus], Rules())), cancel=Flag())
        assert isinstance(end, Answered) and end.turn.stop == stop
        assert end.turn.receipt is not None and end.turn.receipt["sources_sent"] == 3
        assert end.turn.receipt["model"]["file"] is None
        desk.close()


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, llama_gguf: Path) -> tuple[Path, str]:
    """A home, and its session of three questions: sources joined at the second, one was left out of the third."""
    folder = tmp_path_factory.mktemp("asked")
    corpus = write_corpus(folder / "corpus")
    desk = Desk(Settings(home=folder / "home", model=str(llama_gguf), reply_tokens=4))
    first = ask(desk, "How long?", corpus=desk.read([corpus / "README.md"], Rules()))
    ask(desk, "And this?", session=first.session_id, corpus=desk.read([corpus / "src"], Rules()))
    desk.send(first.session_id, ["README.md"], enabled=False)
    third = ask(desk, "And now?", session=first.session_id)
    source = desk.source(first.session_id, "main.py")
    assert source is not None
    cited = Citation(
        statement=(0, 1),
        status=Status.VERIFIED,
        quote="return 42",
        places=1,
        path="main.py",
        source_digest=source.source.digest,
        bytes=(16, 25),
        lines=(2, 2),
    )
    missing = Citation(statement=(0, 1), status=Status.MISSING)
    desk._store.turns.cite(third.id, [cited, missing])
    desk.close()
    return folder / "home", first.session_id


class TestVerify:
    @pytest.fixture
    def asked(self, first: tuple[Path, str], desk: Desk, tmp_path: Path) -> str:
        """That session, in the home of the desk."""
        home, session = first
        shutil.copytree(home, tmp_path / "home", dirs_exist_ok=True)
        return session

    def test_all_of_it_holds(self, desk: Desk, asked: str) -> None:
        checked = verify_session(desk.record(asked), desk.backend)
        assert (checked.faults, checked.unchecked) == ([], [])
        assert (checked.n_turns, checked.n_sources, checked.n_citations, checked.n_prompts) == (3, 4, 1, 3)

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"quote": "return\n 42"}, None),  # blanks count as one
            ({"quote": "return 43"}, "other words stand at bytes 16 to 25 of main.py"),
            ({"bytes": (15, 25)}, "other words"),  # a blank more
            ({"bytes": (14, 24)}, "other words"),
            ({"bytes": (16, 2500)}, "has no bytes 16 to 2,500"),
            ({"lines": (3, 3)}, "in other lines"),
            ({"source_digest": "0" * 32}, "as it was read later"),
            ({"path": "gone.py"}, "gone.py is not kept"),
            ({"statement": (0, 99_999)}, "not within the answer"),
        ],
    )
    def test_a_citation_that_does_not_hold(
        self, desk: Desk, asked: str, change: dict[str, Any], said: str | None
    ) -> None:
        third = desk.turns(asked)[2]
        assert third.citations is not None
        desk._store.turns.cite(third.id, [replace(third.citations[0], **change)])
        checked = verify_session(desk.record(asked), desk.backend)
        if said is None:
            assert checked.faults == []
        else:
            [fault] = checked.faults
            assert fault.startswith("Question 3, citation 1: ") and said in fault

    def test_a_source_that_was_read_again_since_is_another(self, desk: Desk, asked: str) -> None:
        placed, text = desk.source(asked, "main.py"), "def main():\n    return 43\n"
        assert placed is not None
        changed = placed.source.changed(text=text, digest=digest_text(text))
        desk._store.sources.put(asked, [changed], turn_index=placed.turn_index)
        checked = verify_session(desk.record(asked), desk.backend)
        assert any("Question 2: main.py is kept as it was read later" in fault for fault in checked.faults)
        assert checked.n_prompts == 1 and len(checked.unchecked) == 2

    def test_texts_questions_and_replies_that_were_changed_in_the_database_are_found(
        self, desk: Desk, asked: str, tmp_path: Path
    ) -> None:
        def faults(statement: str, *values: object) -> list[str]:
            copy = tmp_path / f"copy-{abs(hash(statement))}"
            copy.mkdir()
            with sqlite3.connect(tmp_path / "home" / "longdesk.db") as before:
                with sqlite3.connect(copy / "longdesk.db") as connection:
                    before.backup(connection)
                    connection.execute(statement, values)
                    connection.commit()
                connection.close()
            before.close()
            with Store(copy) as store:
                return verify_session(store.record(asked), desk.backend).faults

        assert faults("SELECT 1") == []
        said = faults("UPDATE turns SET question = 'How short?' WHERE position = 0")
        assert [fault.partition(":")[0] for fault in said] == ["Question 1", "Question 2", "Question 3"]
        assert all("is not the one that was sent" in fault for fault in said)
        said = faults("UPDATE turns SET reply_ids = x'01000000' WHERE position = 2")
        assert len(said) == 1 and "tokens of reply" in said[0]
        said = faults("UPDATE contents SET data = ?, deflated = 0", b"def main():\n    return 99\n")
        assert any("is not the one that its digest is of" in fault for fault in said)
        said = faults("UPDATE turns SET receipt = '{}' WHERE position = 1")
        assert len(said) == 1 and "cannot be read" in said[0]

    def test_without_the_model_the_prompt_cannot_be_checked(self, desk: Desk, asked: str, scout_gguf: Path) -> None:
        def other(model: str) -> Any:
            return desk.backend(str(scout_gguf))

        def none(model: str) -> Any:
            return desk.backend("/nowhere/to/be/found.gguf")

        for backend_of, said in ((other, "another model than the one"), (none, "could not be opened")):
            checked = verify_session(desk.record(asked), backend_of)
            assert checked.faults == [] and checked.n_prompts == 0 and checked.n_sources == 4
            assert len(checked.unchecked) == 3 and all(said in each for each in checked.unchecked)

    def test_turns_that_are_older_than_receipts(self, desk: Desk, asked: str) -> None:
        with desk._store._database.write() as connection:
            connection.execute("UPDATE turns SET receipt = NULL, citations = NULL")
        checked = verify_session(desk.record(asked), desk.backend)
        assert checked.faults == [] and len(checked.unchecked) == 3 and "no receipt" in checked.unchecked[0]


def photo(path: Path, seed: int) -> None:
    rows = np.random.default_rng(seed).integers(0, 256, (150, 200, 3), dtype=np.uint8)
    Pillow.fromarray(rows).save(path)


@pytest.mark.slow
def test_images_are_of_the_prompt_that_is_hashed(tmp_path: Path) -> None:
    shutil.copyfile(cached("mmproj"), tmp_path / "mmproj-scout.gguf")
    model = shutil.copyfile(cached("scout", **SMALL_SCOUT), tmp_path / "scout.gguf")
    folder = tmp_path / "pictures"
    folder.mkdir()
    photo(folder / "one.png", 1), photo(folder / "two.png", 2)
    (folder / "note.txt").write_text("Two pictures.\n")
    desk = Desk(Settings(home=tmp_path / "home", model=str(model), reply_tokens=2))
    try:
        turn = ask(desk, "Compare image 1 and image 2.", corpus=desk.read([folder], Rules()))
        assert turn.receipt is not None
        assert sorted(each["first_image"] or 0 for each in turn.receipt["sources"]) == [0, 1, 2]
        checked = verify_session(desk.record(turn.session_id), desk.backend)
        assert (checked.faults, checked.unchecked, checked.n_prompts) == ([], [], 1)
    finally:
        desk.close()


@pytest.mark.slow
def test_the_command(tmp_path: Path, llama_gguf: Path, corpus: Path) -> None:
    longdesk = CommandLine(tmp_path / "home", llama_gguf)
    answer = longdesk("ask", corpus, "-q", "Q", "--max-tokens", 2, "--json").answer
    session = answer["session"]
    assert answer["receipt"]["sources_sent"] == 3
    shown = longdesk("sessions", "show", session, "--json").document
    assert shown["turns"][0]["receipt"] == answer["receipt"]
    run = longdesk("sessions", "verify", session, "--json")
    assert run.code == 0 and run.document == {
        "id": session,
        "holds": True,
        "turns": 1,
        "sources": 3,
        "passes": 0,
        "citations": 0,
        "prompts": 1,
        "faults": [],
        "unchecked": [],
    }
    assert "Nothing was found that does not hold." in longdesk("sessions", "verify", session[:6]).out
    connection = sqlite3.connect(tmp_path / "home" / "longdesk.db")
    connection.execute("UPDATE turns SET question = 'another'")
    connection.commit()
    connection.close()
    run = longdesk("sessions", "verify", session)
    assert run.code == 1 and "Does not hold: Question 1: its prompt" in run.out
    assert longdesk("sessions", "verify", "nothere").code == 2
