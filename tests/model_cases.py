"""One small network, trained once, that the tests of pushed and given weights share."""

RECIPE = "ffkd-student-rgb"
SETTINGS = (
    "model.image_size=64", "model.fpn_channels=16", "model.fpn_cells=1", "model.max_candidates=200",
    "schedule.batch_size=6", "schedule.epochs=1",
)  # fmt: skip
OPTIONS = ("--preset", "quick", "--device", "cpu", *(f"--set={setting}" for setting in SETTINGS))


def train(dataset_folder, out):
    """Train the network into a runs home, and return the home."""
    from rgbt_bench.datasets.store import Dataset
    from rgbt_bench.harness import execute
    from rgbt_bench.runs import plan_run

    dataset = Dataset(dataset_folder)
    execute(plan_run(RECIPE, dataset, "quick", 3, SETTINGS, out), dataset, "cpu")
    return out


def contents(folder):
    """Every file of a folder with its bytes and times, but not the locks that readers touch."""
    return {
        path.relative_to(folder): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".lock")
    }
