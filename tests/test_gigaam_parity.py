"""Our modules against the `gigaam` package: the same checkpoint gives the same encoding and the same text.

The package from the index knows v1 and v2 only, and needs torchaudio for one transform; a small
stand-in below gives it that. With a package that knows v3, the same is asked of v3.
"""

import sys
import types

import pytest
import torch

from benchmarks import checkpoints
from core.speech.gigaam.checkpoint import load
from core.speech.gigaam.recogniser import Recogniser

V2 = ["v1_ctc", "v1_rnnt", "v2_ctc", "v2_rnnt"]
V3 = ["v3_ctc", "v3_rnnt", "v3_e2e_ctc", "v3_e2e_rnnt", "multilingual_ctc", "multilingual_large_ctc"]

SEEDS = {"v1_rnnt": 1}
"""Of chance: with another one this model says nothing but spaces."""


class _Spectrogram(torch.nn.Module):
    def __init__(self, win_length):
        super().__init__()
        self.register_buffer("window", torch.hann_window(win_length))


class _MelScale(torch.nn.Module):
    def __init__(self, n_fft, n_mels):
        super().__init__()
        self.register_buffer("fb", torch.zeros(n_fft // 2 + 1, n_mels))


class MelSpectrogram(torch.nn.Module):
    """torchaudio's transform as the package uses it; its buffers come from the checkpoint."""

    def __init__(self, n_mels, win_length, hop_length, n_fft, center=True, **_):
        super().__init__()
        self.n_fft, self.hop_length, self.win_length, self.center = n_fft, hop_length, win_length, center
        self.spectrogram = _Spectrogram(win_length)
        self.mel_scale = _MelScale(n_fft, n_mels)

    def forward(self, waves):
        spectrum = torch.stft(
            waves,
            self.n_fft,
            self.hop_length,
            self.win_length,
            self.spectrogram.window,
            center=self.center,
            return_complex=True,
        )
        return (spectrum.abs().pow(2).transpose(-1, -2) @ self.mel_scale.fb).transpose(-1, -2)


def standing_in():
    """A module named torchaudio with the one class that is used."""
    module = types.ModuleType("torchaudio")
    module.transforms = types.SimpleNamespace(MelSpectrogram=MelSpectrogram)
    return {"torchaudio": module}


@pytest.fixture(scope="module")
def gigaam():
    """The package, imported beside the stand-in, which is taken away again."""
    patch = pytest.MonkeyPatch()
    if "torchaudio" not in sys.modules:
        for name, module in standing_in().items():
            patch.setitem(sys.modules, name, module)
    yield pytest.importorskip("gigaam", exc_type=ImportError)
    patch.undo()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


def reference(gigaam, path):
    """The package's model from the same file; its pickle loader is fed the file we wrote ourselves."""
    content = torch.load(path, weights_only=False)
    cfg = content["cfg"]
    tokenizer = path.with_name(path.stem + "_tokenizer.model")
    if tokenizer.exists():
        cfg.decoding.model_path = str(tokenizer)
    model = gigaam.model.GigaAMASR(cfg)
    state = {name: weight.float() for name, weight in content["state_dict"].items()}
    model.load_state_dict(state)
    return model.eval()


@torch.inference_mode()
def compare(gigaam, name, folder):
    path = checkpoints.build(name, folder, tiny=True, seed=SEEDS.get(name, 0))
    own_model, reference_model = load(path), reference(gigaam, path)
    segment = checkpoints.noise(5)
    samples = torch.from_numpy(segment).float()[None] / 32768
    expected, frames = reference_model(samples, torch.tensor([samples.size(1)]))
    expected = expected.transpose(1, 2)

    around = own_model.features.padding()
    reflected = torch.nn.functional.pad(samples[None], (around, around), mode="reflect")[0]
    padded = reflected if around else samples
    encoded = own_model.encoder(own_model.features(padded), None)

    assert encoded.shape == expected.shape
    assert (encoded - expected).abs().max() < 1e-4
    (decoded,) = reference_model.decoding.decode(reference_model.head, expected.transpose(1, 2), frames)
    text = decoded if isinstance(decoded, str) else decoded[0]
    assert Recogniser(own_model).transcribe([segment])[0].text == " ".join(text.split())
    assert text.strip()


@pytest.mark.parametrize("name", V2)
def test_v1_and_v2_equal_the_package(gigaam, name, folder):
    compare(gigaam, name, folder)


@pytest.mark.reference
@pytest.mark.parametrize("name", V3)
def test_v3_equals_the_package(gigaam, name, folder):
    if "v3_ctc" not in getattr(gigaam, "_MODEL_HASHES", {}):
        pytest.skip("the gigaam package that is installed knows no v3")
    compare(gigaam, name, folder)
