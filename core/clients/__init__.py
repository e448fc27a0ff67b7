"""What programs were promised: keys, idempotency, limits, webhooks, retention. Uses library."""
