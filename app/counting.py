"""What a corpus costs with a model, and what of it that can read at all."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from app.verdicts import why_unseen
from engine.backend import (
    About,
    Backend,
    Cause,
    Corpus,
    Document,
    Exchange,
    Part,
    Prompt,
    Skipped,
    Source,
    TemplateUse,
    number_pictures,
)
from engine.corpus.formats.reader import has_text_pages
from engine.corpus.wording import with_notes


@dataclass(frozen=True, slots=True)
class Count:
    """What a corpus costs with a model. prompt is the whole prompt but for the question and the reply."""

    model: str
    sources: tuple[Source, ...]
    documents: tuple[Document, ...]  # one a source, in the same order
    skipped: tuple[Skipped, ...]
    prompt: Prompt = field(repr=False)
    image_rule: str | None = None  # whose rule counts images, where the model sees
    how_counted: str = ""  # a clause on what the counts are, where they are not exact
    template: TemplateUse = TemplateUse()
    notes: tuple[str, ...] = ()  # on the model, see About.notes

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


def count(corpus: Corpus, sent: Sequence[Source], *, backend: Backend, system: str) -> Count:
    """What each source of a legible corpus costs, listed as the corpus is. sent: the same, in the prompt's order."""
    documents = backend.documents(corpus.sources, number_pictures(sent))
    document_of = {document.path: document for document in documents}
    laid = tuple(document_of[source.path] for source in sent)
    prompt = backend.lay_out([Exchange("", laid)], system=system, today=date.today())
    about = backend.about
    return Count(
        model=about.name,
        sources=corpus.sources,
        documents=documents,
        skipped=corpus.skipped,
        prompt=prompt,
        image_rule=about.image_rule,
        how_counted=about.how_counted,
        template=about.template,
        notes=about.notes,
    )


def legible(corpus: Corpus, about: About) -> Corpus:
    """What of a corpus an engine can read: one that cannot see skips what is nothing but pictures, and says why."""
    if about.sees:
        return corpus
    unseen = [_unseen(source, about) for source in corpus.sources if source.is_wordless]
    read = tuple(source for source in corpus.sources if not source.is_wordless)
    return replace(corpus, sources=read, skipped=(*corpus.skipped, *unseen))


def _unseen(source: Source, about: About) -> Skipped:
    n_pages = _n_text_pages(source)
    why = why_unseen(n_pages, about.unfit, source.nature)
    return Skipped(source.path, Cause.NO_VISION, with_notes(why, source.notes if n_pages else ()), source.n_bytes)


def _n_text_pages(source: Source) -> int:
    """Pages that could hold text; 0 for an image."""
    return source.n_pages or 1 if has_text_pages(source.kind) else 0
