"""The emulator keeps Gemini's promises towards the real google-genai client, and breaks them on demand."""

from __future__ import annotations

import io
import json
import math
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import httpx2
import numpy as np
import pytest
from google import genai
from google.genai import errors, types

from tools.gemini_emulator import Control, GeminiEmulator

ROOT = Path(__file__).parent.parent
MODEL = "gemini-embedding-2"
TWO_DAYS_S = 48 * 3600

pytestmark = pytest.mark.filterwarnings("ignore:.*experimental.*")


@pytest.fixture
def emulator() -> Iterator[GeminiEmulator]:
    with GeminiEmulator() as emulator:
        yield emulator


@pytest.fixture
def client(emulator: GeminiEmulator) -> genai.Client:
    return client_of(emulator.url)


def client_of(url: str, version: str = "v1beta", timeout_ms: int = 10_000) -> genai.Client:
    options = types.HttpOptions(
        base_url=url, api_version=version, timeout=timeout_ms, client_args={"verify": False}
    )
    return genai.Client(api_key="any", http_options=options)


def content(text: str) -> types.Content:
    return types.Content(parts=[types.Part(text=text)])


def embed(client: genai.Client, *texts: str, model: str = MODEL, dim: int = 768) -> list[list[float]]:
    config = types.EmbedContentConfig(output_dimensionality=dim)
    answer = client.models.embed_content(
        model=model, contents=[content(text) for text in texts], config=config
    )
    return [list(one.values or []) for one in answer.embeddings or []]


def upload(client: genai.Client, texts: dict[str, str], name: str | None = None, dim: int = 8) -> str:
    lines = [
        {"key": key, "request": {"output_dimensionality": dim, "content": {"parts": [{"text": text}]}}}
        for key, text in texts.items()
    ]
    body = io.BytesIO("\n".join(json.dumps(line, ensure_ascii=False) for line in lines).encode())
    config = types.UploadFileConfig(name=name, mime_type="application/jsonl")
    return client.files.upload(file=body, config=config).name or ""


def create(client: genai.Client, texts: dict[str, str], display_name: str = "job") -> types.BatchJob:
    source = types.EmbeddingsBatchJobSource(file_name=upload(client, texts))
    return client.batches.create_embeddings(model=MODEL, src=source, config={"display_name": display_name})


def finished(emulator: Control, client: genai.Client, job: types.BatchJob) -> types.BatchJob:
    emulator.advance(60)
    return client.batches.get(name=job.name or "")


def result(emulator: Control, client: genai.Client, texts: dict[str, str]) -> list[dict]:
    """The parsed lines of a whole batch."""
    return parse(download(client, finished(emulator, client, create(client, texts))))


def download(client: genai.Client, job: types.BatchJob) -> bytes:
    assert job.dest
    return client.files.download(file=job.dest.file_name or "")


def parse(body: bytes) -> list[dict]:
    return [json.loads(line) for line in body.splitlines()]


def raw_get(emulator: Control, path: str) -> dict:
    with urlopen(Request(f"{emulator.url}/v1beta/{path}", headers={"x-goog-api-key": "any"})) as answer:
        return json.load(answer)


def refused(call: Callable[[], object]) -> errors.APIError:
    with pytest.raises(errors.APIError) as caught:
        call()
    return caught.value


TEXTS = {"chunk_1": "первый", "chunk_2": "второй", "chunk_3": "третий"}


class TestSync:
    def test_each_text_gets_the_vector_of_its_own_words(self, client):
        query, near, far = embed(
            client,
            "task: search result | query: сроки договора",
            "title: none | text: Обсудили договоры и срок поставки.",
            "title: none | text: Погода сегодня солнечная.",
        )

        assert len(query) == 768
        assert np.dot(query, near) > 0.3 > abs(np.dot(query, far)) * 2

    def test_vectors_are_the_same_in_every_run(self, client):
        first = embed(client, "Привет, мир")
        with GeminiEmulator() as other:
            assert embed(client_of(other.url), "Привет, мир") == first

    @pytest.mark.parametrize(
        ("model", "dim", "norm"),
        [
            (MODEL, 768, 1.0),
            (MODEL, 3072, 1.0),
            ("gemini-embedding-001", 768, 0.58),
            ("gemini-embedding-001", 3072, 1),
        ],
    )
    def test_only_001_below_full_size_is_not_unit_length(self, client, model, dim, norm):
        [vector] = embed(client, "some words", model=model, dim=dim)

        assert (len(vector), round(math.hypot(*vector), 6)) == (dim, norm)

    def test_a_list_of_strings_becomes_one_vector(self, client):
        answer = client.models.embed_content(model=MODEL, contents=["alpha", "beta"])

        assert len(answer.embeddings) == 1

    def test_at_most_a_hundred_texts_go_in_one_call(self, client):
        assert len(embed(client, *["word"] * 100)) == 100
        assert "at most 100" in str(refused(lambda: embed(client, *["word"] * 101)))

    def test_empty_text_and_unknown_models_are_refused(self, client):
        assert refused(lambda: embed(client, " ")).code == 400
        assert refused(lambda: embed(client, "word", model="gemini-embedding-9")).code == 404

    def test_tokens_are_counted_before_and_after(self, client, emulator):
        text = "Привет мир"
        counted = client.models.count_tokens(model=MODEL, contents=text).total_tokens
        answer = client.models.embed_content(model=MODEL, contents=[content(text)])

        assert counted == answer.usage_metadata.prompt_token_count == 4
        assert emulator.ledger().tokens(batch=False) == 4

    def test_text_beyond_the_model_is_cut_and_noted(self, client, emulator):
        embed(client, "слово " * 2000, model="gemini-embedding-001")
        [text] = emulator.ledger().texts

        assert (text.truncated, text.tokens) == (True, 2048)

    def test_models_are_listed_and_say_that_they_are_emulated(self, client):
        assert {model.name for model in client.models.list()} == {
            f"models/{MODEL}",
            "models/gemini-embedding-001",
        }
        assert "emulator" in client.models.get(model=MODEL).display_name

    @pytest.mark.parametrize("version", ["v1", "v1beta", "v1alpha"])
    def test_any_api_version_is_understood(self, emulator, version):
        assert embed(client_of(emulator.url, version), "word")

    def test_embed_content_answers_one_vector(self, emulator):
        body = json.dumps({"content": {"parts": [{"text": "слово"}]}, "output_dimensionality": 4}).encode()
        url = f"{emulator.url}/v1beta/models/{MODEL}:embedContent"
        with urlopen(Request(url, body, {"x-goog-api-key": "any"})) as answer:
            assert len(json.load(answer)["embedding"]["values"]) == 4

    def test_a_request_without_a_key_is_refused(self, emulator):
        with pytest.raises(HTTPError, match="403"):
            urlopen(f"{emulator.url}/v1beta/models")


class TestFiles:
    def test_a_file_in_three_chunks_comes_back_whole(self, client):
        body = bytes(range(256)) * 70_000
        config = types.UploadFileConfig(name="large", mime_type="application/jsonl")
        file = client.files.upload(file=io.BytesIO(body), config=config)

        assert (file.name, file.size_bytes) == ("files/large", len(body))
        assert client.files.download(file="files/large") == body

    def test_a_second_file_under_the_same_name_is_a_conflict(self, client):
        upload(client, TEXTS, name="stenogram-1")

        assert refused(lambda: upload(client, TEXTS, name="stenogram-1")).code == 409

    def test_a_file_can_be_seen_listed_and_deleted(self, client):
        for number in range(3):
            upload(client, TEXTS, name=f"f{number}")
        client.files.delete(name="files/f1")

        assert [file.name for file in client.files.list(config={"page_size": 1})] == ["files/f2", "files/f0"]
        assert client.files.get(name="files/f0").state == types.FileState.ACTIVE
        assert refused(lambda: client.files.get(name="files/f1")).code == 403

    def test_files_expire_after_two_days_and_free_their_name(self, client, emulator):
        upload(client, TEXTS, name="old")
        emulator.advance(TWO_DAYS_S)

        assert refused(lambda: client.files.download(file="files/old")).code == 403
        assert upload(client, TEXTS, name="old") == "files/old"

    def test_result_files_cannot_be_looked_at_or_deleted(self, client, emulator):
        job = finished(emulator, client, create(client, TEXTS))
        name = job.dest.file_name

        assert "40 characters" in str(refused(lambda: client.files.get(name=name)))
        assert refused(lambda: client.files.delete(name=name)).code == 400


class TestBatches:
    def test_a_batch_waits_runs_and_succeeds(self, client, emulator):
        job = create(client, TEXTS)
        states = [job.state]
        for _ in range(3):
            emulator.advance(30)
            states.append(client.batches.get(name=job.name).state)

        assert [state.name for state in states] == [
            "JOB_STATE_PENDING",
            "JOB_STATE_RUNNING",
            "JOB_STATE_SUCCEEDED",
            "JOB_STATE_SUCCEEDED",
        ]

    def test_results_carry_keys_and_the_vectors_of_the_sync_lane(self, client, emulator):
        lines = result(emulator, client, TEXTS)

        assert [line["key"] for line in lines] == list(TEXTS)
        assert lines[0]["response"]["tokenCount"] == "2"
        assert [line["response"]["embedding"]["values"] for line in lines] == embed(
            client, *TEXTS.values(), dim=8
        )

    def test_stats_stand_in_the_raw_operation(self, client, emulator):
        emulator.fault("error_line")
        job = finished(emulator, client, create(client, TEXTS))
        operation = raw_get(emulator, job.name)

        assert operation["metadata"]["batchStats"] == {
            "requestCount": "3",
            "successfulRequestCount": "2",
            "failedRequestCount": "1",
        }
        assert operation["response"]["responsesFile"] == operation["metadata"]["output"]["responsesFile"]

    def test_inlined_requests_come_back_inlined(self, client, emulator):
        source = types.EmbeddingsBatchJobSource(inlined_requests={"contents": ["one", "two"]})
        job = client.batches.create_embeddings(model=MODEL, src=source, config={"display_name": "inline"})
        answers = finished(emulator, client, job).dest.inlined_embed_content_responses

        assert [len(answer.response.embedding.values) for answer in answers] == [3072, 3072]

    def test_an_empty_text_fails_alone(self, client, emulator):
        lines = result(emulator, client, {"a": "слово", "b": ""})

        assert "response" in lines[0]
        assert lines[1]["error"]["code"] == 3

    def test_creating_twice_makes_two(self, client, emulator):
        source = types.EmbeddingsBatchJobSource(file_name=upload(client, TEXTS))
        for _ in range(2):
            client.batches.create_embeddings(model=MODEL, src=source, config={"display_name": "same"})
        emulator.advance(60)

        assert [batch.display_name for batch in emulator.ledger().batches] == ["same", "same"]
        assert emulator.ledger().paid_twice == dict.fromkeys(TEXTS.values(), 2)

    def test_an_unknown_file_or_batch_is_refused(self, client):
        source = types.EmbeddingsBatchJobSource(file_name="files/nothing")
        config = types.CreateEmbeddingsBatchJobConfig(display_name="job")

        assert (
            refused(lambda: client.batches.create_embeddings(model=MODEL, src=source, config=config)).code
            == 403
        )
        assert refused(lambda: client.batches.get(name="batches/nothing")).code == 404

    def test_the_list_goes_over_pages_newest_first(self, client, emulator):
        emulator.settings(page_size=2)
        for number in range(5):
            create(client, TEXTS, f"job-{number}")
        listed = [job.display_name for job in client.batches.list(config={"page_size": 50})]

        assert listed == [f"job-{number}" for number in (4, 3, 2, 1, 0)]
        assert emulator.ledger().count("batch_list") == 3

    def test_an_empty_list_is_empty(self, client):
        assert list(client.batches.list()) == []

    def test_a_cancelled_batch_has_no_results_and_costs_nothing(self, client, emulator):
        job = create(client, TEXTS)
        client.batches.cancel(name=job.name)
        job = finished(emulator, client, job)

        assert (job.state.name, job.dest) == ("JOB_STATE_CANCELLED", None)
        assert emulator.ledger().billed == ()

    def test_cancelling_can_come_too_late(self, client, emulator):
        emulator.fault("cancel_late")
        job = create(client, TEXTS)
        client.batches.cancel(name=job.name)

        assert finished(emulator, client, job).state.name == "JOB_STATE_SUCCEEDED"

    def test_a_cancelled_batch_can_keep_what_was_done(self, client, emulator):
        emulator.fault("cancel_keeps", count=2)
        job = create(client, TEXTS)
        client.batches.cancel(name=job.name)
        job = client.batches.get(name=job.name)

        assert job.state.name == "JOB_STATE_CANCELLED"
        assert [line["key"] for line in parse(download(client, job))] == ["chunk_1", "chunk_2"]
        assert [text.key for text in emulator.ledger().billed] == ["chunk_1", "chunk_2"]

    def test_a_deleted_batch_is_gone_but_goes_on_to_cost(self, client, emulator):
        job = create(client, TEXTS)
        client.batches.delete(name=job.name)
        emulator.advance(60)

        assert refused(lambda: client.batches.get(name=job.name)).code == 404
        assert list(client.batches.list()) == []
        assert len(emulator.ledger().billed) == 3

    def test_a_stuck_batch_expires_after_two_days_without_results(self, client, emulator):
        emulator.fault("stuck")
        job = finished(emulator, client, create(client, TEXTS))
        assert job.state.name == "JOB_STATE_PENDING"

        emulator.advance(TWO_DAYS_S)
        job = client.batches.get(name=job.name)
        assert (job.state.name, job.dest) == ("JOB_STATE_EXPIRED", None)
        assert emulator.ledger().billed == ()

    def test_results_are_kept_for_two_days(self, client, emulator):
        job = finished(emulator, client, create(client, TEXTS))
        emulator.advance(TWO_DAYS_S)

        assert refused(lambda: download(client, job)).code == 404

    def test_a_failed_batch_says_why_in_the_raw_operation(self, client, emulator):
        emulator.fault("fail", message="out of luck")
        job = finished(emulator, client, create(client, TEXTS))

        assert job.state.name == "JOB_STATE_FAILED"
        assert raw_get(emulator, job.name)["error"] == {"code": 13, "message": "out of luck"}

    def test_enqueued_tokens_are_limited_over_all_live_batches(self, client, emulator):
        emulator.settings(enqueued_tokens=10)
        create(client, TEXTS)
        assert refused(lambda: create(client, TEXTS)).code == 429

        emulator.advance(60)
        assert create(client, TEXTS).name
        assert len(emulator.ledger().batches) == 2

    def test_live_batches_are_limited(self, client, emulator):
        emulator.settings(live_batches=1)
        create(client, TEXTS)

        assert refused(lambda: create(client, TEXTS)).status == "RESOURCE_EXHAUSTED"

    def test_a_new_batch_can_be_missing_from_the_list_for_a_while(self, client, emulator):
        emulator.fault("list_lag", seconds=30)
        job = create(client, TEXTS)

        assert list(client.batches.list()) == []
        assert client.batches.get(name=job.name).name == job.name
        emulator.advance(30)
        assert [listed.name for listed in client.batches.list()] == [job.name]

    def test_an_odd_state_is_neither_done_nor_failed_for_the_client(self, client, emulator):
        emulator.fault("odd_state")
        with pytest.warns(UserWarning, match="PARTIALLY_SUCCEEDED"):
            job = finished(emulator, client, create(client, TEXTS))

        assert not job.done

    def test_the_result_can_be_named_where_the_client_does_not_look(self, client, emulator):
        emulator.fault("output_in_response")
        job = finished(emulator, client, create(client, TEXTS))

        assert job.dest is None
        assert raw_get(emulator, job.name)["response"]["responsesFile"].startswith("files/batch-")


class TestResultFaults:
    def test_lines_can_be_shuffled(self, client, emulator):
        texts = {f"chunk_{number}": f"слово{number}" for number in range(50)}
        emulator.fault("shuffle")
        keys = [line["key"] for line in result(emulator, client, texts)]

        assert keys != list(texts)
        assert sorted(keys) == sorted(texts)

    def test_keys_can_be_missing_doubled_and_unknown_at_once(self, client, emulator):
        emulator.fault("missing", keys=["chunk_1"])
        emulator.fault("duplicate", keys=["chunk_2"])
        emulator.fault("unknown")
        keys = [line["key"] for line in result(emulator, client, TEXTS)]

        assert keys == ["chunk_2", "chunk_3", "chunk_2", "unknown_0"]
        assert [text.key for text in emulator.ledger().billed] == ["chunk_2", "chunk_3"]

    def test_the_second_of_two_lines_can_hold_a_foreign_vector(self, client, emulator):
        emulator.fault("duplicate", keys=["chunk_2"], other=True)
        lines = result(emulator, client, TEXTS)

        assert lines[1]["key"] == lines[3]["key"]
        assert lines[1]["response"]["embedding"] != lines[3]["response"]["embedding"]

    @pytest.mark.parametrize("field", ["error", "status"])
    def test_a_line_can_be_an_error(self, client, emulator, field):
        emulator.fault("error_line", keys=["chunk_3"], code=8, message="too busy", field=field)
        lines = result(emulator, client, TEXTS)

        assert lines[2] == {field: {"code": 8, "message": "too busy"}, "key": "chunk_3"}

    def test_vectors_can_be_broken_in_every_way(self, client, emulator):
        for number, name in enumerate(["nan", "inf", "zero", "wrong_dimension"]):
            emulator.fault(name, keys=[f"c{number}"])
        lines = result(emulator, client, {f"c{number}": "слово" for number in range(5)})
        nan, inf, zero, short, good = (line["response"]["embedding"]["values"] for line in lines)

        assert (nan[0], inf[0], zero, len(short)) == ("NaN", "Infinity", [0.0] * 8, 7)
        assert math.isclose(math.hypot(*good), 1)
        assert [text.key for text in emulator.ledger().billed] == ["c4"]

    @pytest.mark.parametrize("bare", [True, False])
    def test_sync_vectors_can_be_broken_too(self, client, emulator, bare):
        emulator.fault("nan", bare=bare)
        first, second = embed(client, "one", "two")

        assert math.isnan(first[0])
        assert math.isclose(math.hypot(*second), 1)

    def test_a_sync_answer_can_be_one_short(self, client, emulator):
        emulator.fault("missing")

        assert len(embed(client, "one", "two", "three")) == 2

    def test_the_last_line_can_be_truncated_once(self, client, emulator):
        job = finished(emulator, client, create(client, TEXTS))
        emulator.fault("truncate", call="download")
        broken, whole = download(client, job), download(client, job)

        assert broken == whole[:-20]
        with pytest.raises(json.JSONDecodeError):
            parse(broken)

    def test_a_download_can_break_off(self, client, emulator):
        job = finished(emulator, client, create(client, TEXTS))
        emulator.fault("drop", call="download", after_bytes=100)

        with pytest.raises(httpx2.RemoteProtocolError):
            download(client, job)


class TestAnswerFaults:
    def test_busy_tells_how_long_to_wait_or_does_not(self, client, emulator):
        emulator.fault("busy", retry_after_s=17)
        emulator.fault("busy")
        patient, mute = (refused(lambda: embed(client, "word")) for _ in range(2))

        assert patient.code == mute.code == 429
        assert patient.details["error"]["details"][-1]["retryDelay"] == "17s"
        assert [detail["@type"].rsplit(".")[-1] for detail in mute.details["error"]["details"]] == ["Help"]
        assert embed(client, "word")

    def test_a_spent_day_is_told_from_a_spent_minute(self, client, emulator):
        emulator.fault("busy", daily=True)

        assert "PerDay" in str(refused(lambda: embed(client, "word")))

    @pytest.mark.parametrize("code", [500, 502, 503])
    def test_the_server_can_fail(self, client, emulator, code):
        emulator.fault("error", code=code)

        assert refused(lambda: embed(client, "word")).code == code
        assert emulator.ledger().texts == ()

    def test_html_can_come_instead_of_json(self, client, emulator):
        emulator.fault("html")

        with pytest.raises(json.JSONDecodeError):
            embed(client, "word")

    @pytest.mark.parametrize("code", [400, 401, 403])
    def test_a_key_can_be_revoked_until_it_works_again(self, client, emulator, code):
        emulator.fault("revoked_key", times=None, code=code)
        answers = [refused(lambda: embed(client, "word")) for _ in range(3)]
        emulator.clear_faults()

        assert {answer.code for answer in answers} == {code}
        assert ("API_KEY_INVALID" in str(answers[0])) == (code == 400)
        assert embed(client, "word")

    @pytest.mark.parametrize(("name", "options"), [("drop", {}), ("hang", {"seconds": 0}), ("refuse", {})])
    def test_a_create_can_be_lost_before_or_after_it_happened(self, client, emulator, name, options):
        emulator.fault(name, call="create", **options)
        with pytest.raises(httpx2.RemoteProtocolError):
            create(client, TEXTS, "lost")

        happened = ["lost"] if name != "refuse" else []
        assert [job.display_name for job in client.batches.list()] == happened
        assert emulator.ledger().count("create") == 1

    def test_a_create_can_happen_although_the_server_says_503(self, client, emulator):
        emulator.fault("error", call="create", done=True)

        assert refused(lambda: create(client, TEXTS)).code == 503
        assert len(emulator.ledger().batches) == 1

    def test_a_silent_server_runs_into_the_clients_timeout(self, emulator):
        emulator.fault("hang")

        with pytest.raises(httpx2.ReadTimeout):
            embed(client_of(emulator.url, timeout_ms=200), "word")

    def test_a_dripping_answer_arrives_whole(self, client, emulator):
        [quick] = embed(client, "word", dim=8)
        emulator.fault("drip", piece_bytes=10, pause_s=0.001)

        assert embed(client, "word", dim=8) == [quick]

    def test_an_upload_that_was_dropped_at_its_end_is_there(self, client, emulator):
        emulator.fault("drop", call="upload_chunk")
        with pytest.raises(httpx2.RemoteProtocolError):
            upload(client, TEXTS, name="twice")

        assert refused(lambda: upload(client, TEXTS, name="twice")).code == 409

    def test_a_fault_waits_for_its_call_and_its_turn(self, client, emulator):
        emulator.fault("error", times=2, call="batch_*", skip=1)
        embed(client, "word")
        list(client.batches.list())

        for _ in range(2):
            assert refused(lambda: list(client.batches.list())).code == 503
        assert list(client.batches.list()) == []

    def test_a_misspelt_fault_option_or_setting_is_told(self, emulator):
        for ask in (
            lambda: emulator.fault("bussy"),
            lambda: emulator.fault("busy", second=1),
            lambda: emulator.settings(limit=1),
        ):
            with pytest.raises(HTTPError, match="400"):
                ask()

    def test_an_outage_refuses_connections_at_the_same_address(self, tmp_path):
        with GeminiEmulator(tmp_path) as emulator:
            client = client_of(emulator.url)
            job = create(client, TEXTS)
            emulator.stop()
            with pytest.raises(httpx2.ConnectError):
                client.batches.get(name=job.name)
            emulator.start()

            assert client.batches.get(name=job.name).name == job.name


class TestLedger:
    def test_sync_texts_are_billed_at_once_and_batches_at_their_end(self, client, emulator):
        embed(client, "сразу")
        create(client, TEXTS)
        before = [text.text for text in emulator.ledger().billed]
        emulator.advance(60)
        after = emulator.ledger()

        assert before == ["сразу"]
        assert [text.text for text in after.billed] == ["сразу", *TEXTS.values()]
        assert (after.tokens(batch=False), after.tokens(batch=True)) == (2, 6)
        assert after.paid_twice == {}

    def test_a_text_paid_on_both_lanes_is_noticed(self, client, emulator):
        create(client, TEXTS)
        embed(client, "второй", dim=8)
        emulator.advance(60)

        assert emulator.ledger().paid_twice == {"второй": 2}

    def test_the_same_words_in_another_size_are_not_the_same_purchase(self, client, emulator):
        embed(client, "word", dim=8)
        embed(client, "word", dim=16)

        assert emulator.ledger().paid_twice == {}

    def test_the_task_type_is_kept(self, client, emulator):
        config = types.EmbedContentConfig(task_type="RETRIEVAL_DOCUMENT", output_dimensionality=8)
        client.models.embed_content(model="gemini-embedding-001", contents=["word"], config=config)

        assert emulator.ledger().texts[0].task_type == "RETRIEVAL_DOCUMENT"

    def test_every_request_is_written_down_with_its_answer(self, client, emulator):
        emulator.fault("busy", call="create")
        refused(lambda: create(client, TEXTS))

        assert [(call.call, call.status, call.fault) for call in emulator.ledger().calls] == [
            ("upload_start", 200, None),
            ("upload_chunk", 200, None),
            ("create", 429, "busy"),
        ]


class TestProcess:
    def test_a_killed_emulator_remembers_everything(self, tmp_path):
        with process(tmp_path) as first:
            emulator = Control(address(first))
            emulator.fault("shuffle", call="create")
            emulator.fault("busy", call="batch_get")
            job = create(client_of(emulator.url), TEXTS)
            emulator.advance(60)
            first.kill()
        with process(tmp_path) as second:
            emulator = Control(address(second))
            client = client_of(emulator.url)

            assert refused(lambda: client.batches.get(name=job.name)).code == 429
            lines = parse(download(client, client.batches.get(name=job.name)))
            assert {line["key"] for line in lines} == set(TEXTS)
            assert [line["key"] for line in lines] != list(TEXTS)
            assert len(emulator.ledger().billed) == 3
            second.kill()

    def test_it_stops_when_told_even_while_an_answer_drips(self, tmp_path):
        with process(tmp_path) as emulator:
            url = address(emulator)
            Control(url).fault("hang", seconds=600)
            with pytest.raises(httpx2.ReadTimeout):
                embed(client_of(url, timeout_ms=200), "word")
            emulator.send_signal(signal.SIGTERM)

            assert emulator.wait(timeout=5) == 0

    def test_it_listens_on_loopback_only(self, tmp_path):
        with process(tmp_path) as emulator:
            assert address(emulator).startswith("http://127.0.0.1:")
            emulator.kill()


def test_ten_thousand_lines_are_ready_in_seconds(client, emulator):
    texts = {f"chunk_{number}": f"слово{number % 97} договор{number}" for number in range(10_000)}
    started = time.monotonic()
    lines = result(emulator, client, texts)

    assert len(lines) == 10_000
    assert time.monotonic() - started < 20


def process(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tools.gemini_emulator", "--folder", str(folder)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def address(started: subprocess.Popen[str]) -> str:
    assert started.stdout
    return started.stdout.readline().strip()
