"""Split by time and learn how features are made ready."""
