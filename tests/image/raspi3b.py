#!/usr/bin/env python3
"""The same card in an emulated Raspberry Pi 3: its firmware's part is QEMU's, from U-Boot on everything is the card's."""

import shutil

import network
from machine import TOP, Machine, make_card, make_key, settings, write_to_boot
from waiting import Steps, check
from world import BOOTSTRAP

# No display of the board is emulated, and no network: what systemd says on the serial line is all there is to see. Its
# watchdog is the board's power management, which QEMU has only in part: it restarts the board when it is set.
HARDWARE = "console=ttyS1,115200\narguments=systemd.watchdog_sec=0 systemd.log_target=console\n"
START_SECONDS = 420


def run(folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    steps = Steps()
    key = make_key(folder)
    card = make_card(folder / "card.img", settings(key, BOOTSTRAP))
    write_to_boot(card, "hardware.txt", HARDWARE)
    machine = Machine(folder / "machine", card, key, board="raspi3b")
    try:
        machine.start()
        machine.wait_console("starting slot A", 60)
        steps.done("U-Boot starts slot A")
        machine.wait_console(r"Started .*silverstream\.service", START_SECONDS)
        steps.done("the jukebox runs")
        machine.wait_console(r"(Started|Finished) .*silverstream-confirm", START_SECONDS)
        steps.done("the slot is being confirmed")
        check(machine.resets == 0, f"the board was reset {machine.resets} times by itself")
    finally:
        machine.cut()


if __name__ == "__main__":
    network.enter()
    run(TOP / "target/image-test/raspi3b")
    print("raspi3b: passed")
