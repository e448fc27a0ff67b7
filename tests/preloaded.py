"""Everything that a short life imports, so that it starts quickly. Imports only: nothing is opened."""

import google.genai
import httpcore
import httpcore2
import lancedb
import truststore

import core.application
import tests.batching
import tests.remotely

__all__ = ["core", "google", "httpcore", "httpcore2", "lancedb", "tests", "truststore"]
