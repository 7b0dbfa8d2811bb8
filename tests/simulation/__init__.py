"""The whole operator against a model of the Kubernetes API server, one request at a time and in any order.

    machine ──► clients, people, Kubernetes ──► ModelApiServer ◄── one request at a time ◄── OperatorProcess
       └──────► chooses which request lands, is lost, hangs; who leads, who crashes ─────────────┘
    Ledger ◄── every write, judged against the run rules

`api_server` models the objects, `cluster` turns the operator's awaits into requests that the machine answers,
`operator_process` is the real store, memory, observer, planner and applier without an event loop, `ledger` knows what
must never happen, `simulation` is the world and what can be done in it, and `moves` is the table of that. `history`
makes a history of a seed, `explorer` plays tens of thousands a minute (`python -m tests.simulation --help`), and
`test_run_rules` lets Hypothesis choose. `mutants` are mistakes that have to be found, `histories` the shortest that
showed something. `real_api_server` is what the model is checked against, in `tests/integration`.
"""
