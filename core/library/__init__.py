"""Recordings and tasks as people and programs see them. Uses transcripts and search."""
