"""A layer-4 queue in front of single-threaded pods: a session is bound to a pod when the pod is free."""

__version__ = "1.0.0"
