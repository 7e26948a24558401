"""The command `forget`: parse, call, print; nothing else."""

from __future__ import annotations

import sys
from typing import NoReturn

# isort: off
from forgetting.cli import running, sweep, measuring, scoring, reproduce, corrupt, build, listing, lab  # noqa: F401 - in the order of `forget --help`

# isort: on
from forgetting.cli.app import app


def main() -> NoReturn:
    """Runs the command; an error that the user can mend is one line and exit code 2."""
    from forgetting.core.errors import ForgettingError

    try:
        app(standalone_mode=True)
    except (ForgettingError, OSError) as error:
        print(f"forget: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    raise SystemExit(0)
