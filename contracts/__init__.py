"""The documents that the rooms agree on. Imports nothing of ours."""
