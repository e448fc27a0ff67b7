"""Groq: Whisper at 200 times real time. With another base URL: any OpenAI-compatible server.

Wire facts: https://console.groq.com/docs/speech-to-text (10 s are billed at least; 25 MB a file on
the free tier, which ten minutes of FLAC never reach) and …/docs/batch (half the price, sound only
by public URL, so it needs an object store).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from core.database.states import OrderFate, PriceMode
from core.errors import GROQ, Code, OutcomeUnknown, Provider, ProviderBusy, Rejected
from core.http_client import Answer, HttpClient
from core.media import encode
from core.media.waveform import SAMPLE_RATE, Waveform
from core.settings import Settings
from core.speech.engine import Readiness, Report, Speech, Tunable, refuse_unready
from core.speech.engines import verbose_json, whisper

if TYPE_CHECKING:
    from core.storage.object_store import ObjectStore

ADDRESS = "https://api.groq.com/openai/v1"
UPLOAD_S = 300.0
"""Longest exchange of one call: twenty megabytes on a slow line, and the answer."""
MIN_BILLED_S = 10
PIECE_S = 600.0
"""A call that is lost is paid again: at most ten minutes of sound."""
BATCH_PIECE_S = 1800.0
"""Files behind a link may have 100 MB."""
WINDOW = "24h"
DAY_S = 24 * 3600.0
LINK_S = 2 * DAY_S


class GroqEngine(Tunable):
    """One call a segment, the answer at once."""

    name = "groq"
    provider = "groq"
    auto = True
    queue = "io"
    languages = whisper.LANGUAGES
    max_segment_s = PIECE_S
    batch_segments = 1
    varies = True

    def __init__(self, settings: Settings) -> None:
        self.model = settings.groq_model
        self.address = (settings.groq_base_url or ADDRESS).rstrip("/")
        self.own = self.address != ADDRESS
        self.title = f"{_host(self.address)} ({self.model})" if self.own else f"Groq ({self.model})"
        self.version = f"1-{_host(self.address)}-{self.model}" if self.own else f"1-{self.model}"
        whose = Provider(GROQ.name, f"GROQ_BASE_URL ({_host(self.address)})") if self.own else GROQ
        self.http = HttpClient(whose, settings.groq_api_key, "GROQ_API_KEY")

    def readiness(self) -> Readiness:
        """Ready with a key; a server of your own may want none."""
        ready = self.http.has_key or self.own
        return Readiness(ready, "" if ready else "GROQ_API_KEY is not set")

    @property
    def translates(self) -> bool:
        """As its model does (…/docs/speech-to-text)."""
        return whisper.knows_translation(self.model)

    @property
    def _task(self) -> str:
        """How the address ends."""
        return "audio/translations" if self.translate else "audio/transcriptions"

    def _form(self, language: str) -> dict[str, Any]:
        fields = {"prompt": self.hints} if self.hints else {}
        return fields | form(self.model, language, translate=self.translate, temperature=self.temperature)

    def price(self, duration_s: float) -> tuple[str, PriceMode, int]:
        """Model, mode of its price, and billed seconds."""
        return self.model, PriceMode.SYNC, max(MIN_BILLED_S, ceil(duration_s))

    def transcribe(self, segments: Sequence[Waveform], language: str) -> list[Speech]:
        """One paid call a segment; one without any samples costs nothing."""
        refuse_unready(self)
        return [self._transcribed(segment, language) if segment.any() else Speech("") for segment in segments]

    def _transcribed(self, sound: Waveform, language: str) -> Speech:
        answer = self.http.ask(
            "POST",
            f"{self.address}/{self._task}",
            form=self._form(language),
            file=("sound.flac", encode.encode(sound, "flac"), encode.MIME["flac"]),
            deadline_s=UPLOAD_S,
        )
        return verbose_json.read(answer.json(), self.http.provider)

    def test(self) -> Answer:
        """The cheapest real call: the list of models."""
        return self.http.ask("GET", f"{self.address}/models")


class GroqBatchEngine(GroqEngine):
    """The same for half the price within a day: one batch of one line for each long piece of sound."""

    name = "groq-batch"
    auto = False
    max_segment_s = BATCH_PIECE_S
    at_once = 50
    poll_s = 60.0
    parked_after_s = DAY_S
    deadline_s = DAY_S * 1.25
    findable = True

    def __init__(self, settings: Settings, storage: ObjectStore) -> None:
        super().__init__(settings)
        self._storage = storage
        self.title = f"Groq, by batch ({self.model})"

    def readiness(self) -> Readiness:
        """Ready with a key and an object store that Groq can reach."""
        if not self._storage.can_share:
            return Readiness(False, "STORAGE_URL is not set: Groq fetches the sound of a batch from a store")
        return super().readiness()

    def price(self, duration_s: float) -> tuple[str, PriceMode, int]:
        """Model, mode of its price, and billed seconds."""
        model, _, billed_s = super().price(duration_s)
        return model, PriceMode.BATCH, billed_s

    def transcribe(self, segments: Sequence[Waveform], language: str) -> list[Speech]:  # noqa: ARG002
        """Not at once: its work is ordered."""
        raise Rejected(Code.ENGINE_TAKES_ORDERS, title=self.title)

    def submit(self, sound: Waveform, language: str, our_id: str, timeout_count: int) -> str:  # noqa: ARG002
        """Put the sound and the order where Groq finds them; the last request alone is paid."""
        refuse_unready(self)
        name = _name(our_id)
        self._storage.put(name, encode.encode(sound, "flac"))
        body = {name.removesuffix("[]"): value for name, value in self._form(language).items()}
        line = {
            "custom_id": our_id,
            "method": "POST",
            "url": f"/v1/{self._task}",
            "body": {**body, "url": self._storage.link(name, LINK_S)},
        }
        order = {
            "input_file_id": self._upload(line, our_id),
            "endpoint": f"/v1/{self._task}",
            "completion_window": WINDOW,
            "metadata": {"our_id": our_id},
        }
        return self.http.ask("POST", f"{self.address}/batches", json=order).text("id")

    def _upload(self, line: dict[str, Any], our_id: str) -> str:
        file = (f"{our_id}.jsonl", json.dumps(line, ensure_ascii=False).encode(), "application/jsonl")
        try:
            answer = self.http.ask("POST", f"{self.address}/files", form={"purpose": "batch"}, file=file)
            return answer.text("id")
        except OutcomeUnknown as error:  # an upload is free, so whatever happened nothing was ordered
            raise ProviderBusy(self.http.provider, str(error.facts["detail"]), error.retry_after_s) from error

    def poll(self, remote_id: str, our_id: str) -> Report:
        """How the batch stands; its one line when it has ended."""
        answer = self.http.ask("GET", f"{self.address}/batches/{remote_id}", accept={404})
        if answer.status == 404:
            return Report(OrderFate.LOST, reason="the batch is not known there")
        payload = answer.json()
        status = str(payload.get("status", ""))
        if status == "completed":
            return self._result(payload, our_id)
        if status in ("failed", "expired", "cancelled"):
            return Report(OrderFate.BROKEN, reason=f"the batch ended as {status}")
        return Report(OrderFate.WAITING if status == "validating" else OrderFate.WORKING)

    def _result(self, payload: dict[str, Any], our_id: str) -> Report:
        for file in filter(None, (payload.get("output_file_id"), payload.get("error_file_id"))):
            for line in self.http.ask("GET", f"{self.address}/files/{file}/content").lines():
                if line.get("custom_id") == our_id:
                    return self._line(line, our_id)
        return Report(OrderFate.BROKEN, reason="the batch ended without our line")

    def _line(self, line: dict[str, Any], our_id: str) -> Report:
        response = line.get("response") or {}
        if line.get("error") or response.get("status_code") != 200:
            reason = (line.get("error") or {}).get("message") or f"HTTP {response.get('status_code')}"
            return Report(OrderFate.BROKEN, reason=str(reason)[:200])
        self._storage.remove(_name(our_id))
        return Report(OrderFate.DONE, verbose_json.read(response["body"], self.http.provider))

    def find(self, our_id: str) -> str | Speech | None:
        """A batch carries our id, so one whose reply was lost is found in the list, newest first."""
        after = ""
        while True:
            payload = self.http.ask("GET", f"{self.address}/batches{after}").json()
            page = payload.get("data") or []
            for one in page:
                if (one.get("metadata") or {}).get("our_id") == our_id:
                    return str(one["id"])
            if not (page and payload.get("has_more")):
                return None
            after = f"?after={page[-1]['id']}"

    def cancel(self, remote_id: str) -> None:
        """Ask to stop the batch."""
        self.http.ask("POST", f"{self.address}/batches/{remote_id}/cancel", accept={400, 404, 409})


def form(model: str, language: str, *, translate: bool, temperature: float) -> dict[str, Any]:
    """The fields of an OpenAI-compatible order for words with their times.

    A translation takes neither a language nor granularities, and comes with the times of its phrases.
    """
    fields = {"model": model, "response_format": "verbose_json", "temperature": f"{temperature:g}"}
    if translate:
        return fields
    return {**fields, "language": language, "timestamp_granularities[]": ["word", "segment"]}


def _name(our_id: str) -> str:
    return f"orders/{our_id}.flac"


def _host(address: str) -> str:
    return urlsplit(address).hostname or address


assert PIECE_S * SAMPLE_RATE * 2 < 25_000_000, "even noise, which FLAC cannot shorten, must fit"
