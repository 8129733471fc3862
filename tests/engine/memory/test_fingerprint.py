"""Which model a KV state belongs to, to the last byte: seen, said, and answered by reading everything again."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event as Flag

import pytest

import app.kv.reuse
from app.desk import Desk
from app.jobs import Phase, Progress, advance
from app.question import Answered, Notice, Question
from app.settings import Settings
from engine.corpus.source import Corpus
from engine.errors import ModelRefused
from engine.gguf import read_header
from engine.memory.card import ModelCard, read_card
from engine.memory.fingerprint import Contents, fingerprint
from engine.runtime.binding import is_read
from engine.runtime.checkpoint import Speeds
from engine.runtime.events import Checking
from tests.command_line import CommandLine
from tests.models.cache import cached
from tests.models.scout import SMALL as SMALL_SCOUT

_TEXT = "".join(f"the quick brown fox {line} jumps over the lazy dog {line % 7}\n" for line in range(120))


def card_of(path: Path) -> ModelCard:
    return read_card(read_header(path))


def between_samples(path: Path) -> int:
    """A place in the middle of the weights that a fingerprint does not look at."""
    start = read_header(path).data_start
    room = path.stat().st_size - start - 4096
    place, following = (start + room * sample // 63 for sample in (31, 32))
    assert following - place > 3 * 4096
    return (place + 2 * 4096) // 2 * 2  # the low byte of a number


def flip(path: Path) -> None:
    """Changes one weight a little; size and time of modification stay."""
    stat, place = path.stat(), between_samples(path)
    with path.open("r+b") as file:
        file.seek(place)
        (old,) = file.read(1)
        file.seek(place)
        file.write(bytes([old ^ 0x40]))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def copy(path: Path, to: Path) -> Path:
    """With its time of modification."""
    return Path(shutil.copy2(path, to))


def content_of(contents: Contents, path: Path) -> str:
    """Read where nobody has."""
    card = card_of(path)
    if not is_read(contents.identify(card).content):
        for _ in contents.read(card):
            pass
    return contents.identify(card).content


@pytest.fixture
def contents(tmp_path: Path) -> Contents:
    return Contents(tmp_path / "cache")


@pytest.fixture
def model(llama_gguf: Path, tmp_path: Path) -> Path:
    return copy(llama_gguf, tmp_path / "model.gguf")


@pytest.fixture
def no_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads a model's files fails."""

    def refuse(contents: Contents, card: ModelCard) -> Iterator[float]:
        raise AssertionError("the model was read again")

    monkeypatch.setattr(Contents, "read", refuse)


def test_a_byte_between_the_samples_makes_another_model(contents: Contents, model: Path, tmp_path: Path) -> None:
    twin = copy(model, tmp_path / "twin.gguf")
    flip(twin)
    assert (twin.stat().st_size, twin.stat().st_mtime_ns) == (model.stat().st_size, model.stat().st_mtime_ns)
    assert fingerprint(card_of(twin)) == fingerprint(card_of(model))
    assert content_of(contents, twin) != content_of(contents, model)


def test_copies_hold_the_same_and_are_read_themselves(contents: Contents, model: Path, tmp_path: Path) -> None:
    known = content_of(contents, model)
    other = copy(model, tmp_path / "copy.gguf")
    assert not is_read(contents.identify(card_of(other)).content)
    assert content_of(contents, other) == known


@pytest.mark.parametrize("change", [flip, Path.touch], ids=["written to, its time set back", "touched"])
def test_what_changed_in_place_is_read_again(change: Callable[[Path], None], contents: Contents, model: Path) -> None:
    before, known = contents.identify(card_of(model)), content_of(contents, model)
    change(model)
    after = contents.identify(card_of(model))
    assert after != before and not is_read(after.content)
    assert (content_of(contents, model) == known) == (change is Path.touch)


def test_links_lead_to_the_same_files(contents: Contents, model: Path, tmp_path: Path) -> None:
    """Hugging Face's cache is made of them."""
    known = content_of(contents, model)
    link = tmp_path / "snapshots" / "abc" / "linked.gguf"
    link.parent.mkdir(parents=True)
    link.symlink_to(os.path.relpath(model, link.parent))
    assert contents.identify(card_of(link)).content == known
    assert contents.identify(card_of(link)) == contents.identify(card_of(model))


def test_every_part_of_a_split_model_counts(contents: Contents, llama_gguf: Path, tmp_path: Path) -> None:
    first, second = (copy(llama_gguf, tmp_path / f"m-0000{part}-of-00002.gguf") for part in (1, 2))
    known, stamp = content_of(contents, first), contents.identify(card_of(first)).stamp
    flip(second)
    assert contents.identify(card_of(first)).stamp != stamp
    assert content_of(contents, first) != known


def test_a_second_process_reads_nothing(contents: Contents, scout_gguf: Path, tmp_path: Path) -> None:
    known = content_of(contents, scout_gguf)
    script = """
import json, sys
from pathlib import Path
from engine.gguf import read_header
from engine.memory.card import read_card
from engine.memory.fingerprint import Contents

def n_read():
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["rchar"])

card, contents = read_card(read_header(Path(sys.argv[1]))), Contents(Path(sys.argv[2]))
before = n_read()
print(json.dumps([contents.identify(card).content, n_read() - before]))
"""
    if not Path("/proc/self/io").exists():
        pytest.skip("the system does not tell what a process read")
    run = subprocess.run(
        [sys.executable, "-c", script, scout_gguf, tmp_path / "cache"], capture_output=True, check=True, text=True
    )
    content, n_read = json.loads(run.stdout)
    assert content == known and n_read < 1 << 20 < scout_gguf.stat().st_size


def test_files_that_change_while_they_are_read_are_not_remembered(
    contents: Contents, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.memory.fingerprint._STEP_BYTES", 1)
    monkeypatch.setattr("engine.memory.fingerprint._PIECE_BYTES", 64 << 10)
    card, shares = card_of(model), []
    for share in contents.read(card):
        if not shares:
            flip(model)
        shares.append(share)
    assert shares == sorted(shares) and shares[-1] == 1.0 and len(shares) > 4
    assert not is_read(contents.identify(card).content)


def test_reading_that_is_given_up_leaves_nothing(
    contents: Contents, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.memory.fingerprint._STEP_BYTES", 1)
    next(contents.read(card_of(model)))
    assert not is_read(contents.identify(card_of(model)).content) and not (tmp_path / "cache").exists()


@pytest.mark.parametrize("damage", ["", "{", '{"version": 1}', '{"version": 1, "stamp": "files:0", "content": "00"}'])
def test_a_damaged_memory_is_made_anew(damage: str, contents: Contents, model: Path, tmp_path: Path) -> None:
    known = content_of(contents, model)
    [memory] = (tmp_path / "cache").iterdir()
    memory.write_text(damage)
    again = Contents(tmp_path / "cache")
    assert not is_read(again.identify(card_of(model)).content)
    assert content_of(again, model) == known


def test_a_folder_that_cannot_be_written_costs_the_next_process_only(model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    contents = Contents(tmp_path / "file" / "cache")
    assert is_read(content_of(contents, model))


def test_a_model_that_went_away_is_refused(contents: Contents, model: Path) -> None:
    card = card_of(model)
    model.unlink()
    with pytest.raises(ModelRefused, match="cannot be read any more"):
        contents.identify(card)
    with pytest.raises(ModelRefused):
        list(contents.read(card))


# what that means for kept states


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "a.txt").write_text(_TEXT)
    return folder


@pytest.fixture
def settings(model: Path, tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", model=str(model), reply_tokens=8)


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models of a MiB are treated as large ones, and tell of every piece that is read."""
    monkeypatch.setattr(app.kv.reuse, "_SMALL_MODEL_BYTES", 0)
    monkeypatch.setattr("engine.memory.fingerprint._STEP_BYTES", 1)


SLOW = Speeds(tokens_per_s=100.0)


class Asked:
    """A question in a new session, from the start of a Desk to its end."""

    def __init__(
        self,
        settings: Settings,
        corpus: Path,
        speeds: Speeds = SLOW,
        *,
        learn: bool = False,
        cancel_checking: bool = False,
    ) -> None:
        self.progress, self.phases, cancel = Progress(), [Phase.STARTING], Flag()
        desk = Desk(settings, speeds=speeds)
        try:
            question = Question(text="How many lines?", corpus=desk.read([corpus]))
            for event in desk.ask(question, cancel=cancel):
                self.progress = advance(self.progress, event)
                if self.phases[-1] is not self.progress.phase:
                    self.phases.append(self.progress.phase)
                if cancel_checking and isinstance(event, Checking):
                    cancel.set()
            assert isinstance(event, Answered)
            self.turn, self.notices = event.turn, self.progress.notices
            assert (notice := desk.save()) is None, notice
            if learn:
                assert list(desk.learn())
        finally:
            desk.close()

    @property
    def reused(self) -> float:
        """The share of the prompt."""
        return (self.turn.reused_tokens or 0) / (self.turn.prompt_tokens or 1)


@pytest.mark.slow  # 6.1 s
def test_a_twin_in_its_place_is_not_given_its_states(
    settings: Settings, model: Path, corpus: Path, tmp_path: Path
) -> None:
    Asked(settings, corpus)
    twin = copy(model, tmp_path / "twin.gguf")
    flip(twin)
    os.replace(twin, model)
    asked = Asked(settings, corpus)
    assert asked.reused == 0 and any("another model file" in notice for notice in asked.notices), asked.notices
    assert asked.turn.reply_ids == Asked(replace(settings, home=tmp_path / "alone"), corpus).turn.reply_ids
    assert Asked(settings, corpus).reused > 0.9  # of its own


@pytest.mark.slow  # 3.4 s
def test_a_model_replaced_under_a_running_engine(settings: Settings, model: Path, corpus: Path, tmp_path: Path) -> None:
    desk = Desk(settings)
    try:
        sources = desk.read([corpus]).sources
        reused = []
        for turn in range(3):
            *_, last = events = list(desk.ask(Question(text="How many lines?", corpus=Corpus(sources)), cancel=Flag()))
            assert isinstance(last, Answered)
            reused.append(last.turn.reused_tokens)
            if turn == 1:
                twin = copy(model, tmp_path / "twin.gguf")
                flip(twin)
                os.replace(twin, model)
        assert reused[0] == reused[2] == 0 and reused[1]
        assert any(isinstance(event, Notice) and "another model file" in event.text for event in events)
    finally:
        desk.close()


@pytest.mark.slow  # 4.3 s
def test_a_copy_is_given_its_states(settings: Settings, model: Path, corpus: Path, tmp_path: Path) -> None:
    Asked(settings, corpus)
    moved = tmp_path / "elsewhere.gguf"
    for settle in (shutil.copyfile, os.replace):
        settle(model, moved)
        asked = Asked(replace(settings, model=str(moved)), corpus)
        assert asked.reused > 0.9 and not asked.notices


@pytest.mark.slow  # 2.7 s
def test_a_large_model_is_not_read_before_its_first_answer(
    settings: Settings, corpus: Path, large: None, no_reading: None
) -> None:
    """Nor afterwards where it is the very file."""
    assert Asked(settings, corpus).reused == 0
    again = Asked(settings, corpus)
    assert again.reused > 0.9 and not again.notices and Phase.CHECKING not in again.phases


@pytest.mark.slow  # 3.7 s
def test_a_copy_of_a_large_model_is_read_first(
    settings: Settings, model: Path, corpus: Path, large: None, tmp_path: Path
) -> None:
    assert Phase.CHECKING not in Asked(settings, corpus, learn=True).phases
    copied = replace(settings, model=str(copy(model, tmp_path / "copy.gguf")))
    asked = Asked(copied, corpus)
    assert asked.reused > 0.9 and Phase.CHECKING in asked.phases and not asked.notices
    assert Phase.CHECKING not in Asked(copied, corpus).phases


@pytest.mark.slow  # 3.2 s
def test_a_twin_of_a_large_model_is_read_first_and_refused(
    settings: Settings, model: Path, corpus: Path, large: None, tmp_path: Path
) -> None:
    Asked(settings, corpus, learn=True)
    twin = copy(model, tmp_path / "twin.gguf")
    flip(twin)
    asked = Asked(replace(settings, model=str(twin)), corpus)
    assert asked.reused == 0 and any("another model file" in notice for notice in asked.notices), asked.notices


@pytest.mark.slow  # 3.6 s
def test_a_large_model_that_nobody_read_in_time(
    settings: Settings, model: Path, corpus: Path, large: None, no_reading: None, tmp_path: Path
) -> None:
    """What the state was made with cannot be found out any more."""
    Asked(settings, corpus)
    asked = Asked(replace(settings, model=str(copy(model, tmp_path / "copy.gguf"))), corpus)
    assert asked.reused == 0 and any("changed or moved since" in notice for notice in asked.notices), asked.notices


@pytest.mark.slow  # 5.4 s
def test_a_large_model_is_not_read_for_a_few_tokens(
    settings: Settings, model: Path, corpus: Path, large: None, tmp_path: Path
) -> None:
    """How few depends on how fast prompts and files are read."""
    Asked(settings, corpus, learn=True)
    copied = replace(settings, model=str(copy(model, tmp_path / "copy.gguf")))
    n_bytes, kept = model.stat().st_size, Path(shutil.copytree(settings.home, tmp_path / "kept"))
    for tokens_per_s, file_s, is_read_first in ((1e9, 1, False), (1e3, 1_000, False), (1e3, 0.1, True)):
        shutil.rmtree(copied.home)
        shutil.copytree(kept, copied.home)
        asked = Asked(copied, corpus, Speeds(tokens_per_s=tokens_per_s, file_bytes_per_s=n_bytes / file_s))
        assert (asked.reused > 0.9) == is_read_first == (Phase.CHECKING in asked.phases), (tokens_per_s, file_s)


@pytest.mark.slow  # 3.0 s
def test_checking_can_be_cancelled(
    settings: Settings, model: Path, corpus: Path, large: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Asked(settings, corpus, learn=True)
    monkeypatch.setattr("engine.memory.fingerprint._PIECE_BYTES", 64 << 10)
    copied = replace(settings, model=str(copy(model, tmp_path / "copy.gguf")))
    asked = Asked(copied, corpus, cancel_checking=True)
    assert asked.turn.stop == "cancelled" and asked.progress.loaded < 0.5
    assert Asked(copied, corpus).reused > 0.9


@pytest.mark.slow  # 2.4 s
def test_the_page_plans_with_what_is_not_proved_yet_without_reading(
    settings: Settings, model: Path, corpus: Path, large: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Asked(settings, corpus, learn=True)
    monkeypatch.setattr(Contents, "read", lambda *_: pytest.fail("the model was read while somebody types"))
    desk = Desk(replace(settings, model=str(copy(model, tmp_path / "copy.gguf"))))
    try:
        outlook = desk.preview(asked.turn.session_id)
        assert (outlook.reused_tokens or 0) > 0.9 * (asked.turn.prompt_tokens or 0)
    finally:
        desk.close()


@pytest.mark.slow  # 25.5 s
def test_the_command_line_says_it_for_a_scout(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(_TEXT)
    model = copy(cached("scout", **SMALL_SCOUT), tmp_path / "scout.gguf")
    longdesk = CommandLine(tmp_path / "home", model)
    ask = ("ask", tmp_path / "a.txt", "-q", "How many lines?", "--max-tokens", 4, "--json")
    first, again = longdesk(*ask), longdesk(*ask)
    assert first.code == again.code == 0 and again.answer["reused_tokens"] > 0.9 * again.answer["prompt_tokens"]
    flip(model)
    twin = longdesk(*ask)
    assert twin.code == 0 and twin.answer["reused_tokens"] == 0 and "another model file" in twin.err
    assert longdesk(*ask).answer["reused_tokens"] > 0
