#!/usr/bin/env python3
"""The same card in an emulated Raspberry Pi 3: its firmware's part is QEMU's, from U-Boot on everything is the card's."""

import network
from machine import TOP, new_machine, write_to_boot
from waiting import Steps, check

# No display of the board is emulated, and no network: what systemd says on the serial line is all there is to see. Its
# watchdog is the board's power management, which QEMU has only in part: it restarts the board when it is set.
HARDWARE = "console=ttyS1,115200\narguments=systemd.watchdog_sec=0 systemd.log_target=console\n"
START_SECONDS = 420


def run(folder):
    machine = new_machine(folder, board="raspi3b")
    write_to_boot(machine.card, "hardware.txt", HARDWARE)
    steps = Steps()
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
