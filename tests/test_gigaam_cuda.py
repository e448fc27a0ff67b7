"""On a GPU: the same words as on a CPU, recorded searches equal the textbook loop, padding gives no NaN."""

import pytest
import torch

from benchmarks import checkpoints, textbook
from core.media.waveform import SAMPLE_RATE
from core.speech.gigaam.batcher import Batcher
from core.speech.gigaam.checkpoint import load
from core.speech.gigaam.device import Device
from core.speech.gigaam.recogniser import AHEAD, Recogniser
from core.speech.gigaam.transducer import Search
from tests.conftest import DATA
from tests.installation import TOY
from tests.test_engines import cut, decoded
from tests.test_gigaam_transducer import WIDTH, head

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")

EXACT = Device("cuda", torch.float32, "test")
HALF = Device("cuda", torch.bfloat16, "test")


@pytest.fixture(autouse=True, scope="module")
def _convolutions_in_float32():
    """Tokens are compared one by one, which tf32 is too coarse for."""
    usual, torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.allow_tf32, False
    yield
    torch.backends.cudnn.allow_tf32 = usual


@pytest.mark.parametrize("name", ["v3_ctc", "v3_e2e_rnnt", "v2_rnnt"])
def test_a_gpu_gives_the_tokens_of_a_cpu(tmp_path, name):
    path = checkpoints.build(name, tmp_path, tiny=True)
    wave = checkpoints.noise(6)
    segments = [wave, wave[: 2 * SAMPLE_RATE], wave[SAMPLE_RATE : 5 * SAMPLE_RATE + 123]]

    on_gpu = Recogniser(load(path), EXACT).emissions(segments)

    assert [each.tokens for each in on_gpu] == [
        each.tokens for each in Recogniser(load(path)).emissions(segments)
    ]


@pytest.mark.parametrize("blank_bias", [0.0, 1.0, 2.0, 4.0])
def test_recorded_steps_find_what_the_textbook_loop_finds_again_and_again(blank_bias):
    transducer = head(5, blank_bias)
    batches = [torch.randn(3, 40, WIDTH) for _ in range(3)]
    ends = torch.tensor([40, 17, 1])
    expected = [
        [textbook.transducer(transducer, row, end) for row, end in zip(batch, ends.tolist(), strict=True)]
        for batch in batches
    ]
    search = Search(transducer.cuda())

    for batch, answers in zip(batches, expected, strict=True):
        result = search(batch.cuda(), ends.cuda())
        assert [(list(each.tokens), list(each.frames)) for each in result] == answers


@pytest.mark.parametrize("device", [EXACT, HALF], ids=["float32", "bfloat16"])
def test_the_toy_hears_the_same_in_a_padded_batch_and_alone(device):
    recogniser = Recogniser(load(TOY), device)
    segments = cut(decoded("ru_meeting.opus")[0], "subtitles")

    together = recogniser.transcribe([*segments, segments[0][:400]])

    alone = [recogniser.transcribe([segment])[0] for segment in segments]
    assert [speech.text for speech in together[:-1]] == [speech.text for speech in alone]
    assert any(speech.text for speech in alone)


def test_a_fully_padded_row_gives_numbers():
    model = load(TOY).cuda()

    encoded = model.encoder(torch.randn(2, 64, 800).cuda(), torch.tensor([800, 1]).cuda())

    assert encoded.isfinite().all()


@pytest.mark.parametrize("name", ["v3_ctc", "v3_rnnt"])
def test_work_that_is_given_ahead_is_answered_as_batch_by_batch(name):
    recogniser = Recogniser(load(TOY if name == "v3_ctc" else DATA / "models" / f"{name}.ckpt"), EXACT)
    recogniser.budget_s = 20.0
    segments = cut(decoded("ru_meeting.opus")[0], "subtitles") * 4
    expected = [recogniser.transcribe([segment])[0].text for segment in segments]
    batcher = Batcher(recogniser)

    jobs = [batcher.ask(segments) for _ in range(3)]

    assert recogniser.ahead == AHEAD["cuda"]
    assert [[speech.text for speech in job.wait()] for job in jobs] == [expected] * 3


def test_compiled_layers_hear_the_same_on_a_gpu():
    segments = cut(decoded("ru_meeting.opus")[0], "subtitles")

    compiled = Recogniser(load(TOY), EXACT, compiled=True).transcribe(segments)

    assert [speech.text for speech in compiled] == [
        speech.text for speech in Recogniser(load(TOY), EXACT).transcribe(segments)
    ]
