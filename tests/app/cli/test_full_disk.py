"""A disk that is full: it is called so, what is there can be read and taken away, and nothing is lost."""

import errno
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Event as Flag

import pytest
from click.testing import CliRunner, Result
from openai import APIStatusError

from app import cli as doors
from app.cli import cli, page
from app.desk import Desk
from app.door.keys import PAGE_FILE, SERVE_FILE, TOKEN_VARIABLE, TokenUnkept, token_of
from app.door.setting import Door
from app.kv.disk import Tier
from app.open_browser import open_when_up
from app.promises import Promises
from app.question import Begun, Question
from app.settings import Settings
from engine.corpus.source import Corpus, Source, digest_text
from engine.errors import LongdeskError, remedy_of, why
from engine.kept_files import write_whole
from engine.memory.budget import Device, Need
from engine.tokens.proof import write_kept
from storage import reserve
from storage.records import Outcome
from storage.schema import StorageFull
from storage.store import Store
from tests.command_line import CommandLine, Run
from tests.fake_backend import FakeBackend
from tests.full_disk import empty, fill, small_disk
from tests.serving import TOKEN, serving

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


def filled(disk: Path) -> set[Path]:
    """The files beside the database's that hold something."""
    return {path for path in disk.rglob("*") if path.is_file() and path.stat().st_size and ".db" not in path.name}


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


def test_a_token_that_cannot_be_kept_is_no_empty_file(disk: Path, home: Path) -> None:
    for file, given in ((SERVE_FILE, {}), (PAGE_FILE, None)):
        with pytest.raises(TokenUnkept, match=f"{file} cannot be written: the disk is full") as raised:
            token_of(home, file, given)
        assert (TOKEN_VARIABLE in raised.value.remedy) is (given is not None), "of the page no variable speaks"
    assert not list(home.glob("*-token")) and not list(home.glob("*.part"))
    door = page._with_token(home, Door())
    assert len(door.token) >= 32
    environment = dict[str, str]()
    door.put(environment)
    assert Door.taken(8501, environment).token == door.token and environment == {}
    empty(disk)
    assert token_of(home, PAGE_FILE)[0] != door.token and page._with_token(home, Door()) == Door()


def test_the_browser_is_not_opened_without_its_file_and_leaves_nothing(home: Path, disk: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/?token=a"
        assert not open_when_up(url, home, kept_s=0)
    assert not list(home.glob("*.html*")) and not list(home.glob("*.part"))


def test_an_engine_goes_without_a_promise_that_cannot_be_written(home: Path, disk: Path) -> None:
    promises = Promises(home)
    need = [Need(Device("RAM", "ram", 1 << 30, 1 << 30), 0, 1 << 20)]
    assert promises.promise(need, lambda: True) and not promises.promise(need, lambda: False)
    promises.runs(os.getpid())
    promises.runs(os.getpid(), loaded=True)
    assert list((home / "engines").iterdir()) == []
    empty(disk)
    assert promises.promise(need, lambda: True)
    promises.runs(os.getpid())
    fill(disk)
    promises.runs(os.getpid(), loaded=True)
    assert len(list((home / "engines").iterdir())) == 1, "it has its room by then"
    promises.withdraw()


def test_what_only_saves_work_leaves_no_parts_behind(home: Path, disk: Path) -> None:
    path = home / "kept.json"
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, b"{}" * 9_000)
    write_kept(path, "stamp", {"long": "x" * 9_000})
    assert not [each for each in home.iterdir() if "kept" in each.name or each.name.endswith(".part")]
    empty(disk)
    write_whole(path, b"1")
    with pytest.raises(FileExistsError):
        write_whole(path, b"2", replaces=False)
    assert path.read_bytes() == b"1" and not list(home.glob("*.part"))


@pytest.mark.slow  # 12 s: an engine is started for a reading, another for a server
def test_what_asks_at_length_says_what_it_cannot_keep(disk: Path, llama_gguf: Path, tmp_path: Path) -> None:
    longdesk = CommandLine(disk / "home", llama_gguf, {"LONGDESK_TOKEN": TOKEN})
    corpus = tmp_path / "a.txt"
    corpus.write_text("The bridge is 42 metres long, and nobody has measured it since.\n" * 300)
    assert longdesk("sessions", "list").code == 0
    assert longdesk("count", corpus).code == 0
    fill(disk)
    before = filled(disk)
    read = longdesk("reading", corpus, "--lengths", "1k", "--depths", 1, "--json")
    assert read.code == 0 and "1,024 tokens cannot be kept" in read.err and read.document["lengths"]
    written = longdesk("summarize", corpus, "--out", tmp_path / "pages")
    assert written.code == 1 and "is full: 0 bytes are free" in written.err and written.out == ""
    corpus.write_text("The bridge is 42 metres long.\n")
    with serving(longdesk, corpus) as server, pytest.raises(APIStatusError, match="is full: 0 bytes are free"):
        said = {"role": "user", "content": "How long?"}
        server.client.chat.completions.create(model=server.model, messages=[said], max_tokens=4)  # type: ignore[list-item]
    assert filled(disk) == before


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
