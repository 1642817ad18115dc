"""Measure the exported model on data that nothing else has looked at."""
