"""What each stage of counting takes of the processor, one after the other, with the vocabulary open."""

import shutil
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from statistics import median
from time import process_time

from app.cli.count import count_text
from app.cli.output.count import count_json
from app.counting import Count
from app.desk import Desk
from app.local_backend import LocalBackend
from app.settings import Settings
from engine.corpus.collect import collect
from engine.corpus.formats.reader import read_content
from engine.corpus.readings import Readings
from engine.corpus.rules import Rules
from engine.corpus.source import Cause, Corpus, Skipped
from engine.corpus.walk.disk_tree import DiskTree
from engine.corpus.walk.folder_walk import File, Start, Walk
from engine.corpus.walk.held import Held, open_given
from engine.corpus.wording import Names
from engine.tokens.id_cache import IdCache, KeptIds
from tests.bench.table import Row

_RULES = Rules()


def stages(tree: Path, model: Path, home: Path, *, times: int) -> Iterator[Row]:
    """A row each: processor seconds, and their share of the whole of a first or of a second count."""
    desk = Desk(Settings(home=home, model=str(model)))
    desk.backend().encode("x " * (3 << 20))  # hands the vocabulary to the quicker encoder
    measured = [_figures(tree, desk) for _ in range(times)]
    desk.close()
    figures = {name: median(each[name] for each in measured) for name in measured[0]}
    for name, seconds in figures.items():
        yield Row(f"stage of a {name}", seconds, figures[f"{name.split(':')[0]}: all"], "s", None)


def _figures(tree: Path, desk: Desk) -> dict[str, float]:
    given, files, contents = open_given(tree), list[File](), list[bytes]()
    root, disk = given.path, DiskTree(Held(given.path, given.descriptor))

    def walk() -> None:
        files.extend(each for each in Walk(disk, _RULES, Names(), Start(root, "tree")) if isinstance(each, File))

    def read() -> None:
        for file in files:
            disk.read_file(file.where, file.path, _into(contents))

    def understand() -> None:
        for file, data in zip(files, contents, strict=True):
            read_content(file.path, len(data), BytesIO(data).read, _RULES)

    figures = {
        "first count: walk": _cpu_s(walk),
        "first count: open and read": _cpu_s(read),
        "first count: recognise, decode, hash": _cpu_s(understand),
    }
    corpus = collect([tree], _RULES)
    figures["first count: encode"] = _cpu_s(lambda: _backend(desk, IdCache()).encode_ahead(corpus.sources))
    kept = IdCache(kept=KeptIds(desk.settings.count_cache))
    both = _cpu_s(lambda: _backend(desk, kept).encode_ahead(corpus.sources))
    figures["first count: keep ids"] = max(0.0, both - figures["first count: encode"])
    plain = _cpu_s(lambda: collect([tree], _RULES))
    anew = Readings(desk.settings.count_cache, read_again=True)
    figures["first count: keep readings"] = max(0.0, _cpu_s(lambda: collect([tree], _RULES, readings=anew)) - plain)
    counted: list[Count] = []
    figures["first count: join, order, lay out"] = _cpu_s(lambda: counted.append(desk.count(corpus)))
    figures["first count: print"] = _cpu_s(lambda: count_text(count_json(counted[0])))
    shutil.rmtree(desk.settings.count_cache.folder)
    figures["first count: all"] = _whole(desk, tree)
    second: list[Corpus] = []
    _backend(desk, IdCache(kept=KeptIds(desk.settings.count_cache)))
    figures["second count: walk, know what did not change"] = _cpu_s(
        lambda: second.append(desk.read_to_count([tree], _RULES))
    )
    figures["second count: take ids, join, order, lay out"] = _cpu_s(lambda: desk.count(second[0]))
    figures["second count: all"] = _whole(desk, tree)
    return figures


def _whole(desk: Desk, tree: Path) -> float:
    """All of a count, as far as nothing is in memory."""
    _backend(desk, IdCache(kept=KeptIds(desk.settings.count_cache)))
    return _cpu_s(lambda: count_text(count_json(desk.count(desk.read_to_count([tree], _RULES)))))


def _backend(desk: Desk, ids: IdCache) -> LocalBackend:
    """The desk's engine, with these ids in memory."""
    desk._engines._ids = ids
    backend = desk.backend()
    assert isinstance(backend, LocalBackend)
    return backend


def _into(contents: list[bytes]) -> Callable[[int, Callable[[int], bytes]], Skipped]:
    def take(n_bytes: int, read: Callable[[int], bytes]) -> Skipped:
        contents.append(read(n_bytes))
        return Skipped("", Cause.EMPTY, "")

    return take


def _cpu_s(run: Callable[[], object]) -> float:
    begun = process_time()
    run()
    return process_time() - begun
