"""The audit trail: who saw, changed, exported, deleted, paid and signed in.

A public method of a service that changes something, or hands content out, is marked with `audited`: its event
is written in the very transaction of the change. What no method of somebody does (an order that is sent, a
sign-in) calls `record`. Events name objects by their ids and hold no content.
"""

from __future__ import annotations

from core.audit.marks import about, audited, is_refusal, refused
from core.audit.trail import AuditTrail, EventFilter, record, record_once

__all__ = ["AuditTrail", "EventFilter", "about", "audited", "is_refusal", "record", "record_once", "refused"]
