"""RunPod serverless: a GPU by the second, with a worker of ours (`deploy/runpod`) or faster-whisper.

Wire facts: https://docs.runpod.io/serverless/endpoints (operation reference, job states). Their default
limit of ten minutes kills long recordings, so each order brings its own. An order is never listed
again and its result lives for half an hour; so our worker also writes it to our store, under our id.

Their `/retry` is left alone: a run that failed is billed all the same, one that ran out of time would get
the same time again, and as the id stays nobody could tell an old failure from a new one.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from math import ceil
from typing import Any

from core.billing import shipped
from core.database.states import OrderFate, PriceMode
from core.errors import RUNPOD, Code, NotFound, OutcomeUnknown, Rejected
from core.http_client import Answer, HttpClient
from core.media import encode
from core.media.waveform import SAMPLE_RATE, Waveform
from core.settings import Settings
from core.speech.engine import Readiness, Report, Speech, Tunable, refuse_unready
from core.speech.engines import verbose_json, whisper
from core.storage.object_store import ObjectStore

PAYLOAD_BYTES = 10_000_000
SOUND_BYTES = 7_200_000
"""What of it is left for sound, which grows by a third in base64."""
PIECE_S = 1800.0
"""Half an hour fits at 26 kbit/s; shorter pieces have more."""
LONG_PIECE_S = 3600.0
LOW_BITS_S = 12_000
START_S = 300.0
"""Loading a model, with patience."""
LEAST_TTL_S = 6 * 3600.0
"""An order that has not begun by then is removed there; running ones are removed too."""
MOST_S = 7 * 24 * 3600.0
LINK_S = 2 * 24 * 3600.0
_FATES = {"IN_QUEUE": OrderFate.WAITING, "IN_PROGRESS": OrderFate.WORKING, "RUNNING": OrderFate.WORKING}


class RunPodEngine(Tunable):
    """Ordered, and looked at each few seconds."""

    name = "runpod"
    provider = "runpod"
    auto = True
    queue = "io"
    batch_segments = 1
    translates = False
    """Of a translation faster-whisper's worker gives neither words nor times."""
    at_once = 20
    poll_s = 5.0
    parked_after_s = MOST_S
    deadline_s = MOST_S

    def __init__(self, settings: Settings, storage: ObjectStore) -> None:
        self._storage = storage
        self._low_priority = settings.runpod_low_priority
        self._gpu = settings.runpod_gpu
        self.ours = settings.runpod_worker == "gigaam"
        self.model = settings.runpod_model or ("v3_e2e_rnnt" if self.ours else "large-v3")
        self.address = settings.runpod_url.rstrip("/").removesuffix("/run")
        self.varies = not self.ours
        self.languages: tuple[str, ...] = ("ru",) if self.ours else whisper.LANGUAGES
        self.title = f"RunPod ({'GigaAM' if self.ours else 'faster-whisper'} {self.model})"
        self.version = f"1-{settings.runpod_worker}-{self.model}"
        self.max_segment_s = LONG_PIECE_S if storage.can_share else PIECE_S
        self.findable = self.ours and storage.can_share
        self.http = HttpClient(RUNPOD, settings.runpod_api_key, "RUNPOD_API_KEY")

    def readiness(self) -> Readiness:
        """Ready with a key and an endpoint."""
        if not self.http.has_key:
            return Readiness(False, "RUNPOD_API_KEY is not set")
        if not self.address:
            return Readiness(False, "RUNPOD_URL is not set: the address of your endpoint, it ends in /run")
        return Readiness(True)

    def price(self, duration_s: float) -> tuple[str, PriceMode, int]:
        """GPU, mode of its price, GPU seconds; starting and idling are billed by the month, not by order."""
        speed = shipped().speed("runpod", self._gpu)
        return (
            self._gpu,
            PriceMode.SYNC,
            ceil(duration_s / float(speed.value)) if speed else ceil(duration_s / 50),
        )

    def transcribe(self, segments: Sequence[Waveform], language: str) -> list[Speech]:  # noqa: ARG002
        """Not at once: its work is ordered."""
        raise Rejected(Code.ENGINE_TAKES_ORDERS, title=self.title)

    def submit(self, sound: Waveform, language: str, our_id: str, timeout_count: int) -> str:
        """Order a transcript; each time-out before doubles the time it gets."""
        refuse_unready(self)
        limit_s = min(MOST_S / 2, (START_S + len(sound) / SAMPLE_RATE) * 2**timeout_count)
        policy = {
            "executionTimeout": ceil(limit_s * 1000),
            "ttl": ceil(max(LEAST_TTL_S, 2 * limit_s) * 1000),
            "lowPriority": self._low_priority,
        }
        order = {"input": {**self._sound(sound, our_id), **self._input(language, our_id)}, "policy": policy}
        content = json.dumps(order).encode()
        if len(content) > PAYLOAD_BYTES:
            raise Rejected(Code.PART_TOO_LARGE)
        headers = {"Content-Type": "application/json"}
        return self.http.ask("POST", f"{self.address}/run", content=content, headers=headers).text("id")

    def _sound(self, sound: Waveform, our_id: str) -> dict[str, str]:
        """By link where there is a store, else within the request, squeezed until it fits."""
        if self._storage.can_share:
            self._storage.put(_sound_name(our_id), encode.encode(sound, "flac"))
            link = self._storage.link(_sound_name(our_id), LINK_S)
            return {"audio_url" if self.ours else "audio": link}
        fitting = int(SOUND_BYTES * 0.8 * 8 * SAMPLE_RATE / max(len(sound), 1))
        file = encode.encode(sound, "opus", bits_s=min(encode.OPUS_BITS_S, fitting))
        if len(file) > SOUND_BYTES:
            file = encode.encode(sound, "opus", bits_s=LOW_BITS_S)
        return {"audio_base64": base64.b64encode(file).decode()}

    def _input(self, language: str, our_id: str) -> dict[str, Any]:
        """The rest of the input. faster-whisper's worker refuses words that it does not know."""
        if not self.ours:
            return {
                "model": self.model,
                "language": language,
                "transcription": "plain_text",
                "word_timestamps": True,
                "temperature": self.temperature,
            }
        options = {"job_id": our_id, "model": self.model, "language": language, "word_timestamps": True}
        if not self.findable:
            return options
        name = _result_name(our_id)
        links = {"result_url": self._storage.link(name, LINK_S, "PUT")}
        return {**options, **links, "done_url": self._storage.link(name, LINK_S)}

    def poll(self, remote_id: str, our_id: str) -> Report:
        """How the order stands; their words are those of …/serverless/endpoints/job-states."""
        answer = self.http.ask("GET", f"{self.address}/status/{remote_id}", accept={404})
        if answer.status == 404:
            return Report(OrderFate.LOST, reason="the order is no longer known there")
        payload = answer.json()
        match str(payload.get("status", "")):
            case "COMPLETED":
                return self._completed(payload.get("output"), our_id)
            case "FAILED":
                return Report(OrderFate.BROKEN, reason=failure(payload.get("error")))
            case "TIMED_OUT":
                return Report(OrderFate.BROKEN, reason="its time there was over", too_slow=True)
            case "CANCELLED":
                return Report(OrderFate.BROKEN, reason="it was cancelled there")
            case status:
                return Report(_FATES.get(status, OrderFate.WORKING))

    def _completed(self, output: object, our_id: str) -> Report:
        if isinstance(output, dict) and output.get("stored"):
            output = self._stored(our_id)
        if not isinstance(output, dict) or not output:
            return Report(OrderFate.BROKEN, reason="it ended without a result, which may have been too large")
        if output.get("error"):
            return Report(OrderFate.BROKEN, reason=failure(output["error"]))
        if self.ours and output.get("job_id") != our_id:
            return Report(OrderFate.BROKEN, reason="it answered to another order")
        self._clean_up(our_id)
        return Report(OrderFate.DONE, verbose_json.read(output, self.http.provider))

    def find(self, our_id: str) -> str | Speech | None:
        """Orders are not listed there; but our worker writes its result to our store."""
        stored = self._stored(our_id) if self.findable else None
        if stored is None:
            return None
        self._clean_up(our_id)
        return verbose_json.read(stored, self.http.provider)

    def _stored(self, our_id: str) -> dict[str, Any] | None:
        try:
            payload = json.loads(self._storage.get(_result_name(our_id)))
        except NotFound:
            return None
        except ValueError as error:
            raise OutcomeUnknown(self.http.provider, "an answer that makes no sense") from error
        return payload if isinstance(payload, dict) else None

    def _clean_up(self, our_id: str) -> None:
        """The sound there is not needed any more; the result stays until its text is kept."""
        if self._storage.can_share:
            self._storage.remove(_sound_name(our_id))

    def cancel(self, remote_id: str) -> None:
        """Ask to stop the order."""
        self.http.ask("POST", f"{self.address}/cancel/{remote_id}", accept={400, 404})

    def test(self) -> Answer:
        """The cheapest real call: how the endpoint's workers are."""
        return self.http.ask("GET", f"{self.address}/health")


def failure(error: object) -> str:
    """The sentence in a FAILED order: plain, or JSON in a string as RunPod's workers write it."""
    text = str(error or "it failed there")
    try:
        inside = json.loads(text)
    except ValueError:
        inside = None
    if isinstance(inside, dict):
        text = str(inside.get("error_message") or inside.get("error_type") or "it failed there")
    return " ".join(text.split())[:200].rstrip(".")


def _sound_name(our_id: str) -> str:
    return f"orders/{our_id}.flac"


def _result_name(our_id: str) -> str:
    return f"orders/{our_id}.json"
