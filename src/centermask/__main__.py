"""``python -m centermask``: the command line, for launchers that start modules."""

from centermask.cli import main

if __name__ == "__main__":
    main()
