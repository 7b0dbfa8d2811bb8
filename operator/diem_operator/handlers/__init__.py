"""The ways into the operator process: what kopf watches, and what the kubelet and Prometheus ask. Decides nothing."""
