"""KV states on disk that cannot be trusted, through Desk and `longdesk ask`: seen, said, and answered all the same."""

import json
import os
import re
import shutil
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event as Flag

import psutil
import pytest
from xxhash import xxh3_128_digest

from app.desk import Desk
from app.question import Answered, Notice, Question
from app.settings import Settings
from engine.runtime import state_file as files
from engine.runtime.events import Prefill
from storage.records import Turn
from storage.store import Store
from tests.command_line import CommandLine
from tests.models.cache import cached
from tests.patience import PATIENCE_S, until

_TEXT = "the quick brown fox {} jumps over the lazy dog {}\n"


@dataclass(frozen=True, slots=True)
class Answer:
    """A stored turn and the notices on the way to it."""

    turn: Turn
    notices: tuple[str, ...]


def ask(settings: Settings, corpus: Path, text: str = "How many lines?") -> Answer:
    """One question in a new session, from the start of a Desk to its end: what is worth keeping is kept."""
    desk = Desk(settings)
    try:
        events = list(desk.ask(Question(text=text, corpus=desk.read([corpus])), cancel=Flag()))
    finally:
        desk.close()
    assert isinstance(events[-1], Answered)
    return Answer(events[-1].turn, tuple(event.text for event in events if isinstance(event, Notice)))


def states(settings: Settings) -> list[Path]:
    return sorted((settings.home / "snapshots").glob("*.kv"))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "a.txt").write_text("".join(_TEXT.format(line, line % 7) for line in range(120)))
    return folder


@pytest.fixture(scope="module")
def plain(corpus: Path, llama_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, Answer]:
    """A home in which the corpus was asked about once, and how that question is answered with nothing kept."""
    home = tmp_path_factory.mktemp("home")
    settings = Settings(home=home, model=str(llama_gguf), reply_tokens=8)
    answer = ask(settings, corpus)
    assert answer.turn.reused_tokens == 0 and len(states(settings)) == 1
    return settings, answer


@pytest.fixture
def settings(plain: tuple[Settings, Answer], tmp_path: Path) -> Settings:
    """Those of a copy of that home."""
    return replace(plain[0], home=Path(shutil.copytree(plain[0].home, tmp_path / "home")))


def cut(share: float) -> Callable[[Path], None]:
    return lambda path: os.truncate(path, int(path.stat().st_size * share))


def flip(share: float) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[int((len(data) - 1) * share)] ^= 0x10
        path.write_bytes(data)

    return damage


def edit_manifest(old: bytes, new: bytes) -> Callable[[Path], None]:
    assert len(old) == len(new)

    def damage(path: Path) -> None:
        data = path.read_bytes()
        assert data.count(old) == 1
        path.write_bytes(data.replace(old, new))

    return damage


def reseal(path: Path, *, name: str | None = None, **binding: str) -> None:
    """Rewrites what a file says of itself, and makes its checksum right again."""
    data = path.read_bytes()
    n_window, n_manifest, *_ = files.TAIL.unpack(data[-files.TAIL.size :])
    end = len(data) - files.TAIL.size
    manifest = json.loads(data[end - n_manifest : end])
    manifest["binding"] |= binding
    manifest["name"] = name or manifest["name"]
    packed = json.dumps(manifest).encode()
    sealed = data[: end - n_manifest] + packed + files.LENGTHS.pack(n_window, len(packed))
    path.write_bytes(sealed + xxh3_128_digest(sealed) + files.MARK)


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"and something else")


def zero(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def claim_more_ids(path: Path) -> None:
    """The number of ids at the head of llama.cpp's part: one more than there are."""
    data = bytearray(path.read_bytes())
    (n_ids,) = struct.unpack_from("<I", data, 8)
    struct.pack_into("<I", data, 8, n_ids + 1)
    path.write_bytes(data)


DAMAGE: dict[str, Callable[[Path], None]] = {
    "cut at 1 %": cut(0.01),
    "cut at 50 %": cut(0.5),
    "cut at 90 %": cut(0.9),
    "cut at 99.9 %": cut(0.999),
    "emptied": cut(0.0),
    "flipped in the ids": flip(0.001),
    "flipped at 30 %": flip(0.3),
    "flipped at 99 %": flip(0.99),
    "flipped at the end": flip(1.0),
    "more ids claimed": claim_more_ids,
    "garbage behind its end": append,
    "zeros of the same length": zero,
    "a folder in its place": make_folder,
    "sealed under another name": lambda path: reseal(path, name="another.kv"),
    "manifest: another KV type": edit_manifest(b'"kv_k":"f16"', b'"kv_k":"f32"'),
    "manifest: windows everywhere": edit_manifest(b'"swa_full":false', b'"swa_full":true '),
}


@pytest.mark.slow  # 2.9 s
@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_state_is_said_and_answered_without(
    name: str, settings: Settings, plain: tuple[Settings, Answer], corpus: Path
) -> None:
    [state] = states(settings)
    DAMAGE[name](state)
    answer = ask(settings, corpus)
    assert answer.turn.reused_tokens == 0
    assert any("KV state was not used" in notice for notice in answer.notices), answer.notices
    assert (answer.turn.reply_ids, answer.turn.stop) == (plain[1].turn.reply_ids, plain[1].turn.stop)


def test_an_unharmed_state_is_used_without_a_word(
    settings: Settings, plain: tuple[Settings, Answer], corpus: Path
) -> None:
    answer = ask(settings, corpus)
    assert answer.turn.reused_tokens is not None and answer.turn.reused_tokens > 0.9 * (answer.turn.prompt_tokens or 0)
    assert answer.notices == ()


@pytest.mark.slow  # 1.9 s
def test_a_damaged_state_gives_way_to_a_whole_one(settings: Settings, corpus: Path) -> None:
    """Or every question from now on would find it, complain, and read everything."""
    [state] = states(settings)
    flip(0.5)(state)
    ask(settings, corpus)
    again = ask(settings, corpus, "And how many words?")
    assert (again.turn.reused_tokens or 0) > 0.5 * (again.turn.prompt_tokens or 0)
    assert again.notices == ()


@pytest.mark.slow  # 1.2 s
def test_a_state_that_is_gone_is_no_trouble(settings: Settings, plain: tuple[Settings, Answer], corpus: Path) -> None:
    states(settings)[0].unlink()
    answer = ask(settings, corpus)
    assert (answer.turn.reused_tokens, answer.turn.reply_ids) == (0, plain[1].turn.reply_ids)


@pytest.mark.slow  # 6.9 s
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": "same shape"}, "another model file"),
        ({"kv_type": "q8_0"}, "another KV type"),
    ],
)
def test_a_state_of_something_else_is_said_and_answered_without(
    changes: dict[str, str], words: str, settings: Settings, corpus: Path, tmp_path: Path
) -> None:
    if "model" in changes:
        changes = {"model": str(cached("llama", seed=1))}
    other = replace(settings, **changes)  # type: ignore[arg-type]
    answer = ask(other, corpus)
    assert answer.turn.reused_tokens == 0
    assert any(words in notice for notice in answer.notices), answer.notices
    alone = ask(replace(other, home=tmp_path / "alone"), corpus)
    assert alone.turn.reply_ids == answer.turn.reply_ids


@pytest.fixture
def larger(settings: Settings, corpus: Path, tmp_path: Path) -> Settings:
    """A home in which nothing is kept but two states of the corpus's beginning and much behind it."""
    store = Store(settings.home)
    store.snapshots.forget(states(settings)[0])
    store.close()
    text = (corpus / "a.txt").read_text()
    for name in ("b", "c"):
        copy = tmp_path / name / corpus.name  # a document says which folder it was given with
        copy.mkdir(parents=True)
        (copy / "a.txt").write_text(text + f"{name}: many ships passed the lighthouse\n" * 270)
        ask(settings, copy)
    return settings


@pytest.mark.slow
def test_a_state_too_large_for_the_context_is_said_once_where_it_would_save_much(
    larger: Settings, plain: tuple[Settings, Answer], corpus: Path, tmp_path: Path
) -> None:
    small = replace(larger, n_ctx=3_328)
    answer = ask(small, corpus)
    [notice] = answer.notices
    assert (answer.turn.reused_tokens, answer.turn.reply_ids) == (0, plain[1].turn.reply_ids)
    lost, held, needed = re.findall(r"^([\d,]+) tokens are read again: .* holds ([\d,]+), .* --ctx (\d+)", notice)[0]
    assert number(lost) > 3_000 and 7_000 < number(held) <= number(needed) <= 8_192
    again = ask(small, corpus, "And how many words?")
    assert again.notices == () and (again.turn.reused_tokens or 0) > 3_000
    (tmp_path / "b" / corpus.name / "a.txt").write_text("".join(f"{line} swans\n" for line in range(400)))
    other = ask(small, tmp_path / "b" / corpus.name)
    assert other.notices == (), "only the instruction is shared"


@pytest.mark.slow
def test_a_context_is_chosen_that_can_load_what_is_kept(
    larger: Settings, plain: tuple[Settings, Answer], corpus: Path
) -> None:
    """Eight turns ahead of a prompt of 3,000 tokens take less than the states need."""
    desk = Desk(larger)
    try:
        session = desk.begin_session("t")
        desk.add_sources(session.id, desk.read([corpus]))
        ahead = desk.preview(session.id)
        assert ahead.plan.context_tokens == 7_680 and (ahead.reused_tokens or 0) > 3_000
        assert desk.plan().context_tokens < 7_680
    finally:
        desk.close()
    answer = ask(larger, corpus)
    assert answer.notices == () and (answer.turn.reused_tokens or 0) > 3_000
    assert answer.turn.reply_ids == plain[1].turn.reply_ids


def number(text: str) -> int:
    return int(text.replace(",", ""))


@pytest.mark.slow  # 2.8 s
def test_another_models_state_in_its_place_is_not_used(settings: Settings, corpus: Path, tmp_path: Path) -> None:
    """The index says that it is this model's; the file knows better."""
    twin = replace(settings, home=tmp_path / "twin", model=str(cached("llama", seed=1)))
    expected = ask(twin, corpus)
    [place] = states(twin)
    shutil.copy(states(settings)[0], place)
    reseal(place, name=place.name)
    answer = ask(twin, corpus)
    assert answer.turn.reused_tokens == 0 and answer.turn.reply_ids == expected.turn.reply_ids
    assert any("another model file" in notice for notice in answer.notices), answer.notices


@pytest.mark.slow  # 4.3 s
def test_two_states_in_each_others_place(
    settings: Settings, plain: tuple[Settings, Answer], corpus: Path, tmp_path: Path
) -> None:
    """Both seals are right. Neither state is used, and new ones take their places."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "b.txt").write_text("".join(f"{line} ships passed the lighthouse\n" for line in range(150)))
    expected = {corpus: plain[1], other: ask(settings, other)}
    one, two = states(settings)
    one.rename(tmp_path / "aside")
    two.rename(one)
    (tmp_path / "aside").rename(two)
    notices: list[str] = []
    for texts, answer in expected.items():
        answered = ask(settings, texts)
        notices += answered.notices
        assert answered.turn.reply_ids == answer.turn.reply_ids
        assert (answered.turn.reused_tokens or 0) < 100  # the instruction alone, of the state that was made anew
    assert sum("written under another name" in notice for notice in notices) == 2, notices
    for texts in expected:
        again = ask(settings, texts)
        assert (again.turn.reused_tokens or 0) > 0.9 * (again.turn.prompt_tokens or 0) and again.notices == ()


@pytest.mark.slow  # 2.4 s
def test_the_command_line_says_it_too(settings: Settings, plain: tuple[Settings, Answer], corpus: Path) -> None:
    flip(0.5)(states(settings)[0])
    longdesk = CommandLine(settings.home, settings.model)
    asked = longdesk("ask", corpus, "-q", "How many lines?", "--max-tokens", 8, "--json")
    assert asked.code == 0 and "KV state was not used" in asked.err
    assert asked.answer["reused_tokens"] == 0 and asked.answer["text"] == plain[1].turn.text


@pytest.mark.slow  # 1.1 s
def test_an_engine_that_is_killed_leaves_what_was_kept(settings: Settings, corpus: Path) -> None:
    desk = Desk(settings)
    [session] = desk.sessions()
    try:
        for event in desk.ask(Question(text="And how many words?", session=session.id), cancel=Flag()):
            if isinstance(event, Prefill):
                kill_children()
        assert isinstance(event, Answered) and event.turn.stop == "error"
    finally:
        desk.close()
    again = ask(settings, corpus, "And how many words?")
    assert (again.turn.reused_tokens or 0) > 0.9 * (again.turn.prompt_tokens or 0)


def kill_children() -> None:
    """The engines among this process's children."""
    for child in psutil.Process().children(recursive=True):
        if "engine.runtime.worker" in child.cmdline():
            child.kill()


@pytest.mark.slow
def test_everything_killed_while_a_state_is_written(corpus: Path, tmp_path: Path) -> None:
    """What is half written is never used, and swept when the next one starts."""
    longdesk = CommandLine(tmp_path / "home", cached("llama", n_layer=8, n_head=8, n_head_kv=8, head_dim=64))
    ask = ("ask", corpus, "--kv", "f32", "--max-tokens", 4, "--json")
    while not (parts := kill_in_writing(longdesk, *ask, "-q", "How many lines?")):  # 60 MB are written in a moment
        longdesk("snapshots", "prune", "--all")
    whole = list((tmp_path / "home" / "snapshots").glob("*.kv"))
    after = longdesk(*ask, "-q", "How many words?")
    assert after.code == 0 and after.answer["stop"] in ("length", "end")
    assert whole or after.answer["reused_tokens"] == 0
    assert not any(part.exists() for part in parts)
    assert longdesk("snapshots", "verify", "--json").document["broken"] == []


def kill_in_writing(longdesk: CommandLine, *arguments: object) -> list[Path]:
    """Starts it, and kills it with its children as soon as a state is half written; what it left half written."""
    process = longdesk.start(*arguments)
    folder = longdesk.home / "snapshots"
    until(lambda: process.poll() is not None or any(folder.glob("*.part")), every_s=0.0005)
    if process.poll() is None:
        own = psutil.Process(process.pid)
        family = [*own.children(recursive=True), own]  # who writes goes first
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        process.communicate()
        assert psutil.wait_procs(family, PATIENCE_S)[1] == []
    return list(folder.glob("*.part"))
