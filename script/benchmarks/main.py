"""Measure the speed of calls and pages. `latency`: the time from an agent's hang-up to the next ring, compared with a
bare AMI client. `flood`: the same time while the PBX sends 100,000 events a second, compared with few. `pages`: the
time of the panel's pages with 100,000 requests, compared with 100 requests and with the list of Flask-Admin.
`pending`: the page of pending requests and its poll with 5,000 and 1,000 waiting requests, compared with 50.
`dispatch`: a decision with 1,000,000 requests stored and 50,000 waiting, compared with 1,000 and 50. `events`: reading
the events of 1,000 phones, compared with panoramisk's parsing. `poll`: a poll of 1,000 phones and 100 queues that have
not changed, compared with panoramisk's parsing. `wait`: the error of the estimated wait in simulated
offices, compared with that of a constant. All results are ratios of values that were measured in one run, alternately.
`registrations`: how many of 200 callers who press 1 at once are lost, on a machine that is busy with much else.
`agi`: how many of 50 callers at once can leave a request a second, compared with a bare FastAGI server.
`burst`: how long it takes to ring 50 agents who become free at once, and whether in the order of the requests.
`expire`: the look for expired requests while 50,000 wait, compared with 50, and how long it keeps others from writing.
`weight`: the bytes of a first visit, and when a slow line shows the page, compared with their limits.
"""

import argparse
import sys

from script.benchmarks import (
    agi,
    burst,
    dispatch,
    events,
    expire,
    flood,
    latency,
    pages,
    pending,
    poll,
    registrations,
    wait,
    weight,
)

RUNS = {
    **{"latency": 30, "flood": 20, "pages": 25, "dispatch": 100, "events": 12, "wait": 2},
    **{"agi": 7, "burst": 5, "expire": 15, "registrations": 10, "weight": 5, "poll": 15, "pending": 15},
}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="script/bench", description=__doc__)
    parser.add_argument("what", choices=tuple(RUNS))
    parser.add_argument("--runs", type=int, help=f"pairs, or histories of each office (default: {RUNS})")
    given = parser.parse_args(arguments)
    runs = RUNS[given.what] if given.runs is None else given.runs
    if runs < 2:
        parser.error("--runs: at least 2")
    return {
        "latency": latency.run,
        "flood": flood.run,
        "pages": pages.run,
        "pending": pending.run,
        "dispatch": dispatch.run,
        "events": events.run,
        "poll": poll.run,
        "wait": wait.run,
        "registrations": registrations.run,
        "agi": agi.run,
        "burst": burst.run,
        "expire": expire.run,
        "weight": weight.run,
    }[given.what](runs)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
