"""Processes for tests that kill them: forked from one that has imported what they need.

All share one server, as there is only one in a process: whoever names modules last, names them for everybody.
"""

import multiprocessing

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.preloaded"])
