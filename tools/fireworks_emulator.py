"""Fireworks' audio API as it was documented, on this machine: python -m tools.fireworks_emulator --port 8092

Sync below /sync/v1, batches below /batch. Keys are taken with and without "Bearer". With `withdrawn` every
call is answered as since June 2026.
"""

from __future__ import annotations

import argparse
import json
import secrets
from typing import Any

from tools.emulator import Emulator, Refused, form, serve
from tools.gemini_emulator.wire import Answer, Request, say
from tools.recognition import TranscribedSegment

UPLOAD_BYTES = 1_000_000_000


class FireworksEmulator(Emulator):
    """`billed` holds the forms of what was paid for; `batches` what was ordered.

    Its own faults, each for the next order: `failed`, `plain`, `garbled`.
    """

    CALLS = (
        ("transcribe", "POST", "/sync/v1/audio/(?:transcriptions|translations)"),
        ("create", "POST", "/batch/v1/audio/(?:transcriptions|translations)"),
        ("get", "GET", "/batch/v1/accounts/(?P<account>[^/]+)/batch_job/(?P<batch>[^/]+)"),
    )

    def __init__(
        self,
        *,
        account: str = "acc",
        processing_s: float = 0.0,
        withdrawn: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.account = account
        self.processing_s = processing_s
        self.withdrawn = withdrawn
        self.billed: list[dict[str, str]] = []
        self.batches: dict[str, dict[str, Any]] = {}

    def answer(self, request: Request) -> Answer:
        return self.refuse_key() if self.withdrawn else super().answer(request)

    def refuse_key(self) -> Answer:
        return _error(401, "unauthorized", "Unauthorized").answer

    def transcribe(self, request: Request) -> Answer:
        fields, files = form(request)
        return say(self._transcribe(fields, files["file"]))

    def create(self, request: Request) -> Answer:
        if request.query.get("endpoint_id") not in ("audio-prod", "audio-turbo"):
            raise _error(400, "invalid_request_error", "endpoint_id is missing")
        fields, files = form(request)
        name = f"b-{secrets.token_hex(6)}"
        quirk = next((one for one in ("failed", "plain", "garbled") if self.take(one)), "")
        body = json.dumps(self._transcribe(fields, files["file"]))
        self.batches[name] = {"ends_at": self.now() + self.processing_s, "body": body, "quirk": quirk}
        return say(
            {
                "status": "submitted",
                "endpoint_id": request.query["endpoint_id"],
                "account_id": self.account,
                "batch_id": name,
                "message": "Request submitted successfully",
            }
        )

    def get(self, request: Request) -> Answer:
        one = self.batches.get(request.names["batch"])
        if one is None or request.names["account"] != self.account:
            raise _error(404, "not_found", "batch job not found")
        payload = {"status": "processing", "batch_id": request.names["batch"], "message": None}
        if one["ends_at"] > self.now():
            return say(payload)
        if one["quirk"] == "failed":
            return say({**payload, "status": "failed", "message": "audio could not be read"})
        if one["quirk"] == "plain":
            text = json.loads(one["body"])["text"]
            kind = "text/plain; charset=utf-8"
            return say({**payload, "status": "completed", "content_type": kind, "body": text})
        body = one["body"][:20] if one["quirk"] == "garbled" else one["body"]
        return say({**payload, "status": "completed", "content_type": "application/json", "body": body})

    def _transcribe(self, fields: dict[str, str], file: bytes) -> dict[str, Any]:
        if fields.get("model") not in ("whisper-v3", "whisper-v3-turbo"):
            raise _error(400, "invalid_request_error", "unknown model")
        if len(file) > UPLOAD_BYTES:
            raise _error(413, "invalid_request_error", "file is larger than 1 GB")
        segments = self.recognise(file, fields.get("language", "en"))
        self.billed.append(fields)
        return _verbose(segments, fields.get("language", "en"))


def _verbose(parts: TranscribedSegment, language: str) -> dict[str, Any]:
    words = [
        {**word, "language": language, "probability": 0.98, "hallucination_score": 0.01}
        for part in parts
        for word in part["words"]
    ]
    segments = [
        {"id": n, "start": part["start"], "end": part["end"], "text": part["text"], "language": language}
        for n, part in enumerate(parts)
    ]
    return {
        "task": "transcribe",
        "language": language,
        "duration": 1.0,
        "text": " ".join(part["text"] for part in parts),
        "words": words,
        "segments": segments,
    }


def _error(status: int, kind: str, message: str) -> Refused:
    return Refused(status, {"error": {"object": "error", "type": kind, "message": message}})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tools.fireworks_emulator")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--withdrawn", action="store_true", help="answer as since June 2026")
    args = parser.parse_args()
    serve(FireworksEmulator(port=args.port, withdrawn=args.withdrawn))
