"""Fireworks' audio API as it was documented: sync, and by batch for 40 % less. Off unless asked for.

The provider withdrew audio on 10 June 2026 (https://docs.fireworks.ai/updates/changelog). All addresses
are settings, so a compatible server works, and so would the service if it returned. A batch has no
name, no list and no key against doubles: whoever loses the reply to an order cannot find it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any

from core.database.states import OrderFate, PriceMode
from core.errors import FIREWORKS, Code, Rejected
from core.http_client import Answer, HttpClient
from core.media import encode
from core.media.waveform import Waveform
from core.settings import Settings
from core.speech.engine import Readiness, Report, Speech, Tunable, refuse_unready
from core.speech.engines import verbose_json, whisper

SYNC = "https://audio-{server}.api.fireworks.ai/v1"
BATCH = "https://audio-batch.api.fireworks.ai"
WITHDRAWN = "Audio was withdrawn by Fireworks on 10 June 2026; FIREWORKS_ENABLED=true tries it nevertheless"
REFUSED = Code.PROVIDER_REFUSED_OR_WITHDRAWN
NO_ACCOUNT = "FIREWORKS_ACCOUNT_ID is not set: it stands in the account settings, under API keys"
UPLOAD_S = 300.0
PIECE_S = 600.0
"""A call that is lost is paid again: at most ten minutes of sound."""
BATCH_PIECE_S = 3600.0
"""Far below their limit of 1 GB a file."""
DEADLINE_S = 26 * 3600.0
"""They promise a day; an order that is late is parked until then, not given up."""


class FireworksEngine(Tunable):
    """One call a segment, the answer at once."""

    name = "fireworks"
    provider = "fireworks"
    auto = False
    queue = "io"
    languages = whisper.LANGUAGES
    max_segment_s = PIECE_S
    batch_segments = 1
    varies = True

    def __init__(self, settings: Settings) -> None:
        self.model = settings.fireworks_model
        self.server = "turbo" if "turbo" in self.model else "prod"
        self.address = (settings.fireworks_base_url or SYNC.format(server=self.server)).rstrip("/")
        self.batches = (settings.fireworks_batch_url or BATCH).rstrip("/")
        self.account = settings.fireworks_account_id
        self.enabled = settings.fireworks_enabled
        self.title = f"Fireworks ({self.model})"
        self.version = f"1-{self.model}"
        self.http = HttpClient(
            FIREWORKS,
            settings.fireworks_api_key,
            "FIREWORKS_API_KEY",
            refused=REFUSED,
        )

    def readiness(self) -> Readiness:
        """Ready with a key, once somebody has switched it on."""
        if not self.enabled:
            return Readiness(False, WITHDRAWN, withdrawn=True)
        ready = self.http.has_key
        return Readiness(ready, "" if ready else "FIREWORKS_API_KEY is not set")

    @property
    def translates(self) -> bool:
        """As its model does."""
        return whisper.knows_translation(self.model)

    @property
    def _task(self) -> str:
        """How the address ends."""
        return "audio/translations" if self.translate else "audio/transcriptions"

    def price(self, duration_s: float) -> tuple[str, PriceMode, int]:
        """Model, mode of its price, and billed seconds."""
        return self.model, PriceMode.SYNC, ceil(duration_s)

    def transcribe(self, segments: Sequence[Waveform], language: str) -> list[Speech]:
        """One paid call a segment; one without any samples costs nothing."""
        refuse_unready(self)
        return [self._transcribed(segment, language) if segment.any() else Speech("") for segment in segments]

    def _transcribed(self, sound: Waveform, language: str) -> Speech:
        address = f"{self.address}/{self._task}"
        return verbose_json.read(self._send(self.http, address, sound, language).json(), self.http.provider)

    def _send(self, http: HttpClient, address: str, sound: Waveform, language: str) -> Answer:
        return http.ask(
            "POST",
            address,
            form=form(self.model, language, self.temperature),
            file=("sound.flac", encode.encode(sound, "flac"), encode.MIME["flac"]),
            deadline_s=UPLOAD_S,
        )

    def test(self) -> Answer:
        """The cheapest real call: ask about a batch that does not exist."""
        address = f"{self.batches}/v1/accounts/{self.account or 'unknown'}/batch_job/none"
        return self.http.ask("GET", address, accept={400, 404})


class FireworksBatchEngine(FireworksEngine):
    """One order a piece; ready in minutes mostly, within a day in any case."""

    name = "fireworks-batch"
    max_segment_s = BATCH_PIECE_S
    at_once = 10
    deadline_s = DEADLINE_S
    findable = False

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.title = f"Fireworks, by batch ({self.model})"
        self.poll_s = settings.fireworks_poll_s
        self.parked_after_s = settings.fireworks_max_wait_s
        # Their pages about batches show the bare key, those about sync calls a bearer.
        self._bare = HttpClient(
            FIREWORKS,
            settings.fireworks_api_key,
            "FIREWORKS_API_KEY",
            scheme="",
            refused=REFUSED,
        )

    def readiness(self) -> Readiness:
        """Ready with a key and the account whose batches they are."""
        readiness = super().readiness()
        return Readiness(False, NO_ACCOUNT) if readiness.ready and not self.account else readiness

    def price(self, duration_s: float) -> tuple[str, PriceMode, int]:
        """Model, mode of its price, and billed seconds."""
        return self.model, PriceMode.BATCH, ceil(duration_s)

    def transcribe(self, segments: Sequence[Waveform], language: str) -> list[Speech]:  # noqa: ARG002
        """Not at once: its work is ordered."""
        raise Rejected(Code.ENGINE_TAKES_ORDERS, title=self.title)

    def submit(self, sound: Waveform, language: str, our_id: str, timeout_count: int) -> str:  # noqa: ARG002
        """Order a transcript; account and batch are its id."""
        refuse_unready(self)
        address = f"{self.batches}/v1/{self._task}?endpoint_id=audio-{self.server}"
        answer = self._send(self._bare, address, sound, language)
        account = answer.json().get("account_id") or self.account
        return f"{account}/{answer.text('batch_id')}"

    def poll(self, remote_id: str, our_id: str) -> Report:  # noqa: ARG002
        """How the order stands: processing or completed; no other word is documented, so any is a failure."""
        account, _, batch = remote_id.rpartition("/")
        address = f"{self.batches}/v1/accounts/{account}/batch_job/{batch}"
        answer = self._bare.ask("GET", address, accept={404})
        if answer.status == 404:
            return Report(OrderFate.LOST, reason="the batch is not known there")
        payload = answer.json()
        status = str(payload.get("status", ""))
        if status == "processing":
            return Report(OrderFate.WORKING)
        if status != "completed":
            return Report(
                OrderFate.BROKEN,
                reason=f"{status or 'no status'}: {payload.get('message') or 'no reason'}"[:200],
            )
        return Report(OrderFate.DONE, self._read(answer, payload))

    def _read(self, answer: Answer, payload: dict[str, Any]) -> Speech:
        """The body is a text in the text, of the type that stands beside it."""
        body = str(payload.get("body") or "")
        if "json" not in str(payload.get("content_type", "json")):
            return Speech(" ".join(body.split()))
        return verbose_json.read(answer.within(body).json(), self.http.provider)

    def find(self, our_id: str) -> str | Speech | None:  # noqa: ARG002
        """They list nothing."""
        return None

    def cancel(self, remote_id: str) -> None:
        """They stop nothing."""


def form(model: str, language: str, temperature: float) -> dict[str, str]:
    """The fields of an order for words with their times."""
    return {
        "model": model,
        "language": language,
        "response_format": "verbose_json",
        "timestamp_granularities": "word,segment",
        "temperature": f"{temperature:g}",
    }
