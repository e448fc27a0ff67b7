"""Price → plan: what an archive costs and when it is ready, by every route, before anything is sent.

An estimate is made in five steps. `tokens` turns hours or documents into recordings, passages and tokens.
`prices` looks up dated prices, limits and assumptions in `prices.toml`. `stages` prices and times each
way to transcribe and each way to make vectors (`pace`: rate limits, measured speeds, waits of batches).
`quote` joins two legs into a route and picks the cheapest that fits; `comparison` sets sync against batch,
part by part; `forecast` finds what matters most. `report` is the whole answer as JSON.
"""

from core.billing.forecast import embedding, tornado, vectors
from core.billing.money import Note, Usd, as_json, is_under_a_cent, plain, shown
from core.billing.pace import History, span
from core.billing.prices import Assumption, Book, Limit, Price, shipped, yours
from core.billing.quote import Choice, Quote, Speeds, frontier, recommend, routes
from core.billing.report import Answer, answer, as_csv, described, estimate
from core.billing.tokens import Workload, tokens_of_text, work_of_documents, work_of_files, work_of_hours

__all__ = [
    "Answer",
    "Assumption",
    "Book",
    "Choice",
    "History",
    "Limit",
    "Note",
    "Price",
    "Quote",
    "Speeds",
    "Usd",
    "Workload",
    "answer",
    "as_csv",
    "as_json",
    "described",
    "embedding",
    "estimate",
    "frontier",
    "is_under_a_cent",
    "plain",
    "recommend",
    "routes",
    "shipped",
    "shown",
    "span",
    "tokens_of_text",
    "tornado",
    "vectors",
    "work_of_documents",
    "work_of_files",
    "work_of_hours",
    "yours",
]
