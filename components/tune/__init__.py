"""Search the estimator's parameters on the validation data."""
