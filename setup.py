from setuptools import find_packages, setup

MAPPED = {"rgbt_converters": "converters", "rgbt_baselines": "baselines", "rgbt_leaderboards": "leaderboards"}
packages = find_packages(include=["rgbt_bench", "rgbt_bench.*"])
for name, folder in MAPPED.items():
    packages += [name, *(f"{name}.{sub}" for sub in find_packages(folder))]
setup(packages=packages)
