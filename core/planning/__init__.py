"""`estimates` before, `holds` while a cap stops work, `proof` of what it came to; `plans` of files.

May use: orders and below.
"""
