"""How the oracles start strata: as forks of a fork server where STRATA_FORK_SERVER names one (tests/cli/fork_server.py)."""

import os
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "cli"))

from fork_server import ForkServer  # noqa: E402  (its folder is on the path only now)

run_program = ForkServer(os.environ.get("STRATA_FORK_SERVER")).run
