"""RunPod's queue as a server on this machine: python -m tools.runpod_emulator --port 8091

An endpoint at /v2/<name>. Its worker is ours (`deploy/runpod/handler.py` is really called), faster-whisper
or an image worker. Nothing runs in the background: what an order is follows from its times and the clock.
"""

from __future__ import annotations

import argparse
import base64
import json
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.request import urlopen

from deploy.runpod.handler import handle
from tools.emulator import Emulator, Refused, serve
from tools.gemini_emulator.wire import Answer, Request, say
from tools.recognition import TranscribedSegment

PAYLOAD_BYTES = 10_000_000
RESULT_S = 1800.0
PIXEL = base64.b64encode(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
        "1f15c4890000000d49444154789c636460f8cf500f00038601803452c9e30000000049454e44ae426082"
    )
).decode()
_EP = r"/v2/(?P<endpoint>[\w-]+)"
_TRACEBACK = {
    "error_type": "<class 'RuntimeError'>",
    "error_message": "CUDA out of memory",
    "error_traceback": "Traceback (most recent call last): …",
    "hostname": "h",
    "worker_id": "w1",
    "runpod_version": "1.12.0",
}


@dataclass
class Job:
    """One order, whether or not its client knows."""

    id: str
    order: dict[str, Any]
    policy: dict[str, Any]
    at: float
    starts_at: float
    ends_at: float
    quirk: str = ""
    status: str = ""
    output: Any = None
    error: str | None = None
    ran: bool = False
    notes: dict[str, Any] = field(default_factory=dict)


class RunPodEmulator(Emulator):
    """`jobs` are all orders; `ran` those that a worker carried out, which is what is billed.

    Its own faults, each for the next order: `fail`, `no_output`, `time_out`, `stuck`, `cancelled`,
    `wrong_echo`.
    """

    CALLS = (
        ("run", "POST", f"{_EP}/run"),
        ("status", "GET", f"{_EP}/status/(?P<id>[^/]+)"),
        ("cancel", "POST", f"{_EP}/cancel/(?P<id>[^/]+)"),
        ("health", "GET", f"{_EP}/health"),
    )
    QUIRKS = ("fail", "no_output", "time_out", "stuck", "cancelled", "wrong_echo")

    def __init__(
        self, *, worker: str = "gigaam", queue_s: float = 0.0, run_s: float = 0.0, **options: Any
    ) -> None:
        super().__init__(**options)
        self.worker = worker
        self.queue_s = queue_s
        self.run_s = run_s
        self.jobs: dict[str, Job] = {}
        self.doomed: set[str] = set()
        """Orders in whose input one of these stands always fail."""

    @property
    def endpoint(self) -> str:
        """What RUNPOD_URL would be."""
        return f"{self.url}/v2/ep1/run"

    @property
    def ran(self) -> list[Job]:
        return [job for job in self.jobs.values() if job.ran]

    def advance(self, seconds: float) -> None:
        super().advance(seconds)
        for job in self.jobs.values():
            self._settle(job)

    def refuse_key(self) -> Answer:
        """401 comes with an empty body."""
        return Answer(401, [])

    def run(self, request: Request) -> Answer:
        if len(request.body) > PAYLOAD_BYTES:
            raise Refused(400, {"error": "exceeded max body size of 10MiB"})
        payload = json.loads(request.body)
        if not isinstance(payload.get("input"), dict):
            raise Refused(400, {"error": "input is missing"})
        now = self.now()
        starts_at = now + self.queue_s
        quirk = next((name for name in self.QUIRKS if self.take(name)), "")
        job = Job(
            f"{secrets.token_hex(8)}-u1",
            payload["input"],
            payload.get("policy") or {},
            now,
            starts_at,
            starts_at + (1e9 if quirk == "stuck" else self.run_s),
            quirk,
        )
        self.jobs[job.id] = job
        return say({"id": job.id, "status": "IN_QUEUE"})

    def status(self, request: Request) -> Answer:
        job = self._job(request)
        self._settle(job)
        shown: dict[str, Any] = {"id": job.id, "status": self._state(job), "delayTime": 10}
        if job.status == "COMPLETED" and job.output is not None:
            shown["output"] = job.output
        if job.error:
            shown["error"] = job.error
        return say(shown)

    def cancel(self, request: Request) -> Answer:
        job = self._job(request)
        self._settle(job)
        if not job.status:
            job.status, job.ends_at = "CANCELLED", self.now()
        return say({"id": job.id, "status": job.status})

    def health(self, _: Request) -> Answer:
        states = [self._state(job) for job in self.jobs.values()]
        jobs = {"completed": states.count("COMPLETED"), "inQueue": states.count("IN_QUEUE")}
        return say({"jobs": jobs, "workers": {"idle": 1, "running": 0, "throttled": 0}})

    def _job(self, request: Request) -> Job:
        job = self.jobs.get(request.names["id"])
        if job is None or self.now() > self._gone_at(job):
            raise Refused(404, {"error": "job not found"})
        return job

    def _gone_at(self, job: Job) -> float:
        """The ttl removes even what runs; a result is kept for half an hour."""
        ttl_s = job.policy.get("ttl", 24 * 3600 * 1000) / 1000
        return min(job.at + ttl_s, job.ends_at + RESULT_S)

    def _state(self, job: Job) -> str:
        if job.status:
            return job.status
        return "IN_PROGRESS" if job.starts_at <= self.now() else "IN_QUEUE"

    def _settle(self, job: Job) -> None:
        with self.lock:
            limit_s = job.policy.get("executionTimeout", 600_000) / 1000
            if job.status or job.ends_at > self.now():
                if not job.status and job.starts_at + limit_s <= self.now():
                    job.status, job.ends_at, job.ran = "TIMED_OUT", job.starts_at + limit_s, True
                return
            self._end(job)

    def _end(self, job: Job) -> None:
        job.ran = True
        doomed = any(word in json.dumps(job.order) for word in self.doomed)
        match "fail" if doomed else job.quirk:
            case "fail":
                job.status, job.error = "FAILED", json.dumps(_TRACEBACK)
            case "time_out":
                job.status = "TIMED_OUT"
            case "cancelled":
                job.status = "CANCELLED"
            case "no_output":
                job.status = "COMPLETED"
            case _:
                job.status, job.output = "COMPLETED", self._job_queue(job)
                if isinstance(job.output, dict) and set(job.output) == {"error"}:
                    job.status, job.error, job.output = "FAILED", job.output["error"], None
                if job.quirk == "wrong_echo":
                    job.output["job_id"] = "another"

    def _job_queue(self, job: Job) -> Any:
        match self.worker:
            case "gigaam":
                return handle({"id": job.id, "input": job.order}, self._transcribe)
            case "faster-whisper":
                return self._whisper(job.order)
            case "sdxl":
                return {"image_url": f"data:image/png;base64,{PIXEL}", "images": [], "seed": 7}
            case "comfyui":
                return {"images": [{"filename": "a.png", "type": "base64", "data": PIXEL}]}
        raise AssertionError(self.worker)

    def _transcribe(self, file: bytes, language: str) -> dict[str, Any]:
        segments = self.recognise(file, language)
        return {
            "text": _text(segments),
            "segments": segments,
            "duration_s": 1.0,
            "model": "m",
            "device": "cpu",
        }

    def _whisper(self, order: dict[str, Any]) -> dict[str, Any]:
        order_fields = {
            "audio",
            "audio_base64",
            "model",
            "language",
            "transcription",
            "word_timestamps",
            "temperature",
        }
        if unknown := set(order) - order_fields:
            return {"error": f"Unexpected input. {', '.join(unknown)} is not a valid input option."}
        if "audio" in order:
            with urlopen(order["audio"], timeout=20) as reply:  # noqa: S310 - on loopback
                file = reply.read()
        else:
            file = base64.b64decode(order["audio_base64"])
        segments = self.recognise(file, order["language"])
        return {
            "segments": [
                {"id": n, "start": part["start"], "end": part["end"], "text": f" {part['text']}"}
                for n, part in enumerate(segments)
            ],
            "detected_language": order["language"],
            "transcription": _text(segments),
            "word_timestamps": [word for part in segments for word in part["words"]],
            "device": "cuda",
            "model": order["model"],
        }


def _text(segments: TranscribedSegment) -> str:
    return " ".join(part["text"] for part in segments)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tools.runpod_emulator")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--worker", default="gigaam", help="gigaam, faster-whisper, sdxl or comfyui")
    args = parser.parse_args()
    serve(RunPodEmulator(port=args.port, worker=args.worker))
