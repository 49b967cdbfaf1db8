"""`python -m intrada …` is `intrada-run …`, also where its folder is not on the PATH."""

import os
import sys

from .errors import Error
from .program import find


def main() -> int:
    try:
        program = find()
    except Error as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    # The program takes the place of Python, so that signals and the exit status are its own.
    os.execv(program, [program, *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
