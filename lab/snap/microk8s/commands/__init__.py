"""One module a subcommand of ``microk8s``; each has ``run(paths, words) -> exit code``."""
