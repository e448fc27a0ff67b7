"""What a checkpoint file says of itself, from its table of contents: cheap, without torch, nothing is run.

A file of torch is a zip in which `data.pkl` names the weights and the configuration. Its instructions are
read as text, never carried out.
"""

from __future__ import annotations

import functools
import pickletools
import zipfile
from dataclasses import dataclass
from pathlib import Path

from core.speech.gigaam.download import MD5

HEADS = ("head.decoder_layers.", "head.joint.")
"""How the weights begin that make words of what was encoded: a CTC head's, a transducer's."""

ALPHABETS = {
    "ru": frozenset("абвгдежзийклмнопрстуфхцчшщъыьэюя"),
    "kk": frozenset("әғқңөұүһі"),
    "ky": frozenset("ңөү"),
    "uz": frozenset("abdefghijklmnopqrstuvxyz'"),
}
"""Letters without which a language is not written. English is not among them though the multilingual models
write it: their authors call it moderate (FLEURS 12 and 9 % of words wrong), and Whisper is better."""

USUAL = ("ru",)


@dataclass(frozen=True)
class Description:
    """Whether a file has a head, the letters that it writes, and the model that it was tuned from."""

    has_head: bool
    letters: frozenset[str]
    base: str = ""

    @property
    def languages(self) -> tuple[str, ...]:
        """ISO 639-1 codes; Russian where it writes in pieces, whose letters are in another file."""
        return tuple(code for code, letters in ALPHABETS.items() if letters <= self.letters) or USUAL


def languages(checkpoint: Path) -> tuple[str, ...]:
    """What a model understands: from its file, or while that is not here from its published name."""
    description = describe(checkpoint)
    if description is not None and description.base:
        return languages(checkpoint.with_name(f"{description.base}.ckpt"))
    if description is None and checkpoint.stem.startswith("multilingual"):
        return tuple(ALPHABETS)
    return description.languages if description else USUAL


def describe(checkpoint: Path) -> Description | None:
    """None where there is no file, or one of another kind, which loading refuses."""
    try:
        state = checkpoint.stat()
        return _described(checkpoint, state.st_mtime_ns, state.st_size)
    except (OSError, zipfile.BadZipFile, KeyError, ValueError):
        return None


@functools.lru_cache(maxsize=16)
def _described(checkpoint: Path, _mtime_ns: int, _size_bytes: int) -> Description:
    with zipfile.ZipFile(checkpoint) as archive:
        name = next((each for each in archive.namelist() if each.endswith("data.pkl")), "")
        content = archive.read(name)
    strings = {
        argument
        for opcode, argument, _ in pickletools.genops(content)
        if "UNICODE" in opcode.name and isinstance(argument, str)
    }
    tuned = "hyper_parameters" in strings and "cfg" not in strings
    return Description(
        has_head=any(string.startswith(HEADS) for string in strings),
        letters=frozenset(string for string in strings if len(string) == 1),
        base=next(iter(strings & MD5.keys()), "") if tuned else "",
    )
