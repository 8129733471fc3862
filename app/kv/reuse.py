"""What of a prompt need not be read: the running engine's, and what is saved on disk, found once a question.

Saved KV caches are found by what they hold, whoever made them. Files of models are read where only that can tell whose
they are. Writing them is left to `saving`, room for them to `disk`.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, Protocol

from app.kv.binding import before_edit, binding_of, shape_of
from engine.backend import Ids, Prompt, Reuse
from engine.memory.budget import Placement
from engine.memory.card import ModelCard
from engine.memory.fingerprint import Contents, Identity, file_stamps, stamp_of
from engine.memory.kv_cache import pad
from engine.memory.projector import Projector
from engine.runtime.binding import Binding, binding_from, is_read
from engine.runtime.chain import BLOCK, blocks_in, chain, tokens_in
from engine.runtime.checkpoint import Speeds
from engine.runtime.state_file import Promise, is_loss, promise
from engine.tokens.document import common_prefix
from storage.records import Match
from storage.snapshots import Snapshots

_MOST_TRIED = 8  # saved caches that share most are looked at more closely
_SMALL_BYTES = 64 << 20  # written in a moment
_SMALL_MODEL_BYTES = 2 << 30  # read in half a second from the page cache; off a disk, for its loading too
_MEASURABLE_S = 0.05
# until they are measured: of a prefill, of writing a KV cache, of reading a model's file
_UNMEASURED = Speeds(tokens_per_s=100.0, bytes_per_s=500 << 20, file_bytes_per_s=1 << 30)


class Pace:
    """How fast prompts are read and KV caches are written on this machine, as it was measured last.

    speeds: in place of what is measured; None to measure.
    """

    def __init__(self, speeds: Speeds | None = None) -> None:
        self._measures = speeds is None
        self.speeds = speeds or _UNMEASURED

    def read(self, n_tokens: int, seconds: float) -> None:
        """So many tokens were read in so much time."""
        if self._measures and n_tokens >= BLOCK and seconds > 0:
            self.speeds = replace(self.speeds, tokens_per_s=n_tokens / seconds)

    def wrote(self, n_bytes: int, seconds: float) -> None:
        """So many bytes were written in so much time."""
        if self._measures and seconds > _MEASURABLE_S:
            self.speeds = replace(self.speeds, bytes_per_s=n_bytes / seconds)

    def is_worth_writing(self, n_tokens: int, n_bytes: int) -> bool:
        """Whether reading so many tokens again would take longer than half of writing n_bytes does."""
        if n_tokens <= 0:
            return False
        read_s, write_s = n_tokens / self.speeds.tokens_per_s, n_bytes / self.speeds.bytes_per_s
        return n_bytes <= _SMALL_BYTES or read_s >= 0.5 * write_s


@dataclass(frozen=True, slots=True)
class Held:
    """What a running engine holds: these ids, in a context of n_ctx tokens. anchor: tokens up to the corpus's end of
    what it read last."""

    ids: Ids = field(repr=False)
    n_ctx: int
    anchor: int


@dataclass(frozen=True, slots=True)
class WhichModel:
    """Which model and projector these files are, as long as nothing of them changes. projector: '' without one.
    told_apart: see ModelCard.

    projector_content: the digest of all that its file holds, what stands for the file where nobody read it.
    """

    identity: Identity
    projector: str = ""
    projector_content: str = field(default="", compare=False)
    told_apart: str = ""

    def binding(self, card: ModelCard, placement: Placement, *, has_pictures: bool) -> Binding:
        """What a KV cache of this model belongs to, in an engine of this placement."""
        return binding_of(
            card,
            placement,
            model=self.identity.fingerprint,
            content=self.identity.content,
            projector=self.projector_content if has_pictures else "",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KvReuse(Reuse):
    """See Reuse. What it rests on goes with it, so that nothing is looked up twice for a question.

    ids: of the whole prompt. model: whose files read it. binding: what a saved cache must belong to.
    saved: files that may hold a beginning of the prompt, best first, and n_shared tokens of it that the best one
    shares. promised: what each of them keeps that can be used. n_live: tokens that the running engine keeps.
    n_unproved: tokens that a file shares which may or may not be this model's, whose own files were not read yet, and
    n_if_proved of them would stay. remark: why a better one is not used.
    """

    ids: Ids = field(repr=False)
    model: WhichModel
    binding: Binding
    saved: tuple[Path, ...] = ()
    n_shared: int = 0
    promised: tuple[Promise, ...] = field(default=(), repr=False)
    n_live: int = 0
    n_unproved: int = 0
    n_if_proved: int = 0
    remark: str | None = None

    def within(self, n_ctx: int) -> "KvReuse":
        """The same for an engine whose context has room for so many tokens: larger caches cannot be loaded."""
        kept = max((each.n_tokens for each in self.promised if len(each.ids) <= n_ctx), default=0)
        return replace(self, n_tokens=min(max(self.n_live, self.n_if_proved, kept), len(self.ids)))

    def room(self, n_ctx: int) -> int:
        """Tokens of a context that can load a saved cache which saves notably more reading than n_ctx can load."""
        best = max(self.promised, key=lambda each: each.n_tokens, default=None)
        kept = max((each.n_tokens for each in self.promised if len(each.ids) <= n_ctx), default=0)
        if best is None or not is_loss(best.n_tokens - kept, n_prompt=len(self.ids)):
            return n_ctx
        return max(n_ctx, pad(len(best.ids)))


class _Match(NamedTuple):
    """What the index has of a prompt: see KvReuse."""

    saved: tuple[Path, ...]
    n_shared: int
    n_unproved: int
    remark: str | None


class Found(Protocol):
    """Where is kept what a model's content was found to be, and whether saved KV caches are used."""

    @property
    def cache(self) -> Path: ...
    @property
    def snapshot(self) -> bool: ...


class SavedCaches:
    """Which saved KV caches a prompt may start from. May be called from any thread.

    pace: how fast this machine reads, which decides what is worth looking for.
    """

    def __init__(self, settings: Found, index: Snapshots, pace: Pace) -> None:
        self._settings, self._index, self.pace = settings, index, pace
        self._contents = Contents(settings.cache)

    def identify(self, card: ModelCard, projector: Projector | None) -> WhichModel:
        """Reads no more than samples of its files, and those once. Raises ModelRefused when a file went away."""
        identity = self._contents.identify(card)
        if projector is None:
            return WhichModel(identity, told_apart=card.told_apart)
        stamp = stamp_of(file_stamps(projector))
        return WhichModel(identity, stamp, self._contents.resolve(stamp), card.told_apart)

    def find(
        self, card: ModelCard, model: WhichModel, placement: Placement, prompt: Prompt, held: Held | None = None
    ) -> KvReuse:
        """What of a prompt is kept for an engine of this placement. held: by an engine of this model that runs."""
        ids = prompt.ids()
        binding = model.binding(card, placement, has_pictures=bool(prompt.shown))
        found = self._match(ids, binding) if self._settings.snapshot else _Match((), 0, 0, None)
        shape = shape_of(card, swa_full=placement.swa_full)
        promised = [promise(path, ids, binding, shape) for path in found.saved]
        reuse = KvReuse(
            tokens_per_s=self.pace.speeds.tokens_per_s,
            ids=ids,
            model=model,
            binding=binding,
            saved=found.saved,
            n_shared=found.n_shared,
            promised=tuple(each for each in promised if isinstance(each, Promise)),
            n_live=_live(card, held, ids) if held is not None else 0,
            n_unproved=found.n_unproved,
            n_if_proved=before_edit(card, found.n_unproved),  # proved when it is asked, and seldom another's
            remark=found.remark,
        )
        return reuse.within(max(placement.n_ctx, held.n_ctx if held is not None else 0))

    def is_as_well(self, reuse: KvReuse, card: ModelCard, placement: Placement) -> bool:
        """Whether another placement can load what was found: a context's length may change what caches belong to."""
        return reuse.model.binding(card, placement, has_pictures=bool(reuse.binding.projector)) == reuse.binding

    def with_saved(self, reuse: KvReuse, path: Path, card: ModelCard) -> KvReuse:
        """The same with a cache that was saved since, which holds what an engine held of the prompt, and without those
        that it made needless."""
        shape = shape_of(card, swa_full=reuse.binding.swa_full)
        kept = promise(path, reuse.ids, reuse.binding, shape)
        if not isinstance(kept, Promise):
            return replace(reuse, saved=tuple(each for each in reuse.saved if each.exists()))
        n_shared = common_prefix(kept.ids, reuse.ids)
        others = tuple(each for each in reuse.saved if each.exists())
        # the best comes first: another session's cache that shares no more than an instruction is not this prompt's
        saved = (path, *others) if n_shared > reuse.n_shared else (*others, path)
        promised = (kept, *(each for each in reuse.promised if each.path in saved))
        return replace(reuse, saved=saved, promised=promised, n_shared=max(reuse.n_shared, n_shared))

    def shared(self, ids: Ids, binding: Binding) -> int:
        """Tokens of what an engine holds that a saved cache holds too."""
        return self._match(ids, binding).n_shared

    def unread(self, reuse: KvReuse, card: ModelCard, projector: Projector | None) -> tuple[ModelCard | Projector, ...]:
        """Whose files nobody has read yet, and should be before this prompt: a saved cache may be theirs that saves
        more than that takes. No cache is used that was not proved to be the model's.

        projector: None where the prompt has no pictures.
        """
        if not self._settings.snapshot:
            return ()
        unread: list[ModelCard | Projector] = []
        if not is_read(reuse.model.identity.content):
            n_bytes = sum(file.n_bytes for file in card.files)
            if n_bytes <= _SMALL_MODEL_BYTES or self._is_worth_reading(n_bytes, reuse):
                unread.append(card)
        is_unread = projector is not None and not is_read(reuse.model.projector_content)
        if projector is not None and is_unread and self._is_worth_reading(projector.n_bytes, reuse):
            unread.append(projector)
        return tuple(unread)

    def read(self, files: Iterable[ModelCard | Projector]) -> Iterator[float]:
        """Reads these files to their end; yields the share read, see Contents.read."""
        for each in files:
            yield from self._contents.read(each)

    def learn(self, card: ModelCard) -> Iterator[float]:
        """Reads the model's files where saved caches are bound to these very files, so that a copy may use them too.

        Yields the share read. May be given up at any time: nothing waits for it.
        """
        content = self._contents.identify(card).content
        if not is_read(content) and any(kept.binding.get("content") == content for kept in self._index.list()):
            yield from self._contents.read(card)

    def known(self, binding: Binding) -> Binding:
        """What a cache was made with, as well as it is known now: files may have been read since."""
        content, projector = map(self._contents.resolve, (binding.content, binding.projector))
        return replace(binding, content=content, projector=projector)

    def made_with(self, match: Match) -> Binding | None:
        """What a saved cache was made with; None for one that another version entered."""
        with suppress(TypeError, KeyError):
            made_with = binding_from(match.snapshot.binding)
            return self.known(made_with) if made_with.content else None
        return None

    def _is_worth_reading(self, n_bytes: int, reuse: KvReuse) -> bool:
        """Whether a saved cache may be this model's and projector's that saves more than reading so much takes."""
        gain, speeds = reuse.n_unproved - reuse.n_shared, self.pace.speeds
        return gain / speeds.tokens_per_s > n_bytes / speeds.file_bytes_per_s

    def _match(self, ids: Ids, binding: Binding) -> _Match:
        """What the index has of a prompt, made with the same model and settings."""
        usable: list[Path] = []
        shared, unproved, unusable = 0, 0, (0, "")
        for match in self._index.matches(chain(ids)):
            made_with = self.made_with(match)
            other = "another version of Longdesk" if made_with is None else binding.mismatch(made_with)
            if made_with is not None and other is None:
                doubts = _doubts(binding, made_with)
                if doubts and all(is_read(content) for content, _ in doubts):
                    unproved = max(unproved, _shared(match, len(ids)))
                    continue
                other = next(
                    (f"{what} that was changed or moved since" for kept, what in doubts if not is_read(kept)), None
                )
            if other is None:
                usable.append(match.snapshot.path)
                shared = max(shared, _shared(match, len(ids)))
            else:
                unusable = max(unusable, (tokens_in(match.n_blocks), other), key=lambda each: each[0])
        n_tokens, other = unusable
        remark = None
        if is_loss(n_tokens - shared, n_prompt=len(ids)):
            remark = f"A KV cache of {n_tokens:,} of these tokens is saved, but it was made with {other}."
        return _Match(tuple(usable[:_MOST_TRIED]), shared, unproved, remark)


def _live(card: ModelCard, held: Held, ids: Ids) -> int:
    """Tokens of a prompt that a running engine keeps."""
    live = common_prefix(held.ids, ids)
    is_edited = live < len(held.ids) and live < held.anchor
    return before_edit(card, live, copied=held.anchor) if is_edited else live


def _doubts(binding: Binding, made_with: Binding) -> list[tuple[str, str]]:
    """What a cache was made with that may or may not be what is there now: what its file held, and what to call it."""
    files = [(binding.content, made_with.content, "a model file")]
    if binding.projector and made_with.projector:
        files.append((binding.projector, made_with.projector, "a vision projector"))
    return [(kept, what) for ours, kept, what in files if ours != kept]


def _shared(match: Match, n_tokens: int) -> int:
    """Tokens that a cache shares with a prompt of so many: all of its own where all its whole blocks are shared."""
    snapshot = match.snapshot
    is_whole = match.n_blocks == blocks_in(snapshot.n_tokens)
    return min(snapshot.n_tokens, n_tokens) if is_whole else tokens_in(match.n_blocks)
