"""What has to be done in a moment, against the seconds that it may take: large inputs, hostile ones, and stopping.

That their work grows in proportion and no more is tested where they are; here it is held against the clock.
"""

import json
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event as Flag
from time import perf_counter, process_time
from typing import Any

import psutil

from app.models.places import starter_model
from app.sources.joining import arrange
from engine.corpus.collect import collect
from engine.corpus.formats.decoding import decode
from engine.local.opened import open_model
from engine.local.process import EngineProcess
from engine.memory.budget import Placement
from engine.runtime.events import Finished, Prefill, Sampling
from engine.runtime.settings import EngineSettings
from storage.store import Store
from tests.app.sources.test_new_sessions import begin_many
from tests.bench.table import Row, seconds
from tests.command_line import CommandLine
from tests.engine import test_gguf_fuzz
from tests.engine.corpus import test_ignore
from tests.engine.corpus.test_archive import make_bomb
from tests.engine.corpus.test_text import LATE
from tests.engine.local.test_engine_process import prompt_of, random_ids
from tests.engine.prompt import test_template
from tests.engine.tokens.test_encode import KINDS
from tests.models.cache import cached
from tests.storage.test_snapshots import keep_many
from tests.storage.test_sources import many_sources

_N_CHARACTERS = 1_000_000


def rows() -> Iterator[Row]:
    """Seconds against the most that they may be; of several of a kind, those of the slowest."""
    for measured in (_reading, _stored, _hostile, _encoded, _stopped):
        with TemporaryDirectory() as folder:
            for name, spent_s, limit_s in measured(Path(folder)):
                yield Row(name, spent_s, limit_s, "s", 1.0)


Measured = Iterator[tuple[str, float, float]]


def _slowest(run: Callable[[Any], object], inputs: Iterable[Any]) -> float:
    return max(seconds(partial(run, each)) for each in inputs)


def _busiest(run: Callable[[Any], object], inputs: Iterable[Any]) -> float:
    """In seconds of the processor: of what keeps it busy for long, most would be other programs' on a busy machine."""

    def busy_s(each: Any) -> float:
        begun = process_time()
        run(each)
        return process_time() - begun

    return max(map(busy_s, inputs))


def _reading(folder: Path) -> Measured:
    yield "a file of 9.6 MB with a legacy character at its end", seconds(lambda: decode(LATE)), 2.0
    bomb = make_bomb(folder)
    yield "a zip bomb of 50 MiB refused", seconds(lambda: collect([bomb])), 0.5


def _stored(folder: Path) -> Measured:
    with Store(folder / "home") as store:
        session = store.sessions.create(title="t", model="m").id
        sources = many_sources(5_000)
        yield "5,000 sources stored", seconds(lambda: store.sources.put(session, sources, turn_index=0)), 2.0
        whole = "All work and no play. " * 50_000
        with store.leases.acquire(session) as lease:
            turn = store.turns.begin(lease, question="q")
            ends = range(5_000, len(whole), 5_000)
            appended = sorted(seconds(lambda end=end: store.turns.append_text(turn.id, whole[:end])) for end in ends)
        yield "more of an answer of up to 1.1 MB kept, median", appended[len(appended) // 2], 0.01
    with Store(folder / "kept") as store:
        blocks = keep_many(store, folder, 41_000)
        yield "10 million tokens looked up in 300 states", seconds(lambda: store.snapshots.matches(blocks)), 0.2
    with Store(folder / "sessions") as store:
        every = begin_many(store, 5_000)
        yield "5,000 files held against 12 sessions", seconds(lambda: arrange(store.sources, every)), 1.0


def _hostile(folder: Path) -> Measured:
    slowest = _slowest(test_ignore.matches_hostile_paths, test_ignore.HOSTILE)
    yield "a hostile pattern of a .gitignore", slowest, 0.5
    headers = (test_gguf_fuzz.hostile(folder, name) for name in test_gguf_fuzz.HOSTILE)
    yield "a hostile header of a model", _busiest(test_gguf_fuzz.read, headers), 1.0
    parts = [test_gguf_fuzz.many_parts(folder)]
    yield "a model of 99,999 parts and 4,096 layers", _busiest(test_gguf_fuzz.read, parts), 3.0
    around = test_template.LOOP + test_template.MESSAGE + test_template.END
    templates = (source + around for source in test_template.HOSTILE.values())
    yield "a hostile chat template", _slowest(test_template.template, templates), 15.0


def _encoded(folder: Path) -> Measured:
    for name, model in (("Llama 4", cached("scout")), ("Gemma 3", cached("gemma3")), ("starter", starter_model())):
        tokenizer = open_model(model).tokenizer
        slowest = _slowest(tokenizer.encode, ((kind * _N_CHARACTERS)[:_N_CHARACTERS] for kind in KINDS))
        yield f"a million characters of a kind, {name}", slowest, 5.0
        tokenizer.close()


def _stopped(folder: Path) -> Measured:
    yield "a cancel in a prefill, until it has ended", _cancel(), 1.0
    for number, limit_s in ((signal.SIGINT, 5.0), (signal.SIGKILL, 3.0)):
        name = f"{number.name} in a prefill, until all processes are gone"
        yield name, _signal(folder / number.name, number), limit_s


def _cancel() -> float:
    model = EngineProcess(EngineSettings(model=cached("scout"), placement=Placement(n_ctx=20_480)))
    cancel, cancelled_at = Flag(), 0.0
    prompt = prompt_of(random_ids(18_000, n_vocab=200_000))
    for event in model.generate(prompt, Sampling(max_tokens=1), cancel=cancel):
        if isinstance(event, Prefill) and event.done >= 2_000 and not cancelled_at:
            cancel.set()
            cancelled_at = perf_counter()
    spent_s = perf_counter() - cancelled_at
    assert isinstance(event, Finished) and event.stop == "cancelled"
    model.close()
    return spent_s


def _signal(folder: Path, number: signal.Signals) -> float:
    folder.mkdir()
    text = folder / "long.txt"
    text.write_text("".join(f"line {n}: {n * 7919 % 104729}\n" for n in range(1_200)))
    process = CommandLine(folder / "home", cached("scout")).start("ask", text, "-q", "Q", "--max-tokens", 4, "--json")
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "prefill" and event["done"] > event["reused"]:
            break
    family = psutil.Process(process.pid).children(recursive=True)
    begun = perf_counter()
    os.kill(process.pid, number)
    process.communicate()
    psutil.wait_procs(family)
    return perf_counter() - begun
