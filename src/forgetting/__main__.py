"""`python -m forgetting`: the command, in the form that launchers of several processes start."""

from forgetting.cli import main

if __name__ == "__main__":
    main()
