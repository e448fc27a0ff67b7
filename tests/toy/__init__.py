"""The toy model of the tests: its words, its training, the loss of its transducer."""
