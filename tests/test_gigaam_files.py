"""Files of every kind that authors and trainers make: what they say of themselves, and what is refused."""

import io
import sys

import pytest
import torch

from benchmarks import checkpoints
from core.errors import Rejected
from core.i18n import catalogue
from core.settings import Settings
from core.speech import engines
from core.speech.engine import NOT_HERE
from core.speech.engines.gigaam import TITLES, real
from core.speech.engines.gigaam_package import GigaAMPackageEngine
from core.speech.gigaam import description
from core.speech.gigaam.checkpoint import load
from core.speech.gigaam.config import UnknownModel
from core.speech.gigaam.download import MD5, files
from core.speech.gigaam.recogniser import Recogniser
from core.speech.gigaam.tokens import Emission, Pieces, speech


def engine(folder, model):
    return real(Settings(stenogram_home=folder, models_dir=str(folder), gigaam_model=model))


def changed(path, change):
    """A checkpoint with other content."""
    content = torch.load(path, weights_only=False)
    torch.save(change(content) or content, path)
    return path


def encoder_only(content):
    """As `v3_ssl` is published."""
    content["state_dict"] = {k: v for k, v in content["state_dict"].items() if not k.startswith("head.")}
    del content["cfg"]["head"], content["cfg"]["decoding"]


def of_moods(content):
    """As `emo` is published: a linear map from the mean of the frames to four moods."""
    encoder_only(content)
    content["state_dict"] |= {"head.weight": torch.zeros(4, 64), "head.bias": torch.zeros(4)}
    content["cfg"]["head"] = {"_target_": "torch.nn.Linear", "in_features": 64, "out_features": 4}
    content["cfg"]["id2name"] = {0: "angry", 1: "sad", 2: "neutral", 3: "positive"}


@pytest.mark.parametrize("kind", [encoder_only, of_moods])
def test_a_checkpoint_that_says_no_words_is_refused_before_anything_is_sent(tmp_path, kind):
    changed(checkpoints.build("v3_ctc", tmp_path, tiny=True), kind).rename(tmp_path / "v3_ssl.ckpt")
    headless = engine(tmp_path, "v3_ssl")

    readiness = headless.readiness()
    assert (readiness.ready, readiness.reason) == (
        False,
        "this model says no words: choose another GIGAAM_MODEL",
    )
    assert "не распознаёт" in str(catalogue.translate_fact(readiness.reason, "ru"))
    all_engines = engines.all(
        Settings(stenogram_home=tmp_path, models_dir=str(tmp_path), gigaam_model="v3_ssl")
    )
    assert engines.choose(all_engines, "auto", "ru").engine.name == "whisper-base"
    with pytest.raises(Rejected, match="says no words"):
        engines.choose(all_engines, headless.name, "ru")
    with pytest.raises(UnknownModel):
        load(headless.checkpoint)


@pytest.mark.parametrize(
    ("model", "languages"),
    [
        ("v1_ctc", ("ru",)),
        ("v1_rnnt", ("ru",)),
        ("v3_e2e_ctc", ("ru",)),
        ("multilingual_ctc", ("ru", "kk", "ky", "uz")),
    ],
)
def test_languages_are_the_models_own_with_and_without_its_file(tmp_path, model, languages):
    absent, present = engine(tmp_path / "none", model), engine(tmp_path, model)
    checkpoints.build(model, tmp_path, tiny=True)

    assert absent.languages == present.languages == languages
    assert GigaAMPackageEngine(present).languages == languages
    assert not absent.readiness().ready
    assert present.readiness().ready
    assert Recogniser(load(present.checkpoint)).transcribe([checkpoints.noise(3)])[0] is not None


def test_a_model_of_another_alphabet_is_not_called_russian(tmp_path):
    def uzbek(content):
        content["cfg"]["decoding"]["vocabulary"] = [" ", "'", *"abcdefghijklmnopqrstuvwxyz", *"<>[]{}"]

    path = changed(checkpoints.build("v3_ctc", tmp_path, tiny=True), uzbek)
    assert description.languages(path) == ("uz",)


def test_every_model_that_can_be_fetched_has_a_title_and_its_files():
    assert set(TITLES) == set(MD5)
    assert files("v1_rnnt") == ["v1_rnnt.ckpt", "v1_rnnt_tokenizer.model"]
    assert files("multilingual_large_ctc") == ["multilingual_large_ctc.ckpt"]


def test_a_file_from_the_trainer_runs_beside_the_model_it_was_tuned_from(tmp_path):
    base = checkpoints.build("multilingual_ctc", tmp_path, tiny=True)
    state = torch.load(base, weights_only=False)["state_dict"]
    state["head.decoder_layers.0.bias"] = torch.arange(71).half()  # what it says now is another thing
    tuned = {
        "state_dict": {**state, "_freq_aug.weight": torch.zeros(1)},
        "hyper_parameters": {"model_name": "multilingual_ctc", "lr": 1e-4, "out_dir": "runs"},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(2)}}}],
        "pytorch-lightning_version": "2.5.0",
        "callbacks": {"ModelCheckpoint": {"best_model_path": "runs/best.ckpt"}},
    }
    torch.save(tuned, tmp_path / "mine.ckpt")
    trained = engine(tmp_path, "mine")

    assert trained.readiness().ready
    assert trained.languages == ("ru", "kk", "ky", "uz")
    assert load(trained.checkpoint).head.decoder_layers.bias.tolist() == list(range(71))
    base.unlink()
    assert trained.readiness().reason == NOT_HERE
    (tmp_path / "mine.ckpt").unlink()
    assert trained.readiness().reason == "its file is not in MODELS_DIR"


def test_the_reference_is_not_ready_where_its_torchaudio_cannot_be_imported(tmp_path, monkeypatch):
    from core.speech.engines import gigaam_package

    checkpoints.build("v3_ctc", tmp_path, tiny=True)
    (tmp_path / "torchaudio.py").write_text("raise OSError('undefined symbol: of another torch')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "torchaudio", raising=False)
    monkeypatch.setattr(gigaam_package, "knows_v3", lambda: True)
    gigaam_package._has_torchaudio.cache_clear()

    readiness = GigaAMPackageEngine(engine(tmp_path, "v3_ctc")).readiness()
    gigaam_package._has_torchaudio.cache_clear()
    assert (readiness.ready, readiness.reason) == (
        False,
        "the gigaam package needs a torchaudio that fits our torch",
    )


class Spoken:
    """A tokenizer of given pieces."""

    def __init__(self, *pieces):
        self.pieces = pieces

    def piece(self, token):
        return self.pieces[token]

    def __len__(self):
        return len(self.pieces)


@pytest.mark.parametrize(
    "frames", [(5, 5), (5, 5, 5, 5, 6), (5, 6, 6), (1, 1, 2, 2, 2, 9), (0,) * 10, (3, 4, 5, 5)]
)
def test_words_never_overlap_even_where_a_frame_has_several(frames):
    tokens = tuple(range(len(frames)))
    result = speech(Emission(tokens, frames, (0.9,) * len(frames)), Spoken(*(f"▁w{n}" for n in tokens)))

    times = [time for word in result.words for time in (word.start_s, word.end_s)]
    assert len(result.words) == len(frames)
    assert times == sorted(times)
    assert all(word.start_s < word.end_s for word in result.words)


def test_a_word_that_ends_in_the_frame_of_the_next_ends_before_it():
    result = speech(Emission((0, 1, 2), (3, 7, 7), (0.9,) * 3), Spoken("▁да", "же", "▁так"))
    assert [(word.text, word.start_s, word.end_s) for word in result.words] == [
        ("даже", 0.12, 0.28),
        ("так", 0.28, 0.58),
    ]


def test_letters_outside_the_pieces_are_letters_and_not_bytes(tmp_path):
    from sentencepiece import SentencePieceProcessor, SentencePieceTrainer

    model = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(["да нет да", "нет да нет"] * 50),
        model_writer=model,
        vocab_size=280,
        byte_fallback=True,
        model_type="bpe",
        character_coverage=1.0,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    path = tmp_path / "tokenizer.model"
    path.write_bytes(model.getvalue())
    tokens = SentencePieceProcessor(model_file=str(path)).encode("да €5 нет")
    result = speech(
        Emission(tuple(tokens), tuple(range(len(tokens))), (0.9,) * len(tokens)), Pieces(str(path))
    )
    assert result.text == "да €5 нет"
