"""GigaAM's modules: batches change nothing, words have their places, and bad files are refused."""

import pickle
import random
import re
import shutil
from pathlib import Path

import jiwer
import numpy as np
import pytest
import torch

from benchmarks import checkpoints
from core.i18n import catalogue
from core.media.waveform import SAMPLE_RATE
from core.settings import Settings
from core.speech import cores
from core.speech.engines.gigaam import compiler, real
from core.speech.gigaam import device, greedy
from core.speech.gigaam.batches import plan
from core.speech.gigaam.checkpoint import load, read
from core.speech.gigaam.config import UnknownModel
from core.speech.gigaam.device import Device
from core.speech.gigaam.download import files
from core.speech.gigaam.int8 import Int8Linear
from core.speech.gigaam.recogniser import NotFinite, OutOfMemory, Recogniser
from core.speech.gigaam.tokens import Emission, Letters, speech
from tests.conftest import DATA
from tests.installation import TOY, toy
from tests.test_engines import cut, decoded, plain


@pytest.fixture(scope="module")
def recogniser():
    """As on a GPU: segments are padded and encoded together."""
    return Recogniser(load(TOY), together=True)


@pytest.fixture(scope="module")
def segments():
    return cut(decoded("ru_meeting.opus")[0], "subtitles")[:5]


def test_a_segment_says_the_same_alone_and_in_any_batch(recogniser, segments):
    alone = [recogniser.transcribe([segment])[0] for segment in segments]
    very_short = np.ones(10, np.int16)

    together = recogniser.transcribe([very_short, *segments, segments[0][: SAMPLE_RATE // 3]])

    assert [speech.text for speech in together[1:-1]] == [speech.text for speech in alone]
    assert [speech.words for speech in together[1:-1]] == [speech.words for speech in alone]


def test_the_toy_hears_our_russian_samples_with_few_errors():
    engine, references, recognised = toy(), [], []
    for name, text, layout, channel in (
        ("ru_meeting.opus", "ru_meeting.txt", "mono", 0),
        ("call_stereo.opus", "call_stereo.left.txt", "stereo", 0),
        ("call_stereo.opus", "call_stereo.right.txt", "stereo", 1),
    ):
        references.append(plain((DATA / text).read_text()))
        pieces = cut(decoded(name, layout)[channel])
        recognised.append(plain(" ".join(speech.text for speech in engine.transcribe(pieces, "ru"))))

    assert jiwer.wer(references, recognised) <= 0.05
    assert jiwer.wer(references[0], recognised[0]) <= 0.05


def test_silence_and_a_quiet_room_say_nothing():
    room = np.random.default_rng(0).normal(0, 50, 3 * SAMPLE_RATE).astype(np.int16)

    assert [speech.text for speech in toy().transcribe([np.zeros_like(room), room], "ru")] == ["", ""]


def test_encoding_one_by_one_says_the_same_as_encoding_together(recogniser, segments):
    one_by_one = Recogniser(recogniser.model, together=False)

    assert one_by_one.transcribe(segments) == recogniser.transcribe(segments)


def test_the_encoder_of_a_padded_sample_equals_that_of_the_sample_alone(recogniser):
    encoder = recogniser.model.encoder
    features = torch.randn(2, 64, 303)

    with torch.inference_mode():
        batch = encoder(features, torch.tensor([303, 170]))
        alone = encoder(features[1:, :, :170], None)

    assert torch.allclose(batch[1, : alone.size(1)], alone[0], atol=1e-5)
    assert torch.isfinite(batch).all()


def test_words_stand_where_they_were_said(recogniser, segments):
    """Silence put before a segment moves every word by its length."""
    room = np.random.default_rng(0).normal(0, 50, SAMPLE_RATE).astype(np.int16)

    (before,) = recogniser.transcribe([segments[0]])
    (after,) = recogniser.transcribe([np.concatenate([room, segments[0]])])

    shifts = [b.start_s - a.start_s for a, b in zip(before.words[1:], after.words[1:], strict=True)]
    assert shifts == pytest.approx([1.0] * len(shifts), abs=0.081)


def test_ctc_drops_blanks_and_repeats_and_what_lies_behind_the_end():
    path = torch.tensor([[0, 0, 2, 0, 1, 1, 1], [1, 2, 2, 2, 0, 0, 0]])
    logits = torch.nn.functional.one_hot(path, 3).float() * 9

    first, second = greedy.ctc(logits, torch.tensor([7, 4]))

    assert (first.tokens, first.frames) == ((0, 0, 1), (0, 3, 4))
    assert (second.tokens, second.frames) == ((1,), (0,))
    assert first.probabilities == pytest.approx([0.99975] * 3, abs=1e-4)


def test_a_word_of_one_token_is_widened_but_never_into_the_next():
    letters = Letters([" ", "я", "и"])
    tokens, frames = (1, 0, 2, 0, 1), (0, 2, 3, 20, 30)

    words = speech(Emission(tokens, frames, (0.9,) * 5), letters).words

    assert [(word.text, word.start_s, word.end_s) for word in words] == [
        ("я", 0.0, 0.12),
        ("и", 0.12, 0.42),
        ("я", 1.2, 1.5),
    ]


def test_confidence_is_the_mean_of_a_words_tokens():
    letters = Letters([" ", "д", "а"])

    (word,) = speech(Emission((1, 2), (4, 6), (0.5, 0.7)), letters).words

    assert word.confidence == pytest.approx(0.6)
    assert (word.start_s, word.end_s) == (0.16, 0.28)


class Harmful:
    def __reduce__(self):
        return Path.touch, (Path("harm"),)


@pytest.mark.parametrize("content", [b"", b"no checkpoint", pickle.dumps(Harmful())])
def test_a_file_that_is_no_checkpoint_is_refused_and_nothing_in_it_runs(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    bad = tmp_path / "bad.ckpt"
    bad.write_bytes(content)

    with pytest.raises(UnknownModel):
        load(bad)
    assert not (tmp_path / "harm").exists()


def test_a_checkpoint_that_carries_code_is_refused_and_does_not_run_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"cfg": Harmful(), "state_dict": {}}, tmp_path / "bad.ckpt")

    with pytest.raises(UnknownModel):
        load(tmp_path / "bad.ckpt")
    assert not (tmp_path / "harm").exists()


def test_weights_that_do_not_fit_are_refused(tmp_path):
    from omegaconf import OmegaConf

    cfg, state = read(TOY)
    cfg["encoder"]["n_layers"] = 2
    torch.save({"cfg": OmegaConf.create(cfg), "state_dict": state}, tmp_path / "other.ckpt")

    with pytest.raises(UnknownModel, match="weights"):
        load(tmp_path / "other.ckpt")


@pytest.mark.parametrize("name", ["v3_ctc", "v3_rnnt", "v3_e2e_ctc", "v3_e2e_rnnt", "v2_ctc", "v2_rnnt"])
def test_every_published_kind_loads_and_batches_change_nothing(tmp_path, name):
    recogniser = Recogniser(load(checkpoints.build(name, tmp_path, tiny=True)), together=True)
    wave = checkpoints.noise(5)
    segments = [wave, wave[: 2 * SAMPLE_RATE], wave[SAMPLE_RATE : 4 * SAMPLE_RATE + 777]]

    together = recogniser.emissions(segments)

    assert [(emission.tokens, emission.frames) for emission in together] == [
        (alone.tokens, alone.frames) for segment in segments for alone in recogniser.emissions([segment])
    ]
    assert together[0].tokens


def test_an_end_to_end_model_without_its_tokenizer_is_refused_by_name(tmp_path):
    path = checkpoints.build("v3_e2e_ctc", tmp_path, tiny=True)
    (tmp_path / "v3_e2e_ctc_tokenizer.model").unlink()

    with pytest.raises(UnknownModel, match=r"v3_e2e_ctc_tokenizer\.model"):
        load(path)


def test_a_damaged_tokenizer_is_named_and_what_to_do_about_it(tmp_path):
    path = checkpoints.build("v3_e2e_ctc", tmp_path, tiny=True)
    (tmp_path / "v3_e2e_ctc_tokenizer.model").write_text("<html>Sign in to the network</html>")

    with pytest.raises(UnknownModel, match=r"v3_e2e_ctc_tokenizer\.model .* damaged"):
        load(path)


class Cramped(torch.nn.Module):
    """An encoder whose device has room for so many frames only."""

    def __init__(self, encoder, room, error=torch.OutOfMemoryError):
        super().__init__()
        self.encoder, self.room, self.error, self.sizes = encoder, room, error, []
        self.pre_encode = encoder.pre_encode

    def forward(self, features, lengths):
        self.sizes.append(features.size(0) * features.size(2))
        if self.sizes[-1] > self.room:
            raise self.error
        return self.encoder(features, lengths)


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError(), torch.AcceleratorError("CUDA error: out of memory")],
    ids=["torch", "driver"],
)
def test_a_batch_that_does_not_fit_is_halved_and_the_good_size_is_remembered(segments, error):
    free = Recogniser(load(TOY))
    cramped = Recogniser(load(TOY), together=True)
    longest = max(len(segment) for segment in segments) // 160
    cramped.encoder = cramped.model.encoder = Cramped(cramped.model.encoder, 2 * longest + 10, error)

    first = cramped.transcribe(segments)
    refused = sum(size > cramped.encoder.room for size in cramped.encoder.sizes)
    second = cramped.transcribe(segments)

    assert first == second == free.transcribe(segments)
    assert refused > 0
    assert sum(size > cramped.encoder.room for size in cramped.encoder.sizes) == refused


def test_a_segment_that_does_not_fit_alone_is_a_sentence(segments):
    cramped = Recogniser(load(TOY), together=True)
    cramped.encoder = cramped.model.encoder = Cramped(cramped.model.encoder, room=10)

    with pytest.raises(OutOfMemory, match="memory"):
        cramped.transcribe(segments)


class Overflowing(torch.nn.Module):
    """An encoder whose 16-bit numbers overflow."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder, self.pre_encode = encoder, encoder.pre_encode

    def forward(self, features, lengths):
        encoded = self.encoder(features, lengths)
        return encoded if encoded.dtype == torch.float32 else encoded * float("inf")


def test_numbers_that_overflow_in_16_bits_are_computed_again_in_32(segments):
    half = Recogniser(load(TOY), Device("cpu", torch.bfloat16, ""))
    half.encoder = half.model.encoder = Overflowing(half.encoder)

    recognised = half.transcribe(segments)

    assert [speech.text for speech in recognised] == [
        speech.text for speech in Recogniser(load(TOY)).transcribe(segments)
    ]


def test_eight_bits_hear_the_same_words(segments):
    coarse = Recogniser(load(TOY), Device("cpu", torch.int8, ""))

    recognised, exact = coarse.transcribe(segments), Recogniser(load(TOY)).transcribe(segments)

    assert any(isinstance(part, Int8Linear) for part in coarse.encoder.modules())
    wrong = jiwer.wer(" ".join(each.text for each in exact), " ".join(each.text for each in recognised))
    assert wrong <= 0.02


def test_eight_bits_give_a_segment_the_same_in_a_batch_and_alone(segments):
    coarse = Recogniser(load(TOY), Device("cpu", torch.int8, ""), together=True)

    together = coarse.transcribe([*segments, segments[0][:400]])

    assert [each.text for each in together[:-1]] == [coarse.transcribe([one])[0].text for one in segments]


@pytest.mark.parametrize("rows", [1, 3, 250])
def test_a_map_of_eight_bits_rounds_by_less_than_two_percent(rows):
    torch.manual_seed(0)
    exact, x = torch.nn.Linear(768, 96), torch.randn(2, rows, 768) * torch.rand(2, rows, 1) * 100
    with torch.inference_mode():
        expected, quantized = exact(x), Int8Linear(exact)(x)

    assert quantized.shape == expected.shape
    assert (quantized - expected).norm() <= 0.02 * expected.norm()


def test_a_model_without_numbers_is_an_error_and_not_a_silence(segments):
    broken = load(TOY)
    broken.encoder.layers[0].norm_out.weight.fill_(float("nan"))

    with pytest.raises(NotFinite):
        Recogniser(broken).transcribe(segments[:1])


def test_batches_are_of_like_lengths_within_the_budget_and_hold_every_segment_once():
    chance = random.Random(0)
    lengths = [chance.randint(1, 20) for _ in range(200)]

    batches = plan(lengths, budget=60, most=8)

    assert sorted(index for batch in batches for index in batch) == list(range(200))
    assert all(max(lengths[i] for i in batch) * len(batch) <= 60 and len(batch) <= 8 for batch in batches)
    padded = sum(max(lengths[i] for i in batch) * len(batch) for batch in batches)
    assert padded <= 1.1 * sum(lengths)


def test_a_segment_over_the_budget_still_has_its_batch():
    assert plan([100, 1], budget=50, most=8) == [[0], [1]]


def test_the_device_says_why():
    chosen = device.choose(768)

    assert chosen.kind in chosen.reason.lower() or chosen.kind == "cuda"
    assert str(chosen.dtype).removeprefix("torch.") in chosen.reason
    assert torch.cuda.is_available() or "no GPU is used" in chosen.reason


@pytest.mark.parametrize(
    ("gpu", "built_for", "runs"),
    [
        ((9, 0), ["sm_80", "sm_90"], True),
        ((8, 9), ["sm_80", "sm_90"], True),
        ((9, 0), ["sm_90a"], True),
        ((7, 5), ["sm_80", "sm_90"], False),
        ((12, 0), ["sm_80", "sm_90"], False),
        ((12, 0), ["sm_90", "compute_90"], True),
        ((8, 0), ["compute_90"], False),
    ],
)
def test_a_gpu_is_used_only_if_this_torch_has_code_for_it(gpu, built_for, runs):
    assert device.runs_on(gpu, built_for) is runs


def test_numbers_that_the_settings_name_are_used_and_named(tmp_path):
    settings = Settings(stenogram_home=tmp_path, gigaam_dtype="float16")

    assert device.choose(768, "cpu", device.numbers("float16")).dtype == torch.float16
    assert "float16, as asked" in real(settings).device_reason()
    assert device.numbers("auto") is None


def test_compiling_without_a_compiler_is_said_before_anything_is_sent(tmp_path, monkeypatch):
    for name in files("v3_ctc"):
        (tmp_path / name).touch()
    settings = Settings(models_dir=str(tmp_path), gigaam_model="v3_ctc", gigaam_compile=True)
    assert real(settings).readiness().ready == bool(shutil.which(compiler()))

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CXX", "g++")
    (tmp_path / "clang++").touch(0o755)  # torch would not take it

    readiness = real(settings).readiness()
    assert not readiness.ready
    assert "компилятор" in str(catalogue.translate_fact(readiness.reason, "ru"))


@pytest.mark.parametrize("width", [96, 768])
def test_what_is_computed_with_is_said_in_russian_too(width):
    text = str(catalogue.translate_fact(device.choose(width, "cpu").reason, "ru"))

    assert "процессор" in text
    assert not re.search(r"\b(the|for|is|no|as)\b", text)


def test_a_cpu_uses_bfloat16_only_where_it_is_faster():
    fast = device.cpu_flags() & device.BF16_FLAGS and device.bf16_gain(768) >= device.BF16_GAIN

    assert device.choose(768, "cpu").dtype == (torch.bfloat16 if fast else torch.float32)
    assert device.choose(96, "cpu").dtype == torch.float32


def test_threads_are_given_back_after_a_package_took_them():
    torch.set_num_threads(1)

    threads = device.use_cores()

    assert torch.get_num_threads() == threads >= 1


def test_a_small_model_takes_one_core_and_a_large_one_all(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)

    assert device.use_cores(96) == torch.get_num_threads() == 1
    assert device.use_cores(768) == torch.get_num_threads() == cores.physical_cores()
    device.use_cores(96)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which(compiler()), reason="no C++ compiler")
def test_compiled_layers_hear_the_same_words(segments):
    compiled = Recogniser(load(TOY), compiled=True)

    assert compiled.transcribe(segments) == Recogniser(load(TOY)).transcribe(segments)
