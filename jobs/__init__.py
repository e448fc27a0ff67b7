"""Background work: `actors` do it, `worker` is a process that serves a queue, `runner` starts all of them.

Nothing is imported here: the runner has the broker on its way before it reads anything large.
"""
