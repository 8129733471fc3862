"""A disk that is full: it is called so, what is there can be read and taken away, and nothing is lost."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Event as Flag

import pytest
from click.testing import CliRunner, Result

from app import cli as doors
from app.cli import cli
from app.desk import Desk
from app.kv.disk import Tier
from app.question import Begun, Question
from app.settings import Settings
from engine.corpus.source import Corpus, Source, digest_text
from engine.errors import LongdeskError, remedy_of, why
from storage import reserve
from storage.records import Outcome
from storage.schema import StorageFull
from storage.store import Store
from tests.command_line import CommandLine, Run
from tests.fake_backend import FakeBackend
from tests.full_disk import empty, fill, small_disk

_FULL = "The disk that holds .*longdesk.db is full: .* bytes are free"
SOURCE = Source("a.txt", "text", "alpha", 5, digest_text("alpha"))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk") as mounted:
        yield mounted


@pytest.fixture
def home(disk: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With one session of one turn, and two saved KV caches; then the disk is full."""
    home = disk / "home"
    monkeypatch.setenv("LONGDESK_HOME", str(home))
    with Store(home) as store:
        session = store.sessions.create(title="Bridges", model="m", system="", frozen_date="2026-01-01")
        with store.leases.acquire(session.id) as lease:
            turn = store.turns.begin(lease, question="How long?", vocabulary="v", settings={})
            store.turns.finish(turn.id, Outcome(text="42 metres", stop="end", reply_ids=(1, 2)))
        (home / "snapshots").mkdir(mode=0o700)
        for name in ("a", "b"):
            path = home / "snapshots" / f"{name}.kv"
            path.write_bytes(bytes(200_000))
            store.snapshots.record(
                path=path, binding={"model": "m", "kv_type": "f16"}, n_tokens=256, n_bytes=200_000,
                blocks=(name.encode() * 16,), session_id=session.id, model_name="M",
            )  # fmt: skip
    fill(disk)
    return home


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def session_id(home: Path) -> str:
    with Store(home) as store:
        return store.sessions.list()[0].id


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (("sessions", "list"), "Bridges"),
        (("sessions", "list", "--json"), '"title": "Bridges"'),
        (("sessions", "show", "ID"), "42 metres"),
        (("sessions", "show", "ID", "--json"), "42 metres"),
        (("sessions", "export", "ID"), "42 metres"),
        (("sessions", "export", "ID", "--format", "json"), "42 metres"),
        (("sessions", "export", "ID", "--format", "html"), "42 metres"),
        (("sessions", "search", "metres"), "Bridges"),
        (("sessions", "notes", "ID"), "No notes yet"),
        (("snapshots", "list"), "2 kept KV caches"),
        (("templates", "list"), "explain"),
        (("engines", "list"), "No engine has a name"),
    ],
)
def test_what_is_there_can_be_read(home: Path, command: tuple[str, ...], shown: str) -> None:
    done = run(*(session_id(home) if word == "ID" else word for word in command))
    assert done.exit_code == 0 and shown in done.output, done.exception


@pytest.mark.parametrize(
    "command",
    [
        ("sessions", "rename", "ID", "Rivers"),
        ("sessions", "keep", "ID"),
        ("sessions", "branch", "ID", "1"),
    ],
)
def test_what_would_add_something_is_refused_and_changes_nothing(home: Path, command: tuple[str, ...]) -> None:
    done = run(*(session_id(home) if word == "ID" else word for word in command))
    assert isinstance(done.exception, StorageFull)
    assert done.exception.fact.startswith("The disk that holds ") and " is full: 0 bytes are free" in str(
        done.exception
    )
    assert "snapshots prune --all" in done.exception.remedy
    assert "Bridges" in run("sessions", "list").output


def test_a_session_can_be_deleted(home: Path) -> None:
    whole = session_id(home)
    done = run("sessions", "delete", whole)
    assert done.exit_code == 0, done.exception
    assert "No sessions yet" in run("sessions", "list").output
    assert list((home / "snapshots").iterdir()) == []


def test_saved_kv_caches_can_be_pruned(home: Path) -> None:
    done = run("snapshots", "prune", "--all", "--json")
    assert done.exit_code == 0, done.exception
    assert '"removed_bytes": 400000' in done.output and list((home / "snapshots").iterdir()) == []
    assert "0 kept KV caches" in run("snapshots", "list").output
    assert run("sessions", "rename", session_id(home), "Rivers").exit_code == 0, "there is room again"


def test_notes_can_be_pruned_and_a_kept_note_deleted(home: Path, disk: Path) -> None:
    empty(disk)
    whole = session_id(home)
    assert run("sessions", "keep", whole).exit_code == 0
    fill(disk)
    assert run("snapshots", "prune", "--notes", "--all").exit_code == 0
    assert run("sessions", "note", whole, "1", "--delete").exit_code == 0


def test_without_a_reserve_what_can_be_made_again_goes(home: Path, disk: Path) -> None:
    """A home of an older Longdesk."""
    empty(disk)
    (home / reserve.NAME).unlink()
    (home / "cache").mkdir(exist_ok=True)
    (home / "cache" / "large").write_bytes(bytes(600_000))
    (home / "cache" / "small").write_bytes(b"1")
    fill(disk)
    assert run("sessions", "delete", session_id(home)).exit_code == 0
    assert not (home / "cache" / "large").exists() and (home / "cache" / "small").exists()


def test_the_reserve_comes_back_when_there_is_room(home: Path, disk: Path) -> None:
    assert run("sessions", "delete", session_id(home)).exit_code == 0
    assert not (home / reserve.NAME).exists()
    run("sessions", "list")
    assert not (home / reserve.NAME).exists(), "the disk is not filled with it"
    empty(disk)
    run("sessions", "list")
    assert (home / reserve.NAME).stat().st_size == reserve.RESERVE_BYTES


def test_what_a_crash_left_in_the_log_is_not_lost(home: Path, disk: Path) -> None:
    """A log that is not in the file yet needs room to be read: the reserve gives it."""
    empty(disk)
    kept = Store(home)
    kept.sessions.rename(session_id(home), "Rivers")
    log, data = home / "longdesk.db-wal", {}
    for path in (home / "longdesk.db", log):
        data[path] = path.read_bytes()
    kept.close()
    for path, content in data.items():
        path.write_bytes(content)
    assert log.stat().st_size
    fill(disk)
    assert "Rivers" in run("sessions", "list").output


def test_a_database_that_has_to_be_brought_up_to_date_says_so(home: Path, disk: Path) -> None:
    import sqlite3

    empty(disk)
    with closing(sqlite3.connect(home / "longdesk.db")) as database:
        database.execute("PRAGMA user_version = 3")
    fill(disk)
    assert isinstance(run("sessions", "list").exception, StorageFull)


def test_a_home_that_cannot_be_begun(disk: Path) -> None:
    fill(disk)
    with pytest.raises(LongdeskError, match=_FULL):
        Store(disk / "new")


def test_a_disk_that_fills_up_while_an_answer_comes(home: Path, disk: Path) -> None:
    empty(disk)
    with closing(Desk(Settings(home=home, model="fake.gguf", reply_tokens=8), backend=FakeBackend())) as desk:
        heard = []
        with pytest.raises(StorageFull):
            for event in desk.ask(Question(text="Q", corpus=Corpus((SOURCE,))), cancel=Flag()):
                heard.append(event)
                if isinstance(event, Begun):
                    fill(disk)
        assert any(isinstance(event, Begun) for event in heard)
    assert run("sessions", "list").exit_code == 0


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_quota_that_is_used_up_is_one_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    with Store(tmp_path) as store:
        store.sessions.create(title="Bridges", model="m", system="", frozen_date="2026-01-01")
    (tmp_path / "cache").mkdir()

    def fail(*_: object) -> Path:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(reserve, "_write", fail)
    assert reserve.is_full(tmp_path)
    assert "full" in why(OSError(number, "")) or "quota" in why(OSError(number, ""))
    assert "prune" in remedy_of(OSError(number, ""), "Try again.")
    assert remedy_of(OSError(errno.EIO, ""), "Try again.") == "Try again."


def test_a_cache_that_finds_no_room_is_not_kept_and_says_why(disk: Path, home: Path) -> None:
    with Store(home) as store:
        refusal = Tier(Settings(home=home, model="m"), store.snapshots).keep(1 << 20).refusal
    assert refusal is not None and refusal.startswith("The KV cache was not kept")


def test_settings_and_what_is_printed(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done = run("engines", "add", "one", "http://127.0.0.1:1")
    assert isinstance(done.exception, LongdeskError) and "the disk is full" in str(done.exception)
    assert not (home / "config.toml").exists()

    def fail(**_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(doors, "cli", fail)
    assert doors._run() == 1
    assert "What was printed could not be written: the disk is full." in capsys.readouterr().err


@pytest.mark.slow  # 4 s
def test_a_corpus_can_still_be_counted_and_planned_and_a_question_is_refused(disk: Path, llama_gguf: Path) -> None:
    longdesk = CommandLine(disk / "home", llama_gguf, is_new=True)
    corpus = disk / "a.txt"
    corpus.write_text("words\n")
    again: Callable[..., Run] = lambda *words: longdesk(*words, "--json")  # noqa: E731
    counted = again("count", corpus).document
    fill(disk)
    assert again("count", corpus).document == counted
    assert again("plan", corpus).code == 0
    asked = again("ask", corpus, "-q", "Q", "--max-tokens", 2)
    assert asked.code == 1 and "is full" in asked.err and asked.out == ""
    assert again("sessions", "list").document == {"sessions": []}
