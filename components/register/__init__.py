"""Make a version of a model that passed its gates."""
