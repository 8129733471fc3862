"""What Streamlit would lose between a browser and the page's script: a redraw that is not handed over yet, one that
follows a fragment's, a click that another one cuts in on. Each is to be called once, before the server runs.
"""

from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from streamlit.delta_generator_singletons import context_dg_stack, get_default_dg_stack_value
from streamlit.proto.WidgetStates_pb2 import WidgetStates
from streamlit.runtime.app_session import AppSession, AppSessionState
from streamlit.runtime.scriptrunner import RerunData, ScriptRunner, get_script_run_ctx
from streamlit.runtime.scriptrunner_utils.script_requests import ScriptRequests, _has_active_trigger_value
from streamlit.runtime.scriptrunner_utils.script_run_context import RunLocation, ThreadState
from streamlit.runtime.state.safe_session_state import SafeSessionState

_SOON_S = 0.02


def lose_no_redraw() -> None:
    """A redraw has run, what it drew is not handed over yet, and a browser asks for a fragment's: Streamlit starts that
    one and throws the other away, so that the page shows for good what was there before. Here it waits; one that a
    browser asks for again by itself is left to that."""
    create = AppSession._create_scriptrunner

    def create_later(session: AppSession, data: RerunData) -> None:
        if session._scriptrunner is None or not data.fragment_id:
            create(session, data)
        elif not data.is_auto_rerun:
            session._event_loop.call_later(_SOON_S, again, session, data)

    def again(session: AppSession, data: RerunData) -> None:
        if session._state is AppSessionState.SHUTDOWN_REQUESTED or not session.has_fragment(data.fragment_id or ""):
            return
        if session._scriptrunner is None or not session._scriptrunner.request_rerun(data):
            session._create_scriptrunner(data)

    _put(AppSession, "_create_scriptrunner", create_later)


def begin_at_the_top() -> None:
    """A redraw of the whole page draws into the page. Where it follows a fragment's in the same thread, Streamlit draws
    it into what that fragment stands in: the sidebar, a column."""
    run = ScriptRunner._run_script

    def run_script(runner: ScriptRunner, data: RerunData) -> None:
        context_dg_stack.set(get_default_dg_stack_value())
        run(runner, data)

    _put(ScriptRunner, "_run_script", run_script)


def lose_no_click() -> None:
    """What a browser sent is taken, what it calls is called, and the redraw that a click began comes to its end; only
    then another request of the browser cuts in. With Streamlit it does so anywhere, and the click is gone, or half
    done. What the page itself asks for (`st.rerun`) is heeded at once, as ever."""
    heed, ask = ScriptRunner._maybe_handle_execution_control_request, ScriptRequests._request_rerun_locked
    clicked, own = WeakSet[SafeSessionState](), WeakSet[ScriptRequests]()

    def request_rerun(requests: ScriptRequests, data: RerunData) -> bool:
        context = get_script_run_ctx(suppress_warning=True)  # none where a browser asks
        if context is not None and context.script_requests is requests:
            own.add(requests)
        return ask(requests, data)

    def heed_later(runner: ScriptRunner) -> None:
        is_called = runner._is_in_script_thread() and ThreadState.get().run_location is RunLocation.CALLBACK
        if runner._requests in own or not (is_called or runner._session_state in clicked):
            own.discard(runner._requests)
            heed(runner)

    def on_script_will_rerun(state: SafeSessionState, fresh: WidgetStates | None, **more: Any) -> None:
        with state._lock:
            is_click = fresh is not None and any(map(_has_active_trigger_value, fresh.widgets))
            (clicked.add if is_click else clicked.discard)(state)
            state._state.on_script_will_rerun(fresh, **more)

    _put(ScriptRequests, "_request_rerun_locked", request_rerun)
    _put(ScriptRunner, "_maybe_handle_execution_control_request", heed_later)
    _put(SafeSessionState, "on_script_will_rerun", on_script_will_rerun)


def _put(owner: type, name: str, method: Callable[..., object]) -> None:
    setattr(owner, name, method)  # mypy takes no method's place
