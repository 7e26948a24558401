"""The command `forget`: parse, call, print; nothing else."""

from __future__ import annotations

import sys
from typing import NoReturn

# isort: off
from forgetting.cli import (  # noqa: F401 - in the order of `forget --help`
    demo,
    run,
    sweep,
    tune,
    watch,
    eval,
    rescore,
    report,
    purge,
    ask,
    audit,
    analyse,
    generate,
    compare,
    board,
    import_logs,
    export,
    judge,
    push,
    score,
    reproduce,
    find,
    derive,
    corrupt,
    build,
    build_facts,
    names,
    schema,
    lab,
)

# isort: on
from forgetting.cli.app import app
from forgetting.cli.printing import print_line


def main() -> NoReturn:
    """Runs the command; an error that the user can mend is one line and exit code 2.

    Asked to end by a signal, it saves what it can and ends with a line and 128 + the signal's number: 130 after Ctrl-C.
    """
    from forgetting.core.errors import ElsewhereError, ForgettingError, is_panic
    from forgetting.core.interruption import Interrupted, listening
    from forgetting.core.launch import tells_errors
    from forgetting.core.text import one_line

    try:
        with listening():
            _check_arguments(sys.argv[1:])
            app(standalone_mode=True)
    except Interrupted as asked:
        print_line(f"forget: {asked}", to_error=True)
        raise SystemExit(asked.exit_code) from None
    except ElsewhereError:
        raise SystemExit(2) from None
    except (ForgettingError, OSError) as error:
        if tells_errors():
            print_line(f"forget: {one_line(_words(error))}", to_error=True)
        raise SystemExit(2) from None
    except BaseException as error:
        if not is_panic(error):
            raise
        print_line(f"forget: a tokenizer or a file of weights is damaged: {one_line(str(error))}", to_error=True)
        raise SystemExit(2) from None
    raise SystemExit(0)


def _words(error: Exception) -> str:
    """What an error says, without the number that the system gives it."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: cannot be read or written ({error.strerror}); check the path and the disk"
    return str(error)


def _check_arguments(given: list[str]) -> None:
    """Refuses an empty argument: a path of that name is the working folder, and mostly a variable was not set.

    Raises:
        RecipeError: it says which one it is.
    """
    from forgetting.core.errors import RecipeError

    if "" in given:
        before = given.index("")
        after = f" (after '{given[before - 1]}')" if before else ""
        raise RecipeError(f"argument {before + 1} is empty{after}; write a value, or leave it out")
