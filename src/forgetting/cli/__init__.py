"""The command `forget`: parse, call, print; nothing else."""

from __future__ import annotations

import sys
from typing import NoReturn

# isort: off
from forgetting.cli import (  # noqa: F401 - in the order of `forget --help`
    demo,
    run,
    sweep,
    eval,
    rescore,
    report,
    purge,
    ask,
    audit,
    analyse,
    generate,
    compare,
    import_logs,
    push,
    score,
    reproduce,
    find,
    derive,
    corrupt,
    build,
    names,
    schema,
    lab,
)

# isort: on
from forgetting.cli.app import app


def main() -> NoReturn:
    """Runs the command; an error that the user can mend is one line and exit code 2.

    Asked to end by a signal, it saves what it can and ends with a line and 128 + the signal's number: 130 after Ctrl-C.
    """
    from forgetting.core.errors import ElsewhereError, ForgettingError
    from forgetting.core.interruption import Interrupted, listening
    from forgetting.core.launch import tells_errors

    try:
        with listening():
            app(standalone_mode=True)
    except Interrupted as asked:
        print(f"forget: {asked}", file=sys.stderr)
        raise SystemExit(asked.exit_code) from None
    except ElsewhereError:
        raise SystemExit(2) from None
    except (ForgettingError, OSError) as error:
        if tells_errors():
            print(f"forget: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    raise SystemExit(0)
