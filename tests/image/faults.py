#!/usr/bin/env python3
"""What hangs is started again: the jukebox by systemd, systemd and the kernel by the hardware watchdog; and the song goes on.

A board that is reset is emulated by a new QEMU (`-no-reboot`): after a reset of its own QEMU is slow for minutes.
"""

import time

import network
from machine import TOP, new_machine
from share import share_song
from song import Song
from waiting import PATIENCE, Steps, check, wait_for

# Of the jukebox: systemd's WatchdogSec=30s, then the process is ended and started anew.
SERVICE_SECONDS, RESTART_SECONDS = 30, 30
# The hardware watchdog, set to 14 s (system.conf.d), has acted by then. In emulation the seconds are those of the guest, which gets its
# interrupts late when this computer is busy.
HARDWARE_SECONDS = 15
BOOT_SECONDS = 240
# In which a command that is left to itself returns from a guest on a busy computer.
SSH_SECONDS = 10
ENDS_ALONE = ("-no-reboot",)

# How a board is made to hang, and what ends it. The commands do not return.
HANGS = {
    # What nobody can do to process 1 by a signal the freezer of its control group does.
    "systemd is frozen": "echo 1 >/sys/fs/cgroup/init.scope/cgroup.freeze",
    # Without panic= the kernel stays where it is: nothing but the watchdog gets out of that.
    "the kernel hangs": "echo 0 >/proc/sys/kernel/panic; echo c >/proc/sysrq-trigger",
}
PANIC = "echo c >/proc/sysrq-trigger"


def restarts(machine):
    return int(machine.ssh("systemctl show --value -p NRestarts silverstream.service"))


def jukebox_hangs(machine, song, steps):
    """All threads of the jukebox are stopped: systemd, which it does not pet any more, ends it and starts it anew."""
    song.hear()
    machine.ssh("kill -STOP $(systemctl show --value -p MainPID silverstream.service)")
    stopped = time.monotonic()
    silence = song.wait_silence(30)
    song.note_end()
    song_place = song.place
    at = song.wait_goes_on(SERVICE_SECONDS + RESTART_SECONDS, silence)
    check(restarts(machine) == 1, f"systemd has restarted the jukebox {restarts(machine)} times")
    log = machine.ssh("journalctl -u silverstream.service -o cat | grep -i watchdog || true").strip()
    check("atchdog timeout" in log, f"the log does not say that it was the watchdog: {log}")
    steps.done(f"jukebox stopped at {song_place:.1f} s of the song: systemd says {log.splitlines()[0]!r}; "
               f"the song goes on {at - stopped:.1f} s later")


def wait_slot_confirmed(machine):
    """Otherwise each reset would cost it a try."""
    wait_for(lambda: machine.ssh("cat /data/system/confirmed-slot || true").strip(), 180, "the slot is confirmed", every=2)


def watchdog_acted(machine):
    """When the hardware watchdog has reset the board, None if it has not."""
    return next((at for at, event in machine.events if event == "WATCHDOG"), None)


def board_hangs(machine, song, what, command, steps):
    """The hardware watchdog resets the board, and the song goes on."""
    driver = machine.ssh("cat /sys/class/watchdog/watchdog0/identity /sys/class/watchdog/watchdog0/timeout").split("\n")
    song.hear()
    begin = hang(machine, command)
    acts = f"{what}: the hardware watchdog ({driver}) acts"
    reset = wait_for(lambda: watchdog_acted(machine), SSH_SECONDS + HARDWARE_SECONDS + 5, acts, every=0.05)
    took = reset - begin
    check(took <= HARDWARE_SECONDS * PATIENCE, f"{what}: the watchdog took {took:.1f} s")
    start_again(machine, song, f"{what}: {driver[0]} of {driver[1]} s resets the board after {took:.1f} s", steps)


def kernel_panics(machine, song, steps):
    """The kernel restarts the board by itself, or the watchdog, which nobody pets then, is faster."""
    song.hear()
    begin = hang(machine, PANIC)
    restarts_itself = "a kernel that panics restarts the board"
    wait_for(lambda: not machine.running(), SSH_SECONDS + HARDWARE_SECONDS + 5, restarts_itself, every=0.05)
    took = time.monotonic() - begin
    check(took <= HARDWARE_SECONDS * PATIENCE, f"the restart after a panic took {took:.1f} s")
    by = "the watchdog" if watchdog_acted(machine) else "the kernel"
    start_again(machine, song, f"the kernel panics: {by} resets the board after {took:.1f} s", steps)


def hang(machine, command):
    """Lets the command begin when SSH has ended; the time at which it does, or a little earlier.

    A kernel that panics before has its board reset at once, and the command that was to return breaks.
    """
    begin = time.monotonic() + SSH_SECONDS
    machine.ssh(f"nohup sh -c 'sleep {SSH_SECONDS}; {command}' >/dev/null 2>&1 &")
    return begin


def start_again(machine, song, what, steps):
    wait_for(lambda: not machine.running(), 30, f"{what}; QEMU ends")
    machine.wait_end(10)
    song.note_end()
    machine.start(extra=ENDS_ALONE)
    at = song.wait_goes_on(BOOT_SECONDS)
    started = machine.started
    machine.connect_ssh()
    machine.wait_status(lambda status: status["player"]["state"] == "playing", 60, "it plays")
    failed = machine.ssh("systemctl --failed --no-legend --plain").strip()
    check(not failed, f"{what}: units have failed: {failed}")
    steps.done(f"{what}; the song goes on {at - started:.1f} s after its start")


def run(folder):
    machine = new_machine(folder)
    song, steps = Song(machine), Steps()
    try:
        machine.start(extra=ENDS_ALONE)
        machine.connect_ssh()
        share_song(machine)
        wait_slot_confirmed(machine)
        steps.done("a jukebox plays")
        jukebox_hangs(machine, song, steps)
        for what, command in HANGS.items():
            board_hangs(machine, song, what, command, steps)
        kernel_panics(machine, song, steps)
    finally:
        machine.cut()


if __name__ == "__main__":
    network.enter()
    run(TOP / "target/image-test/faults")
    print("faults: passed")
