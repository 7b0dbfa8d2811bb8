"""What `make run` and `make demo` do: a cluster on this machine, with the operator and the API beside it.

    running_stack      a local cluster, our resources and rights, both processes under their own ServiceAccounts
    run                leaves that running for a person, with samples and a key, until told to end
    demo               plays a story on it, and fails when a step is not as it should be

It uses the cluster and both processes from outside, as a user does, and imports nothing of the operator.
"""
