"""Learning libraries, a module each: what a model's document may name, and all that steps ask.

Steps know no library. What differs between libraries (how an estimator is made, fitted, asked and
exported) is in one record, `Library`, so that a new one is a module here and a line in
`components.libraries.registry`, or, outside this checkout, an entry point of the group
``millwright.libraries``.
"""
