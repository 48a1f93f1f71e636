"""Measure. `latency`: from the agent's hang-up to the ringing of its phone, beside a bare client of the exchange.
`pages`: what the panel's pages take with 100,000 requests stored, beside 100, and beside Flask-Admin's list of them.
All results are ratios of what was measured turn about in one run."""

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
