"""Everything that a short life imports, so that it starts quickly. Imports only: nothing is opened."""

import google.genai
import httpx2
import lancedb

import core.application
import tests.batching

__all__ = ["core", "google", "httpx2", "lancedb", "tests"]
