"""A RunPod worker that hears with this tool's own engine. Start: python -m deploy.runpod.handler.

Input: job_id; audio_url or audio_base64; language. Optional: result_url (where the answer is written with
PUT) and done_url (where it can be read again). An order that comes twice finds its answer there and costs
a start, not a run.
Output: job_id, text, segments (start, end, text, words), duration_s, model, device; or job_id and
stored=true where the answer would be too large for RunPod's reply. What cannot be done is {"error": …}.
"""

from __future__ import annotations

import base64
import binascii
import functools
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from core.errors import Code, Rejected
from core.http_client import HttpClient
from core.media import decode
from core.media.waveform import SAMPLE_RATE, Waveform
from core.settings import SettingsInvalid, load
from core.speech import engines, vad
from core.speech.engine import Engine, Word

AUDIO_BYTES = 512 * 1024**2
TRANSFER_S = 300.0
REPLY_BYTES = 1_000_000
"""Beyond it RunPod may lose a reply: the job then ends as COMPLETED, without output."""

Answer = dict[str, Any]
Listen = Callable[[bytes, str], Answer]
"""Sound file and language → text, segments, duration_s, model, device."""

store = HttpClient("The store", SecretStr(""), "")


def handle(job: Answer, listen: Listen) -> Answer:
    """Answer one job. Raise Unavailable where trying again may help; RunPod then says FAILED."""
    order = job.get("input") or {}
    try:
        return _earlier(order) or _answer(order, listen)
    except Rejected as error:
        return {"error": str(error)}


def _earlier(order: Answer) -> Answer | None:
    """The answer to this order, if somebody has given it already."""
    if not order.get("done_url"):
        return None
    earlier = store.ask("GET", order["done_url"], accept={403, 404}, most_bytes=AUDIO_BYTES)
    return _fitting(earlier.json(), stored=True) if earlier.status == 200 else None


def _answer(order: Answer, listen: Listen) -> Answer:
    answer = {"job_id": order.get("job_id"), **listen(_sound(order), order.get("language") or "ru")}
    if not order.get("result_url"):
        return answer
    written = json.dumps(answer, ensure_ascii=False).encode()
    store.ask("PUT", order["result_url"], content=written, deadline_s=TRANSFER_S)
    return _fitting(answer, stored=True)


def _fitting(answer: Answer, *, stored: bool) -> Answer:
    """The answer itself, or where it is too large, word that it lies in the store."""
    if stored and len(json.dumps(answer)) > REPLY_BYTES:
        return {"job_id": answer.get("job_id"), "stored": True}
    return answer


def _sound(order: Answer) -> bytes:
    if order.get("audio_url"):
        return store.ask("GET", order["audio_url"], most_bytes=AUDIO_BYTES, deadline_s=TRANSFER_S).body
    try:
        return base64.b64decode(order["audio_base64"], validate=True)
    except (KeyError, TypeError, binascii.Error) as error:
        raise Rejected(Code.NO_SOUND_GIVEN) from error


def listen(engine: Engine, file: bytes, language: str) -> Answer:
    """Decode, cut and hear, by the same road as on an own machine."""
    if language not in engine.languages:
        raise Rejected(Code.LANGUAGE_NOT_OF_ENGINE, title=engine.title, language=language)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sound"
        path.write_bytes(file)
        (mono,) = decode.decode(path, Path(folder) / "decoded", split_channels=False)
        sound = decode.waveform(mono)
        parts = _segments(engine, sound, language)
        duration_s = len(sound) / SAMPLE_RATE
    text = " ".join(part["text"] for part in parts)
    facts = {"duration_s": round(duration_s, 3), "model": engine.name, "device": _device()}
    return {"text": text, "segments": parts, **facts}


def _segments(engine: Engine, sound: Waveform, language: str) -> list[Answer]:
    spans = vad.cut(vad.speech(sound), engine.max_segment_s, sound=sound)
    parts = []
    for first in range(0, len(spans), engine.batch_segments):
        batch = spans[first : first + engine.batch_segments]
        cut = [sound[int(one.start_s * SAMPLE_RATE) : int(one.end_s * SAMPLE_RATE)] for one in batch]
        for span, speech in zip(batch, engine.transcribe(cut, language), strict=True):
            if speech.text:
                words = [_word(word, span.start_s) for word in speech.words]
                parts.append({"start": span.start_s, "end": span.end_s, "text": speech.text, "words": words})
    return parts


def _word(word: Word, offset_s: float) -> Answer:
    start_s, end_s = round(word.start_s + offset_s, 3), round(word.end_s + offset_s, 3)
    return {"word": word.text, "start": start_s, "end": end_s, "probability": word.confidence}


def _device() -> str:
    import torch  # noqa: PLC0415 - heavy, and its absence must not break the tests of the contract

    return "cuda" if torch.cuda.is_available() else "cpu"


def main() -> None:
    """Load the engine of the settings and serve RunPod's queue."""
    import runpod  # noqa: PLC0415 - only the worker has it

    try:
        settings = load()
    except SettingsInvalid as error:
        print(*error.sentences, sep="\n", file=sys.stderr)  # noqa: T201
        raise SystemExit(2) from None
    engine = engines.choose(engines.all(settings), settings.engine, "ru").engine
    transcribe = functools.partial(listen, engine)
    runpod.serverless.start({"handler": lambda job: handle(job, transcribe)})


if __name__ == "__main__":
    main()
