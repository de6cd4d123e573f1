"""Small trainings of RGB detectors for the tests."""

from rgbt_bench.recipes import load_recipe
from rgbt_bench.submissions import Requirement, TrainContext
from training_cases import KilledError

SMALL = (
    "model.image_size=64",
    "schedule.epochs=3",
    "schedule.batch_size=4",
    "augment.mosaic_off=1",
    "model.left_out=[]",
)


def recipe(name="rdrkd-baseline", *settings):
    return load_recipe(name, "quick", (*SMALL, *settings))


def context(folder, dataset, seed=0, progress=None, **requirements):
    folder.mkdir(parents=True, exist_ok=True)
    given = {role: Requirement(one, weights) for role, (one, weights) in requirements.items()}
    more = {} if progress is None else {"progress": progress}
    return TrainContext(folder, dataset.part("train"), None, seed, "cpu", given, **more)


def killing(epoch):
    """Return a progress that ends the training in the middle of an epoch."""

    def progress(stage, done, total):
        if stage == f"epoch {epoch}, batch 2":
            raise KilledError

    return progress
