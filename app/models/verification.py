"""Whether a model file is whole and usable: its header, all its parts, its vocabulary, its template, its size."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.models.download import sha256_of
from app.sizes import show_bytes
from app.verdicts import room_on_server
from engine.backend import About, Plan
from engine.errors import LongdeskError
from engine.gguf import Header, read_header
from engine.local.opened import makers_of_file, template_of
from engine.local.quoting import is_tried, quotes_of
from engine.memory.card import ModelCard, runnable_card
from engine.memory.catalog.entry import ENTRIES, Entry
from engine.prompt.choice import OwnTemplate, TemplateUse, one_line
from engine.tokens.proof import how_encoded, open_tokenizer

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at, and what was seen."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What came of a file's checks.

    path: or the address of a server. entry: the catalogue's entry of its name, if it has one. sha256: of each file by
    name, where it was asked for. template: which chat template it would be asked with, as other commands say it; None
    where that cannot be said.
    """

    path: Path | str
    entry: Entry | None
    checks: tuple[Check, ...]
    sha256: tuple[tuple[str, str], ...] = ()
    template: TemplateUse | None = None

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)


def verify(path: Path, *, cache: Path, digests: bool = False, own: OwnTemplate | None = None) -> Verification:
    """Looks at a model's file, or at the first of its parts. Raises nothing: a check that fails ends what builds on it.

    cache: where proofs about vocabularies are kept. digests: read every byte and tell its SHA-256. own: a chat template
    that it would be asked with in place of the one that it brings.
    """
    entry = next((entry for entry in ENTRIES if entry.owns(path.name)), None)
    checking = _Checking(path, entry, cache, own)
    checks = tuple(checking.checks())
    files = checking.files if digests else ()
    sums = tuple((file.name, sha256_of(file)) for file in files)
    damaged = [name for (name, digest), file in zip(sums, files, strict=True) if _belies(file, digest)]
    if sums:
        detail = f"{', '.join(damaged)}: not the content that it was kept as" if damaged else "read to the last byte"
        checks += (Check("digest", not damaged, detail),)
    return Verification(path, entry, checks, sums, checking.template)


def verify_server(address: str, about: About, plan: Plan) -> Verification:
    """What a server says of itself, once it could be spoken to. plan: of nothing but a reply."""
    counts = f"{about.how_counted}" if about.how_counted else "exact: the server counts whole chats"
    checks = (
        Check("server", True, about.server),
        Check("model", True, f"{about.name}, a window of {about.window:,} tokens"),
        Check("images", True, f"it sees them, {about.image_rule}" if about.sees else "it cannot be shown any"),
        Check("counts", True, counts),
        Check("forms", True, "notes are held to theirs" if about.holds_forms else "notes are read as they come"),
        Check("capacity", True, room_on_server(plan) or "it does not say what it has room for"),
    )
    return Verification(address, None, checks, template=about.template)


class _Checking:
    """The checks of one file, in order, and what later ones need of earlier ones."""

    def __init__(self, path: Path, entry: Entry | None, cache: Path, own: OwnTemplate | None) -> None:
        self._path, self._entry, self._cache, self._own = path, entry, cache, own
        self.files: tuple[Path, ...] = ()
        self.template: TemplateUse | None = None

    def checks(self) -> Iterator[Check]:
        name = "header"
        try:
            header = read_header(self._path)
            yield Check(name, True, f"{len(header.tensors):,} tensors, all inside the file")
            name = "parts"
            card = runnable_card(header)
        except LongdeskError as error:
            yield Check(name, False, str(error))
            return
        self.files = tuple(file.path for file in card.files)
        yield Check("parts", True, f"{len(self.files)} of {len(self.files)}")
        yield Check("model", True, _described(card))
        if self._entry is not None:
            yield self._size(card, self._entry)
        yield from self._words(header, card.notes)
        yield _quotes(card, self._cache)

    def _size(self, card: ModelCard, entry: Entry) -> Check:
        n_bytes = sum(file.n_bytes for file in card.files)
        off = n_bytes / entry.size_bytes - 1
        sizes = f"{show_bytes(n_bytes)}, in the catalogue {show_bytes(entry.size_bytes)} ({entry.size_source})"
        return Check("size", abs(off) <= entry.size_tolerance, sizes)

    def _words(self, header: Header, notes: Sequence[str]) -> Iterator[Check]:
        """The vocabulary and the chat template. notes: what is odd about the file, which are about its vocabulary."""
        try:
            tokenizer = open_tokenizer(header, cache=self._cache)
        except LongdeskError as error:
            yield Check("vocabulary", False, str(error))
            return
        try:
            proved = f"{len(tokenizer.vocabulary):,} tokens, proved against llama.cpp"
            yield Check("vocabulary", True, " ".join((f"{proved}.", *notes)) if notes else proved)
            yield Check("tokenizer", True, how_encoded(tokenizer.proof))
            yield self._template(header)
            yield _sampling(header, self._own)
        finally:
            tokenizer.close()

    def _template(self, header: Header) -> Check:
        """Of the model's own too where another is used: it is the file that is looked at."""
        use = template_of(header, cache=self._cache)
        detail, own = _of_template(use), self._own
        if own is not None:
            try:
                use = template_of(header, own=own, cache=self._cache)
            except LongdeskError as error:
                return Check("template", False, error.fact)
            detail += f"; {own.name} is used in its place, and renders every turn"
        self.template = use
        return Check("template", not use.fault, detail)


def _of_template(use: TemplateUse) -> str:
    """What is said of a model's own."""
    if use.fault:
        return f"does not render: {use.fault}; a plain one would be used"
    if use.used == "plain":
        return "the model brings none; a plain one is used"
    detail = " ".join(("renders every turn;", use.note)) if use.note else "renders every turn"
    return f"{detail}; {use.on_thinking}" if use.on_thinking else detail


def _sampling(header: Header, own: OwnTemplate | None) -> Check:
    """What the makers say, and whether it is used: no fault of a file, but where it makes no sense."""
    makers = makers_of_file(header, own=own)
    nothing = "its makers say nothing: asked without chance, at temperature 0, where nothing else is set"
    unread = f"; not understood: {', '.join(map(one_line, makers.unread))}" if makers.unread else ""
    return Check("sampling", True, (makers.sentence.rstrip(".") or nothing) + unread)


def _quotes(card: ModelCard, cache: Path) -> Check:
    """Whether words are looked for that show its answers: no fault of a file, but to be known of it."""
    quotes = quotes_of(card, cache)
    if quotes.reason:
        return Check("quotes", True, quotes.reason)
    if quotes.n_tried is None:
        how = "the model is tried behind its first answer" if is_tried(card) else "a model of this size is not tried"
        return Check("quotes", True, f"on; {how}")
    return Check(
        "quotes", True, f"on; tried on a small text, it found words {quotes.n_found} times in {quotes.n_tried}"
    )


def _described(card: ModelCard) -> str:
    return (
        f"{card.name}: {card.architecture}, {len(card.layers)} layers, window {card.window:,}, "
        f"{show_bytes(card.weights_bytes)} of weights, mostly {card.quantization}"
    )


def _belies(file: Path, digest: str) -> bool:
    """Hugging Face's cache keeps a file under its SHA-256, which tells what it should be."""
    name = file.resolve().name
    return _SHA256.fullmatch(name) is not None and name != digest
