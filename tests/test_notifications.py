"""Word to people who do not look: once for each thing, by webhook and by mail, and again if it is lost."""

from __future__ import annotations

import json
import time
from email import message_from_bytes
from email.policy import default

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from sqlalchemy import update
from standardwebhooks import Webhook

from core.application import Application
from core.clients.notifications import PAUSES_S, Rules
from core.database.states import BatchState, Channel, JobState, TaskStatus
from core.database.tables import Batch, Budget, Job, Task
from core.errors import BadRequest, Code
from core.library.recordings import TranscriptionOptions
from core.principal import EVERYONE
from core.settings import Settings
from tests.clock import Clock
from tests.conftest import DATA
from tests.test_alarms import HOUR_S, a_batch, bring
from tests.test_api_promises import Listener
from tests.tool import free_port

PASSWORD = "correct horse"
TO = ("anna@example.org", "boris@example.org")


class Mailbox:
    """What a mail server has taken in."""

    def __init__(self):
        self.mails = []

    async def handle_RCPT(self, _server, _session, envelope, address, _options):  # noqa: N802 - aiosmtpd's name
        if address.startswith("nobody"):
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802 - aiosmtpd's name
        self.mails.append((envelope.rcpt_tos, message_from_bytes(envelope.content, policy=default)))
        return "250 OK"


@pytest.fixture(scope="module")
def mailbox():
    def login(_server, _session, _envelope, _mechanism, known):
        return AuthResult(success=known.password == PASSWORD.encode(), handled=False)

    box, port = Mailbox(), free_port()
    server = Controller(
        box,
        hostname="127.0.0.1",
        port=port,
        authenticator=login,
        auth_required=True,
        auth_require_tls=False,
    )
    server.start()
    box.settings = {
        "smtp_host": "127.0.0.1",
        "smtp_port": port,
        "smtp_security": "none",
        "smtp_user": "stenogram@example.org",
        "smtp_password": PASSWORD,
    }
    yield box
    server.stop()


@pytest.fixture
def listener():
    listener = Listener([204])
    yield listener
    listener.server.shutdown()
    listener.server.server_close()


@pytest.fixture
def app(tmp_path, mailbox):
    mailbox.mails.clear()
    return installed(tmp_path, **mailbox.settings)


def installed(tmp_path, **settings) -> Application:
    known = {"stenogram_home": tmp_path / "home", "api_callbacks_anywhere": True, "monthly_cap_usd": 1}
    return Application(Settings(**known | settings), clock=Clock())


def ended(app: Application, task: Task, status: TaskStatus) -> None:
    with app.database.write() as session:
        session.execute(update(Task).where(Task.id == task.id).values(status=status))


def test_the_end_of_an_upload_is_told_once_by_each_way(app, listener, mailbox):
    app.notifications.set(EVERYONE, Rules(listener.url, TO, "ru"))
    group_id = app.task_groups.begin(EVERYONE)
    tasks = []
    for name in ("one.opus", "two.opus"):
        with (DATA / "en_meeting.opus").open("rb") as file:
            options = TranscriptionOptions(title=name, language="en", group_id=group_id, force=True)
            tasks.append(app.intake.accept(EVERYONE, file, name, options))
    ended(app, tasks[0], TaskStatus.COMPLETED)
    app.task_groups.close(group_id)
    assert app.notifications.tick() == 0  # one of them is not done
    ended(app, tasks[1], TaskStatus.FAILED)

    assert [app.notifications.tick() for _ in range(2)] == [2, 0]

    [(_, headers, body)] = listener.heard
    told = Webhook(app.notifications.signing_secret(EVERYONE)).verify(body, headers)
    assert told["type"] == "group.finished"
    assert told["data"].items() >= {"id": group_id, "total": 2, "good": 1, "failed": 1}.items()
    [(to, mail)] = mailbox.mails
    assert to == list(TO)
    assert mail["Subject"] == "Stenogram: Готово 1 из 2, не получилось 1."
    assert "two.opus" in mail.get_content()


def test_nothing_is_told_while_a_group_takes_files_in_or_nobody_asked(app, listener):
    group_id = app.task_groups.begin(EVERYONE)
    with (DATA / "en_meeting.opus").open("rb") as file:
        options = TranscriptionOptions(language="en", group_id=group_id)
        task = app.intake.accept(EVERYONE, file, "one.opus", options)
    ended(app, task, TaskStatus.COMPLETED)

    assert app.notifications.tick() == 0
    app.task_groups.close(group_id)
    assert app.notifications.tick() == 0
    app.notifications.set(EVERYONE, Rules(listener.url))
    assert app.notifications.tick() == 0  # it was over before
    assert listener.heard == []


def of_jobs(app, state):
    with app.database.write() as session:
        session.execute(update(Job).values(state=state))


def fail(app):
    if not app.recordings.find(EVERYONE)[0]:
        bring(app)
    of_jobs(app, JobState.FAILED)


def wait(app):
    if not app.recordings.find(EVERYONE)[0]:
        bring(app)
    of_jobs(app, JobState.READY)
    app.clock.ahead_s = HOUR_S


def be_late(app):
    a_batch(app, 30 * HOUR_S, display_name=str(time.time_ns()))


def arrive(app):
    with app.database.write() as session:
        session.execute(update(Batch).values(state=BatchState.COMPLETE))


def spend(app, usd=0.9):
    with app.database.write() as session:
        session.merge(Budget(month=app.ledger.month().month, spent=int(usd * 1e9), reserved=0))


@pytest.mark.parametrize(
    ("kind", "rule", "begin", "cease"),
    [
        ("alert.failed", {"failed": 1}, fail, lambda app: of_jobs(app, JobState.DONE)),
        ("alert.queue", {"queue_min": 30}, wait, lambda app: of_jobs(app, JobState.DONE)),
        ("alert.batch_late", {"batch_late": True}, be_late, arrive),
        ("alert.budget", {"budget_percent": 80}, spend, lambda app: spend(app, 0)),
    ],
)
def test_a_rule_tells_when_it_begins_to_hold_and_not_before_it_has_ceased(
    app, listener, kind, rule, begin, cease
):
    app.notifications.set(EVERYONE, Rules(listener.url, **rule))

    told = [app.notifications.tick()]
    for step in (begin, begin, cease, begin):
        step(app)
        told.append(app.notifications.tick())

    assert told == [0, 1, 0, 0, 1]
    events = [json.loads(body) for *_, body in listener.heard]
    assert [event["type"] for event in events] == [kind, kind]
    assert events[0]["data"]["message"]
    assert len({headers["webhook-id"] for _, headers, _ in listener.heard}) == 2


@pytest.mark.parametrize(
    ("settings", "to", "error"),
    [
        ({}, TO, None),
        ({"smtp_password": "wrong"}, TO, "SMTP 535"),
        ({}, ("nobody@example.org",), "SMTPRecipientsRefused"),
        ({}, (TO[0], "nobody@example.org"), "refused for 1 of 2"),
        ({"smtp_port": 1}, TO, "ConnectionRefusedError"),
        ({"smtp_security": "starttls"}, TO, "SMTPNotSupportedError"),
        ({"smtp_security": "tls"}, TO, "SSLError"),
        ({"smtp_host": ""}, TO, "SMTP_HOST is not set"),
    ],
)
def test_what_a_mail_server_refuses_is_said(tmp_path, mailbox, settings, to, error):
    app = installed(tmp_path, **mailbox.settings | settings)
    app.notifications.set(EVERYONE, Rules(mail_to=to))

    assert app.notifications.test(EVERYONE) == {Channel.MAIL: error}


def test_what_does_not_arrive_is_tried_again_and_given_up(tmp_path, mailbox):
    app = installed(tmp_path, **mailbox.settings | {"smtp_port": 1})
    app.notifications.set(EVERYONE, Rules(mail_to=TO, budget_percent=80))
    mailbox.mails.clear()
    spend(app)

    for pause_s in (*PAUSES_S, 0.0):
        assert app.notifications.tick() == 0
        app.clock.ahead_s += pause_s + 1
    object.__setattr__(app.settings, "smtp_port", mailbox.settings["smtp_port"])

    assert app.notifications.tick() == 0  # given up
    assert mailbox.mails == []


@pytest.mark.parametrize("address", ["anna", "a b@example.org", "Anna <a@example.org>", "a@b\nBcc: c@d"])
def test_what_is_no_address_is_refused(app, address):
    with pytest.raises(BadRequest) as refused:
        app.notifications.set(EVERYONE, Rules(mail_to=(address,)))

    assert refused.value.code is Code.MAIL_ADDRESS_INVALID
