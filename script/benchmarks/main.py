"""Measure the speed of calls and pages. `latency`: the time from an agent's hang-up to the next ring, compared with a
bare AMI client. `pages`: the time of the panel's pages with 100,000 requests, compared with 100 requests and with the
list of Flask-Admin. All results are ratios of values that were measured alternately in one run."""

import argparse
import sys

from script.benchmarks import latency, pages

RUNS = {"latency": 30, "pages": 25}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="script/bench", description=__doc__)
    parser.add_argument("what", choices=tuple(RUNS))
    parser.add_argument("--runs", type=int, help=f"pairs (default: {RUNS})")
    given = parser.parse_args(arguments)
    runs = RUNS[given.what] if given.runs is None else given.runs
    if runs < 2:
        parser.error("--runs: at least 2")
    return {"latency": latency.run, "pages": pages.run}[given.what](runs)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
