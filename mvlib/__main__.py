"""`python -m mvlib`."""

from mvlib.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
