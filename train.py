"""Trains a codec, like `jaxcorr train`: `python train.py quickstart`."""

import sys

from jaxcorr.cli import main

if __name__ == "__main__":
    sys.argv.insert(1, "train")
    main.main()
