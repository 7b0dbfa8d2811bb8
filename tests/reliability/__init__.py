"""Faults on a real API server: our real processes, a proxy between them and it, scripted stories, and one oracle.

    story ──► stage ──► API process ──► proxy ──┐
                │       operators ────► proxy ──┴──► API server, etcd, controllers, a simulated node
                └── kubectl's work ────────────────────►│
                witness ◄── watches ────────────────────┘      oracle ◄── witness, proxies, what callers were told

A story says what people and callers do, a fault what goes wrong meanwhile; any story can meet any fault. README.md says
how to add either.
"""
