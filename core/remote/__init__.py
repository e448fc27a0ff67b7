"""Work done elsewhere for money: transcripts by order, pictures, files in an object store.

purchases  each transcript bought once            wire      one bounded request over HTTP
orders     their states in SQL                    breakers  leaving a failing provider alone
providers  each as it stands, with a test         storage   objects with signed addresses
rows       what SQL keeps of them                 objects   which objects are kept, and which may go
encode     sound as a provider takes it           mirror    a copy of every blob in the store
covers     pictures, ordered once                 pictures  what a picture's worker is sent and answers
"""
