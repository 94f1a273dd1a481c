"""What all tests share."""

import signal

# A shell's background job ignores ^C, and whatever it starts inherits that; tests send ^C to programs.
signal.signal(signal.SIGINT, signal.default_int_handler)
