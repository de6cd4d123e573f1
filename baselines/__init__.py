"""One folder a paper: its models, losses and recipes, registered as submissions."""
