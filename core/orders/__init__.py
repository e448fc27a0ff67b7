"""Paid work at providers: batches of embeddings, remote transcripts, pictures; breakers.

Read `lifecycle` first: the states of an order, its transitions with their money, and what is decided when
an answer is lost, a run fails or a price is too dear. Then the kinds: `batches` (collect, upload, order,
fetch, store: `embedding_requests`, `batch_planner`, `batch_store`, `batch_lifecycle`, `batch_fetcher`,
`batch_results`), `transcript_purchases` over `transcript_orders`, and `covers` over `pictures`.

May use: library and below.
"""
