"""`python -m rgbt_bench` is `rgbt-bench`."""

from rgbt_bench.cli import main

if __name__ == "__main__":
    main()
