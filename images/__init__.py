"""Millwright's own images: what goes into them, and how they get into an environment's registry.

`manifests/images` has a Dockerfile and a list of packages for each; here the lists are made from
the lock (`lists`), an image is named by what goes into it (`recipe`), built by whichever tool is
there (`tools`, with pip's settings from `pip`) and pushed to the environment's registry
(`registry`, `publish`).
"""
