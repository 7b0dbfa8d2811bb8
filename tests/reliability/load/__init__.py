"""Load on a real API server: many DiemJobs, many live runs, floods of requests, processes that die; and one judge.

    callers, people ──► fleet ◄── witness            floods (a process of their own) ──► API
           │              │                          disturbances ──► kill, restart, freeze
           ▼              ▼                          prober, meter ──► what every second told of each process
          API        who is idle                     report ◄── all of them, and the oracle

Nothing stands between the processes and the API server here: a proxy's own work would be measured with theirs. So the
oracle's rule about writes of a deposed leader has nothing to judge; the matrices show that one.

DIEM_RELIABILITY=long                                   10,000 DiemJobs, 200 live runs, ten minutes
DIEM_LOAD_DIEMJOBS, DIEM_LOAD_LIVE, DIEM_LOAD_SECONDS   other sizes
"""
