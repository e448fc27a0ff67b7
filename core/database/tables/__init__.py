"""Every table of this installation.

Times are Unix seconds, money is a decimal string, states are words. SQLite by default, PostgreSQL by
address; what turns an older database into this shape is in `migrations`.
"""

from __future__ import annotations

from core.database.tables.audit import AuditEvent
from core.database.tables.base import Json, KeyValue, Row, new_id, utc
from core.database.tables.billing import Budget, Cap, OwnFigure, OwnLimit, OwnPrice, Payment, Plan
from core.database.tables.clients import (
    Callback,
    IdempotencyKey,
    Key,
    Notification,
    Person,
    Resumable,
    ShareLink,
    SignIn,
)
from core.database.tables.orders import Batch, Breaker, Cover, EmbeddingRequestRow, Order
from core.database.tables.queue import (
    SPEAKERS_OFF,
    Action,
    Job,
    Lease,
    PeriodicTask,
    Run,
    Tally,
    Task,
    TaskGroup,
    Turn,
    Worker,
)
from core.database.tables.recordings import (
    Collection,
    CollectionMoment,
    Diarization,
    EditRow,
    GlossaryEntry,
    KeptMoment,
    Peaks,
    Recording,
    Share,
    Voice,
    VoiceRejection,
    VoiceSample,
    indexed,
)
from core.database.tables.search import (
    BoughtVector,
    OpenedHit,
    PassageRow,
    SavedSearch,
    Searched,
    SearchHit,
    SentenceVectors,
)
from core.database.tables.sources import Destination, Source, SourceItem, WrittenResult
from core.database.tables.transcripts import Segment, Transcript

__all__ = [
    "SPEAKERS_OFF",
    "Action",
    "AuditEvent",
    "Batch",
    "BoughtVector",
    "Breaker",
    "Budget",
    "Callback",
    "Cap",
    "Collection",
    "CollectionMoment",
    "Cover",
    "Destination",
    "Diarization",
    "EditRow",
    "EmbeddingRequestRow",
    "GlossaryEntry",
    "IdempotencyKey",
    "Job",
    "Json",
    "KeptMoment",
    "Key",
    "KeyValue",
    "Lease",
    "Notification",
    "OpenedHit",
    "Order",
    "OwnFigure",
    "OwnLimit",
    "OwnPrice",
    "PassageRow",
    "Payment",
    "Peaks",
    "PeriodicTask",
    "Person",
    "Plan",
    "Recording",
    "Resumable",
    "Row",
    "Run",
    "SavedSearch",
    "SearchHit",
    "Searched",
    "Segment",
    "SentenceVectors",
    "Share",
    "ShareLink",
    "SignIn",
    "Source",
    "SourceItem",
    "Tally",
    "Task",
    "TaskGroup",
    "Transcript",
    "Turn",
    "Voice",
    "VoiceRejection",
    "VoiceSample",
    "Worker",
    "WrittenResult",
    "indexed",
    "new_id",
    "utc",
]
