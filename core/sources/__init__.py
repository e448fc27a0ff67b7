"""Where recordings come from besides people's own files: links, feeds, folders of the server, buckets.

`service` keeps what is watched and what came of it; `fetching` has web addresses looked at and fetched by
a child process (`child`, with `sites` and `feeds`), which reaches public addresses only; `places` lists,
reads and moves files of folders and buckets.

May use: planning and below.
"""
