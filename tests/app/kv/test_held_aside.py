"""What a reading writes down of a model that cannot go back: nothing that a user keeps goes for it, and each length is
read once."""

from collections import namedtuple
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event as Flag

import pytest

from app.desk import Desk
from app.kv import disk
from app.reach.results import Reading
from app.reaching import Grown, Trial, reach
from app.settings import Settings
from engine.errors import DoesNotFit
from engine.memory.budget import DISK_RESERVE_BYTES
from storage.store import Store
from tests.app.reach.corpus import corpus
from tests.models.cache import cached

Usage = namedtuple("Usage", "total used free")
BUDGET = 1 << 16


@contextmanager
def new_desk(home: Path, *, snapshot: bool) -> Iterator[Desk]:
    """A home whose budget is taken by what a user kept."""
    model = str(cached("hybrid"))
    settings = Settings(home=home, model=model, n_ctx=2048, n_threads=1, snapshot=snapshot, snapshot_budget=BUDGET)
    (home / "snapshots").mkdir(parents=True)
    with closing(Desk(settings)) as desk:
        yield desk


def kept_file(home: Path) -> Path:
    path = home / "snapshots" / "kept.kv"
    path.write_bytes(b"k" * BUDGET)
    with Store(home) as store:
        store.snapshots.record(
            path=path, binding={"model": "m"}, n_tokens=256, n_bytes=BUDGET, blocks=[b"kept"], session_id=None
        )
    return path


def read(desk: Desk) -> Reading:
    steps = list(reach(desk, corpus(6, 6), Trial(lengths=(800,), n_depths=2), cancel=Flag()))
    return [step.reading for step in steps if isinstance(step, Grown)][-1]


@pytest.mark.slow  # 5 s each
@pytest.mark.parametrize("snapshot", [True, False])
def test_what_is_kept_stays_and_each_length_is_read_once(tmp_path: Path, snapshot: bool) -> None:
    with new_desk(tmp_path, snapshot=snapshot) as desk:
        kept = kept_file(tmp_path)
        [length] = read(desk).lengths
        first, *others = (each.decoded for each in length.asked)
        assert first > length.tokens - 300 and max(others) < 200
        assert [each.path for each in desk.saved.kept().snapshots] == [kept]
        assert list((tmp_path / "snapshots").iterdir()) == [kept]


@pytest.mark.slow  # 3 s
def test_where_it_cannot_be_written_the_reading_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with new_desk(tmp_path, snapshot=True) as desk:
        kept = kept_file(tmp_path)
        whole = DISK_RESERVE_BYTES + 4096
        monkeypatch.setattr(disk.shutil, "disk_usage", lambda path: Usage(2 * whole, whole, whole))
        with pytest.raises(DoesNotFit, match="cannot go back.*of the disk"):
            read(desk)
        assert list((tmp_path / "snapshots").iterdir()) == [kept]
