"""``python -m cnntrain``, which is also what torchrun starts."""

from cnntrain.cli import main

if __name__ == "__main__":
    main()
