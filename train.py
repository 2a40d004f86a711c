"""Trains a codec, as `jaxcorr train` does.

python train.py quickstart
python train.py quickstart --help
"""

import sys

from jaxcorr import cli

if __name__ == "__main__":
    sys.argv.insert(1, "train")
    cli.main()
