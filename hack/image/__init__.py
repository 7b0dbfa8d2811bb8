"""Builds the image from the Containerfile on a machine without container engine and registry: `python -m hack.image`.

Everything is made under the cache folder; nothing stays mounted or running. Package `inside` is not used here: it runs
within the build.
"""
