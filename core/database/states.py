"""Every state, mode, outcome and kind that is kept in SQL, as an enum of strings.

Members compare equal to their text, so they can be written into JSON, SQL and pages as they are.
"""

from __future__ import annotations

from enum import StrEnum

from core.errors import BadRequest, Code
from core.principal import Door


class TaskStatus(StrEnum):
    """Where a task is; the words of the API."""

    QUEUED = "queued"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


TASK_UNFINISHED = (TaskStatus.QUEUED, TaskStatus.PROCESSING)
TASK_ENDED = (TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED)


class JobKind(StrEnum):
    """The stages of a task, each a job."""

    PREPARE = "prepare"
    TRANSCRIBE = "transcribe"
    DIARIZE = "diarize"
    INDEX = "index"
    EMBED = "embed"
    RETRANSCRIBE = "retranscribe"
    """A stretch once more, by another engine: the only stage of its task."""


class JobState(StrEnum):
    """Where a job is. QUARANTINED: it stopped its worker too often and is not tried again by itself."""

    READY = "ready"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    QUARANTINED = "quarantined"


JOB_UNFINISHED = (JobState.READY, JobState.RUNNING)
JOB_BROKEN = (JobState.FAILED, JobState.QUARANTINED)


class RunOutcome(StrEnum):
    """How one attempt at a job ended; the job itself goes on after LATER, STOPPED and DIED."""

    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    QUARANTINED = "quarantined"
    LATER = "later"
    STOPPED = "stopped"
    DIED = "died"


class Measure(StrEnum):
    """What a row of the tallies counts: ends, or a step of the histogram of running or waiting times."""

    ENDED = "ended"
    RUN = "run"
    WAIT = "wait"


class EmbeddingMode(StrEnum):
    """How vectors are made: at once, or by batch at half the price. The API calls it `lane`: now, batch."""

    SYNC = "sync"
    BATCH = "batch"

    @property
    def lane(self) -> str:
        """Its name in the API, in settings and in exports."""
        return "now" if self is EmbeddingMode.SYNC else self.value

    @classmethod
    def of_lane(cls, lane: str) -> EmbeddingMode | None:
        """The mode by its public name; None for "" (whatever is usual). Raise BadRequest."""
        lanes = {"": None, **{mode.lane: mode for mode in cls}}
        if lane not in lanes:
            raise BadRequest(Code.LANE_UNKNOWN)
        return lanes[lane]


class DateKind(StrEnum):
    """How much is known of when something was recorded."""

    INSTANT = "instant"
    LOCAL = "local"
    """A time of day, nobody knows in which zone."""
    DAY = "day"


class Channel(StrEnum):
    """By which way people are told of what happened."""

    WEBHOOK = "webhook"
    MAIL = "mail"


class Access(StrEnum):
    """What somebody may do with a recording of another."""

    NONE = "none"
    READ = "read"
    WRITE = "write"
    """Change its text, speakers, title and tags, and put it into the bin."""


class ShareKind(StrEnum):
    """With whom a recording is shared by name."""

    PERSON = "person"
    GROUP = "group"


class PriceMode(StrEnum):
    """By which of a provider's prices a call is paid."""

    SYNC = "sync"
    BATCH = "batch"


class EmbeddingStatus(StrEnum):
    """Whether a passage, or a whole recording, has its vectors. OFF: no embedder reads its language."""

    OFF = "off"
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"


class PaymentState(StrEnum):
    """DISPUTED: nobody knows whether it was billed, so it stays booked as estimated."""

    RESERVED = "reserved"
    SETTLED = "settled"
    RELEASED = "released"
    DISPUTED = "disputed"


class RequestedAction(StrEnum):
    """What a person wants of a worker. DRAIN: take nothing new."""

    NONE = ""
    DRAIN = "drain"
    RESTART = "restart"


class BatchState(StrEnum):
    """Where a batch is, from the intention to its vectors; HELD waits for a person."""

    PLANNED = "planned"
    UPLOADED = "uploaded"
    SUBMITTING = "submitting"
    SUBMITTED = "submitted"
    ENDED = "ended"
    SAVED = "saved"
    COMPLETE = "complete"
    SPLIT = "split"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    HELD = "held"


class BatchAction(StrEnum):
    """What is wanted of a live batch. SYNC: cancel it, embed the rest at once; LATE: so with what is due."""

    NONE = ""
    CANCEL = "cancel"
    SYNC = "sync"
    LATE = "late"


class EmbeddingRequestState(StrEnum):
    """Where a text is on its way to a vector by batch."""

    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"


class OrderState(StrEnum):
    """Where an order of a transcript or a picture is; HELD waits for a person."""

    PLANNED = "planned"
    SUBMITTING = "submitting"
    SUBMITTED = "submitted"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    HELD = "held"


class OrderFate(StrEnum):
    """What a provider says of an order: in its queue, in work, ready; UNKNOWN: nothing yet.

    BROKEN ones may be ordered again, REFUSED ones never work, LOST ones are no longer known there.
    """

    UNKNOWN = ""
    WAITING = "waiting"
    WORKING = "working"
    DONE = "done"
    BROKEN = "broken"
    REFUSED = "refused"
    LOST = "lost"


class EditSubject(StrEnum):
    """What a correction is of."""

    SPEAKERS = "speakers"
    TEXT = "text"


class AuditAction(StrEnum):
    """What somebody did, as the audit trail counts it."""

    SIGNED_IN = "signed_in"
    SIGNED_OUT = "signed_out"
    REFUSED = "refused"
    SAW = "saw"
    """The text of a recording was opened."""
    HEARD = "heard"
    """Its sound was asked for."""
    ADDED = "added"
    CHANGED = "changed"
    EXPORTED = "exported"
    DELETED = "deleted"
    RESTORED = "restored"
    PAID = "paid"
    """An order was sent, with the price that was promised."""


class AuditSubject(StrEnum):
    """What an event of the audit trail is about, and so what its object's id is of."""

    RECORDING = "recording"
    TASK = "task"
    MOMENT = "moment"
    COLLECTION = "collection"
    SEARCH = "search"
    GLOSSARY = "glossary"
    VOICE = "voice"
    SOURCE = "source"
    DESTINATION = "destination"
    KEY = "key"
    LINK = "link"
    PRICE = "price"
    BUDGET = "budget"
    MODEL = "model"
    INSTALLATION = "installation"
    """Its settings, queues, workers, batches."""
    ORDER = "order"
    SESSION = "session"


class SourceKind(StrEnum):
    """What recordings come from by themselves."""

    FEED = "feed"
    FOLDER = "folder"
    BUCKET = "bucket"


class SourceState(StrEnum):
    """Where a source is. LOOKING: what is there is counted and measured. PRICED: a person decides on it."""

    LOOKING = "looking"
    PRICED = "priced"
    ACTIVE = "active"
    PAUSED = "paused"
    DONE = "done"


class ItemState(StrEnum):
    """Where something of a source is. SEEN: it may still grow. SKIPPED: it was there before, and is left."""

    SEEN = "seen"
    WAITING = "waiting"
    FETCHING = "fetching"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


STORED: tuple[type[StrEnum], ...] = (
    Door,
    AuditAction,
    AuditSubject,
    TaskStatus,
    JobKind,
    JobState,
    RunOutcome,
    Measure,
    EmbeddingMode,
    PriceMode,
    EmbeddingStatus,
    PaymentState,
    RequestedAction,
    BatchState,
    BatchAction,
    EmbeddingRequestState,
    OrderState,
    OrderFate,
    EditSubject,
    DateKind,
    Channel,
    Access,
    ShareKind,
    SourceKind,
    SourceState,
    ItemState,
)
"""Enums that columns hold."""
