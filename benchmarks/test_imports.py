"""How soon the command line and the core are there: processor time of fresh processes, as ratios to named peers."""

import os
import subprocess
import sys

ROUNDS = 7
MOST_OF_TYPER = 2.5
MOST_OF_NUMPY = 2
# A command of one function: what Typer and Rich cost by themselves.
HELLO = """
import typer
app = typer.Typer()
@app.command()
def hello(name: str = "you"):
    print(name)
app()
"""
CORE = (
    "import rgbt_bench.metrics.resampling, rgbt_bench.metrics.catalogue, rgbt_bench.predictions, rgbt_bench.statistics"
)


def processor_time(*arguments):
    before = os.times()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def ratio(ours, peer):
    """The least of several processes each, taken in turns."""
    times = [(processor_time(*ours), processor_time(*peer)) for _ in range(ROUNDS)]
    return min(own for own, _ in times) / min(other for _, other in times)


def test_the_help_is_about_as_soon_there_as_that_of_one_function_in_typer(benchmark):
    found = ratio(["-m", "rgbt_bench", "--help"], ["-c", HELLO, "--help"])
    benchmark.extra_info["time_over_typers"] = round(found, 2)
    benchmark.pedantic(processor_time, ("-m", "rgbt_bench", "--help"), rounds=1)
    assert found <= MOST_OF_TYPER, found


def test_the_core_takes_little_more_than_numpy(benchmark):
    found = ratio(["-c", CORE], ["-c", "import numpy"])
    benchmark.extra_info["time_over_numpys"] = round(found, 2)
    benchmark.pedantic(processor_time, ("-c", CORE), rounds=1)
    assert found <= MOST_OF_NUMPY, found
