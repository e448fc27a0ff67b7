"""What programs that use the API were promised: idempotency, limits, callbacks, retention."""
