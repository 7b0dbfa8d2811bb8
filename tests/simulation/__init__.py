"""The whole operator against a model of the Kubernetes API server, one request at a time and in any order.

    machine ──► clients, people, Kubernetes ──► ModelApiServer ◄── one request at a time ◄── OperatorProcess
       └──────► chooses which request lands, is lost, hangs; who leads, who crashes ─────────────┘
    Ledger ◄── every write, judged against the run rules

`api_server` models the objects, `cluster` turns the operator's awaits into requests that the machine answers,
`operator_process` is the real store, memory, observer, planner and applier without an event loop, `ledger` knows what
must never happen, `simulation` has the moves, and `test_run_rules` lets Hypothesis choose them.
"""
