"""What goes on and what went on: for the monitor, for /health, for /metrics."""
