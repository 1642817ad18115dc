"""Fit the estimator and export it."""
