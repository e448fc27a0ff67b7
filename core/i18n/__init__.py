"""Words in the reader's language: the catalogue, numbers, dates. Uses errors."""
