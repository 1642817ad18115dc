"""Several processes that serve one version as one server: one port, one count, one memory, one end.

The parent has the port. It takes connections and hands each to the worker with the fewest, reads
what the workers remember, judges feedback, starts a worker anew that dies, and ends all of them
together. Workers are forked, so they share the loaded model's memory and are back in milliseconds.
What they count stands in memory that outlives them.
"""
