"""Trains a codec, as `jaxcorr train` does.

python train.py quickstart
python train.py quickstart --help
"""

import sys

from jaxcorr.cli import main

if __name__ == "__main__":
    sys.argv.insert(1, "train")
    main.main()
