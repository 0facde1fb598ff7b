#!/usr/bin/env python3
"""`make image-test`: the visit, the same with half the memory, updates, and the card in an emulated Raspberry Pi 3."""

import sys
import time
import traceback

import network
from machine import TOP

# What it may take on two cores.
LIMIT_SECONDS = 25 * 60


def main():
    network.enter()
    import raspi3b
    import updates
    import visit
    folder = TOP / "target/image-test"
    parts = {
        "visit": lambda: visit.visit(folder / "visit"),
        "updates": lambda: updates.run(folder / "updates"),
        "raspi3b": lambda: raspi3b.run(folder / "raspi3b"),
    }
    wanted = sys.argv[1:] or list(parts)
    begin, results = time.monotonic(), {}
    for name in wanted:
        print(f"== {name}", flush=True)
        try:
            parts[name]()
            results[name] = "passed"
        except Exception as error:  # the other parts shall still run
            traceback.print_exc()
            results[name] = f"FAILED: {str(error).splitlines()[0]}"
    seconds = time.monotonic() - begin
    print(f"== image-test: {seconds:.0f} s, {LIMIT_SECONDS} are allowed")
    for name, result in results.items():
        print(f"{name:10} {result}")
    sys.exit(any(result != "passed" for result in results.values()) or seconds > LIMIT_SECONDS)


if __name__ == "__main__":
    main()
