"""Kills at random moments: of the page, of the command line, of an engine, of a reader; and what is lost by them.

After each the store opens, the sessions are listed, what was heard of the answer stands there but for the last second,
and a follow-up is answered.
"""

import json
import random
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from time import monotonic, sleep
from typing import IO, Any

import psutil

from tests.abuse.heard import Heard
from tests.abuse.model import N_WORDS, talker, talking
from tests.bench.table import Row
from tests.browser.conftest import ARGUMENTS, find_chromium
from tests.browser.desk_page import DeskPage
from tests.browser.server import Server
from tests.command_line import CommandLine
from tests.patience import until

_LONG, _SHORT = N_WORDS, 6  # tokens of a reply that is to be killed, and of one that follows
_ENGINE, _READER = "engine.runtime.worker", "engine.corpus.formats.reading_child"
_OPTIONS = ("--ctx", 12_288, "--json")


@dataclass
class Home:
    """Where it all happens, and what went wrong there. takes_s: what a question takes that nobody kills."""

    folder: Path
    chance: random.Random
    takes_s: float = 0.0
    faults: list[str] = field(default_factory=list)
    n_in_the_middle: int = 0  # kills that found an answer on its way

    @property
    def corpus(self) -> Path:
        return self.folder / "corpus"

    @property
    def longdesk(self) -> CommandLine:
        return CommandLine(self.folder / "home", talker(), is_new=True)


def rows(n: int, *, seed: int = 0) -> Iterator[Row]:
    """n kills, of each kind as many."""
    with TemporaryDirectory() as folder:
        home = Home(Path(folder), random.Random(seed))
        home.corpus.mkdir()
        (home.corpus / "a.txt").write_text("The harbour light is on.\n" * 30)
        _write_pdf(home.corpus / "b.pdf")
        (home.folder / "home").mkdir()
        (home.folder / "home" / "config.toml").write_text("quotes = false\n")
        begun = monotonic()
        home.longdesk("ask", home.corpus, "-q", "How long?", "--max-tokens", _LONG, *_OPTIONS)
        home.takes_s = monotonic() - begun
        for name, kills in (
            ("of the page", _pages),
            ("of the command line", _command_lines),
            ("of an engine", _engines),
            ("of a reader", _readers),
        ):
            yield _row(name, kills, home, max(1, n // 4))
        broken = home.longdesk("snapshots", "verify", "--json").document["broken"]
        yield Row("broken saved KV caches after all of them", len(broken), n, "", 0.0)


def _row(name: str, kills: Callable[[Home, int], None], home: Home, n: int) -> Row:
    home.faults, home.n_in_the_middle = [], 0
    kills(home, n)
    for fault in home.faults:
        print(f"killed {name}: {fault}", file=sys.stderr, flush=True)
    return Row(f"wrong after {n} kills {name}, {home.n_in_the_middle} in mid-work", len(home.faults), n, "", 0.0)


def _write_pdf(path: Path, n_pages: int = 60) -> None:
    from reportlab.pdfgen.canvas import Canvas

    canvas = Canvas(str(path))
    for number in range(n_pages):
        canvas.drawString(72, 720, f"Page {number}: rent {number}.")
        canvas.showPage()
    canvas.save()


# the command line


def _command_lines(home: Home, n: int) -> None:
    """Half of them it alone, and its children have to see to themselves; half of them all of its family."""
    for number in range(n):
        question, heard = f"Kill {number}: what is on?", Heard()
        process = home.longdesk.start("ask", home.corpus, "-q", question, "--max-tokens", _LONG, *_OPTIONS)
        listener = _listen(process.stdout, heard)
        _wait(process, home.chance.uniform(0.1, 1.1) * home.takes_s)
        family = [psutil.Process(process.pid)] if process.poll() is None else []
        home.n_in_the_middle += bool(family and heard.texts)
        with suppress(psutil.NoSuchProcess):
            family = [*family[0].children(recursive=True), *family] if family and number % 2 else family
        killed = monotonic()
        for member in reversed(family):
            with suppress(psutil.NoSuchProcess):
                member.send_signal(signal.SIGKILL)
        process.wait()
        listener.join()
        _close(process)
        _check(home, question, heard, killed, ("interrupted", "length", "end"))


def _wait(process: Any, seconds: float) -> None:
    end = monotonic() + seconds
    while process.poll() is None and monotonic() < end:
        sleep(0.005)


def _listen(lines: IO[str], heard: Heard) -> Thread:
    def listen() -> None:
        text = ""
        for line in lines:
            with suppress(ValueError):  # the last one may be cut
                event = json.loads(line)
                if event["event"] == "text":
                    text += event["text"]
                    heard.hear(text)

    thread = Thread(target=listen, daemon=True)
    thread.start()
    return thread


def _close(process: Any) -> None:
    for end in (process.stdout, process.stderr):
        end.close()


def _check(
    home: Home, question: str, heard: Heard, killed: float, stops: tuple[str, ...], may_lose_s: float = 1.0
) -> None:
    """By the command line: the store opens, sessions are listed, the text is there, a follow-up is answered."""
    listed = home.longdesk("sessions", "list", "--json")
    if listed.code:
        home.faults.append(f"{question} sessions list ended with {listed.code}: {listed.err[-200:]}")
        return
    ids = [each["id"] for each in listed.document["sessions"] if each["title"] == question]
    if not ids:
        if heard.texts:
            home.faults.append(f"{question} its session is not there")
        return
    turn = home.longdesk("sessions", "show", ids[0], "--json").document["turns"][-1]
    if turn["stop"] not in stops:
        home.faults.append(f"{question} it ended with {turn['stop']}")
    if why := heard.lost(turn["text"], killed=killed, may_lose_s=may_lose_s):
        home.faults.append(f"{question} {why}")
    options = ("--max-tokens", _SHORT, *_OPTIONS)
    asked = home.longdesk("ask", "--session", ids[0], "-q", "And then?", *options)
    if asked.code or asked.answer["stop"] not in ("length", "end"):
        home.faults.append(f"{question} the follow-up ended with {asked.code}: {asked.err[-200:]}")


# an engine, a reader


def _engines(home: Home, n: int) -> None:
    """While a command asks: it says so, and all that it printed is kept."""
    for number in range(n):
        question, heard = f"Engine {number}: what is on?", Heard()
        process = home.longdesk.start("ask", home.corpus, "-q", question, "--max-tokens", _LONG, *_OPTIONS)
        listener = _listen(process.stdout, heard)
        engine = _below(process, _ENGINE)
        _wait(process, home.chance.uniform(0, 0.8) * home.takes_s)
        killed, was_there = monotonic(), process.poll() is None
        _kill(engine)
        listener.join()
        process.wait()
        _close(process)
        home.n_in_the_middle += bool(was_there and heard.texts)
        if process.returncode not in (0, 1):
            home.faults.append(f"{question} the command ended with {process.returncode}")
        _check(home, question, heard, killed, ("error", "length", "end"), may_lose_s=0.0)


def _readers(home: Home, n: int) -> None:
    """While files are counted: the command lives, and says of each file what became of it; the next reads all."""
    names = {path.name for path in home.corpus.iterdir()}
    for number in range(n):
        process = home.longdesk.start("count", home.corpus, "--json", "--read-again")
        reader = _below(process, _READER)
        sleep(home.chance.uniform(0, 0.3))
        home.n_in_the_middle += process.poll() is None and reader is not None and reader.is_running()
        _kill(reader)
        out, err = process.communicate()
        if process.returncode or "Traceback" in err:
            home.faults.append(f"reader {number}: count ended with {process.returncode}: {err[-300:]}")
            continue
        found = json.loads(out)
        said = {each["path"] for each in (*found["sources"], *found["skipped"])}
        if said != names:
            home.faults.append(f"reader {number}: it says nothing of {names - said}")
    whole = home.longdesk("count", home.corpus, "--json").document
    if {each["path"] for each in whole["sources"]} != names:
        home.faults.append("a count after the kills leaves files out")


def _below(process: Any, module: str) -> psutil.Process | None:
    """The child of this module, once it is there; None where the process has ended."""
    found: list[psutil.Process] = []

    def look() -> bool:
        with suppress(psutil.Error):
            for child in psutil.Process(process.pid).children(recursive=True):
                with suppress(psutil.Error):
                    found.extend([child] if module in child.cmdline() else [])
        return bool(found) or process.poll() is not None

    until(look, every_s=0.005)
    return found[0] if found else None


def _kill(process: psutil.Process | None) -> None:
    with suppress(psutil.NoSuchProcess):
        if process is not None:
            process.kill()


# the page


def _pages(home: Home, n: int) -> None:
    """In a real browser: asked there, killed, started anew, read there, asked again."""
    server = talking(home.folder / "page", reply_tokens=_LONG, n_ctx=12_288)
    with _browser() as browser:
        for number in range(n):
            server.start()
            tab = DeskPage(browser.new_context().new_page(), server)
            tab.open("/")
            heard, question = Heard(), f"Page {number}: what is on?"
            tab.ask(question)
            session, asked = tab.session, monotonic()
            if number % 2:  # half of them while it is written, half of them while it comes to that
                until(lambda tab=tab: tab.answer(0) or tab.can_ask, every_s=0.02)
            end = monotonic() + home.chance.uniform(0, 1.5 if number % 2 else home.takes_s)
            while monotonic() < end:
                heard.hear(tab.answer(0))
                tab.page.wait_for_timeout(20)
            home.n_in_the_middle += bool(heard.texts and not tab.can_ask)
            children, killed = server.children(), monotonic()
            server.stop(signal.SIGKILL)
            tab.page.context.close()
            if psutil.wait_procs(children, timeout=30)[1]:
                home.faults.append(f"{question} a child lives on")
            _check_page(home, server, browser, session, question, heard, killed, killed - asked)


def _check_page(
    home: Home, server: Server, browser: Any, session: str, question: str, heard: Heard, killed: float, ran_s: float
) -> None:
    if session not in [each["id"] for each in server.longdesk("sessions", "list")["sessions"]]:
        home.faults.append(f"{question} its session is not there")
        return
    turns = server.longdesk("sessions", "show", session)["turns"]
    server.start()
    try:
        tab = DeskPage(browser.new_context().new_page(), server)
        tab.open(f"/?session={session}")
        if turns:
            tab.wait_for_end(0)
            if turns[0]["stop"] not in ("interrupted", "length", "end"):
                home.faults.append(f"{question} it ended with {turns[0]['stop']}")
            if why := heard.lost(turns[0]["text"], killed=killed):
                home.faults.append(f"{question} {why}")
        elif heard.texts:
            home.faults.append(f"{question} its turn is not there")
        elif ran_s > 1.0 and question not in tab.page.get_by_test_id("stChatInputTextArea").input_value():
            home.faults.append(f"{question} was asked {ran_s:.1f} s before, and is nowhere")
        tab.ask("And then?")
        tab.wait_for_text(len(turns))
        tab.page.get_by_role("button", name="Stop").click()
        tab.wait_for_end(len(turns))
        if "error" in tab.page.locator(f".st-key-turn-{len(turns)} .receipt").inner_text():
            home.faults.append(f"{question} the follow-up has no answer")
        tab.page.context.close()
    finally:
        server.stop()


@contextmanager
def _browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=find_chromium(), args=list(ARGUMENTS))
        yield launched
        launched.close()
