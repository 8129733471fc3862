"""What of a prompt is kept on disk for a model, how much of it a context can load, and whether it is sure to be the
model's: files of models are read for that, off the way where it pays.

What states belong to is left to `promises`, their index to `states`, writing them to `keeper`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from app.kept.promises import before_edit, binding_of, most_kept, promises, shape_of
from app.kept.states import Found, States
from app.settings import Settings
from engine.memory.budget import Plan
from engine.memory.card import ModelCard
from engine.memory.content import Contents, Identity, is_read
from engine.memory.kv_cache import pad
from engine.memory.placement import Placement
from engine.opened import OpenModel
from engine.prompt.layout import Prompt, common_prefix
from engine.runtime.binding import Binding
from engine.runtime.checkpoint import Speeds
from engine.runtime.state_file import is_loss
from engine.tokens.encode import Ids
from storage.store import Store

_SMALL_MODEL_BYTES = 2 << 30  # read in half a second from the page cache; off a disk, for its loading too
_READ_BYTES_PER_S = 1 << 30  # of a model file


@dataclass(frozen=True, slots=True)
class Rereading:
    """About how many tokens of a prompt are kept somewhere, and how many a second are read."""

    kept_tokens: int
    tokens_per_s: float


class Finder:
    """Looks for what prompts may start from. May be called from any thread. speeds: see States."""

    def __init__(self, settings: Settings, store: Store, speeds: Speeds | None = None) -> None:
        self._settings, self._store = settings, store
        self._contents = Contents(settings.cache)
        self.states = States(store, self._contents, speeds)
        self._read_bytes_per_s = speeds.file_bytes_per_s if speeds else _READ_BYTES_PER_S

    def identify(self, card: ModelCard) -> Identity:
        """Which model it is; see Contents.identify."""
        return self._contents.identify(card)

    def prove(self, opened: OpenModel, plan: Plan, prompt: Prompt) -> Iterator[float]:
        """Reads the model's or the projector's files where nobody has and a kept state may be theirs that saves more
        than that takes.

        Yields the share read, see Contents.read. `Keeper.begin` uses no state that was not proved to be the model's.
        """
        if not self._settings.snapshot:
            return
        if not is_read(self.identify(opened.card).content):
            n_bytes = sum(file.n_bytes for file in opened.card.files)
            if n_bytes <= _SMALL_MODEL_BYTES or self._is_worth_reading(n_bytes, opened, plan, prompt):
                yield from self._contents.read(opened.card)
        seen = opened.projector if prompt.shown else None
        if seen is None or is_read(self._contents.content_of(seen)):
            return
        if self._is_worth_reading(seen.n_bytes, opened, plan, prompt):
            yield from self._contents.read(seen)

    def _is_worth_reading(self, n_bytes: int, opened: OpenModel, plan: Plan, prompt: Prompt) -> bool:
        """Whether a kept state may be this model's and projector's that saves more than reading so much takes."""
        found = self.find(opened, plan.placement, prompt)
        gain = found.unproved_tokens - found.n_tokens
        return gain / self.states.tokens_per_s > n_bytes / self._read_bytes_per_s

    def learn(self, card: ModelCard) -> Iterator[float]:
        """Reads the model's files where kept states are bound to these very files, so that a copy may use them too.

        Yields the share read. May be given up at any time: nothing waits for it.
        """
        content = self.identify(card).content
        if not is_read(content) and any(
            kept.binding.get("content") == content for kept in self._store.snapshots.list()
        ):
            yield from self._contents.read(card)

    def find(self, opened: OpenModel, placement: Placement, prompt: Prompt) -> Found:
        """What of a prompt is on disk for an engine of this placement."""
        if not self._settings.snapshot:
            return Found()
        return self.states.find(prompt.ids(), self.binding_of(opened, placement, prompt))

    def room_for(self, opened: OpenModel, plan: Plan, prompt: Prompt) -> int:
        """Tokens of a context that can load a kept state which saves notably more reading than this plan's context can
        load; the plan's own where there is none."""
        found, binding = self.find(opened, plan.placement, prompt), self.binding_of(opened, plan.placement, prompt)
        shape = shape_of(opened.card, swa_full=plan.placement.swa_full)
        promised = promises(found.paths, prompt.ids(), binding, shape)
        best = max(promised, key=lambda each: each.n_tokens, default=None)
        kept = most_kept(promised, n_ctx=plan.context_tokens)
        if best is None or not is_loss(best.n_tokens - kept, n_prompt=prompt.n_tokens):
            return plan.context_tokens
        larger = replace(plan.placement, n_ctx=pad(len(best.ids)))
        usable = self.binding_of(opened, larger, prompt) == binding  # which some models' context changes
        return larger.n_ctx if usable else plan.context_tokens

    def rereads(
        self, opened: OpenModel, plan: Plan, prompt: Prompt, *, held: Ids | None, held_ctx: int = 0, anchor: int = 0
    ) -> Rereading:
        """What of a prompt would be read, and how fast, if it were asked now.

        held: what a running engine of this model holds, None without one; held_ctx: tokens of its context; anchor:
        those up to the corpus's end of what it read last.
        """
        card, ids = opened.card, prompt.ids()
        live = common_prefix(held, ids) if held is not None else 0
        if held is not None and live < len(held) and live < anchor:
            live = before_edit(card, live, copied=anchor)
        found = self.find(opened, plan.placement, prompt)
        binding = self.binding_of(opened, plan.placement, prompt)
        shape = shape_of(card, swa_full=plan.placement.swa_full)
        promised = promises(found.paths, ids, binding, shape)
        kept = most_kept(promised, n_ctx=max(plan.context_tokens, held_ctx))
        kept = max(kept, before_edit(card, found.unproved_tokens))  # proved when it is asked, and seldom another's
        return Rereading(min(max(live, kept), len(ids)), self.states.tokens_per_s)

    def binding_of(self, opened: OpenModel, placement: Placement, prompt: Prompt) -> Binding:
        """What a KV state of this prompt belongs to."""
        projector = self._contents.content_of(opened.projector) if opened.projector is not None else ""
        return binding_of(opened, placement, self.identify(opened.card), prompt, projector=projector)
