"""Runs as the last step of the image's build, in the image: leaves in it what Python needs, and lists that.

The standard library only, and no shell or program of the image after they are gone.
"""
