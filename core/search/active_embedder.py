"""Which embedder is active, and changing to another: price first, everything again, never mixed.

The active embedder is written down by its exact name when the first one is chosen, so that a changed
setting or a new key never silently splits the vectors. After a change the old one answers questions
until no passage waits for the new one; it goes on answering if most were given up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import case, exists, select, update
from sqlalchemy.orm import Session

from core.audit import audited
from core.billing.ledger import Ledger
from core.database.database import Database
from core.database.states import AuditAction, AuditSubject, EmbeddingMode, EmbeddingStatus
from core.database.tables import Job, KeyValue, PassageRow, Recording
from core.database.upsert import upsert
from core.embedding import embedders
from core.embedding.embedder import Embedder, batching, tokens_at_most, understands
from core.errors import BadRequest, Code
from core.principal import SYSTEM, Principal
from core.search import embedding_jobs
from core.search.passages import ACTIVE, counts
from core.settings import Settings

SEARCHED = "embedder for search"


@dataclass(frozen=True)
class Offer:
    """A change of embedder that the settings ask for, before anything is sent."""

    before: str
    after: str
    """Titles of the two embedders."""
    passages: int
    """How many get a new vector."""
    tokens: int
    usd: dict[EmbeddingMode, Decimal | None]
    """Price by mode, None where it is not known; one mode and 0 on this machine."""


@dataclass(frozen=True)
class Change:
    """A change of embedder that goes on."""

    before: str
    after: str
    """Titles of the two embedders."""
    done: int
    total: int
    """Passages that have their new vector, and all that get one."""


class ActiveEmbedder:
    """The embedders of one installation: the active one, the searched one, and any by name."""

    def __init__(
        self, settings: Settings, database: Database, ledger: Ledger, notify: Callable[[Job], None]
    ) -> None:
        self._settings = settings
        self._database = database
        self._ledger = ledger
        self._notify = notify
        self._known: dict[str, Embedder] = {}

    def embedder(self) -> Embedder:
        """The one that makes vectors: Gemini if there was a key at the first start, else the local one."""
        name = self._database.get_value(ACTIVE) or self._database.set_if_absent(ACTIVE, self._wanted().name)
        embedder = self.named(name)
        if embedder.name != name:  # another address or folder has given it another name
            with self._database.write() as session:
                statement = update(KeyValue).where(KeyValue.name == ACTIVE, KeyValue.value == name)
                session.execute(statement.values(value=embedder.name))
        return embedder

    def searched(self) -> Embedder:
        """The one whose vectors are complete: it answers questions."""
        statement = select(KeyValue.name, KeyValue.value).where(KeyValue.name.in_((SEARCHED, ACTIVE)))
        with self._database.read() as session:
            names = dict(session.execute(statement).all())
        if names.get(SEARCHED):
            return self.named(names[SEARCHED])
        return self._known.get(names.get(ACTIVE, "")) or self.embedder()

    def named(self, name: str) -> Embedder:
        """The embedder of this name; the same object each time."""
        if name not in self._known:
            self._known[name] = embedders.by_name(self._settings, name)
        return self._known[name]

    def _wanted(self) -> Embedder:
        """What the settings ask for now. A key that is gone is no wish to leave Gemini."""
        has_key = bool(self._settings.gemini_api_key.get_secret_value())
        stays = (self._database.get_value(ACTIVE) or "").startswith("gemini")
        return self.named("gemini" if has_key or stays else "local")

    def offer(self) -> Offer | None:
        """The change that the settings ask for, with its price; None if all is as they say."""
        before, after = self.embedder(), self._wanted()
        if before.name == after.name:
            return None
        with self._database.read() as session:
            rows = list(session.execute(select(PassageRow.language, PassageRow.text)))
        read = [text for language, text in rows if understands(after, language)]
        tokens = sum(map(tokens_at_most, read))
        paid = batching(after)
        usd: dict[EmbeddingMode, Decimal | None] = {EmbeddingMode.SYNC: Decimal(0)}
        if paid is not None:
            usd = {
                mode: self._ledger.cost_usd(paid.provider, paid.model, mode, tokens) for mode in EmbeddingMode
            }
        return Offer(before.title, after.title, len(read), tokens, usd)

    def change(self) -> Change | None:
        """How far a change is; None if there is none."""
        before = self._database.get_value(SEARCHED)
        if not before:
            return None
        with self._database.read() as session:
            number = counts(session)
        total = sum(
            number.get(state, 0)
            for state in (EmbeddingStatus.WAITING, EmbeddingStatus.DONE, EmbeddingStatus.FAILED)
        )
        return Change(
            self.named(before).title, self.embedder().title, number.get(EmbeddingStatus.DONE, 0), total
        )

    def mode(self, requested: EmbeddingMode | None) -> EmbeddingMode:
        """The mode asked for, else the usual one. Raise BadRequest for batches where there are none."""
        takes_batches = batching(self.embedder()) is not None
        if requested == EmbeddingMode.BATCH and not takes_batches:
            raise BadRequest(Code.NO_BATCH_LANE, embedder=self.embedder().title)
        usual = EmbeddingMode.of_lane(self._settings.embedding_lane) if takes_batches else None
        return requested or usual or EmbeddingMode.SYNC

    @audited(AuditAction.CHANGED, AuditSubject.INSTALLATION, named="embedder")
    def switch(self, principal: Principal, mode: EmbeddingMode = EmbeddingMode.SYNC) -> None:
        """Make every vector again with what the settings ask for. Raises AdminsOnly, BadRequest."""
        principal.must_administer()
        after, _ = self._wanted(), self.embedder()  # whose name is written down from now on
        if mode == EmbeddingMode.BATCH and batching(after) is None:
            raise BadRequest(Code.LANE_NOT_OF_EMBEDDER, embedder=after.title)
        with self._database.write() as session:
            active = session.get_one(KeyValue, ACTIVE, with_for_update=True)
            if active.value == after.name:
                raise BadRequest(Code.EMBEDDER_UNCHANGED)
            searched = session.get(KeyValue, SEARCHED)
            if searched is None or not searched.value:
                upsert(session, KeyValue(name=SEARCHED, value=active.value))
            active.value = after.name
            jobs = _begin_again(session, after, mode)
        for job in jobs:
            self._notify(job)

    def tick(self) -> None:
        """Now and then: take over what is complete; follow the settings while there is nothing to buy."""
        with self._database.read() as session:
            number = counts(session)
        if not number and self.embedder().name != self._wanted().name:
            self.switch(SYSTEM)
        if self._database.get_value(SEARCHED) and _is_complete(number):
            self._take_over()

    def _take_over(self) -> None:
        with self._database.write() as session:
            session.get_one(KeyValue, ACTIVE, with_for_update=True)
            if _is_complete(counts(session)):
                session.get_one(KeyValue, SEARCHED).value = ""


def _begin_again(session: Session, after: Embedder, mode: EmbeddingMode) -> list[Job]:
    """Every passage that this embedder understands waits for a vector; the jobs that make them now."""
    session.execute(
        update(PassageRow).values(embedding_status=EmbeddingStatus.OFF, embedding_mode=mode, text_hash="")
    )
    read = update(PassageRow)
    if after.languages is not None:
        read = read.where(PassageRow.language.in_(after.languages))
    session.execute(read.values(embedding_status=EmbeddingStatus.WAITING))
    waits = PassageRow.embedding_status == EmbeddingStatus.WAITING
    some = exists().where(PassageRow.recording_id == Recording.id, waits)
    session.execute(
        update(Recording).values(
            embedding_status=case((some, EmbeddingStatus.WAITING), else_=EmbeddingStatus.OFF)
        )
    )
    if mode == EmbeddingMode.BATCH:
        return []
    recordings = session.scalars(select(PassageRow.recording_id).where(waits).distinct()).all()
    jobs = [embedding_jobs.embed_job(session, recording_id) for recording_id in recordings]
    return [job for job in jobs if job is not None]


def _is_complete(number: dict[str, int]) -> bool:
    """Whether nothing waits; what was given up must not be the greater part."""
    return not number.get(EmbeddingStatus.WAITING) and number.get(EmbeddingStatus.FAILED, 0) <= number.get(
        EmbeddingStatus.DONE, 0
    )
