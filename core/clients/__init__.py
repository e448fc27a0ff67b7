"""API clients: `keys`, `intake` with `idempotency`, `rate_limits`, `webhooks`, `retention`, `answers`.

May use: monitor and below.
"""
