"""Waiting for conditions with a deadline, and what a failed test says."""

import os
import time

# Emulation on a busy machine is slower: all deadlines are stretched by this.
PATIENCE = float(os.environ.get("PATIENCE", "1"))


class Failed(Exception):
    """What was promised did not happen."""


def wait_for(condition, seconds, what, every=0.2):
    """Looks until the condition gives something true, and returns that; fails after the deadline.

    `what` may be a function that says more about the state at the end. OSErrors mean: not yet.
    """
    end = time.monotonic() + seconds * PATIENCE
    last = None
    while True:
        try:
            if found := condition():
                return found
        except OSError as error:
            last = error
        if time.monotonic() > end:
            said = what() if callable(what) else what
            raise Failed(f"within {seconds * PATIENCE:.0f} s this did not happen: {said}" + (f" ({last})" if last else ""))
        time.sleep(every)


def check(condition, what):
    if not condition:
        raise Failed(what)


class Steps:
    """Prints what happens with the time it took, and keeps it for the summary."""

    def __init__(self):
        self.begin = self.last = time.monotonic()

    def done(self, what):
        now = time.monotonic()
        print(f"{now - self.begin:7.1f} s  (+{now - self.last:5.1f})  {what}", flush=True)
        self.last = now
