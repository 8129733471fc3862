"""Walks through the house, traced: `python -m tests.trace [WALK]...` prints the modules that each passes.

Each walk is run in a process of its own, on a tiny real model, in a home of its own:

- `command`: `longdesk ask --session`, a follow-up question in a new process, from its first line to its end
- `running`: the same question to a Desk whose engine runs, from `Desk.ask` until its first text
- `restarted`: the same to a new Desk, so that the KV cache comes back from the disk, until its first text
- `upload`: a PDF from its upload until its tokens stand in the next prompt: Intake, and Desk's look at what it costs
- `plan`: `longdesk plan --model scout-q4_k_m --ctx 128K`, from its first line to its end

`passing` says what it is to pass a module. The figure to compare over time is of modules in this process; what only the
engine's children pass is told apart. Imports are done before a walk begins, but for those within functions.

`lookups` counts searches of the index of saved KV caches, whatever for; `kv files` how often one of them is opened, and
`kv locks` their lock; `pypdf` and `pdfium` how often each opens a PDF; `databases` connections to SQLite.
"""

import json
import os
import subprocess
import sys
import tempfile
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from io import BytesIO, StringIO
from pathlib import Path
from threading import Event as Flag

import pypdf
import pypdfium2

import app.answering  # noqa: F401  Desk imports it with the first question: being imported is no walk
from app.cli import main as longdesk
from app.desk import Desk
from app.intake import Intake
from app.question import Question
from app.settings import Settings
from engine.backend import Text
from storage.snapshots import Snapshots
from tests.command_line import CommandLine
from tests.models.cache import cached
from tests.passing import HOUSES, ROOT, Passed, Passing
from tests.pdfs import written

_PATIENCE_S = 300
_CALLS = {
    Snapshots.matches.__code__: "lookups",
    pypdf.PdfReader.__init__.__code__: "pypdf",
    pypdfium2.PdfDocument.__init__.__code__: "pdfium",
}
_OPENS: dict[str, Callable[[str], bool]] = {
    "kv files": lambda path: "/snapshots/" in path,
    "kv locks": lambda path: path.endswith("/snapshots.lock"),
    "databases": lambda path: path.endswith(".db"),
}
FIGURES = (*_CALLS.values(), *_OPENS)


@dataclass(frozen=True, slots=True)
class Scene:
    """What a walk is set in: an empty folder, and who watches it."""

    folder: Path
    passing: Passing

    def watch(self) -> None:
        """From now on. What was before the walk may go unseen, and is faster."""
        (self.folder / "trace").mkdir()
        self.passing.watch(self.folder / "trace")

    @property
    def settings(self) -> Settings:
        return Settings(home=self.folder / "home", model=str(cached("llama")), reply_tokens=8)

    @property
    def shell(self) -> CommandLine:
        """`longdesk` in processes of its own: what was before the walk."""
        return CommandLine(self.settings.home, self.settings.model)

    def corpus(self) -> Path:
        """Four small files."""
        folder = self.folder / "corpus"
        folder.mkdir()
        for number in range(4):
            text = "".join(f"part {number}, line {line}\n" for line in range(40))
            (folder / f"part{number}.txt").write_text(text)
        return folder

    def first_question(self) -> str:
        """Asks one by the command line; its session."""
        asked = self.shell("ask", self.corpus(), "-q", "What is in part 1?", "--max-tokens", 8, "--json")
        return str(asked.answer["session"])

    def run(self, *arguments: str) -> Passed:
        """The command line in this process, as its console script calls it; what it prints is thrown away."""
        os.environ.update(self.shell.environment)
        sys.argv[:] = ["longdesk", *arguments]
        quiet = redirect_stdout(StringIO()), redirect_stderr(StringIO())
        with quiet[0], quiet[1], self.passing.stretch() as found, suppress(SystemExit):
            longdesk()
        return found[0]

    def until_text(self, desk: Callable[[], Desk], session: str) -> Passed:
        """A follow-up, from the making of its desk."""
        with self.passing.stretch() as found:
            opened = desk()
            events = opened.ask(Question(text="And in part 2?", session=session), cancel=Flag())
            next(event for event in events if isinstance(event, Text))
        for _ in events:  # the engine is left as it would be
            pass
        opened.close()
        return found[0]


def command(scene: Scene) -> Passed:
    session = scene.first_question()
    scene.watch()
    return scene.run("ask", "--session", session, "-q", "And in part 2?", "--max-tokens", "8")


def running(scene: Scene) -> Passed:
    scene.watch()  # or the engine's child would not be seen
    desk = Desk(scene.settings)
    session = desk.begin_session("parts").id
    desk.add_sources(session, desk.read([scene.corpus()]))
    for _ in desk.ask(Question(text="What is in part 1?", session=session), cancel=Flag()):
        pass
    return scene.until_text(lambda: desk, session)


def restarted(scene: Scene) -> Passed:
    session = scene.first_question()
    scene.watch()
    return scene.until_text(lambda: Desk(scene.settings), session)


def upload(scene: Scene) -> Passed:
    scene.watch()
    with closing(Desk(scene.settings)) as desk, closing(Intake(desk)) as intake:
        desk.begin_session("before")  # the page has opened the store long ago
        with scene.passing.stretch() as found:
            delivery = intake.read_uploads([Upload("two pages.pdf", written("The first page.", "The second page."))])
            session = desk.begin_session(delivery.title).id
            intake.add(session, delivery)
            preview = desk.preview(session)
        assert preview.documents[0].n_pages == 2 and preview.prompt.n_tokens > preview.documents[0].n_tokens > 0
    return found[0]


def plan(scene: Scene) -> Passed:
    scene.watch()
    return scene.run("plan", "--model", "scout-q4_k_m", "--ctx", "128K")


WALKS: dict[str, Callable[[Scene], Passed]] = {
    walk.__name__: walk for walk in (command, running, restarted, upload, plan)
}


class Upload(BytesIO):
    """A file as a browser sends it."""

    def __init__(self, name: str, data: bytes) -> None:
        super().__init__(data)
        self.name = name


def traced(walk: str) -> Passed:
    """What a walk passes, in a process of its own. Raises CalledProcessError where it breaks off."""
    ended = subprocess.run(
        [sys.executable, "-m", "tests.trace", "--document", walk],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        timeout=_PATIENCE_S,
        check=True,
    )
    fields = json.loads(ended.stdout)
    return Passed(frozenset(fields["parent"]), frozenset(fields["children"]), Counter(fields["calls"]))


def _document(walk: str) -> str:
    with tempfile.TemporaryDirectory(prefix="longdesk-trace-") as folder:
        scene = Scene(Path(folder), Passing(_CALLS, _OPENS))
        passed = WALKS[walk](scene)
    return json.dumps({"parent": sorted(passed.parent), "children": sorted(passed.children), "calls": passed.calls})


def _told(walk: str, passed: Passed) -> Iterator[str]:
    only = passed.children - passed.parent
    yield f"{walk}: {len(passed.parent)} modules, and {len(only)} more in children"
    yield "  " + ", ".join(f"{name} {passed.calls[name]}" for name in FIGURES)
    yield from _listed("", passed.parent)
    yield from _listed(" in children", only)


def _listed(where: str, modules: Iterable[str]) -> Iterator[str]:
    """The modules by their houses."""
    for house in HOUSES:
        names = sorted(name.removeprefix(f"{house}.") for name in modules if name.split(".")[0] == house)
        if names:
            lines = textwrap.wrap(f"{house}{where} ({len(names)}): {', '.join(names)}", 116, subsequent_indent="  ")
            yield from (f"  {line}" for line in lines)


def main(arguments: list[str]) -> None:
    """Prints the walks that are named, or all."""
    if arguments[:1] == ["--document"]:
        print(_document(arguments[1]))
        return
    for walk in arguments or WALKS:
        print("\n".join(_told(walk, traced(walk))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
