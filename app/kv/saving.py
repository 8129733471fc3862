"""Saving what engines read: what a prompt's engine may start from, and when what it holds goes to the disk.

One engine at a time, and the session whose KV cache it holds. Starting engines is left to `local_engine`, finding
saved caches to `reuse`, room on the disk to `disk`.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from time import perf_counter

from app.kv.binding import can_go_back
from app.kv.disk import Tier, remove
from app.kv.reuse import Held, KvReuse, Pace, SavedCaches
from app.settings import Settings
from engine.backend import Finished, Plan
from engine.errors import DoesNotFit, EngineFailed, LongdeskError
from engine.local.process import EngineProcess, SavedState
from engine.memory.card import ModelCard
from engine.memory.hardware import ram
from engine.memory.kv_cache import largest_part_bytes, state_bytes
from engine.runtime.binding import Binding
from engine.runtime.chain import blocks_in, chain
from engine.runtime.checkpoint import Speeds
from engine.runtime.keeping import Keeping
from engine.tokens.document import common_prefix
from storage.records import Snapshot
from storage.snapshots import Snapshots

_DIRTY_BYTES = 32 << 20
_LONG_PREFILL_S = 10.0  # shorter ones are begun again sooner than their checkpoints are worth
_PARTS = 4


@dataclass(frozen=True, slots=True)
class _Holding:
    """Whose KV cache an engine holds, and what it belongs to. anchor: tokens up to the corpus's end of its prompt.
    today: the date that it shows."""

    session_id: str
    card: ModelCard
    binding: Binding
    anchor: int
    today: date | None = None


class Keeper:
    """Not thread-safe but where it is said: its owner takes turns.

    speeds: what this machine is taken to do in place of what is measured; None to measure. caches: where saved ones are
    looked for; it may be called from any thread.
    """

    def __init__(self, settings: Settings, index: Snapshots, speeds: Speeds | None = None) -> None:
        self._settings, self._index, self._speeds = settings, index, speeds
        self._pace = Pace(speeds)
        self.caches = SavedCaches(settings, index, self._pace)
        self._tier = Tier(settings, index)
        self._holding: _Holding | None = None
        self._unsaved = False
        self._has_room = False  # for checkpoints of the question under way
        self._is_tight = False  # and only for one at a time
        self._tier.sweep()

    @property
    def session_id(self) -> str | None:
        """Whose KV cache the engine holds. May be called from any thread."""
        return self._holding.session_id if self._holding is not None else None

    def held(self, engine: EngineProcess) -> Held:
        """What a running engine holds. May be called from any thread."""
        anchor = self._holding.anchor if self._holding is not None else 0
        return Held(engine.held, engine.settings.placement.n_ctx, anchor)

    def loses(self, engine: EngineProcess, reuse: KvReuse) -> bool:
        """Whether a prompt throws away more of what the engine holds than saving it costs."""
        thrown_away = len(engine.held) - common_prefix(engine.held, reuse.ids)
        return self._pace.is_worth_writing(thrown_away, self._state_bytes(engine))

    def begin(
        self,
        engine: EngineProcess,
        reuse: KvReuse,
        card: ModelCard,
        plan: Plan,
        session_id: str,
        *,
        anchor: int,
        spare_bytes: int,
        today: date | None = None,
    ) -> None:
        """Tells the engine what this prompt may start from and where checkpoints go.

        anchor: tokens up to the corpus's end. today: the date that the prompt shows, None for none. spare_bytes: of
        memory, once the engine has what it was planned to take. session_id: "" for what is read in no session: nothing
        of it is saved.
        """
        largest = self._largest_checkpoint(card, plan, reuse, spare_bytes=spare_bytes) if session_id else 0
        self._has_room = largest > 0
        stem = self._tier.new_path(os.getpid()).with_suffix("") if largest else None
        keeping = Keeping(
            binding=reuse.binding,
            states=reuse.saved,
            checkpoint=stem,
            checkpoint_bytes=largest,
            speeds=self._speeds,
        )
        engine.keep(keeping, self._keep_checkpoint)
        if reuse.saved and 2 * reuse.n_shared >= len(
            reuse.ids
        ):  # less, a shared instruction say, makes it no session's
            with suppress(LongdeskError):
                self._index.touch(reuse.saved[0], session_id=session_id)
        self._holding, self._unsaved = _Holding(session_id, card, reuse.binding, anchor, today), bool(session_id)

    def answered(self, event: Finished) -> None:
        """How long reading took, for what is worth saving. No checkpoint comes any more: their room is given back."""
        if self._has_room:
            self._has_room = self._is_tight = False
            self._tier.release()
        self._pace.read(event.prompt_tokens - event.reused_tokens, event.prefill_s)

    def save(self, engine: EngineProcess, *, protected: tuple[Path, ...] = ()) -> Path | str | None:
        """Saves the KV cache that the engine holds, where that is worth it: its file, or a sentence where it was not
        possible. protected: saved ones that are not to go for it."""
        holding = self._holding
        if holding is None or not self._unsaved or not self._settings.snapshot:
            return None
        self._unsaved = False
        holding = self._holding = replace(holding, binding=self.caches.known(holding.binding))
        n_bytes = self._state_bytes(engine)
        gain = len(engine.held) - self.caches.shared(engine.held, holding.binding)
        if not self._pace.is_worth_writing(gain, n_bytes):
            return None
        if (takes := _saving_bytes(engine, holding.card)) > (free := ram().free_bytes):
            return f"The KV cache was not kept: writing it takes {takes:,} bytes of memory, and {free:,} are free."
        path = self._tier.new_path(os.getpid())
        try:
            if refusal := self._tier.keep(n_bytes, protected=protected, blocks=chain(engine.held)).refusal:
                return refusal
            return path if self._write(engine, path, holding, n_bytes) else None
        except (LongdeskError, OSError) as error:
            remove((path,))
            return f"The KV cache was not kept: {error}"
        finally:
            self._tier.release()

    def hold(self, engine: EngineProcess) -> Path:
        """Writes what the engine holds into a file of nobody's, beside what is kept: no session's, in no index, of no
        budget, and gone when its process is. Raises DoesNotFit where memory or disk have no room, EngineFailed."""
        holding = self._holding
        assert holding is not None
        remedy = "Ask for shorter --lengths, or make room."
        if (takes := _saving_bytes(engine, holding.card)) > (free := ram().free_bytes):
            raise DoesNotFit(
                f"The KV cache of one length has to be written down, since this model cannot go back: that takes "
                f"{takes:,} bytes of memory, and {free:,} are free.",
                remedy,
            )
        if refusal := self._tier.set_aside(self._state_bytes(engine)):
            raise DoesNotFit(
                f"The KV cache of one length has to be written down, since this model cannot go back. {refusal}", remedy
            )
        path = self._tier.new_path(os.getpid())
        try:
            saved = engine.save(self.caches.known(holding.binding), path)
        except BaseException:
            remove((path,))
            raise
        finally:
            self._tier.release()
        if saved is None or not saved.n_bytes:
            raise EngineFailed("The KV cache of this model could not be written down.", "Try another model file.")
        return path

    def discard(self, path: Path) -> None:
        """A saved cache's file is broken: it is forgotten, so that a good one takes its place."""
        self._index.forget(path)
        remove((path,))

    def forget(self, session_id: str) -> None:
        """The session was deleted: what the engine holds of it is not to be saved any more."""
        if self.session_id == session_id:
            self._unsaved = False

    def drop(self, session_id: str) -> None:
        """Forgets a session's saved caches, and that the engine's own was to be saved."""
        self.forget(session_id)
        remove(self._index.remove(session_id))

    def spoil(self, session_id: str) -> None:
        """What the engine computed for a session is no number: nothing of what the session started from is used again,
        in other sessions neither."""
        for snapshot in self._index.list():
            if session_id in snapshot.session_ids:
                self.discard(snapshot.path)
        self.drop(session_id)

    def _write(self, engine: EngineProcess, path: Path, holding: _Holding, n_bytes: int) -> bool:
        """Writes the cache, enters it, and deletes those that it makes needless; whether there was one to write.

        Raises LongdeskError, OSError.
        """
        begun = perf_counter()
        saved = engine.save(holding.binding, path)
        if saved is None or not saved.n_bytes:
            return False
        seconds = perf_counter() - begun
        self._record(saved, holding)
        self._pace.wrote(saved.n_bytes, seconds)
        if saved.n_bytes > n_bytes:  # a model that keeps something else too
            self._tier.keep(0, protected=(path,))
        return True

    def _keep_checkpoint(self, saved: SavedState) -> None:
        """Enters a checkpoint of a running prefill, and deletes the one before."""
        if self._holding is not None:
            try:
                self._record(saved, self._holding)
            except LongdeskError:  # the session was deleted meanwhile
                remove((saved.path,))

    def _record(self, saved: SavedState, holding: _Holding) -> None:
        """Enters a saved cache, and deletes the files that it makes needless. Raises UsageError without its session.

        Needless are the session's own that this one continues; where it cannot go back into its corpus, as with sliding
        windows, some of them at a distance stay.
        """
        binding, session_id, blocks = holding.binding, holding.session_id, chain(saved.ids)
        self._index.record(
            path=saved.path,
            binding=binding.fields(),
            n_tokens=len(saved.ids),
            n_bytes=saved.n_bytes,
            blocks=blocks,
            session_id=session_id or None,
            model_name=holding.card.name,
            date=holding.today.isoformat() if holding.today is not None else "",
        )
        continued = [
            match.snapshot
            for match in self._index.matches(blocks)
            if match.snapshot.path != saved.path
            and match.n_blocks == blocks_in(match.snapshot.n_tokens)
            and match.snapshot.n_tokens <= len(saved.ids)
            and self.caches.made_with(match) == binding
            and set(match.snapshot.session_ids) <= {session_id}
        ]
        serves_all = self._is_tight or can_go_back(holding.card, swa_full=binding.swa_full)
        staying = () if serves_all else _at_a_distance(continued, len(saved.ids))
        needless = tuple(snapshot.path for snapshot in continued if snapshot.path not in staying)
        for path in needless:
            self._index.forget(path)
        remove(needless)

    def _state_bytes(self, engine: EngineProcess) -> int:
        """The most that the file of what an engine holds takes; 0 where it has not told what it holds."""
        if engine.gauge is None or self._holding is None:
            return 0
        placement = engine.settings.placement
        used, card = engine.gauge.used, self._holding.card
        return state_bytes(card, used, kv_type=placement.kv_type, swa_full=placement.swa_full)

    def _largest_checkpoint(self, card: ModelCard, plan: Plan, reuse: KvReuse, *, spare_bytes: int) -> int:
        """Bytes that a checkpoint of this prefill may take; 0 where it is short, or none is saved."""
        self._is_tight = False
        n_new = len(reuse.ids) - reuse.n_shared
        if not self._settings.snapshot or n_new / self._pace.speeds.tokens_per_s < _LONG_PREFILL_S:
            return 0
        if largest_part_bytes(card, plan.context_tokens, kv_type=plan.kv_type) > spare_bytes:
            return 0
        swa_full = reuse.binding.swa_full
        n_bytes = state_bytes(card, plan.prompt_tokens, kv_type=plan.kv_type, swa_full=swa_full)
        if not can_go_back(card, swa_full=swa_full):  # some of its beginnings stay: see _record
            self._is_tight = self._tier.keep(4 * n_bytes, protected=reuse.saved).refusal is not None
            if not self._is_tight:
                return n_bytes
        # two lie there for a moment
        return 0 if self._tier.keep(2 * n_bytes, protected=reuse.saved).refusal else n_bytes


def _saving_bytes(engine: EngineProcess, card: ModelCard) -> int:
    """What writing a cache takes: llama.cpp copies one layer's K or V, and dirty pages wait for the disk."""
    placement = engine.settings.placement
    used = engine.gauge.used / engine.gauge.cells if engine.gauge else 1.0
    return int(largest_part_bytes(card, placement.n_ctx, kv_type=placement.kv_type) * used) + _DIRTY_BYTES


def _at_a_distance(snapshots: Iterable[Snapshot], n_tokens: int) -> tuple[Path, ...]:
    """Caches from which an edit of a prompt of n_tokens can go on: a quarter of it apart, and from its end."""
    staying, last = [], 0
    for snapshot in sorted(snapshots, key=lambda each: each.n_tokens):
        if last + n_tokens / _PARTS <= snapshot.n_tokens <= n_tokens - n_tokens / _PARTS / 2:
            staying.append(snapshot.path)
            last = snapshot.n_tokens
    return tuple(staying)
