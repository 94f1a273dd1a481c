"""What runs inside the lab's MicroK8s snap: its command, its daemons, its hooks."""
