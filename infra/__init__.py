"""The Pulumi program: an environment on AWS, one ComponentResource a concern.

The Pulumi CLI runs ``__main__.py``; so does the embedded engine. Nothing here knows which of them
does, nor whether AWS or an emulator answers: the endpoint comes from the process environment.
"""
