"""Pictures from an image endpoint at RunPod: worker-sdxl's and worker-comfyui's, whichever runs there."""

from __future__ import annotations

import base64
import binascii
import random
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any

from core.database.states import OrderFate
from core.errors import RUNPOD, BadRequest, Code, OutcomeUnknown, Rejected
from core.http_client import Answer, HttpClient
from core.settings import Settings
from core.speech.engine import Readiness
from core.speech.engines.runpod import failure

NEGATIVE = "text, watermark, signature, blurry, low quality, deformed"
ENHANCED = "masterpiece, best quality, highly detailed"
PICTURE_BYTES = 20 * 1024**2
MOST_PROMPT = 2000
TTL_S = 3600.0
SIDE = (64, 2048)
SEEDS = 2**32
_MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
_SDXL_SCHEDULERS = {"euler": "K_EULER", "euler a": "K_EULER_ANCESTRAL"}
_COMFY_CHECKPOINT = "sd_xl_base_1.0.safetensors"


@dataclass(frozen=True)
class PictureOptions:
    """What a picture is to be. Sides in pixels; a seed of -1 is any."""

    prompt: str
    width: int = 832
    height: int = 1216
    steps: int = 30
    cfg_scale: float = 4.0
    seed: int = -1
    sampler_name: str = "Euler"
    scheduler: str = "Euler A"
    negative_prompt: str = NEGATIVE
    use_enhanced_prompts: bool = True

    def checked(self) -> PictureOptions:
        """The same. Raise BadRequest where it makes no sense."""
        least, most = SIDE
        if not self.prompt.strip() or len(self.prompt) > MOST_PROMPT:
            raise BadRequest(Code.PICTURE_PROMPT_TOO_LONG, most=MOST_PROMPT)
        if not (least <= self.width <= most and least <= self.height <= most):
            raise BadRequest(Code.PICTURE_SIZE, least=least, most=most)
        if not (1 <= self.steps <= 150 and 0 <= self.cfg_scale <= 30 and -1 <= self.seed < SEEDS):
            raise BadRequest(Code.PICTURE_OPTIONS)
        return self

    def as_json(self) -> dict[str, Any]:
        """As it is kept."""
        return asdict(self)


@dataclass(frozen=True)
class PictureReport:
    """How an order for a picture stands; `picture` when done, `gpu_s` when it is known."""

    fate: OrderFate
    picture: bytes = b""
    reason: str = ""
    gpu_s: int | None = None


class Pictures:
    """The image endpoint."""

    def __init__(self, settings: Settings) -> None:
        self.address = settings.runpod_image_url.rstrip("/").removesuffix("/run")
        self.timeout_s = settings.runpod_timeout_s
        self.gpu = settings.runpod_gpu
        self.uses_comfyui = settings.runpod_image_worker == "comfyui"
        self.http = HttpClient(RUNPOD, settings.runpod_api_key, "RUNPOD_API_KEY")
        self._plain = HttpClient(RUNPOD, type(settings.runpod_api_key)(""), "RUNPOD_API_KEY")

    def readiness(self) -> Readiness:
        """Ready with a key and an image endpoint."""
        if not self.http.has_key:
            return Readiness(False, "RUNPOD_API_KEY is not set")
        if not self.address:
            return Readiness(False, "RUNPOD_IMAGE_URL is not set: the address of an image endpoint")
        return Readiness(True)

    def submit(self, options: PictureOptions) -> str:
        """Order a picture; its id there."""
        readiness = self.readiness()
        if not readiness.ready:
            raise Rejected(Code.PROVIDER_NOT_READY, reason=readiness.reason)
        policy = {"executionTimeout": ceil(self.timeout_s * 1000), "ttl": ceil(TTL_S * 1000)}
        order = {
            "input": comfyui_workflow(options) if self.uses_comfyui else sdxl(options),
            "policy": policy,
        }
        return self.http.ask("POST", f"{self.address}/run", json=order).text("id")

    def poll(self, remote_id: str) -> PictureReport:
        """How the order stands; the picture itself when it is ready."""
        answer = self.http.ask("GET", f"{self.address}/status/{remote_id}", accept={404})
        if answer.status == 404:
            return PictureReport(OrderFate.LOST, reason="the order is no longer known there")
        reply = answer.json()
        gpu_s = ceil(reply["executionTime"] / 1000) if "executionTime" in reply else None
        match str(reply.get("status", "")):
            case "COMPLETED":
                return self._completed(reply.get("output"), gpu_s)
            case "FAILED":
                return PictureReport(OrderFate.BROKEN, reason=failure(reply.get("error")), gpu_s=gpu_s)
            case "TIMED_OUT" | "CANCELLED" as status:
                return PictureReport(OrderFate.BROKEN, reason=status.replace("_", " ").lower(), gpu_s=gpu_s)
            case status:
                return PictureReport(OrderFate.WAITING if status == "IN_QUEUE" else OrderFate.WORKING)

    def _completed(self, output: object, gpu_s: int | None) -> PictureReport:
        encoded = _first_picture(output)
        if not encoded:
            return PictureReport(OrderFate.BROKEN, reason=_complaint(output), gpu_s=gpu_s)
        picture = self._bytes(encoded)
        if not (picture.startswith(_MAGIC) or picture[8:12] == b"WEBP"):
            return PictureReport(OrderFate.BROKEN, reason="what came is no picture", gpu_s=gpu_s)
        return PictureReport(OrderFate.DONE, picture, gpu_s=gpu_s)

    def _bytes(self, encoded: str) -> bytes:
        """From base64 with or without `data:`, or from an address, which is asked without our key."""
        if encoded.startswith(("https://", "http://")):
            if encoded.startswith("http://") and self.address.startswith("https://"):
                raise OutcomeUnknown(RUNPOD, "a picture at an address that is not safe")
            return self._plain.ask("GET", encoded, most_bytes=PICTURE_BYTES).body
        try:
            return base64.b64decode(encoded.partition("base64,")[2] or encoded, validate=True)
        except binascii.Error:
            return b""

    def cancel(self, remote_id: str) -> None:
        """Ask to stop."""
        self.http.ask("POST", f"{self.address}/cancel/{remote_id}", accept={400, 404})

    def test(self) -> Answer:
        """The cheapest real call: how the endpoint's workers are."""
        return self.http.ask("GET", f"{self.address}/health")


def _prompt(options: PictureOptions) -> str:
    return f"{options.prompt}, {ENHANCED}" if options.use_enhanced_prompts else options.prompt


def sdxl(options: PictureOptions) -> dict[str, Any]:
    """Input of worker-sdxl, which refuses fields that it does not know."""
    inputs = {
        "prompt": _prompt(options),
        "negative_prompt": options.negative_prompt,
        "width": options.width,
        "height": options.height,
        "num_inference_steps": options.steps,
        "guidance_scale": options.cfg_scale,
        "scheduler": _SDXL_SCHEDULERS.get(options.scheduler.lower(), options.scheduler),
        "num_images": 1,
    }
    return inputs if options.seed < 0 else {**inputs, "seed": options.seed}


def comfyui_workflow(options: PictureOptions) -> dict[str, Any]:
    """Input of worker-comfyui: the smallest graph that makes one picture."""
    seed = options.seed if options.seed >= 0 else random.randrange(SEEDS)
    sampler = "euler_ancestral" if options.scheduler.lower().endswith(" a") else options.sampler_name.lower()
    sampling = {"seed": seed, "steps": options.steps, "cfg": options.cfg_scale, "denoise": 1}
    links = {"model": ["1", 0], "positive": ["2", 0], "negative": ["3", 0], "latent_image": ["4", 0]}
    size = {"width": options.width, "height": options.height, "batch_size": 1}
    nodes = {
        "1": ("CheckpointLoaderSimple", {"ckpt_name": _COMFY_CHECKPOINT}),
        "2": ("CLIPTextEncode", {"text": _prompt(options), "clip": ["1", 1]}),
        "3": ("CLIPTextEncode", {"text": options.negative_prompt, "clip": ["1", 1]}),
        "4": ("EmptyLatentImage", size),
        "5": ("KSampler", {**sampling, **links, "sampler_name": sampler, "scheduler": "normal"}),
        "6": ("VAEDecode", {"samples": ["5", 0], "vae": ["1", 2]}),
        "7": ("SaveImage", {"filename_prefix": "cover", "images": ["6", 0]}),
    }
    return {
        "workflow": {name: {"class_type": kind, "inputs": inputs} for name, (kind, inputs) in nodes.items()}
    }


def _first_picture(output: object) -> str:
    """Wherever the two workers, of old and new, put it: base64, a data address or an address."""
    if not isinstance(output, dict):
        return ""
    candidates = [output.get("image_url"), *(output.get("images") or ()), output.get("message")]
    for one in candidates:
        encoded = one.get("data") if isinstance(one, dict) else one
        if isinstance(encoded, str) and encoded:
            return encoded
    return ""


def _complaint(output: object) -> str:
    if isinstance(output, dict) and (errors := output.get("errors") or output.get("error")):
        return failure(errors[0] if isinstance(errors, list) else errors)
    return "it ended without a picture"
