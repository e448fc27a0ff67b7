"""Bytes: `blobs` under their hash, the `object_store` (folder or S3), its `mirror`, `resumable` uploads.

May use: database and below.
"""
