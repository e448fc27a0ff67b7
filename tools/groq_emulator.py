"""Groq's audio API as a server on this machine: python -m tools.groq_emulator --port 8090

Sync transcription and batches with their files. Any key is taken unless one is named.
"""

from __future__ import annotations

import argparse
import json
import secrets
from typing import Any
from urllib.request import urlopen

from tools.emulator import Emulator, Refused, form, serve
from tools.gemini_emulator.wire import Answer, Request, say
from tools.recognition import TranscribedSegment

MODELS = ("whisper-large-v3", "whisper-large-v3-turbo")
UPLOAD_BYTES = 25_000_000
PAGE = 5
_V1 = "/openai/v1"
_OPEN_STATES = ("validating", "in_progress", "finalizing")


class GroqEmulator(Emulator):
    """`billed` holds the seconds of sound that were paid for, one entry a transcription."""

    CALLS = (
        ("models", "GET", f"(?:{_V1}|/v1)/models"),
        ("transcribe", "POST", f"(?:{_V1}|/v1)/audio/transcriptions"),
        ("translate", "POST", f"(?:{_V1}|/v1)/audio/translations"),
        ("upload", "POST", f"{_V1}/files"),
        ("content", "GET", f"{_V1}/files/(?P<file>[^/]+)/content"),
        ("create", "POST", f"{_V1}/batches"),
        ("batches", "GET", f"{_V1}/batches"),
        ("batch", "GET", f"{_V1}/batches/(?P<batch>[^/]+)"),
        ("cancel", "POST", f"{_V1}/batches/(?P<batch>[^/]+)/cancel"),
    )

    def __init__(self, *, processing_s: float = 0.0, **options: Any) -> None:
        super().__init__(**options)
        self.processing_s = processing_s
        self.billed: list[float] = []
        self.forms: list[dict[str, str]] = []
        self.files: dict[str, bytes] = {}
        self.made: dict[str, dict[str, Any]] = {}

    def models(self, _: Request) -> Answer:
        return say({"object": "list", "data": [{"id": name, "object": "model"} for name in MODELS]})

    def transcribe(self, request: Request) -> Answer:
        fields, files = form(request)
        if len(request.body) > UPLOAD_BYTES:
            raise Refused(413, {"error": {"message": "Request Entity Too Large"}})
        self.forms.append(fields)
        return say(self._transcribe(fields, files["file"]))

    def translate(self, request: Request) -> Answer:
        fields, files = form(request)
        self.forms.append(fields)
        return say(self._translate(fields, files["file"]))

    def _translate(self, fields: dict[str, str], file: bytes) -> dict[str, Any]:
        """As strict as it is documented; the words are not English, but those of the sound."""
        if "turbo" in fields.get("model", "") or fields.get("language", "en") != "en":
            raise Refused(400, {"error": {"message": "not supported for translations"}})
        if unknown := fields.keys() & {"timestamp_granularities", "timestamp_granularities[]"}:
            raise Refused(400, {"error": {"message": f"unknown field {unknown.pop()}"}})
        return {**self._transcribe({**fields, "language": "ru"}, file), "task": "translate", "words": None}

    def _transcribe(self, fields: dict[str, str], file: bytes) -> dict[str, Any]:
        if fields.get("model") not in MODELS:
            raise Refused(404, {"error": {"message": f"The model {fields.get('model')} does not exist."}})
        try:
            segments = self.recognise(file, fields.get("language", "en"))
        except Exception as error:
            raise Refused(400, {"error": {"message": "could not process file"}}) from error
        duration = segments[-1]["end"] if segments else 0.0
        self.billed.append(max(10.0, duration))
        return verbose(segments, fields.get("language", "en"), duration)

    # Batches

    def upload(self, request: Request) -> Answer:
        fields, files = form(request)
        if fields.get("purpose") != "batch":
            raise Refused(400, {"error": {"message": "purpose must be batch"}})
        name = f"file_{secrets.token_hex(8)}"
        self.files[name] = files["file"]
        return say({"id": name, "object": "file", "purpose": "batch"})

    def content(self, request: Request) -> Answer:
        if request.names["file"] not in self.files:
            raise Refused(404, {"error": {"message": "no such file"}})
        return Answer(200, [self.files[request.names["file"]]], {"Content-Type": "application/jsonl"})

    def create(self, request: Request) -> Answer:
        payload = json.loads(request.body)
        if payload["input_file_id"] not in self.files:
            raise Refused(400, {"error": {"message": "no such input file"}})
        name = f"batch_{secrets.token_hex(8)}"
        self.made[name] = {
            "id": name,
            "object": "batch",
            "input_file_id": payload["input_file_id"],
            "metadata": payload.get("metadata"),
            "ends_at": self.now() + self.processing_s,
            "status": "",
            "quirk": next((q for q in ("failed", "expired") if self.take(f"batch_{q}")), ""),
        }
        return say(self._shown(self.made[name]))

    def batches(self, request: Request) -> Answer:
        """The newest first, in pages."""
        names = list(reversed(self.made))
        first = names.index(request.query["after"]) + 1 if "after" in request.query else 0
        page = [self._shown(self.made[name]) for name in names[first : first + PAGE]]
        return say({"object": "list", "data": page, "has_more": first + PAGE < len(names)})

    def batch(self, request: Request) -> Answer:
        if request.names["batch"] not in self.made:
            raise Refused(404, {"error": {"message": "no such batch"}})
        return say(self._shown(self.made[request.names["batch"]]))

    def cancel(self, request: Request) -> Answer:
        one = self.made[request.names["batch"]]
        if not one["status"] and one["ends_at"] > self.now():
            one["status"] = "cancelled"
        return say(self._shown(one))

    def _shown(self, one: dict[str, Any]) -> dict[str, Any]:
        with self.lock:
            if not one["status"] and one["ends_at"] <= self.now():
                self._finish(one)
        hidden = {"ends_at", "quirk"}
        return {k: v for k, v in one.items() if k not in hidden} | {"status": one["status"] or "in_progress"}

    def _finish(self, one: dict[str, Any]) -> None:
        one["status"] = one["quirk"] or "completed"
        if one["quirk"]:
            return
        lines = [self._line(json.loads(line)) for line in self.files[one["input_file_id"]].splitlines()]
        for field, kind in (("output_file_id", False), ("error_file_id", True)):
            rows = [json.dumps(line) for line in lines if bool(line["error"]) == kind]
            if rows:
                one[field] = f"file_{secrets.token_hex(8)}"
                self.files[one[field]] = "\n".join(rows).encode()

    def _line(self, payload: dict[str, Any]) -> dict[str, Any]:
        line = {"id": f"batch_req_{secrets.token_hex(4)}", "custom_id": payload["custom_id"]}
        if self.take("line_error"):
            return {**line, "response": None, "error": {"code": "server_error", "message": "try again"}}
        try:
            with urlopen(payload["body"]["url"], timeout=20) as reply:  # noqa: S310 - on loopback
                handler = self._translate if payload["url"].endswith("translations") else self._transcribe
                body = handler(payload["body"], reply.read())
        except OSError as error:
            return {**line, "response": None, "error": {"code": "bad_url", "message": str(error)}}
        return {**line, "response": {"status_code": 200, "body": body}, "error": None}


def verbose(parts: TranscribedSegment, language: str, duration: float) -> dict[str, Any]:
    """OpenAI's verbose_json; words come without punctuation, as from Whisper."""
    words = [{**word, "word": word["word"].strip(".,?!")} for part in parts for word in part["words"]]
    segments = [
        {
            "id": n,
            "seek": 0,
            "start": part["start"],
            "end": part["end"],
            "text": f" {part['text']}",
            "tokens": [],
            "temperature": 0,
            "avg_logprob": -0.2,
            "compression_ratio": 1.2,
            "no_speech_prob": 0.01,
        }
        for n, part in enumerate(parts)
    ]
    return {
        "task": "transcribe",
        "language": language,
        "duration": duration,
        "text": "".join(part["text"] for part in segments),
        "words": words,
        "segments": segments,
        "x_groq": {"id": "req_1"},
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tools.groq_emulator")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    serve(GroqEmulator(port=parser.parse_args().port))
