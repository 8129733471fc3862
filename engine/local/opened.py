"""A model that is open for reading: all that counting and laying out need, with nothing of it loaded to run."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path

from engine.corpus.formats.drawing import drawing_bytes
from engine.corpus.source import Source
from engine.errors import LongdeskError, ModelRefused
from engine.gguf import Header, read_header
from engine.local.speaking import manner_of
from engine.memory.budget import Wanted, Weight
from engine.memory.card import ModelCard, runnable_card
from engine.memory.fingerprint import fingerprint
from engine.memory.projector import LLAMA4, Projector, projector_for, unfit_beside
from engine.prompt.choice import OwnTemplate, TemplateUse
from engine.prompt.layout import lay_out
from engine.prompt.makers import Makers, makers_of
from engine.prompt.prompt import Exchange, Prompt
from engine.prompt.rendering import kept_renderings, recall_renderings
from engine.prompt.template import Brought, ChatTemplate, brought_by, read_brought, read_own
from engine.runtime.events import Sampling
from engine.runtime.manner import Manner
from engine.tokens.document import Document, Shown
from engine.tokens.encode import Tokenizer
from engine.tokens.id_cache import IdCache
from engine.tokens.proof import open_tokenizer, read_kept, write_kept
from engine.tokens.sight import Sight
from engine.tokens.source_ids import encode_documents, encode_texts, text_of
from engine.tokens.tiles import MOST_TILES

_RENDERING = 5  # raise it when a template is rendered otherwise
_NAME_TOKENS = 4  # the fewest that a line such as "[image 2]" takes


@dataclass(frozen=True, slots=True)
class OpenModel:
    """A model's card, tokenizer and chat template, and what its makers say of sampling; where it sees, its projector
    and what that makes of pictures.

    unfit: where it does not, a sentence for each file beside it that is named like a projector and cannot serve.
    """

    card: ModelCard
    tokenizer: Tokenizer
    template: ChatTemplate
    projector: Projector | None = None
    sight: Sight | None = None
    unfit: tuple[str, ...] = ()
    makers: Makers = Makers()

    def documents(
        self, sources: Sequence[Source], cache: IdCache, numbers: Mapping[str, int] | None = None
    ) -> tuple[Document, ...]:
        """Every source as ids; see encode_documents."""
        return encode_documents(self.tokenizer, sources, cache, sight=self.sight, numbers=numbers)

    def encode_ahead(self, sources: Sequence[Source], cache: IdCache) -> None:
        """Puts the ids of these sources into the cache; of those without pictures, whose text is in one piece."""
        encode_texts(self.tokenizer, [text_of(source) for source in sources if not source.pictures], cache)

    def limited(self, max_tiles: int) -> "OpenModel":
        """The same, but its images are scaled down to that many tiles at most."""
        return replace(self, sight=self.sight.limited(max_tiles)) if self.sight is not None else self

    def tokens_within(self, document: Document, max_tiles: int) -> int:
        """What a document would take if its images were scaled down to that many tiles; as it is, where it has none."""
        if self.sight is None or not self.sight.has_tiles:
            return document.n_tokens
        limited = self.sight.limited(max_tiles)
        views = [(shown.view, limited.view(shown.file, document.digest, shown.picture)) for shown in document.shown]
        return document.n_tokens - sum(view.n_tokens - other.n_tokens for view, other in views)

    def with_pictures(self, wanted: Wanted, prompt: Prompt) -> Wanted:
        """What is asked of a plan, and what the prompt's pictures need beside it."""
        if not prompt.shown or self.projector is None:
            return wanted
        most_cells = max(shown.view.n_cells for shown in prompt.shown)
        vision_bytes = self.projector.memory_bytes(most_cells) + max(map(_drawing_bytes, prompt.shown))
        return replace(wanted, vision_bytes=vision_bytes, at_once=prompt.n_at_once)

    def weights(self, exchanges: Sequence[Exchange]) -> tuple[Weight, ...]:
        """Every document of the exchanges with its tokens, for advice on what to leave out or to send smaller."""
        return tuple(
            Weight(
                path=document.path,
                n_tokens=document.n_tokens,
                pages=_pages(document),
                n_pages=document.n_pages or 0,
                within=partial(self.tokens_within, document) if document.shown else None,
            )
            for exchange in exchanges
            for document in exchange.documents
        )

    def refusal_of(self, prompt: Prompt) -> ModelRefused | None:
        """Why this model cannot be asked the prompt, where its pictures' positions follow a rule not known here."""
        if all(shown.view.grids is not None for shown in prompt.shown):
            return None
        return ModelRefused(
            f"Longdesk cannot show images to {self.card.name} yet: {self.card.architecture} models give them "
            "positions in several dimensions (M-RoPE), by a rule of their own.",
            "Leave the images out, or ask a model such as Llama 4, Gemma 3 or Qwen 3 VL.",
        )

    @property
    def header_digest(self) -> str:
        """Hex, of all that stands before the weights."""
        return blake2b("".join(file.header_digest for file in self.card.files).encode(), digest_size=16).hexdigest()

    @property
    def thinks(self) -> bool:
        """Whether the model thinks before it answers, where nothing is said."""
        return _thinks(self.template.use, self.makers)

    def close(self) -> None:
        """Ends the children that count."""
        self.tokenizer.close()
        if self.sight is not None:
            self.sight.close()

    def prompt(self, exchanges: Sequence[Exchange], *, system: str, today: date) -> Prompt:
        """The prompt that asks the last exchange's question; see engine.prompt.layout.lay_out."""
        return lay_out(exchanges, system=system, template=self.template, tokenizer=self.tokenizer, today=today)

    def manner(self, prompt: Prompt, sampling: Sampling, *, has_form: bool = False) -> Manner:
        """How a reply to the prompt is written. has_form: it is held to a grammar, which allows no thought."""
        return manner_of(self.template.habits, self.tokenizer, prompt.asks, sampling, has_form=has_form)


def _drawing_bytes(shown: Shown) -> int:
    view = shown.view
    return drawing_bytes(shown.picture, shown.file.format, shown.n_file_bytes, width=view.width, height=view.height)


def _pages(document: Document) -> dict[int, int]:
    """Tokens that each page that is drawn takes at least, by its number."""
    drawn = [shown for shown in document.shown if shown.is_page]
    return {shown.picture.number: shown.view.n_tokens + _NAME_TOKENS for shown in drawn}


def _template(brought: Brought, own: OwnTemplate | None, cache: Path | None) -> ChatTemplate:
    """The chat template, tried; what came of that is kept, since a process that renders takes 0.1 s to start."""

    def read() -> ChatTemplate:
        return read_own(own, brought) if own is not None else read_brought(brought)

    source, variables = own.source if own is not None else brought.source, brought.variables
    if cache is None or not source:
        return read()
    stamp = f"{_RENDERING} jinja2 {version('jinja2')} {blake2b(repr((source, variables)).encode()).hexdigest()}"
    path = cache / f"template-{blake2b(stamp.encode(), digest_size=16).hexdigest()}.json"
    if kept := read_kept(path, stamp):
        with suppress(KeyError, TypeError, ValueError):
            recall_renderings(source, variables, kept["rendered"])
    try:
        return read()
    finally:
        if kept is None and (rendered := kept_renderings(source, variables)):
            write_kept(path, stamp, {"rendered": rendered})


def _thinks(template: TemplateUse, makers: Makers) -> bool:
    """By what its template does where nothing is said; of one that speaks of no thoughts by the model's vocabulary."""
    return template.thinks if template.earlier or template.switch else makers.thinks


def thinks_of(header: Header, *, own: OwnTemplate | None = None, cache: Path | None = None) -> bool:
    """Whether a model thinks before it answers; nothing but the header is looked at. Raises as read_own."""
    return _thinks(template_of(header, own=own, cache=cache), makers_of_file(header, own=own))


def template_of(header: Header, *, own: OwnTemplate | None = None, cache: Path | None = None) -> TemplateUse:
    """Which chat template a model would be asked with; nothing but the header is looked at. Raises as read_own."""
    return _template(brought_by(header), own, cache).use


def makers_of_file(header: Header, *, own: OwnTemplate | None = None) -> Makers:
    """What a model's makers say of sampling; own: a template that it is asked with beside the one that it brings."""
    return makers_of(header, brought_by(header).source + (own.source if own is not None else ""))


def open_model(
    path: Path,
    *,
    cache: Path | None = None,
    mmproj: Path | None = None,
    separators: bool = True,
    max_tiles: int = MOST_TILES,
    own: OwnTemplate | None = None,
) -> OpenModel:
    """Reads a GGUF's header, vocabulary and template. cache: see open_tokenizer. own: in place of its template.

    mmproj: the projector, None for the one that lies beside the model. separators, max_tiles: see Sight.
    Raises ModelRefused, also for a projector that is not the model's.
    """
    header = read_header(path)
    card = runnable_card(header)
    brought = brought_by(header)
    tokenizer = open_tokenizer(header, cache=cache, template=own.source if own is not None else brought.source)
    vocabulary = tokenizer.vocabulary
    bos, eos = vocabulary.text_of(tokenizer.facts.bos_id), vocabulary.text_of(vocabulary.eos_id)
    try:
        template = _template(replace(brought, bos=bos, eos=eos), own, cache)
        projector, makers = projector_for(card, mmproj), makers_of_file(header, own=own)
    except LongdeskError:
        tokenizer.close()
        raise
    if projector is None:
        return OpenModel(card, tokenizer, template, unfit=unfit_beside(card), makers=makers)
    sight = Sight(
        path,
        projector.path,
        is_tiled=projector.kind == LLAMA4,
        digest=fingerprint(projector),
        side=projector.image_size,
        tile_tokens=projector.tile_tokens,
        specials=vocabulary.specials,
        separators=separators,
        max_tiles=max_tiles,
    )
    return OpenModel(card, tokenizer, template, projector, sight, makers=makers)
