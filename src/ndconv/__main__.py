"""python -m ndconv: the command line."""
import sys

from ndconv.cli import main

if __name__ == "__main__":
    sys.exit(main())
