#!/usr/bin/env python3
"""`make image-test`: the parts that fit into 25 minutes, or those that are named (ARGS="faults knob")."""

import argparse
import importlib
import sys
import time
import traceback

import network
from machine import TOP

# What those by default may take on two cores.
LIMIT_SECONDS = 25 * 60
BY_DEFAULT = ["visit", "visit-256", "updates", "raspi3b"]
# Each with its module, whose `run` it is, and what that is told beside its folder.
PARTS = {
    "visit": ("visit", {}),
    "visit-256": ("visit", {"memory_mib": 256}),
    "updates": ("updates", {}),
    "raspi3b": ("raspi3b", {}),
    "faults": ("faults", {}),
    "bad-cards": ("bad_cards", {}),
    "knob": ("knob_test", {}),
}


def run(name):
    """Runs a part; what became of it, in a line."""
    print(f"== {name}", flush=True)
    begin = time.monotonic()
    module, options = PARTS[name]
    try:
        importlib.import_module(module).run(TOP / "target/image-test" / name, **options)
        result = "passed"
    except Exception as error:  # the other parts shall still run
        traceback.print_exc()
        result = f"FAILED: {(str(error) or repr(error)).splitlines()[0]}"
    return f"{time.monotonic() - begin:5.0f} s  {result}"


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("part", nargs="*", help=f"{', '.join(BY_DEFAULT)} by default; all: {', '.join(PARTS)}")
    wanted = arguments.parse_args().part
    if unknown := [name for name in wanted if name not in PARTS]:
        arguments.error(f"there is no part {', '.join(unknown)}; these are: {', '.join(PARTS)}")
    network.enter()
    begin = time.monotonic()
    results = {name: run(name) for name in wanted or BY_DEFAULT}
    seconds = time.monotonic() - begin
    print(f"== image-test: {seconds:.0f} s" + ("" if wanted else f", {LIMIT_SECONDS} are allowed"))
    for name, result in results.items():
        print(f"{name:10} {result}")
    failed = any("FAILED" in result for result in results.values())
    sys.exit(failed or not wanted and seconds > LIMIT_SECONDS)


if __name__ == "__main__":
    main()
