"""Memory that engines of other processes were promised: not planned on twice, and let go of when they die."""

import os
import subprocess
import sys
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from threading import Event as Flag
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app import local_engine
from app.cli.output.plan import print_plan
from app.desk import Desk
from app.local_backend import LocalBackend
from app.promises import Promise, Promises, promised_away
from app.question import Answered, Begun, Notice, Question
from app.settings import Settings
from app.verdicts import refuse_misfit
from engine.corpus.source import Corpus, Source, digest_text
from engine.errors import DoesNotFit, EngineFailed
from engine.memory.budget import Device, Need, Verdict
from tests.command_line import CommandLine
from tests.memory_group import memory_group
from tests.models.cache import REPO, cached
from tests.patience import PATIENCE_S

GIB = 1 << 30
RAM, GPU = Device("RAM", "ram", 8 * GIB, 16 * GIB), Device("CUDA0", "gpu", 8 * GIB, 8 * GIB)
_OWNER = """
import sys, time
from pathlib import Path
from app.promises import Promises
from engine.memory.budget import Device, Need
promises = Promises(Path(sys.argv[1]))
assert promises.promise([Need(Device("RAM", "ram", 0, 0), 5 << 30, 1 << 30, mapped_bytes=4 << 30)], lambda: True)
print("promised", flush=True)
time.sleep(60)
"""


def yes() -> bool:
    return True


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Promises]:
    """Somebody else's."""
    made = Promises(tmp_path / "home")
    yield made
    made.withdraw()


def needing(n_bytes: int, device: Device = RAM) -> list[Need]:
    return [Need(device, 0, n_bytes)]


def test_a_promise_dies_with_its_owner(tmp_path: Path) -> None:
    (tmp_path / "engines").mkdir()
    mine = Promises(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", _OWNER, str(tmp_path)], stdout=subprocess.PIPE, encoding="utf-8", cwd=REPO
    ) as owner:
        assert owner.stdout is not None and owner.stdout.readline() == "promised\n"
        [promise] = mine.others()
        assert promise.owner == owner.pid
        assert promise.promised == {"RAM": 2 * GIB}, "what of a file is mapped can be dropped again"
        owner.kill()
        owner.wait(PATIENCE_S)
    assert mine.others() == ()
    assert list((tmp_path / "engines").iterdir()) == [], "what it left behind is swept"


def test_ones_own_is_not_anothers(other: Promises) -> None:
    assert other.promise(needing(GIB), yes)
    assert other.others() == ()


def test_a_promise_is_replaced_and_withdrawn(tmp_path: Path, other: Promises) -> None:
    mine = Promises(tmp_path / "home")
    other.promise(needing(GIB), yes)
    other.promise(needing(3 * GIB), yes)
    assert promised_away(RAM, mine.others()) == 3 * GIB
    other.withdraw()
    assert mine.others() == ()
    other.withdraw()


@pytest.mark.parametrize(
    ("taken", "loaded", "ram", "gpu"),
    [(0, False, 5, 4), (2, False, 3, 4), (5, True, 0, 0), (9, True, 0, 0)],
)
def test_what_an_engine_has_taken_does_not_count_twice(taken: int, loaded: bool, ram: int, gpu: int) -> None:
    promise = Promise(1, 2, loaded, {"RAM": 5 * GIB, "CUDA0": 4 * GIB}, taken * GIB)
    assert (promise.outstanding_bytes(RAM), promise.outstanding_bytes(GPU)) == (ram * GIB, gpu * GIB)
    assert promise.outstanding_bytes(Device("CUDA1", "gpu", 1, 1)) == 0


def test_an_engine_that_runs_is_measured_and_one_that_ended_holds_nothing(tmp_path: Path, other: Promises) -> None:
    mine = Promises(tmp_path / "home")
    other.promise(needing(64 * GIB), yes)
    other.runs(os.getpid())
    [promise] = mine.others()
    assert 0 < promise.taken_bytes < 64 * GIB
    with subprocess.Popen(["true"]) as gone:
        gone.wait(PATIENCE_S)
    other.runs(gone.pid, loaded=True)
    assert mine.others() == ()


def test_of_many_at_once_one_gets_what_there_is_for_one(tmp_path: Path) -> None:
    all_of_them = [Promises(tmp_path) for _ in range(8)]

    def take(mine: Promises) -> bool:
        return mine.promise(needing(5 * GIB), lambda: promised_away(RAM, mine.others()) + 5 * GIB <= RAM.free_bytes)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take, all_of_them)) == 1
    for mine in all_of_them:
        mine.withdraw()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"pid": "x"}', "\x00" * 1024])
def test_files_that_hold_nothing_promise_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "engines").mkdir()
    (tmp_path / "engines" / "1-a.json").write_text(text)
    assert Promises(tmp_path).others() == ()


def test_where_nothing_can_be_written_an_engine_goes_without(tmp_path: Path) -> None:
    (tmp_path / "engines").write_text("in its way")
    mine = Promises(tmp_path)
    assert mine.promise(needing(GIB), yes) and not mine.promise(needing(GIB), lambda: False)
    assert mine.others() == ()
    mine.runs(1)
    mine.withdraw()


@pytest.fixture
def desk(tmp_path: Path, llama_gguf: Path) -> Iterator[Desk]:
    with closing(Desk(Settings(home=tmp_path / "home", model=str(llama_gguf), reply_tokens=2))) as desk:
        yield desk


CORPUS = Corpus((Source("a.txt", "text", "words", 5, digest_text("words")),))


def free(desk: Desk) -> int:
    return desk.plan().needs[0].device.free_bytes


def test_a_plan_leaves_others_what_they_were_promised(
    desk: Desk, other: Promises, capsys: pytest.CaptureFixture[str]
) -> None:
    before = desk.plan()
    assert before.fits and before.needs[0].device.promised_bytes == 0
    other.promise(needing(1 << 50), yes)
    plan = desk.plan()
    assert plan.verdict is Verdict.OVER_MEMORY and plan.needs[0].device.free_bytes == 0
    with pytest.raises(DoesNotFit, match="wait for an engine of another Longdesk.*Wait until the other") as refused:
        refuse_misfit(plan)
    assert "Nothing was loaded" in str(refused.value)
    print_plan(plan, None, as_json=False)
    assert "promised to another engine" in capsys.readouterr().out
    other.withdraw()
    assert desk.plan().fits


def test_a_question_is_refused_while_another_has_the_memory(desk: Desk, other: Promises) -> None:
    other.promise(needing(1 << 50), yes)
    with pytest.raises(DoesNotFit):
        list(desk.ask(Question(text="Q", corpus=CORPUS), cancel=Flag()))
    assert desk.sessions() == ()


def ask(desk: Desk, other: Promises, cancel: Flag, then: list[str]) -> list[object]:
    """Another process takes the memory once the question has begun; `then` hears of the wait."""
    events: list[object] = []
    for event in desk.ask(Question(text="Q", corpus=CORPUS), cancel=cancel):
        events.append(event)
        if isinstance(event, Begun):
            other.promise(needing(1 << 50), yes)
        if isinstance(event, Notice) and "Waiting for memory" in event.text:
            then.append(event.text)
            cancel.set() if "cancel" in then else other.withdraw()
    return events


def test_of_two_at_once_the_second_waits_and_says_so(desk: Desk, other: Promises) -> None:
    told: list[str] = []
    *_, last = [event for event in ask(desk, other, Flag(), told) if isinstance(event, Answered)]
    assert len(told) == 1 and last.turn.stop in ("end", "length") and last.turn.text


def test_a_wait_ends_when_it_is_cancelled(desk: Desk, other: Promises) -> None:
    *_, last = [event for event in ask(desk, other, Flag(), ["cancel"]) if isinstance(event, Answered)]
    assert last.turn.stop == "cancelled"


def test_a_wait_has_an_end(desk: Desk, other: Promises, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_engine, "_WAIT_S", -1.0)
    monkeypatch.setattr(other, "withdraw", lambda: None)
    with pytest.raises(DoesNotFit, match="Wait until the other Longdesk is done"):
        ask(desk, other, Flag(), [])
    monkeypatch.undo()


def test_a_running_engine_is_seen_by_others_until_it_ends(desk: Desk, tmp_path: Path) -> None:
    mine = Promises(tmp_path / "home")
    list(desk.ask(Question(text="Q", corpus=CORPUS), cancel=Flag()))
    [promise] = mine.others()
    assert promise.loaded and promise.engine is not None and promise.taken_bytes > 0
    device = replace(RAM, free_bytes=GIB)
    assert promise.outstanding_bytes(device) < promise.promised["RAM"]
    assert desk.plan().needs[0].device.promised_bytes == 0, "it is one's own"
    desk.close()
    assert mine.others() == ()


@pytest.mark.parametrize("how", ["it fails", "nobody listens any more", "it ended", "it runs"])
def test_an_engine_that_does_not_run_holds_nothing(how: str, tmp_path: Path) -> None:
    """A page lives on for days: nobody is to wait for memory that nothing will take."""
    promises, others = Promises(tmp_path), Promises(tmp_path)
    engine = SimpleNamespace(promises=promises, running=None)
    backend = LocalBackend(cast(Any, None), cast(Any, engine), cast(Any, None))

    def generated() -> Generator[str, None, None]:
        with backend._promised():
            assert promises.promise(needing(GIB), yes)
            yield "an event"
            engine.running = "an engine" if how == "it runs" else None
            if how == "it fails":
                raise EngineFailed("The engine's process cannot be started.")

    events = generated()
    assert next(events) == "an event" and len(others.others()) == 1
    if how == "nobody listens any more":
        events.close()
    with suppress(EngineFailed):
        list(events)
    assert len(others.others()) == (1 if how == "it runs" else 0)
    promises.withdraw()


@pytest.mark.slow  # 10 s
def test_two_at_once_under_a_limit_for_one(tmp_path: Path) -> None:
    """A context of 768 MiB each, and room for one of them beside what the programs themselves take: 1,060 MB at the
    least for the one, and 500 MB for two programs with their dry runs."""
    model = cached("llama", n_ctx_train=1 << 20)
    longdesk = CommandLine(tmp_path / "home", model)
    (tmp_path / "a.txt").write_text("words\n")
    how = ("ask", tmp_path / "a.txt", "-q", "Q", "--ctx", 768 << 10, "--max-tokens", 40, "--no-quotes", "--json")
    with memory_group(1500 << 20) as prefix:
        settled = longdesk("count", tmp_path / "a.txt")
        assert settled.code == 0
        command = [*prefix, str(Path(sys.executable).with_name("longdesk")), *map(str, how)]
        running = [
            subprocess.Popen(
                command, env=longdesk.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
            )
            for _ in range(2)
        ]
        said = [process.communicate(timeout=PATIENCE_S) for process in running]
        codes = sorted(process.returncode for process in running)
    told = "".join(err for _, err in said)
    assert codes in ([0, 0], [0, 3]), told
    assert "killed" not in told and "Traceback" not in told
    assert codes == [0, 0] or "missing on RAM" in told
