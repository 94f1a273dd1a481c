"""The single-threaded server in parts; server.py beside this folder is the program."""
