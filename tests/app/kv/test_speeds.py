"""What is decided by how fast a machine reads prompts and writes states: for slow machines and for very fast ones."""

from pathlib import Path
from threading import Event as Flag
from typing import Any

import pytest

from app.desk import Desk
from app.kv.reuse import Pace
from app.kv.saving import Keeper
from app.question import Answered, Question
from app.settings import Settings
from engine.local.process import SavedState
from engine.runtime.binding import Binding
from engine.runtime.checkpoint import Checkpoints, Speeds
from engine.runtime.keeping import Keeping, keeping_from

MIB, GIB = 1 << 20, 1 << 30
TOKEN_BYTES = 48 << 10  # of Scout's KV cache
N_TOKENS, BATCH = 120_000, 512

# a laptop, a workstation, a GPU; and one that does not exist yet
MACHINES = {
    "laptop": Speeds(tokens_per_s=10.0, bytes_per_s=100 * MIB),
    "workstation": Speeds(tokens_per_s=100.0, bytes_per_s=GIB),
    "gpu": Speeds(tokens_per_s=10_000.0, bytes_per_s=2 * GIB),
    "tomorrow": Speeds(tokens_per_s=1e7, bytes_per_s=10 * GIB),
}


def read(checkpoints: Checkpoints, *, start: int = 0, clock: Speeds | None = None) -> list[int]:
    """A prefill in batches; how many tokens each checkpoint holds. clock: what a clock would say, where one is read."""
    saved, now = [], 0.0
    for at in range(start, N_TOKENS, BATCH):
        now += BATCH / clock.tokens_per_s if clock else 0.0
        n_tokens = at + BATCH
        if checkpoints.is_due(n_tokens, n_tokens * TOKEN_BYTES, now):
            took = n_tokens * TOKEN_BYTES / clock.bytes_per_s if clock else 0.0
            now += took
            checkpoints.saved(n_tokens, n_tokens * TOKEN_BYTES, took)
            saved.append(n_tokens)
    return saved


@pytest.mark.parametrize(("machine", "least", "most"), [
    ("laptop", 20, 118), ("workstation", 20, 60), ("gpu", 0, 0), ("tomorrow", 0, 0)
])  # fmt: skip
def test_checkpoints_come_as_often_as_costs_little(machine: str, least: int, most: int, tmp_path: Path) -> None:
    speeds = MACHINES[machine]
    checkpoints = Checkpoints(tmp_path / "c", 100 * GIB, speeds=speeds)
    saved = read(checkpoints)
    assert least <= len(saved) <= most, saved
    reading_s = N_TOKENS / speeds.tokens_per_s
    assert checkpoints.spent_s <= 0.06 * reading_s  # the last one may take longer than was thought
    assert all(after - before >= 1_024 for before, after in zip([0, *saved], saved, strict=False))


@pytest.mark.parametrize("machine", MACHINES)
def test_given_speeds_decide_as_a_clock_that_shows_them(machine: str, tmp_path: Path) -> None:
    by_clock = read(Checkpoints(tmp_path / "c", 100 * GIB), clock=MACHINES[machine])
    assert by_clock == read(Checkpoints(tmp_path / "c", 100 * GIB, speeds=MACHINES[machine]))


def test_what_was_held_before_counts_for_nothing(tmp_path: Path) -> None:
    """Neither as tokens that were read, nor as time that was spent on them."""
    slow = MACHINES["laptop"]
    saved = read(Checkpoints(tmp_path / "c", 100 * GIB, n_held=102_400, speeds=slow), start=102_400)
    assert saved and saved[0] >= 102_400 + 1_024
    assert saved[0] > read(Checkpoints(tmp_path / "c", 100 * GIB, speeds=slow))[0] + 102_400
    assert read(Checkpoints(tmp_path / "c", MIB, speeds=slow)) == [], "none may be that large"


def test_they_reach_the_engines_process() -> None:
    for speeds in (None, *MACHINES.values()):
        keeping = Keeping(binding=Binding(model="m", llama_cpp="1", kv_k="f16", kv_v="f16"), speeds=speeds)
        assert keeping_from(keeping.fields()) == keeping


@pytest.mark.parametrize(
    ("machine", "gain", "n_bytes", "is_worth"),
    [
        ("laptop", 1, 64 * MIB, True),  # written in a moment
        ("tomorrow", 1, 64 * MIB, True),
        ("tomorrow", 0, 64 * MIB, False),
        ("laptop", 10_000, 10 * GIB, True),  # 17 minutes of reading, 2 of writing
        ("laptop", 100, 10 * GIB, False),
        ("workstation", 1_000, 10 * GIB, True),  # 10 s and 10 s
        ("workstation", 100, 10 * GIB, False),
        ("gpu", 10_000, 10 * GIB, False),  # 1 s and 5 s
        ("gpu", 100_000, 10 * GIB, True),
        ("tomorrow", 1_000_000, 10 * GIB, False),
    ],
)
def test_what_is_worth_keeping(machine: str, gain: int, n_bytes: int, is_worth: bool) -> None:
    assert Pace(MACHINES[machine]).is_worth_writing(gain, n_bytes) == is_worth


def test_what_is_measured_counts_where_nothing_is_given() -> None:
    measuring, given = Pace(), Pace(MACHINES["gpu"])
    assert not measuring.is_worth_writing(100, 10 * GIB), "a slow machine, until it has shown what it is"
    for each in (measuring, given):
        each.read(100, 100.0)  # too few to tell
        assert each.speeds.tokens_per_s in (100.0, 10_000.0)
        each.read(1_000, 1_000.0)
    assert measuring.speeds.tokens_per_s == 1.0 and measuring.is_worth_writing(100, 10 * GIB)
    assert given.speeds.tokens_per_s == 10_000.0 and not given.is_worth_writing(100, 10 * GIB)


@pytest.mark.slow  # 1.9 s
@pytest.mark.parametrize(
    ("tokens_per_s", "checkpoints"),
    [(20.0, [1_024, 2_048, 3_072]), (150.0, [1_024, 2_048, 3_072]), (1_000.0, []), (1e7, [])],
)
def test_room_for_checkpoints_is_made_where_reading_takes_long(
    tokens_per_s: float, checkpoints: list[int], tmp_path: Path, llama_gguf: Path
) -> None:
    """A prompt of 3,000 tokens; each checkpoint replaces the one before."""
    (tmp_path / "a.txt").write_text("".join(f"the quick brown fox {line} jumps\n" for line in range(200)))
    desk = Desk(
        Settings(home=tmp_path / "home", model=str(llama_gguf), reply_tokens=4),
        speeds=Speeds(tokens_per_s=tokens_per_s),
    )
    kept: list[int] = []
    record = Keeper._record

    def listen(self: Keeper, saved: SavedState, holding: Any) -> None:
        kept.append(len(saved.ids))
        record(self, saved, holding)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Keeper, "_record", listen)
        try:
            *_, end = desk.ask(Question(text="Q", corpus=desk.read([tmp_path / "a.txt"])), cancel=Flag())
            assert isinstance(end, Answered) and end.turn.prompt_tokens is not None
            assert 3_072 < end.turn.prompt_tokens < 3_500
            assert kept == checkpoints
        finally:
            desk.close()
    assert len(kept) == len(checkpoints) + 1, "what it holds at the end is small, and kept on any machine"
