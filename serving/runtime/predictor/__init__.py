"""Models that are a person's own code, run in worker processes behind the same server."""
