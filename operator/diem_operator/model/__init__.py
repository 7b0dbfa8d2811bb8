"""Frozen types of the resources, their names and the reasons they report; no behaviour and no I/O."""
