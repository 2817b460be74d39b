"""From a request to a finished run, with nothing left behind however it ends."""
