"""Transcripts, cutting them into passages, exports. Uses speech, queue and storage."""
