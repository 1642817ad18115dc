"""Security checks over what an environment would be made of; run by ``make policy``."""
