"""Mail, by the server that the `SMTP_*` settings name. The only file that speaks SMTP."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Sequence
from contextlib import ExitStack
from email.message import EmailMessage
from email.utils import formatdate

from core.settings import Settings

TIMEOUT_S = 10.0
"""Of each step with the server: connecting, each command."""


def is_set_up(settings: Settings) -> bool:
    """Whether there is a server to send by."""
    return bool(settings.smtp_host)


def send(settings: Settings, to: Sequence[str], subject: str, text: str, message_id: str) -> str | None:
    """Send one message to all of them: None, or what went wrong, in a few words without secrets.

    `message_id` is the same in every try, so that a mailbox shows twice what arrived twice as one.
    """
    message = EmailMessage()
    message["From"] = settings.smtp_from or settings.smtp_user or "stenogram@localhost"
    message["To"] = ", ".join(to)
    message["Subject"] = " ".join(subject.split())
    message["Date"] = formatdate()
    message["Message-ID"] = f"<{message_id}@stenogram>"
    message.set_content(text)
    try:
        with _connected(settings) as server:
            if settings.smtp_user:
                server.login(settings.smtp_user, settings.smtp_password.get_secret_value())
            refused = server.send_message(message)
    except smtplib.SMTPResponseException as error:
        return f"SMTP {error.smtp_code}"
    except (OSError, smtplib.SMTPException, ValueError) as error:  # a timeout is an OSError
        return type(error).__name__
    return f"refused for {len(refused)} of {len(to)}" if refused else None


def _connected(settings: Settings) -> smtplib.SMTP:
    host, port = settings.smtp_host, settings.smtp_port
    if settings.smtp_security == "tls":
        return smtplib.SMTP_SSL(host, port, timeout=TIMEOUT_S, context=ssl.create_default_context())
    server = smtplib.SMTP(host, port, timeout=TIMEOUT_S)
    if settings.smtp_security == "starttls":
        with ExitStack() as unless_secure:
            unless_secure.callback(server.close)
            server.starttls(context=ssl.create_default_context())
            unless_secure.pop_all()
    return server
