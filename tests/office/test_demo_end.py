"""The commands of the demo end at once by SIGTERM, also while they make sounds."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from script.office.patience import PATIENCE
from tests.support.rows import for_each

ROOT = Path(__file__).parents[2]
# The command in a program of its own, with sounds that are never finished.
PROGRAM = """
import sys, threading
from script.office import agent, customer, demo
from script.office.demo_state import State

def make_sounds(state):
    print("making sounds", flush=True)
    threading.Event().wait()

customer.load_known_prompts = agent.load_agent_prompts = make_sounds
state = State("http://panel/", "admin", "pw", "127.0.0.1", 5060, {"101": "secret"}, {})
if sys.argv[1] == "call":
    work = customer.play_customer(state, "800", "09121234567", [])
else:
    work = agent.play_agent(state, "101")
sys.exit(demo._run(work))
"""


@pytest.mark.slow  # starts processes that import all of the program
@for_each("command", ["call", "answer"])
def test_command_ends_while_it_makes_sounds(command: str) -> None:
    with subprocess.Popen([sys.executable, "-c", PROGRAM, command], stdout=subprocess.PIPE, cwd=ROOT) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == b"making sounds\n"
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 130
        finally:
            process.kill()
