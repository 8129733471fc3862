"""Choosing: which engine is asked, and which chat template lays out what it is asked, for all of a desk or one session.

Desk is one. Which engine a --model value names is left to `engines`.
"""

import os
import secrets
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, Protocol

from app.session_settings import bound, kept_lora, kept_template, sampling_json, sampling_of, settings_of
from app.settings import MODELS_OWN, NamedEngine, Settings, engines_in
from engine.backend import About, Backend, Makers, OwnTemplate, Quotes, TemplateUse
from engine.errors import LongdeskError, remedy_of, why
from engine.memory.lora import Lora, in_words
from engine.prompt.choice import one_line, own_template
from storage.records import Session
from storage.store import Store

_LONGEST_NAME = 100


class Named(Protocol):
    """Engines by their --model value; see app.engines.Engines."""

    named: tuple[NamedEngine, ...]

    def backend(
        self,
        model: str,
        *,
        apart: bool = False,
        own: OwnTemplate | None = None,
        lora: Sequence[Lora] | None = None,
    ) -> Backend: ...
    def template(self, model: str, own: OwnTemplate | None = None) -> TemplateUse | None: ...
    def makers(self, model: str, own: OwnTemplate | None = None) -> Makers | None: ...


class Choosing:
    """A part of Desk, over its settings, its engines and its store."""

    settings: Settings
    _engines: Named

    @property
    @abstractmethod
    def _store(self) -> Store:
        """The home's, which Archive opens: nearer to each other they would make imports deeper."""

    def backend(self, model: str | None = None, *, apart: bool = False, session: Session | None = None) -> Backend:
        """The engine that is asked, or the one that this --model value names, ready to count and plan with.

        apart: the ids of what it counts are not kept. session: whose chat template lays prompts out, and whose adapters
        are applied; those of the settings without one. Raises ModelRefused for a file that cannot be used, UsageError
        for a name that is not known.
        """
        name = model or self.settings.model
        own = kept_template(session, name) if session is not None else self.settings.own_template
        return self._engines.backend(name, apart=apart, own=own, lora=kept_lora(session, self.settings, name))

    def about(self, session: Session | None = None) -> About:
        """What the engine is that is asked. session: see backend. Raises as backend does."""
        return self.backend(session=session).about

    def template(self) -> TemplateUse | None:
        """Which chat template lays out what is asked, found without opening the model; None where its file is not on
        this machine. Raises as backend does."""
        return self._engines.template(self.settings.model, self.settings.own_template)

    def makers(self) -> Makers | None:
        """What the model's makers say of sampling, found as template finds that. Raises as backend does."""
        return self._engines.makers(self.settings.model, self.settings.own_template)

    def sampling(self, makers: Makers | None) -> dict[str, Any]:
        """How answers are sampled where the model's makers say so, as documents of the command line have it."""
        sampling, _ = sampling_of(self.settings, makers)
        return {**sampling_json(sampling), "makers": makers and makers.to_json()}

    def use_sampling(self, **changes: Any) -> None:
        """From now on questions are sampled so; None for what the model's makers say, or Longdesk's own. Raises
        UsageError for what no engine could take."""
        self.settings = replace(self.settings, **changes)

    def quotes(self) -> Quotes:
        """Whether words are looked for that show its answers, and why not, as far as is known. Raises as backend
        does."""
        return self.backend().quotes().with_setting(self.settings.quotes)

    def use_model(self, model: str) -> None:
        """From now on the model that this --model value names. Raises as backend does."""
        self.backend(model)
        self.settings = replace(self.settings, model=model)

    def read_engines(self) -> tuple[NamedEngine, ...]:
        """The engines that config.toml names now; so --model values mean from now on. Raises as read_settings does."""
        if (engines := engines_in(self.settings.home)) != self.settings.engines:
            self._engines.named, self.settings = engines, replace(self.settings, engines=engines)
        return engines

    def use_model_of(self, session_id: str) -> None:
        """From now on the model that this session was begun with. Raises UsageError without such a session."""
        self.settings = replace(self.settings, model=self._store.sessions.get(session_id).model)

    def use_template_of(self, session_id: str) -> None:
        """From now on the chat template of this session, for whatever is asked here. Raises as use_model_of does."""
        own = kept_template(self._store.sessions.get(session_id), self.settings.model)
        self.settings = replace(self.settings, chat_template=own or MODELS_OWN)

    def use_lora_of(self, session_id: str) -> None:
        """From now on the adapters of this session, for whatever is asked here. Raises as use_model_of does."""
        lora = kept_lora(self._store.sessions.get(session_id), self.settings, self.settings.model)
        self.settings = replace(self.settings, lora=lora)

    def other_lora(self, session_id: str) -> tuple[str, str] | None:
        """How a session is asked, by its adapters, and how new ones are, in words; None where that is the same."""
        session, model = self._store.sessions.get(session_id), self.settings.model
        kept, now = kept_lora(session, self.settings, model), self.settings.lora_for(model)
        return (in_words(kept), in_words(now)) if list(map(str, kept)) != list(map(str, now)) else None

    def choose_lora(self, session_id: str, lora: Sequence[Lora]) -> str | None:
        """From now on this session is asked with these adapters; a sentence where they are others. Raises as
        use_model_of does, and ModelRefused for what is no adapter of the model."""
        session, now = self._store.sessions.get(session_id), bound(lora, self.settings.model)
        before = bound(kept_lora(session, self.settings, self.settings.model), self.settings.model)
        own = kept_template(session, self.settings.model)
        self._engines.backend(self.settings.model, own=own, lora=now)  # which says whether they fit
        changed = replace(settings_of(session, self.settings), lora=now)
        self._store.sessions.change(session.id, settings=changed.to_json("lora"))
        if now == before:
            return None
        return f"From now on the session is asked with {in_words(now)}, in place of {in_words(before)}."

    def choose_template(self, session_id: str | None, own: OwnTemplate | None) -> str | None:
        """From now on this session, or with None those that are begun from now on, are laid out with this chat
        template, None for the model's own; a sentence where a session's becomes another. Raises as use_model_of does,
        and ModelRefused for one that does not render."""
        own = own and replace(own, model=self.settings.model)
        self._engines.backend(self.settings.model, own=own)  # which says whether it renders; adapters change nothing
        if session_id is None:
            self.settings = replace(self.settings, chat_template=own or MODELS_OWN)
            return None
        session = self._store.sessions.get(session_id)
        before = kept_template(session, self.settings.model)
        if before == own:
            return None
        changed = replace(settings_of(session, self.settings), chat_template=own)
        self._store.sessions.change(session.id, settings=changed.to_json("chat_template"))
        now, then = (each.name if each is not None else "the model's own" for each in (own, before))
        return f"From now on the session has another chat template: {now}, in place of {then}."

    def use_date(self, session_id: str, day: date) -> None:
        """From now on this session's prompts show this date, and what stands behind it is read anew. Raises as
        use_model_of does."""
        session = self._store.sessions.get(session_id)
        dated = replace(settings_of(session, self.settings), date_set=True)
        self._store.sessions.change(session.id, settings=dated.to_json("date_set"), frozen_date=day.isoformat())

    def own_templates(self) -> tuple[str, ...]:
        """The names of the chat templates that the home keeps, for any model."""
        with suppress(OSError):
            return tuple(
                sorted(path.name for path in self._own_folder.iterdir() if path.is_file() and path.name[:1] != ".")
            )
        return ()

    def own_template(self, name: str) -> OwnTemplate:
        """One of these. Raises as own_template of engine.prompt does."""
        return own_template(self._own_folder / Path(name).name)

    def keep_template(self, name: str, content: bytes) -> OwnTemplate:
        """Keeps a chat template in the home, in place of one of its name. Raises ModelRefused for what is none,
        LongdeskError where it cannot be written."""
        known = one_line(Path(name).name).lstrip(".")[-_LONGEST_NAME:] or "chat_template.jinja"
        written = self._own_folder / f".{secrets.token_hex(8)}"
        try:
            self._own_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            written.write_bytes(content)
            kept = replace(own_template(written), name=known)
            os.replace(written, self._own_folder / known)
        except OSError as error:
            remedy = remedy_of(error, "See to the rights of its folder.")
            raise LongdeskError(f"{known} was not kept: {why(error)}.", remedy) from None
        finally:
            with suppress(OSError):
                written.unlink(missing_ok=True)
        return kept

    @property
    def _own_folder(self) -> Path:
        return self.settings.home / "chat-templates"
