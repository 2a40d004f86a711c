"""Runs the command line: `python -m jaxcorr COMMAND …`."""

from jaxcorr.cli.main import main

if __name__ == "__main__":
    main()
