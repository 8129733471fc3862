"""What a corpus or a next question costs with a model, and what of it that can read at all."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from engine.corpus.formats.reader import format_of
from engine.corpus.source import Cause, Corpus, Skipped, Source
from engine.memory.budget import Plan
from engine.opened import OpenModel
from engine.prompt.layout import Exchange, Part, Prompt
from engine.tokens.documents import Document, IdCache, number_pictures


@dataclass(frozen=True, slots=True)
class Count:
    """What a corpus costs with a model. prompt is the whole prompt but for the question and the reply."""

    model: str
    sources: tuple[Source, ...]
    documents: tuple[Document, ...]  # one a source, in the same order
    skipped: tuple[Skipped, ...]
    prompt: Prompt = field(repr=False)
    image_rule: str | None = None  # whose rule counts images, where the model sees

    @property
    def sees(self) -> bool:
        """Whether the model can be shown images."""
        return self.image_rule is not None

    @property
    def total_tokens(self) -> int:
        return self.prompt.n_tokens

    @property
    def template_tokens(self) -> int:
        return self.total_tokens - self.prompt.count(Part.SOURCE)


@dataclass(frozen=True, slots=True)
class Outlook:
    """A session's next question before it is written: every source's cost, sent or not, and the plan."""

    plan: Plan
    prompt: Prompt = field(repr=False)
    documents: tuple[Document, ...] = field(repr=False)  # one a source of the session, in its order
    reused_tokens: int | None = None  # about what of the prompt need not be read again
    unseen: tuple[str, ...] = ()  # paths of sources that are sent, but for their pictures: the model cannot see
    # those of all sources that have nothing else in them, so that they cost nothing
    unsent: frozenset[str] = frozenset()


def count(corpus: Corpus, sent: Sequence[Source], *, opened: OpenModel, cache: IdCache, system: str) -> Count:
    """What each source of a legible corpus costs, listed as the corpus is. sent: the same, in the prompt's order."""
    documents = opened.documents(corpus.sources, cache, number_pictures(sent))
    document_of = {document.path: document for document in documents}
    laid = tuple(document_of[source.path] for source in sent)
    prompt = opened.prompt([Exchange("", laid)], system=system, today=date.today())
    rule = opened.sight.rule if opened.sight is not None else None
    return Count(opened.card.name, corpus.sources, documents, corpus.skipped, prompt, rule)


def legible(corpus: Corpus, opened: OpenModel) -> Corpus:
    """What of a corpus a model can read: for one that cannot see, what is nothing but pictures is skipped, and why."""
    if opened.sight is not None:
        return corpus
    unseen = [
        Skipped(source.path, Cause.NO_VISION, _why_unseen(source, opened.unfit), source.n_bytes)
        for source in corpus.sources
        if source.is_wordless
    ]
    read = tuple(source for source in corpus.sources if not source.is_wordless)
    return replace(corpus, sources=read, skipped=(*corpus.skipped, *unseen))


def _why_unseen(source: Source, unfit: tuple[str, ...]) -> str:
    n_pages = source.n_pages or 1
    pages = f"{n_pages:,} page{'' if n_pages == 1 else 's'} without text: a scan, and "
    what = pages if format_of(source.kind).has_text_pages else ""
    remedy = "choose one with a vision projector, or put its mmproj file beside it"
    return f"{what}the model cannot see; {' '.join((*unfit, remedy.capitalize())) if unfit else remedy}"
