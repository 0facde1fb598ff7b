#!/usr/bin/env python3
"""Installs update bundles over SSH, good ones and such that do not work, and hears whether the jukebox plays afterwards.

    python tests/image/updates.py [KIND ...]      kinds are those of image/bundle

The bundles are made by `image/bundle` out of the one of `make image`.
"""

import subprocess
import sys

import network
import sound
from machine import IMAGE, TOP, new_machine
from share import share_song
from waiting import Steps, check, wait_for

ON_CARD = "/data/update.raucb"
# Kinds of bundle, and whether RAUC takes them and the slot comes up. "hung-program" takes longer than a test may: 5 minutes.
REFUSED, ROLLED_BACK, GOOD = "refused", "rolled back", "good"
KINDS = {"unsigned": REFUSED, "cut": REFUSED, "stranger": REFUSED, "no-kernel": ROLLED_BACK, "no-program": ROLLED_BACK,
         "panic": ROLLED_BACK, "hung-program": ROLLED_BACK, "next": GOOD}
BY_DEFAULT = ["unsigned", "cut", "stranger", "no-kernel", "no-program", "next"]
# Five starts that fail, and a start of the whole machine before and after.
RESTART_SECONDS = 600


def make_bundle(kind, folder):
    bundle = folder / f"{kind}.raucb"
    subprocess.run([TOP / "image/bundle", kind, bundle, IMAGE / "silverstream.raucb"], check=True)
    return bundle


def state(machine):
    """Booted slot and version of the system."""
    slot = machine.ssh("sed 's/.*rauc.slot=\\([AB]\\).*/\\1/' /proc/cmdline").strip()
    version = machine.ssh("sed -n 's/^IMAGE_VERSION=//p' /usr/lib/os-release").strip()
    return slot, version


def install(machine, bundle):
    """What RAUC says, and whether it has installed it."""
    with open(bundle, "rb") as file:
        machine.ssh(f"cat >{ON_CARD}", seconds=300, stdin=file)
    done = machine.ssh(f"rauc install {ON_CARD}", seconds=400, check=False)
    machine.ssh(f"rm {ON_CARD}")
    return done.returncode == 0, (done.stdout + done.stderr).decode()


def restart(machine, settles):
    """Restarts it over SSH and waits until it is there, playing, in a state that `settles`; that state."""
    resets = machine.resets
    watch = sound.Watch(machine.sound)
    machine.ssh("systemctl --no-block reboot")
    wait_for(lambda: machine.resets > resets, 60, "it restarts")
    last = None

    def settled():
        nonlocal last
        machine.connect_ssh(RESTART_SECONDS)
        last = state(machine)
        return last if settles(last) else None

    def look():
        try:
            return settled()
        except Exception as error:  # it goes down again while we look
            if not machine.running():
                raise
            raise ConnectionError(str(error)) from error

    found = wait_for(look, RESTART_SECONDS, lambda: f"the right slot runs, not {last}; the console:\n{machine.tail()}", every=2)
    machine.wait_status(lambda status: status["player"]["state"] == "playing", 120, "it plays")
    watch.skip()
    wait_for(watch.sounds, 60, "sound comes out")
    return found


def update(machine, kind, bundle, steps):
    before = state(machine)
    taken, said = install(machine, bundle)
    wanted = KINDS[kind]
    check(taken == (wanted != REFUSED), f"{kind}: RAUC {'takes' if taken else 'refuses'} it: {said}")
    if wanted == REFUSED:
        steps.done(f"{kind}: refused: {said.strip().splitlines()[-1][:160]}")
        check(state(machine) == before, f"{kind}: the slot has changed")
        watch = sound.Watch(machine.sound).skip()
        wait_for(watch.sounds, 60, "it goes on playing")
        return
    steps.done(f"{kind}: installed")
    begin, resets = len(machine.console), machine.resets
    if wanted == GOOD:
        after = restart(machine, lambda now: now[0] != before[0])
        check(after[1] == f"{before[1]}.{kind}", f"the new slot has version {after[1]}")
    else:
        other = {"A": "B", "B": "A"}[before[0]]
        # Back in the old slot after the new one was tried.
        tried = lambda: machine.find_console(f"starting slot {other}|slot {other} does not start", since=begin)
        after = restart(machine, lambda now: tried() and now == before)
    if kind == "no-kernel":
        check(machine.resets == resets + 1, f"U-Boot passes it over, without {machine.resets - resets - 1} restarts more")
    steps.done(f"{kind}: {before} -> {after} after {machine.resets - resets} restarts; it plays")


def run(folder, kinds=BY_DEFAULT):
    machine = new_machine(folder)
    steps = Steps()
    try:
        machine.start()
        bundles = {kind: make_bundle(kind, folder) for kind in kinds}
        steps.done(f"made bundles: {', '.join(kinds)}")
        machine.connect_ssh()
        share_song(machine)
        steps.done(f"a jukebox plays in {state(machine)}")
        # A slot that is to be stayed in has worked for a while.
        wait_for(lambda: machine.ssh("cat /data/system/confirmed-slot || true").strip(), 180, "the slot is confirmed", every=2)
        for kind in kinds:
            update(machine, kind, bundles[kind], steps)
    finally:
        machine.cut()


if __name__ == "__main__":
    network.enter()
    run(TOP / "target/image-test/updates", sys.argv[1:] or BY_DEFAULT)
    print("updates: passed")
