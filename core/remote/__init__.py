"""Work done elsewhere for money: transcripts by order, pictures, files in an object store.

purchases  each transcript bought once            wire      one bounded request over HTTP
orders     their states in SQL                    breakers  leaving a failing provider alone
providers  each as it stands, with a test         storage   objects with signed addresses
rows       what SQL keeps of them
"""
