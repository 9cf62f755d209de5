"""``python -m fargsim`` is the command ``fargsim``."""

from fargsim.cli import main

if __name__ == "__main__":
    main()
