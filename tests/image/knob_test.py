#!/usr/bin/env python3
"""10,000 detents of a bouncing knob on the GPIO lines of the emulated board, as fast as it takes them; and from detent to picture.

    python tests/image/knob_test.py [--detents 10000] [--seed 1] [--slowdown 5]

The jukebox's own count is compared after each movement. A movement goes one way, at five revolutions a second, each
contact bouncing for up to 2 ms. An emulated processor is several times slower than a board's: where it would have to take all
edges in their true time, they queue up in the kernel until some are lost. So the motor is slower by the slowdown; contacts
bounce as they do, for the decoder knows how long. And as the processor takes no interrupt while this computer does something
else, the motor waits after each contact until the kernel has taken note of it. What this makes of the speed is stated. The board
has one processor: of two, this computer lets one stand still for tens of milliseconds, and the kernel's threads then tell the
edges of the two lines in the wrong order.
"""

import argparse
import json
import random
import subprocess
import time

import network
from knob import A, B, CLOCKWISE, COUNTER
from machine import TOP, new_machine
from waiting import Failed, Steps, check, wait_for

DETENTS = 10_000
# Of a revolution, of a second, of a movement.
ON_RING, REVOLUTIONS, LONGEST = 20, 5, 200
BOUNCE_SECONDS, MOST_BOUNCES = 0.002, 5
# Turning back takes a hand so long (as in src/lab/panel).
TURN_BACK_SECONDS = 0.03
SETTLED_SECONDS = 20
# By which the motor is slower in front of an emulated board, unless told otherwise.
SLOWDOWN = 5
# Detents whose picture is waited for.
WATCHED = 200
LAB_SECONDS = 900
PROGRAM = "target/release/silverstream"


class Motor:
    """Turns the knob at a speed of its own, and knows how long a motor would have taken."""

    def __init__(self, machine, seed, slowdown):
        self.lines = machine.knob.lines
        self.edge_seconds = slowdown / (REVOLUTIONS * ON_RING * 4)
        self.random = random.Random(seed)
        self.nominal = self.took = 0.0
        self.edges = self.longest_bounce = 0
        self.levels = {A: True, B: True}

    def turn(self, detents):
        begin = due = time.monotonic()
        for _ in range(abs(detents)):
            for levels in CLOCKWISE if detents > 0 else COUNTER:
                for line, level in zip((A, B), levels):
                    if level != self.levels[line]:
                        sleep_until(due)
                        due = time.monotonic() + self.edge_seconds
                        self.close(line, level)
                        # What lies between the last bounce and the next contact is there also when the motor is late.
                        due = max(due, time.monotonic() + self.edge_seconds - BOUNCE_SECONDS)
                        self.nominal += 1 / (REVOLUTIONS * ON_RING * 4)
        self.took += time.monotonic() - begin

    def close(self, line, level):
        """The contact goes to the level, and back and forth for a while."""
        self.levels[line] = level
        begin = time.monotonic()
        self.lines.set(line, level)
        pairs = self.random.randint(0, MOST_BOUNCES)
        at = sorted(self.random.uniform(0, BOUNCE_SECONDS) for _ in range(2 * pairs))
        for back, forth in zip(at[::2], at[1::2]):
            sleep_until(begin + back)
            # Longer than a contact bounces nobody has to expect: when this computer was away meanwhile, it has ended.
            if time.monotonic() > begin + BOUNCE_SECONDS:
                break
            self.lines.set(line, not level)
            sleep_until(begin + forth)
            self.lines.set(line, level)
            self.edges += 2
            self.longest_bounce = max(self.longest_bounce, time.monotonic() - begin)
        self.edges += 1
        self.lines.wait_noticed()


def sleep_until(due):
    """More precisely than the system sleeps."""
    while (left := due - time.monotonic()) > 0:
        if left > 0.001:
            time.sleep(left - 0.0005)


def counted(machine):
    panel = machine.status()["panel"]
    return panel["clockwise"], panel["counterclockwise"]


def count(machine, steps, detents, seed, slowdown):
    """Movements to and fro; after each the jukebox must have counted just as many detents, on the right side."""
    motor, chance = Motor(machine, seed, slowdown), random.Random(seed)
    begun = counted(machine)
    wanted, faults, direction, done = list(begun), [], 1, 0
    begin = time.monotonic()
    while done < detents:
        number = min(chance.randint(1, LONGEST), detents - done)
        motor.turn(direction * number)
        done += number
        wanted[direction < 0] += number
        direction = -direction
        time.sleep(TURN_BACK_SECONDS)
        seen = wait_counted(machine, sum(wanted))
        if list(seen) != wanted:
            faults.append(f"after {done} detents {wanted} were turned and {list(seen)} counted")
            wanted = list(seen)
    seconds = time.monotonic() - begin
    right, left = (now - before for now, before in zip(counted(machine), begun))
    steps.done(f"{detents} detents turned with {motor.edges} edges: {right} right and {left} left counted; "
               f"turning took {motor.took:.0f} s, {motor.took / motor.nominal:.1f} times as long as a motor of {REVOLUTIONS} rev/s; "
               f"longest bounce {motor.longest_bounce * 1000:.1f} ms; {seconds:.0f} s in all")
    check(not faults, f"{len(faults)} movements were miscounted:\n" + "\n".join(faults[:20]))
    check(right + left == detents, f"{right + left} detents were counted")


def wait_counted(machine, total):
    """The jukebox tells its state once a second, and the last detents may be on their way: what it has counted once the sum
    is right, or once it has not changed for longer than that."""
    end, last, since = time.monotonic() + SETTLED_SECONDS, None, time.monotonic()
    while time.monotonic() < end:
        now = counted(machine)
        if now != last:
            last, since = now, time.monotonic()
        if sum(now) == total or time.monotonic() - since > 5:
            break
        time.sleep(0.05)
    return last


def turn_one(knob, clockwise):
    """Turns by a detent without bounces; the time of the edge that completes it."""
    for a, b in CLOCKWISE if clockwise else COUNTER:
        knob.lines.wait_noticed()
        time.sleep(0.005)
        begin = time.monotonic()
        knob.lines.set(A, a)
        knob.lines.set(B, b)
    return begin


def watch_pictures(machine, steps):
    """From the edge that completes a detent to another picture at the far end of the panel's serial line."""
    panel, delays = machine.panel, []
    # In the middle: at either end, turning on changes nothing.
    machine.ask("volume", to={"absolute": 50})
    for number in range(WATCHED):
        before = panel.changes
        begin = turn_one(machine.knob, number // 4 % 2)
        wait_for(lambda: panel.changes != before, 20, "a detent changes the picture", every=0.0005)
        delays.append((time.monotonic() - begin) * 1000)
        time.sleep(0.25)
    delays.sort()
    steps.done(f"from outside, detent to changed picture at the other end of the serial line: "
               f"median {delays[len(delays) // 2]:.0f} ms, 99th percentile {delays[len(delays) * 99 // 100]:.0f} ms")


def lab(machine, steps):
    """The same program measures its own share in the emulated board, and on this computer."""
    inside = machine.ssh("silverstream lab panel --quick --json", seconds=LAB_SECONDS, check=False)
    report = json.loads(inside.stdout.decode() or "{}")
    check("figures" in report, f"`lab panel` does not run on the board: {inside.stdout.decode()}{inside.stderr.decode()}")
    here = {}
    if (TOP / PROGRAM).exists():
        done = subprocess.run([TOP / PROGRAM, "lab", "panel", "--quick", "--json"], capture_output=True, timeout=LAB_SECONDS, check=False)
        # One of before may not know the experiment.
        here = {figure["name"]: figure["value"] for figure in json.loads(done.stdout).get("figures", [])}
    for figure in report["figures"]:
        beside = f"{here[figure['name']]:10.2f}" if figure["name"] in here else ""
        print(f"    {figure['name']:62} {figure['value']:10.2f} {beside}", flush=True)
    work = next(figure for figure in report["figures"] if figure["name"].startswith("calibration"))
    slow = f"this board is {work['value'] / here[work['name']]:.1f} times slower than this computer" if here else \
        f"no {PROGRAM} to compare with"
    missed = [figure["name"] for figure in report["figures"] if not figure["met"]]
    steps.done(f"`silverstream lab panel` on the board (and on this computer): {slow}")
    check(not missed, f"targets are missed on the board: {missed}")


def run(folder, detents=DETENTS, seed=1, slowdown=SLOWDOWN):
    machine = new_machine(folder, processors=1)
    steps = Steps()
    try:
        machine.start()
        machine.connect_ssh()
        machine.panel.wait_heard(60)
        if "panel" not in machine.status():
            raise Failed("this image's jukebox does not count detents; make a new one with `make image`")
        steps.done(f"a jukebox runs; seed {seed}")
        count(machine, steps, detents, seed, slowdown)
        watch_pictures(machine, steps)
        lab(machine, steps)
    finally:
        machine.cut()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--detents", type=int, default=DETENTS)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--slowdown", type=float, default=SLOWDOWN)
    options = arguments.parse_args()
    network.enter()
    run(TOP / "target/image-test/knob", options.detents, options.seed, options.slowdown)
    print("knob: passed")
