"""One module a hook that snapd calls; each has ``run(paths) -> exit code``."""
