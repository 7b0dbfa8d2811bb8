"""DIEM jobs on Kubernetes: an operator and an HTTP API for one custom resource, the DiemJob.

The packages, from the inside out: `model` (what the resources are), `planning` and `access` (what to do and who may;
pure), `cluster` (the only code that talks to Kubernetes), `reconciler` (observe, plan, apply), `handlers` and `api`
(the two ways in), `cli` (which puts one process together).
"""
