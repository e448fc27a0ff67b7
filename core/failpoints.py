"""Named places where tests kill this process, to prove that nothing is lost or paid twice there.

They do nothing unless both `STENOGRAM_TEST=1` and `STENOGRAM_FAILPOINT=<name>` are set.
"""

from __future__ import annotations

import os
import signal

POINTS = (
    "plan.before_commit",
    "plan.after_commit",
    "upload.before",
    "upload.after",
    "submit.before_commit",
    "submit.before_send",
    "submit.after_reply",
    "submit.after_commit",
    "adopt.before_commit",
    "refuse.before_commit",
    "poll.after_reply",
    "end.after_commit",
    "fetch.in_the_middle",
    "fetch.before_rename",
    "fetch.after_rename",
    "save.after_commit",
    "store.in_the_middle",
    "store.after_index",
    "store.after_commit",
    "cancel.after_reply",
    "replan.before_commit",
    "replan.after_commit",
)
"""Every place there is, in the order in which a batch passes them."""


def hit(name: str) -> None:
    """Die here, at once and without a word, if a test wants that."""
    if os.environ.get("STENOGRAM_TEST") == "1" and os.environ.get("STENOGRAM_FAILPOINT") == name:
        os.kill(os.getpid(), signal.SIGKILL)
