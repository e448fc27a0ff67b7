"""What can go wrong, split by what the caller should do about it.

StenogramError
    Rejected                  will never work as asked: tell the person, do not retry
        BadRequest            the request itself makes no sense
        UnreadableMedia       not a recording, or broken beyond reading
            NoSound           media without any sound
        TooLarge              over a limit that the settings fix
        NotFound              no such thing, or not yours
        KeyRefused            no key, or one that is not good here
        AdminsOnly            not theirs to do
        Conflict              the present state of things does not allow it
            NotReady          asked too early
        Withdrawn             the work was cancelled, or another worker has taken it over
    Unavailable               may work later: retry with patience
        ProviderBusy          the provider said so, perhaps with a waiting time
            OutcomeUnknown    it may have been done and billed: look before asking again
            ProviderResting   asked too often or in vain: left alone for a while, burns no attempts
        ProviderRefused       key missing or refused: wait for a person, burn no attempts
        NoSpace               the disk is full
        TooMany               asked too often

Each class composes its own sentence from facts; the sentence is shown to people, in their
language (`core/i18n/catalogue.py`), so it never holds a path, a key or a traceback.
"""

from __future__ import annotations


class StenogramError(Exception):
    """Anything this tool refuses or fails to do, with a sentence for a person.

    `message` is an English template that is also the key of its translation; `facts` fill it.
    """

    message = "Something went wrong."

    def __init__(self, message: str | None = None, **facts: object) -> None:
        self.message = message or type(self).message
        self.facts = facts
        super().__init__(self.message.format(**facts))


class Rejected(StenogramError):
    """It will never work as asked."""


class BadRequest(Rejected):
    """The request itself makes no sense."""


class UnreadableMedia(Rejected):
    """Not a recording, or broken beyond reading."""

    message = (
        "This file is not a recording we can read: {reason}. "
        "Take sound or video such as MP3, M4A, WAV, OGG, FLAC, MP4 or WebM."
    )


class NoSound(UnreadableMedia):
    """Media without any sound."""

    message = "This file has no sound. Take one in which somebody speaks."


class TooLarge(Rejected):
    """Over a limit that the settings fix."""

    message = "The file is larger than {limit}. Cut it into parts, or save its sound alone."


class NotFound(Rejected):
    """No such thing, or it belongs to somebody else."""

    message = "Not found."


class KeyRefused(Rejected):
    """No key, or one that is unknown or revoked."""

    message = "The API key is missing or not valid."


class AdminsOnly(Rejected):
    """Whoever asks may look, not act."""

    message = "Only an admin may do this."


class Conflict(Rejected):
    """The present state of things does not allow it."""


class NotReady(Conflict):
    """Asked for a result before there is one."""

    message = "Not ready yet: the task is {status}."


class Withdrawn(Rejected):
    """The work was cancelled, or another worker has taken it over."""

    message = "The work was cancelled."


class Unavailable(StenogramError):
    """It may work later."""

    message = "Not available right now."

    retry_after_s: float | None = None
    ends_process = False
    """Whether nothing works in this process any more: it has to end, and its jobs run in a fresh one."""


class ProviderBusy(Unavailable):
    """A provider refused for now."""

    message = "{provider} is busy ({detail})."

    def __init__(self, provider: str, detail: str, retry_after_s: float | None = None) -> None:
        super().__init__(provider=provider, detail=detail)
        self.retry_after_s = retry_after_s


class OutcomeUnknown(ProviderBusy):
    """A request left and no clear answer came: it may have been done, and may have to be paid."""


class ProviderResting(ProviderBusy):
    """Asked too often or in vain; it is left alone until `retry_after_s` is over."""

    message = "{provider} is left alone for a while ({detail})."


class ProviderRefused(Unavailable):
    """The provider's key is missing or refused; nothing is tried again until that changes."""

    message = "{provider} refused the key. Check {setting}."

    def __init__(self, provider: str, setting: str, message: str | None = None) -> None:
        super().__init__(message, provider=provider, setting=setting)


class NoSpace(Unavailable):
    """The disk is full."""

    message = "The disk is full: {free} free, {needed} needed. Free some space; work goes on by itself."


class TooMany(Unavailable):
    """Asked too often; `retry_after_s` says when there is room again."""

    message = "Too many requests: {limit} a minute. Try again in {retry_after_s} s."

    def __init__(self, limit: int, retry_after_s: int) -> None:
        super().__init__(limit=limit, retry_after_s=retry_after_s)
        self.retry_after_s = retry_after_s
