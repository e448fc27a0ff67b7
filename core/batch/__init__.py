"""Vectors by batch, at half the price: planned, ordered, fetched, matched by key, never paid twice.

planner    which waiting texts go together        texts     every text on its way to a vector
intents    the states of a batch, one write each  fetcher   a result on disk until it is verified
batches    one short tick moves all of them on    results   lines matched by key alone
view       batches as people see them             names     what programs call them
rows       what SQL keeps of them
"""
