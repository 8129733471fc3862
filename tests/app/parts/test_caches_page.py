"""The page of kept KV caches, without a browser."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from app import state
from app.kv.disk import Kept, Tier
from app.settings import Settings
from app.views import snapshots as views
from app.views.snapshots import budget_html
from storage.records import Snapshot
from storage.store import Store
from tests.patience import PATIENCE_S

MAIN = Path(__file__).parents[3] / "app" / "main.py"
Draw = Callable[[], AppTest]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def draw(home: Path, llama_gguf: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Draw]:
    """Draws the view over a home of its own."""
    monkeypatch.setenv("LONGDESK_HOME", str(home))
    monkeypatch.setenv("LONGDESK_MODEL", str(llama_gguf))
    st.cache_resource.clear()

    def draw_view() -> AppTest:
        def script() -> None:
            from app.views import snapshots

            snapshots.draw()

        page = AppTest.from_function(script, default_timeout=PATIENCE_S).run()
        assert not page.exception
        return page

    yield draw_view
    state.house().close()
    st.cache_resource.clear()


def put(home: Path, name: str, title: str | None, n_tokens: int) -> Path:
    path = home / "snapshots" / f"{name}.kv"
    with Store(home) as store:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"k" * 2048)
        session = store.sessions.create(title=title, model="m").id if title else None
        binding = {"model": "c0ffee", "kv_k": "q8_0", "kv_v": "q8_0"}
        store.snapshots.record(
            path=path, binding=binding, n_tokens=n_tokens, n_bytes=2048, blocks=[], session_id=session
        )
    return path


def everything(page: AppTest) -> str:
    return "\n".join(
        [
            *(one.value for one in page.markdown),
            *(one.value for one in page.caption),
            *(one.value for one in page.error),
            *(one.proto.body for one in page.get("html")),
        ]
    )


def test_nothing_is_kept_yet(draw: Draw, home: Path) -> None:
    home.mkdir()
    (home / "config.toml").write_text("snapshot = false\n")
    page = draw()
    assert "None yet." in everything(page) and "0 B kept" in everything(page)
    assert "the setting `snapshot` is off" in everything(page)


def test_each_says_what_it_holds_and_can_be_deleted(draw: Draw, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = put(home, "old", "Why <b>*so*</b>?", 1_200)
    new = put(home, "new", None, 34_000)
    page = draw()
    text = everything(page)
    assert r"**Why \<b\>\*so\*\</b\>?**" in text
    assert "1,200 tokens · 2.0 KiB · model c0ffee, q8_0 KV · used " in text
    assert text.index("34,000 tokens") < text.index("1,200 tokens") and "(no session)" in text
    assert "4.0 KiB kept" in text
    page.button(key="delete-old").click().run()
    assert "1,200 tokens are read again" in everything(page) and old.exists()
    monkeypatch.setattr(views, "_is_sure", lambda: True)  # a dialog's own redraws need a browser
    page.button(key="delete-old").click().run()
    assert not page.exception and not old.exists() and new.exists()
    assert "1,200 tokens" not in everything(draw())


def test_a_deletion_that_fails_says_why(draw: Draw, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(home, "a", "t", 300)

    def refuse(*arguments: object) -> None:
        raise OSError(13, "Permission denied")

    monkeypatch.setattr(Tier, "delete", refuse)
    monkeypatch.setattr(views, "_is_sure", lambda: True)
    page = draw()
    page.button(key="delete-a").click().run()
    assert "Permission denied" in everything(page) and path.exists()


@pytest.mark.slow  # 1.1 s
def test_the_sidebar_leads_there_and_says_how_much(draw: Draw, home: Path) -> None:
    put(home, "a", "t", 300)
    page = AppTest.from_file(str(MAIN), default_timeout=PATIENCE_S).run()
    assert not page.exception
    assert "Disk" in everything(page) and "2.0 KiB of KV caches" in everything(page)


def test_what_was_not_used_for_long(tmp_path: Path) -> None:
    snapshots = tuple(
        Snapshot(path=Path(used), binding={}, n_tokens=1, n_bytes=1, created=used, last_used=used)
        for used in ("2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z")
    )
    kept = Kept(snapshots, 4)
    assert kept.unused_for(timedelta(days=7)) == snapshots[:1]
    assert "width:50.000%" in budget_html(kept) and "width:100.000%" in budget_html(Kept(snapshots, 0))
    with Store(tmp_path) as store:
        assert Tier(Settings(home=tmp_path, snapshot_budget=9), store.snapshots).kept() == Kept((), 9)
