"""A reading from its lengths to what is kept of it, with an engine of words."""

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Event as Flag

import pytest

from app.desk import Desk
from app.reach.haystack import Field
from app.reach.kept import KeptReadings, Reached
from app.reach.results import Reading, from_json, to_json
from app.reach.run import REPLY_TOKENS, Grown, Step, Trial
from app.reaching import Readings, farthest, reach, reached
from engine.backend import Backend, Corpus
from engine.errors import Cancelled, DoesNotFit, SessionBusy, UsageError
from tests.app.reach.corpus import corpus, reader, settings
from tests.fake_backend import FakeBackend
from tests.patience import until

LENGTHS = (1024, 2048, 3000)


def read(
    home: Path, backend: Backend, trial: Trial, *, of: Corpus | None = None, cancel: Flag | None = None
) -> tuple[Reading, list[str | Step | Grown]]:
    with closing(Desk(settings(home), backend=backend)) as desk:
        steps = list(reach(desk, of or corpus(), trial, cancel=cancel or Flag()))
    return [step.reading for step in steps if isinstance(step, Grown)][-1], steps


def stored(desk: Desk) -> str:
    """A session with the corpus."""
    session: str = desk.begin_session("One").id
    desk.add_sources(session, corpus())
    return session


def perfect(lengths: Sequence[int] = LENGTHS, *, n_depths: int = 3, reads: int = 1 << 30) -> FakeBackend:
    return reader(corpus().sources, lengths=lengths, n_depths=n_depths, reads=reads)


def test_who_reads_all_is_right_everywhere(tmp_path: Path) -> None:
    reading, steps = read(tmp_path, perfect(), Trial(lengths=LENGTHS, n_depths=3))
    assert reading.effective_tokens == reading.longest == 3000
    assert [remark.split(" the ")[-1] for remark in reading.remarks()] == ["beginning was read only, to fill a length."]
    assert [(each.tokens, each.n_right, len(each.asked)) for each in reading.lengths] == [
        (1024, 15, 15), (2048, 15, 15), (3000, 15, 15),
    ]  # fmt: skip
    assert all(tally.above_chance and tally.right == tally.asked == 9 for tally in reading.tallies)
    assert [step.tokens for step in steps if isinstance(step, Step) and step.done == step.total == 15] == list(LENGTHS)


def test_who_reads_no_further_has_an_effective_length(tmp_path: Path) -> None:
    reading, _ = read(tmp_path, perfect(reads=2048), Trial(lengths=LENGTHS, n_depths=3))
    assert reading.effective_tokens == 2048 and reading.longest == 3000
    assert [round(score, 2) for _, score in reading.scores] == [1.0, 1.0, 0.0]


@pytest.mark.parametrize("says", ["Not there.", "I like cheese", "", "Tarnholm"])
def test_one_answer_to_everything_says_nothing(tmp_path: Path, says: str) -> None:
    reading, _ = read(tmp_path, FakeBackend(window=9000, answer=lambda _: says), Trial(lengths=LENGTHS, n_depths=3))
    assert reading.effective_tokens is None and not reading.says_something
    assert any("no better than guessing" in remark for remark in reading.remarks())
    assert not any(tally.above_chance for tally in reading.tallies)


def test_each_length_is_read_once(tmp_path: Path) -> None:
    """Every question but the first of a length decodes itself alone: the rest comes from the KV cache."""
    backend = perfect()
    reading, _ = read(tmp_path, backend, Trial(lengths=LENGTHS, n_depths=3))
    for length in reading.lengths:
        first, *others = (each.decoded for each in length.asked)
        assert first > length.tokens // 2 and max(others) < 60
        assert length.read_tokens < length.prompt_tokens + 60 * len(others)
    total = sum(case.prompt.n_tokens - (case.reuse.n_tokens or 0) for case in backend.asked)
    assert total == sum(length.read_tokens for length in reading.lengths)


def test_the_ids_of_what_is_planted_are_not_kept(tmp_path: Path, llama_gguf: Path) -> None:
    """Those of the corpus are, as a count keeps them."""
    sources = corpus(3, 4).sources
    with closing(Desk(replace(settings(tmp_path), model=str(llama_gguf)))) as desk:
        desk.backend().encode_ahead(sources)
        kept = {path: path.read_bytes() for path in desk.settings.count_cache.folder.iterdir()}
        field = Field(sources, desk.backend(apart=True), seed=0, depths=(50,))
        assert kept and field.haystack(field.least_tokens).prompt_tokens > 0
        assert {path: path.read_bytes() for path in desk.settings.count_cache.folder.iterdir()} == kept


def test_what_was_read_is_not_read_again(tmp_path: Path) -> None:
    backend = perfect()
    trial = Trial(lengths=LENGTHS[:2], n_depths=3)
    first, _ = read(tmp_path, backend, trial)
    n_asked = len(backend.asked)
    again, _ = read(tmp_path, backend, trial)
    assert again == first and len(backend.asked) == n_asked
    more, _ = read(tmp_path, backend, Trial(lengths=LENGTHS, n_depths=3))
    assert len(more.lengths) == 3 and len(backend.asked) == n_asked + 15
    other, _ = read(tmp_path, backend, Trial(lengths=LENGTHS[:1], n_depths=3, seed=5))
    assert len(backend.asked) == n_asked + 30 and other.lengths != first.lengths[:1]


def test_the_same_seed_gives_the_same_document(tmp_path: Path) -> None:
    trial = Trial(lengths=LENGTHS[:2], n_depths=3)
    one, other = (read(tmp_path / name, perfect(), trial)[0] for name in "ab")
    assert json.dumps(to_json(one)) == json.dumps(to_json(other))


def test_stopped_it_keeps_what_is_done(tmp_path: Path) -> None:
    backend, cancel = perfect(), Flag()
    done: list[Reading] = []
    with closing(Desk(settings(tmp_path), backend=backend)) as desk, pytest.raises(Cancelled):
        for step in reach(desk, corpus(), Trial(lengths=LENGTHS, n_depths=3), cancel=cancel):
            if isinstance(step, Grown):
                done.append(step.reading)
            if isinstance(step, Step) and step.tokens == 2048:
                cancel.set()
    assert [each.tokens for each in done[-1].lengths] == [1024]
    n_asked = len(backend.asked)
    after, _ = read(tmp_path, backend, Trial(lengths=LENGTHS, n_depths=3))
    assert [each.tokens for each in after.lengths] == list(LENGTHS) and len(backend.asked) == n_asked + 30


def test_lengths_are_capped_and_said(tmp_path: Path) -> None:
    small = corpus(3, 6)
    reading, steps = read(tmp_path, FakeBackend(), Trial(lengths=(800, 5000, 9000), n_depths=2), of=small)
    assert [each.tokens for each in reading.lengths][0] == 800 and len(reading.lengths) == 2
    assert reading.longest < 1500 and reading.lengths[-1].cut is None
    assert [step for step in steps if isinstance(step, str)] == [
        f"Lengths over {reading.longest:,} tokens are read with {reading.longest:,}: the corpus has no more."
    ]
    reading, steps = read(tmp_path / "b", FakeBackend(window=1000), Trial(lengths=(2048,), n_depths=2))
    assert reading.longest == 1000 - REPLY_TOKENS
    assert "the context has no more beside the reply" in str(next(step for step in steps if isinstance(step, str)))


@pytest.mark.parametrize(
    ("window", "expected"),
    [(100_000, [1024, 2048, 4096]), (3000, [1024, 2048, 2968]), (2100, [1024, 2048]), (900, [868])],
)
def test_lengths_are_chosen_by_doubling(tmp_path: Path, window: int, expected: list[int]) -> None:
    reading, _ = read(tmp_path, FakeBackend(window=window), Trial(n_depths=2))
    assert [each.tokens for each in reading.lengths if each.tokens < 4800] == expected


@pytest.mark.parametrize(
    ("window", "longest", "expected"),
    [(100_000, 2048, [1024, 2048]), (100_000, 1500, [1024, 1500]), (900, 868, [868]), (100_000, 1000, [1000])],
)
def test_lengths_are_chosen_up_to_the_longest(tmp_path: Path, window: int, longest: int, expected: list[int]) -> None:
    """As the page asks for them: a window, or a wish, may be below 1,024."""
    reading, _ = read(tmp_path, FakeBackend(window=window), Trial(n_depths=2, longest=longest))
    assert [each.tokens for each in reading.lengths] == expected


@pytest.mark.parametrize(
    ("window", "trial", "says"),
    [
        (100, Trial(n_depths=2), "The window has no room for the probes"),
        (9000, Trial(lengths=(128, 2048), n_depths=2), "128 tokens have no room for the probes"),
        (9000, Trial(longest=128, n_depths=2), "128 tokens have no room for the probes"),
    ],
)
def test_what_cannot_be_tried_is_a_sentence(tmp_path: Path, window: int, trial: Trial, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        read(tmp_path, FakeBackend(window=window), trial)
    with pytest.raises(UsageError, match="depths"):
        Trial(n_depths=13)


def test_what_has_no_room_is_refused_before_anything_runs(tmp_path: Path) -> None:
    class Tight(FakeBackend):
        def plan(self, prompt, wanted, exchanges=()):  # type: ignore[no-untyped-def]
            return replace(super().plan(prompt, wanted, exchanges), window=min(2000, prompt.n_tokens + 40))

    backend = Tight()
    with pytest.raises(DoesNotFit):
        read(tmp_path, backend, Trial(lengths=LENGTHS, n_depths=3))
    assert backend.asked == []


def test_a_document_is_read_back_whole_or_not_at_all(tmp_path: Path) -> None:
    reading, _ = read(tmp_path, perfect(reads=1024), Trial(lengths=LENGTHS, n_depths=3))
    assert from_json(json.loads(json.dumps(to_json(reading)))) == reading
    kept = KeptReadings(tmp_path)
    assert kept.farthest(reading.model_digest, "f16") == reading
    assert kept.reached(reading.model_digest, "f16") == Reached(1024, 3000)
    assert kept.reached(reading.model_digest, "q8_0") is None and kept.reached("other", "f16") is None
    [file] = (tmp_path / "readings").iterdir()
    whole = file.read_bytes()
    for broken in (whole[:-5], whole[:40], b"", whole.replace(b'"seed": 0', b'"seed": 1'), b"x" * len(whole)):
        file.write_bytes(broken)
        assert kept.farthest(reading.model_digest, "f16") is None
        assert kept.again(replace(reading, lengths=())).lengths == ()


def test_of_readings_that_went_as_far_the_one_that_asked_most_counts(tmp_path: Path) -> None:
    """The same one for the page's grid and for what a plan says; few questions are said to be few."""
    reading, _ = read(tmp_path / "a", perfect(reads=1024), Trial(lengths=LENGTHS, n_depths=3))
    few = tuple(replace(each, asked=each.asked[:5]) for each in reading.lengths)
    kept = KeptReadings(tmp_path / "b")
    for seed in range(4):
        assert kept.keep(replace(reading, seed=seed, lengths=reading.lengths if seed == 2 else few))
    farthest = kept.farthest(reading.model_digest, "f16")
    assert farthest is not None and farthest.seed == 2
    kept.keep(
        fewer := replace(reading, seed=2, lengths=(*few[:2], replace(few[2], asked=reading.lengths[0].asked[:6])))
    )
    farthest = kept.farthest(reading.model_digest, "f16")
    assert farthest == fewer and farthest.effective_tokens == 3000
    assert kept.reached(reading.model_digest, "f16") == Reached(3000, 3000)
    assert any("Only 5 questions" in remark for remark in fewer.remarks())
    assert not any("questions were asked" in remark for remark in reading.remarks())


def test_a_reading_without_a_result_counts_where_there_is_no_other(tmp_path: Path) -> None:
    reading, _ = read(tmp_path / "a", perfect(reads=1024), Trial(lengths=LENGTHS, n_depths=3))
    wrong = tuple(
        replace(each, asked=tuple(replace(asked, right=False) for asked in each.asked)) for each in reading.lengths
    )
    kept = KeptReadings(tmp_path / "b")
    nothing = replace(reading, seed=1, lengths=(*wrong, replace(wrong[-1], tokens=5000)))
    kept.keep(nothing)
    assert kept.reached(reading.model_digest, "f16") == Reached(None, 5000)
    assert kept.farthest(reading.model_digest, "f16") == nothing
    kept.keep(reading)
    assert kept.reached(reading.model_digest, "f16") == Reached(1024, 3000)
    assert kept.farthest(reading.model_digest, "f16") == reading


@pytest.mark.parametrize("field", ["model", "depths", "lengths", "corpus", "seed"])
@pytest.mark.parametrize("value", [None, [1, "x"], {"a": 1}, True, -5.5])
def test_what_is_no_reading_is_none(tmp_path: Path, field: str, value: object) -> None:
    reading, _ = read(tmp_path, FakeBackend(), Trial(lengths=(1024,), n_depths=2))
    document = {**to_json(reading), field: value}
    if (field, value) not in (("seed", True), ("seed", -5.5)):  # these are numbers
        with pytest.raises((KeyError, TypeError, ValueError)):
            from_json(document)


def test_what_the_page_says_of_it() -> None:
    assert Reached(8192, 16384).sentence == "This model read reliably up to 8,192 tokens here"
    assert Reached(8192, 8192).sentence.endswith("8,192 tokens here, and was not tried with more")
    assert Reached(8192, 16384).warns_of(8193) and not Reached(8192, 16384).warns_of(8192)
    assert not Reached(None, 16384).warns_of(1 << 30)


def test_a_reading_of_the_page_goes_on_by_itself(tmp_path: Path) -> None:
    backend = perfect()
    with closing(Desk(settings(tmp_path), backend=backend)) as desk:
        readings = Readings(desk)
        assert readings.standing is None and reached(desk) is None and farthest(desk) is None
        readings.begin(stored(desk), Trial(lengths=LENGTHS, n_depths=3))
        until(lambda: readings.standing is not None and not readings.standing.running)
        standing = readings.standing
        assert standing is not None and standing.error is None and standing.reading is not None
        assert standing.reading.effective_tokens == 3000 and farthest(desk) == standing.reading
        assert reached(desk) == Reached(3000, 3000)


def test_one_reading_at_a_time_and_it_can_be_stopped(tmp_path: Path) -> None:
    waiting, go = Flag(), Flag()
    backend = perfect()
    answer = backend.answer

    def slow(question: str) -> str:
        waiting.set()
        assert go.wait(60)
        return answer(question)

    backend.answer = slow
    with closing(Desk(settings(tmp_path), backend=backend)) as desk:
        readings = Readings(desk)
        readings.begin(stored(desk), Trial(lengths=LENGTHS, n_depths=3))
        assert waiting.wait(60)
        with pytest.raises(SessionBusy):
            readings.begin(stored(desk), Trial())
        readings.stop()
        assert readings.standing is not None and readings.standing.stopping
        go.set()
        readings.close()
        standing = readings.standing
        assert standing is not None and not standing.running and standing.error is None


def test_why_a_reading_of_the_page_ended_is_said(tmp_path: Path) -> None:
    with closing(Desk(settings(tmp_path), backend=FakeBackend(breaks_at=0))) as desk:
        readings = Readings(desk)
        readings.begin(stored(desk), Trial(lengths=(1024,), n_depths=2))
        until(lambda: readings.standing is not None and not readings.standing.running)
        assert readings.standing is not None
        assert readings.standing.error == "The fake engine broke, as it was told to."


@pytest.mark.parametrize("thinking", ["on", "64"])
def test_thoughts_have_room_and_make_another_reading(tmp_path: Path, thinking: str) -> None:
    backend = perfect((1024,))
    plain, _ = read(tmp_path, backend, Trial(lengths=(1024,), n_depths=3))
    n_asked = len(backend.asked)
    reading, steps = read(tmp_path, backend, Trial(lengths=(1024,), n_depths=3, thinking=thinking))
    assert (plain.thinking, reading.thinking) == ("off", thinking) and len(backend.asked) == 2 * n_asked
    plans = [case.plan for case in backend.asked[n_asked:]]
    assert all(plan.thinking_tokens >= 64 and plan.fits for plan in plans)
    assert not any(case.plan.thinking_tokens for case in backend.asked[:n_asked])
    assert from_json(json.loads(json.dumps(to_json(reading)))) == reading
    read(tmp_path, backend, Trial(lengths=(1024,), n_depths=3, thinking=thinking))
    assert len(backend.asked) == 2 * n_asked  # it is kept
