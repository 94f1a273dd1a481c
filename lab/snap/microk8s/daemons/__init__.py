"""One module a service of the snap; each has ``run(paths) -> exit code``."""
