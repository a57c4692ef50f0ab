"""``python -m vhdprep`` is the same program as ``vhdprep``."""

from vhdprep.cli import main

if __name__ == "__main__":
    main()
