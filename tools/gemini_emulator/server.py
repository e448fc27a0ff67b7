"""Which request is which call of Gemini, and how faults come between."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tools.gemini_emulator import batches, control, faults, files, texts
from tools.gemini_emulator.store import Store
from tools.gemini_emulator.wire import Answer, Refusal, Request
from tools.loopback import Server

_MODEL = r"/v\w+/models/(?P<model>[^:/]+)"
_BATCH = r"/v\w+/batches/(?P<batch>[^:/]+)"
_FILE = r"/v\w+/files/(?P<file>[^:/]+)"

CALLS: list[tuple[str, str, str, Callable[[Store, Request], Answer]]] = [
    ("embed", "POST", rf"{_MODEL}:batchEmbedContents", texts.embed),
    ("embed_one", "POST", rf"{_MODEL}:embedContent", texts.embed_one),
    ("count_tokens", "POST", rf"{_MODEL}:countTokens", texts.count_tokens),
    ("model_list", "GET", r"/v\w+/models", texts.list_models),
    ("model_get", "GET", _MODEL, texts.get_model),
    ("upload_chunk", "POST", r"/upload/v\w+/files\?upload_id=.*", files.upload_chunk),
    ("upload_start", "POST", r"/upload/v\w+/files", files.start_upload),
    ("file_get", "GET", _FILE, files.get_file),
    ("file_list", "GET", r"/v\w+/files", files.list_files),
    ("file_delete", "DELETE", _FILE, files.delete_file),
    (
        "download",
        "GET",
        r"(?:/download)?/v\w+/files/batch-(?P<batch>[^:/]+):download",
        batches.download_result,
    ),
    ("download", "GET", rf"(?:/download)?{_FILE}:download", files.download),
    ("create", "POST", rf"{_MODEL}:asyncBatchEmbedContent", batches.create),
    ("batch_get", "GET", _BATCH, batches.get_batch),
    ("batch_list", "GET", r"/v\w+/batches", batches.list_batches),
    ("cancel", "POST", rf"{_BATCH}:cancel", batches.cancel),
    ("batch_delete", "DELETE", _BATCH, batches.delete_batch),
]


class GeminiServer(Server):
    """The emulator while it runs."""

    def __init__(self, port: int, folder: Path | None) -> None:
        super().__init__(port, self._carry_out)
        self.store = Store(folder)

    def stop(self) -> None:
        super().stop()
        self.store.close()

    def _carry_out(self, request: Request) -> Answer:
        """Carry out one request in one transaction, unless a fault prevents it."""
        try:
            with self.store.transaction():
                if request.path.startswith("/_control/"):
                    return control.answer(self.store, request)
                return self._answer_call(request)
        except Refusal as refusal:
            return refusal.answer()

    def _answer_call(self, request: Request) -> Answer:
        call, run, request = _recognise(request)
        active_faults = self.store.take_faults(call, set(faults.ANSWER), most=1)
        answer = Answer(200, [])
        if not active_faults or active_faults[0][1]["done"]:
            answer = _carry_out(self.store, request, call, run)
        for name, options in active_faults:
            answer = faults.apply_fault(name, options, answer, self.stopping)
        fault = active_faults[0][0] if active_faults else None
        path = f"{request.method} {request.path}"
        self.store.insert(
            "calls", at=self.store.now(), call=call, path=path, status=answer.status, fault=fault
        )
        return answer


def _recognise(request: Request) -> tuple[str, Callable[[Store, Request], Answer], Request]:
    path = request.path
    if "upload_id" in request.query:
        path += f"?upload_id={request.query['upload_id']}"
    for call, method, pattern, run in CALLS:
        if method == request.method and (match := re.fullmatch(pattern, path)):
            return call, run, replace(request, names=match.groupdict())
    raise Refusal(404, f"{request.method} {request.path} is nothing that Gemini answers.")


def _carry_out(store: Store, request: Request, call: str, run: Callable[[Store, Request], Answer]) -> Answer:
    try:
        if call != "upload_chunk" and not (request.headers.get("x-goog-api-key") or request.query.get("key")):
            raise Refusal(403, "Method doesn't allow unregistered callers. Please use API Key.")
        return run(store, request)
    except Refusal as refusal:
        return refusal.answer()
