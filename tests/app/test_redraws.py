"""What a redraw drew reaches the browser, and what is clicked reaches the page, whatever cuts in."""

import asyncio
import tomllib
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.RootContainer_pb2 import RootContainer
from streamlit.proto.WidgetStates_pb2 import WidgetState, WidgetStates
from streamlit.runtime.app_session import AppSession, AppSessionState
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.script_data import ScriptData
from streamlit.runtime.scriptrunner import RerunData, ScriptRunner
from streamlit.runtime.scriptrunner.script_cache import ScriptCache
from streamlit.runtime.scriptrunner_utils.script_requests import ScriptRequests
from streamlit.runtime.state.safe_session_state import SafeSessionState

from app.redraws import begin_at_the_top, lose_no_click, lose_no_redraw
from tests.models.cache import REPO
from tests.patience import PATIENCE_S

_SCRIPT = """
import streamlit as st
from pathlib import Path

st.write(Path(__file__).with_name("words.txt").read_text())

@st.fragment(run_every=0.3)
def live():
    st.write("live")

live()
"""

_CLICKS = """
import streamlit as st
from pathlib import Path
from time import sleep

folder = Path(__file__).parent

def keep():
    pause("callback")
    st.session_state.kept = "kept"
    (folder / "kept").touch()

def pause(where):
    if (folder / "pauses").read_text() == where:
        (folder / "pauses").write_text("paused")
        while not (folder / "on").exists():
            sleep(0.01)

@st.fragment
def other():
    st.write("other")

with st.sidebar:
    other()
st.write("drawn")
pause("body")
st.write("past")
if st.button("Called", key="called", on_click=keep):
    st.write("heard")
    (folder / "heard").touch()
    st.rerun()
    (folder / "past").touch()
"""


@pytest.fixture
def patched(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for owner, name in (
        (AppSession, "_create_scriptrunner"),
        (ScriptRequests, "_request_rerun_locked"),
        (ScriptRunner, "_run_script"),
        (ScriptRunner, "_maybe_handle_execution_control_request"),
        (SafeSessionState, "on_script_will_rerun"),
    ):
        monkeypatch.setattr(owner, name, getattr(owner, name))  # put back afterwards
    lose_no_redraw()
    lose_no_click()
    begin_at_the_top()
    yield


def run(live: Callable[[], Coroutine[None, None, None]]) -> None:
    """On a thread of its own: where browsers were driven, this one has a loop that runs."""
    with ThreadPoolExecutor(1) as other:
        other.submit(asyncio.run, live()).result(PATIENCE_S)


class Tab:
    """A browser's session, without the browser."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, script: str = _SCRIPT) -> None:
        self.words, self.sent = folder / "words.txt", list[ForwardMsg]()
        (folder / "page.py").write_text(script)
        files = MemoryUploadedFileManager("/upload")
        runtime = type("Runtime", (), {})()
        for name in ("media_file_mgr", "dataframe_source_mgr"):
            nothing = type("Nothing", (), {"__getattr__": lambda self, name: lambda *_, **__: None})()
            setattr(runtime, name, nothing)
        monkeypatch.setattr("streamlit.runtime.get_instance", lambda: runtime)
        data = ScriptData(str(folder / "page.py"), is_hello=False)
        self.session = AppSession(data, files, ScriptCache(), None, {})

    def ask(self, *, fragment: str = "", by_itself: bool = False) -> None:
        self.session.request_rerun(ClientState(fragment_id=fragment, is_auto_rerun=by_itself))

    def click(self, key: str) -> None:
        [name] = [each for each in self.session.session_state._new_widget_state.widget_metadata if each.endswith(key)]
        widgets = WidgetStates(widgets=[WidgetState(id=name, trigger_value=True)])
        self.session.request_rerun(ClientState(widget_states=widgets))

    def stand_still(self) -> None:
        """The script runs to its end; nothing is handed over meanwhile: the loop is busy."""
        runner = self.session._scriptrunner
        assert runner is not None and runner._script_thread is not None
        runner._script_thread.join(PATIENCE_S)

    async def come_to_rest(self) -> list[str]:
        """What the browser is sent until nothing runs any more."""
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.sleep(0.1)
            while self.session._scriptrunner is not None:
                await asyncio.sleep(0.01)
        assert self.session._state is AppSessionState.APP_NOT_RUNNING
        self.sent = [each for each in self.session.flush_browser_queue() if each.HasField("delta")]
        return [each.delta.new_element.markdown.body for each in self.sent]

    @property
    def fragment(self) -> str:
        [(name, _)] = self.session._fragment_storage._fragments.items()
        return str(name)


@pytest.mark.usefixtures("patched")
@pytest.mark.parametrize("by_itself", [True, False])
def test_a_fragments_redraw_takes_nothing_of_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_itself: bool
) -> None:
    async def live() -> None:
        tab = Tab(tmp_path, monkeypatch)
        tab.words.write_text("It waits.")
        tab.ask()
        assert "It waits." in await tab.come_to_rest()
        tab.words.write_text("It is answered.")
        tab.ask()
        tab.stand_still()
        tab.ask(fragment=tab.fragment, by_itself=by_itself)
        assert "It is answered." in await tab.come_to_rest()
        tab.ask(fragment=tab.fragment, by_itself=by_itself)
        assert "live" in await tab.come_to_rest()
        tab.session.shutdown()

    run(live)


@pytest.mark.usefixtures("patched")
def test_nor_where_that_ends_in_the_same_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It still takes requests as the browser's comes, and no more as that is given to it."""

    async def live() -> None:
        (tmp_path / "pauses").write_text("")
        tab = Tab(tmp_path, monkeypatch, _CLICKS)
        tab.ask()
        await tab.come_to_rest()
        (tmp_path / "pauses").write_text("body")
        tab.ask()
        while (tmp_path / "pauses").read_text() != "paused":
            await asyncio.sleep(0.01)
        give = ScriptRunner.request_rerun

        def give_late(runner: ScriptRunner, data: RerunData) -> bool:
            (tmp_path / "on").touch()
            tab.stand_still()
            return give(runner, data)

        monkeypatch.setattr(ScriptRunner, "request_rerun", give_late)
        tab.ask(fragment=tab.fragment)
        assert "past" in await tab.come_to_rest()
        tab.session.shutdown()

    run(live)


@pytest.mark.usefixtures("patched")
def test_a_whole_redraw_does_not_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def live() -> None:
        tab = Tab(tmp_path, monkeypatch)
        tab.words.write_text("One.")
        tab.ask()
        tab.stand_still()
        tab.words.write_text("Two.")
        tab.ask()
        assert "Two." in await tab.come_to_rest()
        tab.session.shutdown()

    run(live)


@pytest.mark.usefixtures("patched")
def test_a_redraw_behind_a_fragments_begins_at_the_top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both in one thread: the browser asks for the whole page as the fragment has drawn its last."""
    finish = ScriptRunner._on_script_finished

    def finish_and_go_on(runner: ScriptRunner, *given: Any) -> None:
        monkeypatch.setattr(ScriptRunner, "_on_script_finished", finish)
        runner.request_rerun(RerunData(widget_states=WidgetStates()))
        finish(runner, *given)

    async def live() -> None:
        (tmp_path / "pauses").write_text("")
        tab = Tab(tmp_path, monkeypatch, _CLICKS)
        tab.ask()
        await tab.come_to_rest()
        monkeypatch.setattr(ScriptRunner, "_on_script_finished", finish_and_go_on)
        tab.ask(fragment=tab.fragment)
        await tab.come_to_rest()
        places = {each.delta.new_element.markdown.body: each.metadata.delta_path[0] for each in tab.sent}
        assert (places["drawn"], places["other"]) == (RootContainer.MAIN, RootContainer.SIDEBAR)
        tab.session.shutdown()

    run(live)


@pytest.mark.usefixtures("patched")
@pytest.mark.parametrize("where", ["before", "callback", "body", "nowhere"])
def test_a_click_is_lost_to_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """Another request of the browser cuts in before it is taken, in what it calls, and before the page asks for it."""

    async def live() -> None:
        (tmp_path / "pauses").write_text("")
        tab = Tab(tmp_path, monkeypatch, _CLICKS)
        tab.ask()
        await tab.come_to_rest()
        if where == "before":
            tab.session._local_sources_watcher = CutsIn(tab)  # type: ignore[assignment]
        (tmp_path / "pauses").write_text(where)
        tab.click("called")
        if where in ("callback", "body"):
            while (tmp_path / "pauses").read_text() != "paused":
                await asyncio.sleep(0.01)
            tab.ask()
            (tmp_path / "on").touch()
        assert "drawn" in await tab.come_to_rest()
        assert (tmp_path / "kept").exists() and tab.session.session_state["kept"] == "kept"
        assert (tmp_path / "heard").exists() and not (tmp_path / "past").exists()
        tab.session.shutdown()

    run(live)


class CutsIn:
    """Is told when a redraw begins, before it has taken what the browser sent, and lets the browser ask again."""

    def __init__(self, tab: Tab) -> None:
        self.tab, self.n_begun = tab, 0

    def on_script_run(self) -> None:
        self.n_begun += 1
        if self.n_begun == 1:
            assert self.tab.session._scriptrunner is not None
            self.tab.session._scriptrunner.request_rerun(RerunData(widget_states=WidgetStates()))

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


def test_redraws_of_a_tab_come_one_after_the_other() -> None:
    """Side by side they would share one state."""
    config = tomllib.loads((REPO / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    assert config["runner"]["fastReruns"] is False
