"""Text to vectors: the protocol every embedder keeps (`embedder`), `embedders`.

May use: settings, errors, http_client.
"""
