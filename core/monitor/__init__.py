"""What runs and ran: `monitor`, `facts`, `failures`, `health`, `metrics`, `job_list`; `actions` by hand.

May use: planning and below.
"""
