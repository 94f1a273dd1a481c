"""A threaded client that measures how TCP sessions are spread over single-threaded pods."""
