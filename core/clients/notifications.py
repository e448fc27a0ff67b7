"""Word to people who are not looking: a group of uploads is done, or an alert rule holds.

Events are kept once for each channel (webhook, mail) and delivered five times at most. A rule tells when it
begins to hold, and again only after it has ceased to.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from email.utils import parseaddr
from typing import Protocol

from sqlalchemy import select

from core.audit import audited
from core.billing.ledger import Ledger
from core.clients import mail, webhooks
from core.clients.keys import Keys
from core.database.database import Database
from core.database.states import AuditAction, AuditSubject, Channel
from core.database.tables import Json, Notification, new_id, utc
from core.database.upsert import insert_if_absent
from core.errors import BadRequest, Code
from core.i18n import catalogue
from core.i18n.messages import N_
from core.library.task_groups import Finished, TaskGroups
from core.monitor import alarms, failures
from core.monitor.alarms import AlarmKind
from core.orders.batches import Batches
from core.principal import EVERYONE, Principal
from core.queue.jobs import JobQueue
from core.queue.queues import QUEUES
from core.settings import Settings

OWNER = "notifications"
"""For whom calls are signed (`Keys.secret`)."""
RULES, HOLDING = "notification rules", "notification rules that hold"
PAUSES_S = (30.0, 300.0, 1800.0, 7200.0)
AT_ONCE = 10
"""A mail server that hangs holds each for some seconds."""
MOST_ADDRESSES = 20
GROUP, TEST = "group.finished", "test"
FAILED, QUEUE, LATE, BUDGET = "alert.failed", "alert.queue", "alert.batch_late", "alert.budget"


@dataclass(frozen=True)
class Rules:
    """Who is told, and of what; 0: of that nobody is told."""

    webhook_url: str = ""
    mail_to: tuple[str, ...] = ()
    language: str = "en"
    groups: bool = True
    failed: int = 0
    """So many recordings, or more, have failed."""
    queue_min: int = 0
    """A job has waited for longer than so many minutes."""
    batch_late: bool = False
    budget_percent: int = 0
    """More of the month's cap than this is spent or promised."""

    def channels(self) -> list[Channel]:
        """By which ways people are told."""
        wanted = {Channel.WEBHOOK: self.webhook_url, Channel.MAIL: self.mail_to}
        return [channel for channel, where in wanted.items() if where]


class NotificationSources(Protocol):
    """What is told of, and by what it is sent."""

    settings: Settings
    database: Database
    keys: Keys
    job_queue: JobQueue
    batches: Batches
    ledger: Ledger
    task_groups: TaskGroups


class Notifications:
    """Rules of this installation, and what is to be told by them."""

    def __init__(self, sources: NotificationSources, clock: Callable[[], float] = time.time) -> None:
        self._sources = sources
        self._database = sources.database
        self._now = clock

    def rules(self) -> Rules:
        """As they were set; at first nobody is told of anything."""
        kept = json.loads(self._database.get_value(RULES) or "{}")
        return Rules(**{**kept, "mail_to": tuple(kept.get("mail_to", ()))})

    @audited(AuditAction.CHANGED, AuditSubject.INSTALLATION, named="notifications")
    def set(self, principal: Principal, rules: Rules) -> None:
        """Change them. Raises AdminsOnly, BadRequest for an address that will never be reached."""
        principal.must_administer()
        if rules.webhook_url:
            webhooks.check(rules.webhook_url, anywhere=self._sources.settings.api_callbacks_anywhere)
        if len(rules.mail_to) > MOST_ADDRESSES or not all(map(_is_address, rules.mail_to)):
            raise BadRequest(Code.MAIL_ADDRESS_INVALID)
        self._database.set_value(RULES, json.dumps(asdict(rules)))

    @audited(AuditAction.EXPORTED, AuditSubject.INSTALLATION, named="signing secret")
    def signing_secret(self, principal: Principal) -> str:
        """With which receivers of the webhook check that a call is ours. Raises AdminsOnly."""
        principal.must_administer()
        return webhooks.signing_secret(self._sources.keys.secret(OWNER))

    def tick(self) -> int:
        """See what there is to tell, and tell it; says how much arrived."""
        rules = self.rules()
        for group in self._sources.task_groups.finished():
            if rules.groups and group.total:
                self._keep(rules, f"{GROUP} {group.id}", GROUP, _group_facts(group))
            self._sources.task_groups.record_notified(group.id)
        self._look(rules)
        return self._deliver(rules)

    def test(self, principal: Principal) -> dict[Channel, str | None]:
        """Send a test by every way that is set, now: by each None, or what went wrong. Raises AdminsOnly."""
        principal.must_administer()
        rules = self.rules()
        row = Notification(event=f"{TEST} {new_id()}", kind=TEST, facts={}, created_at=self._now())
        return {channel: self._send(rules, channel, [row])[0] for channel in rules.channels()}

    def _look(self, rules: Rules) -> None:
        """Keep an event for each rule that has begun to hold."""
        before = json.loads(self._database.get_value(HOLDING) or "{}")
        holding = dict(self._holding(rules)) if rules.channels() else {}
        for kind, facts in holding.items():
            if kind not in before:
                self._keep(rules, f"{kind} {new_id()}", kind, facts)
        after = {kind: before.get(kind, self._now()) for kind in holding}
        if after != before:
            self._database.set_value(HOLDING, json.dumps(after))

    def _holding(self, rules: Rules) -> Iterator[tuple[str, Json]]:
        """The rules that hold now, with the facts of their sentences."""
        if rules.failed and (n := failures.count(self._database, EVERYONE)) >= rules.failed:
            yield FAILED, {"n": n}
        if rules.queue_min:
            waiting = self._sources.job_queue.waiting(self._sources.job_queue.now())
            queue, oldest_s = max(
                ((queue, oldest_s) for queue, (_, oldest_s) in waiting.items()),
                key=lambda one: one[1],
                default=("", 0.0),
            )
            if oldest_s > 60 * rules.queue_min:
                yield QUEUE, {"queue": queue, "oldest_s": oldest_s}
        if rules.batch_late and (late := self._sources.batches.view.late()):
            yield LATE, {"n": len(late)}
        month = self._sources.ledger.month()
        if rules.budget_percent and month.cap:
            percent = float(100 * (month.spent + month.reserved) / month.cap)
            if percent > rules.budget_percent:
                facts = {"percent": percent, "usd": str(month.spent), "cap_usd": str(month.cap)}
                yield BUDGET, facts

    def _keep(self, rules: Rules, event: str, kind: str, facts: Json) -> None:
        with self._database.write() as session:
            for channel in rules.channels():
                row = Notification(event=event, channel=channel, kind=kind, facts=facts)
                row.created_at = self._now()
                insert_if_absent(session, row)

    def _deliver(self, rules: Rules) -> int:
        due = select(Notification).where(Notification.done_at.is_(None), Notification.next_at <= self._now())
        with self._database.read() as session:
            rows = list(session.scalars(due.order_by(Notification.created_at).limit(AT_ONCE)))
        arrived = 0
        for channel in Channel:
            mine = [row for row in rows if row.channel == channel]
            for row, error in zip(mine, self._send(rules, channel, mine), strict=True):
                self._note(row, error)
                arrived += error is None
        return arrived

    def _send(self, rules: Rules, channel: Channel, rows: Sequence[Notification]) -> list[str | None]:
        """For each None, or what went wrong; what has no address any more counts as sent."""
        if not rows or channel not in rules.channels():
            return [None] * len(rows)
        if channel == Channel.WEBHOOK:
            calls = [self._call(rules, row) for row in rows]
            return webhooks.post_all(calls, anywhere=self._sources.settings.api_callbacks_anywhere)
        return [self._mail(rules, row) for row in rows]

    def _call(self, rules: Rules, row: Notification) -> webhooks.Call:
        event = {
            "type": row.kind,
            "timestamp": utc(row.created_at).isoformat(),
            "data": {**row.facts, "message": sentence(row.kind, row.facts, rules.language)},
        }
        body, secret = json.dumps(event, ensure_ascii=False).encode(), self._sources.keys.secret(OWNER)
        signed = webhooks.sign(secret, row.event.replace(" ", "."), body, self._now())
        return webhooks.Call(row.event, rules.webhook_url, body, signed)

    def _mail(self, rules: Rules, row: Notification) -> str | None:
        if not mail.is_set_up(self._sources.settings):
            return "SMTP_HOST is not set"
        said = sentence(row.kind, row.facts, rules.language)
        lines = [said, *(f"– {title}" for title in row.facts.get("titles", ()))]
        message_id = row.event.replace(" ", ".")
        return mail.send(
            self._sources.settings, rules.mail_to, f"Stenogram: {said}", "\n".join(lines), message_id
        )

    def _note(self, row: Notification, error: str | None) -> None:
        """It was tried: it is done, or tried again later, or given up."""
        attempts = row.attempts + (error is not None)
        given_up = attempts > len(PAUSES_S)
        with self._database.write() as session:
            kept = session.get(Notification, (row.event, row.channel))
            if kept is None:
                return
            kept.attempts, kept.error = attempts, error
            if error is None or given_up:
                kept.done_at = self._now()
            else:
                kept.next_at = self._now() + PAUSES_S[attempts - 1]


ALL_DONE, PARTLY = N_("All {all} done."), N_("{good} of {all} done, {failed} failed.")
WAITED = N_("{queue}: the oldest job has waited for {time}.")
SPENT = N_("{percent} of this month's cap are spent or promised: {usd} of {cap}.")
TESTED = N_("This is a test. Notifications arrive.")
OF_ALARMS = {FAILED: AlarmKind.FAILED, LATE: AlarmKind.BATCH_LATE}


def sentence(kind: str, facts: Json, language: str) -> str:
    """What happened, for a person."""
    if kind in OF_ALARMS:
        return catalogue.ngettext(*alarms.SAYS[OF_ALARMS[kind]], facts["n"], language)
    template, values = _template_and_values(kind, facts, language)
    return catalogue.gettext(template, language, **values)


def _template_and_values(kind: str, facts: Json, language: str) -> tuple[str, dict[str, object]]:
    """A sentence, and its facts in this language."""
    if kind == GROUP:
        template = ALL_DONE if facts["good"] == facts["total"] else PARTLY
        return template, {"all": facts["total"], "good": facts["good"], "failed": facts["failed"]}
    if kind == QUEUE:
        queue = catalogue.gettext(QUEUES.get(facts["queue"], str(facts["queue"])), language)
        return WAITED, {"queue": queue, "time": catalogue.duration(facts["oldest_s"], language)}
    if kind == BUDGET:
        usd, cap = (catalogue.money(float(facts[name]), language, digits=2) for name in ("usd", "cap_usd"))
        percent = catalogue.percent(facts["percent"] / 100, language)
        return SPENT, {"percent": percent, "usd": usd, "cap": cap}
    return TESTED, {}


def _group_facts(group: Finished) -> Json:
    return {**asdict(group), "total": group.total}


def _is_address(text: str) -> bool:
    name, address = parseaddr(text)
    local, _, domain = address.rpartition("@")
    return not name and address == text and bool(local and domain) and text.isprintable() and " " not in text
