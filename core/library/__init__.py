"""`recordings` and tasks, `intake` of files, `deletion`, `tasks` (cancel, retry), `views` for pages.

May use: search and below.
"""
