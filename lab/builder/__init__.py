"""Builders of what the lab in a box is made of: images and snaps, cached by the content of their inputs."""
