"""The official checkpoints: where they are published, and how they come here whole or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import httpx

from core.errors import BadRequest, Code, Unavailable

ADDRESS = "https://cdn.chatwm.opensmodel.sberdevices.ru/GigaAM"

LICENCE = "MIT"

MD5 = {
    "v1_ctc": "f027f199e590a391d015aeede2e66174",
    "v1_rnnt": "02c758999bcdc6afcb2087ef256d47ef",
    "v2_ctc": "e00f59cb5d39624fb30d1786044795bf",
    "v2_rnnt": "547460139acfebd842323f59ed54ab54",
    "v3_ctc": "73413e7be9c6a5935827bfab5c0dd678",
    "v3_rnnt": "0fd2c9a1ff66abd8d32a3a07f7592815",
    "v3_e2e_ctc": "367074d6498f426d960b25f49531cf68",
    "v3_e2e_rnnt": "2730de7545ac43ad256485a462b0a27a",
    "multilingual_ctc": "5379d887c53ccd9cb95981e2a1832720",
    "multilingual_large_ctc": "79a9adde50dd7f35bbf70927cb6557d0",
}
"""The published sums, those of the multilingual models as two copies of the authors' code have them. They
find broken downloads; what protects is that a file is only ever read safely."""

Progress = Callable[[str, int, int], None]
"""Told the file's name, bytes so far, and bytes in all (0 if the server does not say)."""


class NotFetched(Unavailable):
    """No network, or the publisher does not answer."""

    code = Code.MODEL_NOT_FETCHED


class Damaged(Unavailable):
    """What came is not what was published."""

    code = Code.MODEL_DAMAGED


def in_pieces(model: str) -> bool:
    """Whether a model writes in pieces, whose tokenizer is a file of its own."""
    return "e2e" in model or model == "v1_rnnt"


def files(model: str) -> list[str]:
    """The files of an official model."""
    names = [f"{model}.ckpt"]
    return [*names, f"{model}_tokenizer.model"] if in_pieces(model) else names


def fetch(model: str, folder: Path, progress: Progress, client: httpx.Client | None = None) -> list[Path]:
    """Bring what is missing of a model into the folder; answer its files.

    A broken download goes on where it ended. Raise NotFetched, Damaged, or BadRequest for an
    unknown model.
    """
    if model not in MD5:
        raise BadRequest(Code.MODEL_UNKNOWN, name=model, names=", ".join(MD5))
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for name in files(model)]
    with client or httpx.Client(timeout=30, follow_redirects=True) as http:
        for path in paths:
            if not path.exists():
                _fetch_file(path, http, progress)
    return paths


def _fetch_file(path: Path, http: httpx.Client, progress: Progress) -> None:
    """One file: into a part beside it, checked, then renamed."""
    address, part = f"{ADDRESS}/{path.name}", path.with_name(path.name + ".part")
    try:
        _download(address, part, http, lambda done, total: progress(path.name, done, total))
    except httpx.HTTPError as error:
        detail = type(error).__name__
        raise NotFetched(file=path.name, detail=detail, address=address) from error
    _check(part, path)
    part.rename(path)


def _download(address: str, part: Path, http: httpx.Client, progress: Callable[[int, int], None]) -> None:
    """Append what is missing of the part, or begin anew where the server cannot go on."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    with http.stream("GET", address, headers=headers) as answer:
        if answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            return
        answer.raise_for_status()
        done = have if answer.status_code == httpx.codes.PARTIAL_CONTENT else 0
        total = done + int(answer.headers.get("content-length", 0))
        with part.open("ab" if done else "wb") as file:
            for block in answer.iter_bytes(1 << 20):
                file.write(block)
                done += len(block)
                progress(done, total)


def _check(part: Path, path: Path) -> None:
    """Compare with the published sum; tokenizers have none."""
    expected = MD5.get(path.stem) if path.suffix == ".ckpt" else None
    with part.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if expected and digest != expected:
        part.unlink()
        raise Damaged(file=path.name)
