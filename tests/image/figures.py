#!/usr/bin/env python3
"""Figures of the card as ratios to a plain Debian trixie on the same emulated machine in the same run (`make image-figures`).

Emulation is some ten times slower than a board, and how much depends on the computer: only the ratios mean something.
"""

import json
import os
import re

import network
import plain as plain_debian
import sound
from machine import TOP, new_machine
from share import share_song
from waiting import Steps, wait_for

STARTS = 3


def start(machine):
    """One start with a song that was playing: seconds from kernel entry to readiness and to sound, MiB of memory."""
    machine.start(link=False)
    capture = sound.Watch(machine.sound)
    entry = machine.wait_console("Starting kernel")[0]
    sounds = wait_for(capture.sounds, 300, "the song goes on", every=0.02)
    machine.set_link(True)
    machine.connect_ssh()
    ready = machine.ssh("systemctl show -p ActiveEnterTimestampMonotonic silverstream.service")
    memory = dict(re.findall(r"(\w+):\s+(\d+) kB", machine.ssh("cat /proc/meminfo")))
    figures = {
        "ready_s": int(ready.split("=")[1]) / 1e6,
        "sound_s": sounds - entry,
        "memory_mib": (int(memory["MemTotal"]) - int(memory["MemAvailable"])) / 1024,
        "jukebox_mib": machine.status()["memory"]["rss_bytes"] / (1 << 20),
    }
    machine.switch_off()
    return figures


def median(values):
    return sorted(values)[len(values) // 2]


def measure(folder):
    machine = new_machine(folder)
    steps = Steps()
    try:
        machine.start()
        machine.connect_ssh()
        share_song(machine)
        # The song is in the cache of the card, and its place in it is kept.
        machine.wait_status(lambda status: status["player"]["position_s"] > 15, 60, "15 s of the song are heard")
        machine.switch_off()
        steps.done("a card with a song that plays is made")
        ours, plain = [], []
        for number in range(STARTS):  # in turn, so that both meet the same load of the computer
            ours.append(start(machine))
            steps.done(f"jukebox: {json.dumps({name: round(value, 1) for name, value in ours[-1].items()})}")
            plain.append(plain_debian.Plain(folder))
            steps.done(f"plain Debian: ready after {plain[-1].ready_s:.1f} s, {plain[-1].memory_mib:.0f} MiB")
    finally:
        machine.cut()
    ready, memory = median([one.ready_s for one in plain]), median([one.memory_mib for one in plain])
    figures = {name: median([one[name] for one in ours]) for name in ours[0]}
    print(f"medians of {STARTS} starts, 512 MiB; plain Debian: multi-user.target after {ready:.1f} s, {memory:.0f} MiB in use")
    print(f"kernel entry to service ready      {figures['ready_s']:6.1f} s    {figures['ready_s'] / ready:.2f} of plain Debian")
    print(f"kernel entry to sound of a song    {figures['sound_s']:6.1f} s    {figures['sound_s'] / ready:.2f} of plain Debian")
    print(f"memory of the whole system         {figures['memory_mib']:6.0f} MiB  {figures['memory_mib'] / memory:.2f} of plain Debian")
    print(f"of it resident of the jukebox      {figures['jukebox_mib']:6.1f} MiB")
    (folder / "figures.json").write_text(json.dumps({"jukebox": ours, "plain": [vars(one) for one in plain]}, indent=1))


if __name__ == "__main__":
    # Outside of the namespace, for its packages are fetched.
    if not os.environ.get(network.INSIDE):
        plain_debian.make()
    network.enter()
    measure(TOP / "target/image-figures")
