"""``python -m cnntrain``, which is also what torchrun starts."""

import sys

from cnntrain.cli import main

if __name__ == "__main__":
    sys.exit(main())
