"""Rank features and keep the ones that tell most."""
