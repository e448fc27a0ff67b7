"""The embedder protocol and its providers. Uses settings and errors."""
