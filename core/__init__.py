"""What Stenogram does, in plain Python: no pages, no HTTP server, no broker.

A recording goes through these stages, each readable alone:

    storage → media → speech → transcripts → embedding → search
    bytes     sound   words    passages      vectors     moments

Packages, lowest first; each may import those above it in this list and none below (`make check`
holds it with import-linter):

errors, settings, principal, failpoints, heartbeat, addresses, logs, http_client, spreadsheets
              plain modules that everybody may use
i18n          words, numbers and dates in the reader's language; the catalogues
database      engine and sessions, all tables, states, migrations, named values
audit         the audit trail: who saw, changed, exported, deleted and paid
storage       blobs under their hash, the object store, uploads under way
queue         jobs and their leases, workers, paused queues, locks, periodic tasks, attempts
embedding     the embedder protocol, embedders
billing       price book, arithmetic of estimates, ledger, caps
media         probe, sandboxed decode, waveforms, encoding
speech        voice activity, the engine protocol, engines, GigaAM, model downloads
transcripts   transcripts, cutting them into passages, exports
search        passages and their vectors, the index (LanceDB), queries
library       recordings and tasks as people and programs see them
orders        paid work elsewhere: embedding batches, remote transcripts, pictures, breakers
planning      estimates, quotes of a plan, what a cap holds, what it came to
sources       what comes by itself or by a link: feeds, folders, buckets, sites
monitor       what runs and ran, failures, health, metrics, actions by hand
clients       what API clients were promised: keys, idempotency, limits, webhooks, retention
pipeline      what each kind of job does: the package to read first
application   builds all of it from settings, a clock and a notifier; nothing else builds
"""
