"""Lets `python3 -m session_client` stand in for the `session-client` command."""

import sys

from session_client.cli import main

sys.exit(main())
