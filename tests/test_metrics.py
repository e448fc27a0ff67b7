"""Prometheus reads what is so, and only admins may ask."""

from __future__ import annotations

import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from core.library.recordings import TranscriptionOptions
from core.principal import EVERYONE
from core.queue.history import percentile, step, step_limit_s
from tests import drive
from tests.conftest import DATA
from tests.installation import generous
from tests.serve import serve


@pytest.fixture
def served(tmp_path):
    with serve(generous(tmp_path)) as served:
        yield served


def samples(served, key: str | None = None) -> dict[tuple[str, tuple[str, ...]], float]:
    client = served.client(key or served.app.keys.make(EVERYONE, "admin", admin=True))
    answer = client.get("/metrics")
    assert answer.status_code == 200, answer.text
    return {
        (
            sample.name,
            tuple(value for name, value in sorted(sample.labels.items()) if name != "le"),
        ): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def bring(app, name: str = "en_meeting.opus") -> None:
    with (DATA / name).open("rb") as file:
        app.intake.accept(EVERYONE, file, name, TranscriptionOptions(language="en"))


def test_only_admins_may_read(served):
    with served.client() as ordinary, served.client("gam_wrong") as stranger:
        assert ordinary.get("/metrics").status_code == 403
        assert stranger.get("/metrics").status_code == 401


def test_a_bearer_key_is_what_prometheus_sends(served):
    key = served.app.keys.make(EVERYONE, "prometheus", admin=True)
    with served.client("", Authorization=f"Bearer {key}") as client:
        assert client.get("/metrics").status_code == 200


def test_what_waits_is_counted_with_its_age_and_its_sound(served):
    bring(served.app)
    at = time.time() + 100
    with served.app.database.write() as session:
        for job in drive.ready(served.app):
            session.merge(job).run_at = at - 200

    metrics = samples(served)

    assert metrics["stenogram_queue_jobs", ("cpu",)] == 1
    assert metrics["stenogram_queue_jobs", ("gpu",)] == 0
    assert 100 <= metrics["stenogram_queue_age_seconds", ("cpu",)] < 160
    assert metrics["stenogram_queue_audio_seconds", ("cpu",)] > 10


def test_finished_work_is_in_the_histograms_and_in_the_sound(served):
    bring(served.app)
    drive.perform_all(served.app)

    metrics = samples(served)

    engine = served.app.intake.choose_engine(TranscriptionOptions(language="en")).engine
    for kind, queue in (("prepare", "cpu"), ("transcribe", engine.queue), ("index", "index")):
        assert metrics["stenogram_jobs_ended_total", (kind, "done", queue)] == 1
        assert metrics["stenogram_job_run_seconds_count", (kind, queue)] == 1
        assert metrics["stenogram_job_run_seconds_sum", (kind, queue)] > 0
    assert metrics["stenogram_audio_seconds_total", ()] > 10
    assert metrics["stenogram_speed_ratio", (engine.queue,)] > 0
    assert metrics["stenogram_queue_jobs", ("cpu",)] == 0


def test_a_paused_queue_says_so(served):
    served.app.job_queue.pause("gpu")

    assert samples(served)["stenogram_queue_paused", ("gpu",)] == 1


@pytest.mark.parametrize("seconds", [0.01, 0.5, 1.0, 59.0, 3600.0, 90_000.0])
def test_a_step_of_the_histogram_holds_its_times(seconds):
    assert step_limit_s(step(seconds) - 1) < seconds <= step_limit_s(step(seconds)) * 1.000001


def test_percentiles_are_off_by_less_than_a_tenth():
    times = [0.37 * 1.013**n for n in range(500)]
    steps: dict[int, int] = {}
    for seconds in times:
        steps[step(seconds)] = steps.get(step(seconds), 0) + 1
    histogram = [(number, n, 0.0) for number, n in sorted(steps.items())]

    for share in (0.5, 0.95):
        exact = times[int(share * len(times)) - 1]
        assert percentile(histogram, share) == pytest.approx(exact, rel=0.1)


def test_an_empty_histogram_has_no_percentile():
    assert percentile([], 0.5) == 0.0
