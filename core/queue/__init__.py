"""Jobs and their leases (`jobs`), `workers`, paused `queues`, `periodic` tasks, `history`, `locks`.

May use: database and below.
"""
