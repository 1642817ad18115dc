"""One handle on an environment of a project, wherever it lives.

A command is given two names, the project's folder and the environment's. `project.handle.Project`
makes of them what commands need: the document, the outputs, AWS clients, the addresses of services
and the cluster. Nothing here stands anything up.
"""
