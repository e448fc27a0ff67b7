"""Background work: `actors` do it, `worker` is a process that serves a queue, `runner` starts all of them.

Nothing is imported here: the runner must have the web server on its way before it reads anything large.
"""
