"""Why a model said what it said of a row: what each feature added to it, by Shapley's values."""
