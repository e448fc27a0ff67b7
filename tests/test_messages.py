"""Every sentence reworded, and nothing changes but what people read: no sentence is ever compared."""

from __future__ import annotations

import re
from gettext import NullTranslations
from string import ascii_letters

import pytest

from core.errors import GROQ, Code, NotFound, ProviderRefused, code_of, record
from core.i18n import catalogue
from core.monitor import decisions, failures, live, providers
from core.monitor.actions import Actions
from core.orders.batch_planner import ROOM
from core.principal import EVERYONE
from tests import batching, remotely, test_decisions
from tests.drive import ready
from tests.remotely import CANARY
from tests.test_actions import (
    act,
    test_a_whole_group_is_tried_again_and_other_groups_are_not,
    test_failures_are_grouped_by_reason_and_the_usual_fix_is_named,
    test_what_is_put_off_is_among_the_failures_and_can_be_tried_at_once,
)
from tests.test_batch import emulator
from tests.test_breakers import (
    LINE,
    breakers,
    fail,
    test_a_provider_that_refuses_what_was_asked_works,
    test_what_went_wrong_here_says_nothing_about_the_provider,
)
from tests.test_budget_holds import (
    buying_app,
    gemini,
    groq,
    test_vectors_that_are_held_are_offered_by_batch_where_that_fits,
)
from tools.runpod_emulator import RunPodEmulator

NEXT = str.maketrans(ascii_letters, ascii_letters[1:] + ascii_letters[0])


def reworded(template: str) -> str:
    """Other words around the same facts: each letter is the next one of the alphabet."""
    parts = re.split(r"(\{\w+\})", template)
    return "".join(part if part.startswith("{") else part.translate(NEXT) for part in parts)


class Reworded(NullTranslations):
    """English that says everything otherwise."""

    def gettext(self, message: str) -> str:
        return reworded(message)

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return reworded(msgid1 if n == 1 else msgid2)


@pytest.fixture(autouse=True)
def rewording(monkeypatch):
    for code in Code:
        monkeypatch.setattr(code, "message", reworded(code.message))
    monkeypatch.setattr(catalogue, "_catalogue", lambda _language: Reworded())


@pytest.fixture
def runpod():
    with RunPodEmulator(
        recognise=lambda _file, _language: test_decisions.HEARD, key=CANARY, run_s=30
    ) as emulated:
        yield emulated


@pytest.fixture
def ordering(tmp_path, runpod):
    """An installation whose orders are dear, and cannot be found when they got lost."""
    settings = {"runpod_api_key": CANARY, "runpod_url": runpod.endpoint}
    return test_decisions.make_expensive(remotely.journey(tmp_path / "home", **settings))


def test_the_rewording_reaches_what_people_read():
    assert str(NotFound()) == "Opu gpvoe."
    assert catalogue.translate_error(record(Code.NOT_FOUND), "en") == reworded("Opu gpvoe.")


def test_a_held_order_is_asked_about_and_goes_on(ordering, runpod):
    task = test_decisions.order_held(ordering, runpod)
    (question,) = decisions.waiting(ordering.database, EVERYONE)
    ordering.clock.stopped_at = 0.0
    (line,) = live.draw(ordering, EVERYONE, "en")["delayed"]
    (group,) = failures.groups(ordering.database, EVERYONE)
    ordering.clock.stopped_at = None

    assert line["task"] == "", "the board promises no other try"
    assert (group.code, group.fix is not None) == (Code.ORDER_HELD, True)
    assert Actions(ordering, EVERYONE).buy_again(question.order_ids) == 1
    (order,) = ordering.remote_transcription.orders.of(task.transcript_id)
    assert code_of(order.error) is Code.ORDERED_AGAIN
    assert remotely.done(ordering, task, runpod).status == "completed"


def test_a_held_order_that_is_given_up_fails_for_that_reason(ordering, runpod):
    task = test_decisions.order_held(ordering, runpod)
    (question,) = decisions.waiting(ordering.database, EVERYONE)

    Actions(ordering, EVERYONE).give_up(question.order_ids)

    failed = remotely.done(ordering, task, runpod)
    assert (failed.status, code_of(failed.error)) == ("failed", Code.ORDER_GIVEN_UP)


def test_the_cap_of_a_key_holds_what_another_way_lets_go(buying_app, groq):
    task = remotely.accept(buying_app, "groq")
    buying_app.proof.set_cap(EVERYONE, task.owner, "0")
    for job in ready(buying_app):
        buying_app.pipeline.run(buying_app.job_queue.claim(job.id, "w"))
    remotely.later(buying_app, 1)

    (group,) = failures.groups(buying_app.database, EVERYONE)
    assert (group.code, group.fix is not None) == (Code.KEY_CAP_REACHED, True)
    assert [way.engine for way in buying_app.holds.ways()] == ["gigaam-v3_ctc"]


def test_too_many_tokens_at_once_are_halved(tmp_path, emulator):
    app = batching.installation(tmp_path, emulator.url)
    emulator.settings(enqueued_tokens=100)
    batching.recording(app, batching.sentences(12))

    app.batches.tick()

    assert batching.states(app) == ["split"]
    assert int(app.database.get_value(ROOM) or 0) > 0


def test_a_refused_key_is_told_again_by_its_code(breakers):
    fail(breakers, ProviderRefused(GROQ, "GROQ_API_KEY", Code.PROVIDER_REFUSED_OR_WITHDRAWN))

    with pytest.raises(ProviderRefused) as refusal, breakers.around("groq", LINE):
        pytest.fail("a refused key is not tried")

    assert refusal.value.code is Code.PROVIDER_REFUSED_OR_WITHDRAWN


def test_a_withdrawn_provider_is_known_as_such(app):
    (fireworks,) = (
        one
        for one in providers.all(app.settings, app.remote_transcription.breakers)
        if one.name == "fireworks"
    )

    assert fireworks.state == "withdrawn"
