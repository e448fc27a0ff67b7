"""Price, plan, proof: what it would cost here, the plan that was run, what it came to.

The pure arithmetic is in `core/costs`; this is what an installation knows and did.
"""
