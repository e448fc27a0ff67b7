"""Words in the reader's language: `catalogue` (gettext, numbers, dates, errors), `messages` (N_).

May use: errors.
"""
