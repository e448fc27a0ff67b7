"""Jobs, leases, workers as rows, paused queues, periodic tasks, the history of attempts. Uses database."""
