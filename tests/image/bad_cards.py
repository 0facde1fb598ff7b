#!/usr/bin/env python3
"""Cards and boards on which something is wrong: the jukebox says what, lets its owner in, and plays as far as it can.

    python tests/image/bad_cards.py [small] [large]

Each start has several faults that do not hide each other.
"""

import os
import random
import sys
import time

import network
from card import data_partition
from machine import IMAGE, TOP, new_machine, read_from_boot, write_to_boot
from share import share_song
from song import Song
from visit import snapshot
from waiting import Steps, check, wait_for

SETTINGS = "silverstream.toml"
PROBLEMS = "silverstream-problems.txt"
# A line with a mistake in each section; the owner's key is one of two, and the other one is cut short.
MISTAKES = """[wifi]
ssid = "home"
password = "long enough"
country = "Germany"                     # !
[system]
hostname = "küche"                      # !
timezone = "Mars/Olympus"               # !
ssh_keys = [
    "ssh-ed25519 AAAA… you@computer",   # !
    "KEY",
]
[audio]
output = "gramophone"                   # !
[panel]
display = "paper"                       # !
knob = "door"                           # !
[storage]
budget = "plenty"                       # !
[index]
budget = 7.5                            # !
[network]
upload = "fast"                         # !
[dht]
listen = "the usual port"               # !
[musik]                                 # !
"""
NO_SUCH_KNOB = '[panel]\nknob = "gpio:/dev/gpiochip7:0,1,2"\n'
AT_1970 = ("-rtc", "base=1970-01-01")
# Of the file system: superblock and descriptors of the groups.
HEAD_BYTES = 16 << 10
# By which a card is smaller than the image: what is left of the data partition is too little for a file system of ours.
MISSING_BYTES = 60 << 20
# Of the catalogue (src/catalogue/open.rs), which it gives up on a full disk.
RESERVE_BYTES = 8 << 20
BOOT_SECONDS = 240
NOISE_SECONDS = 5
# Pixels of "Please note" at the top of the display.
NOTE_WIDTH, NOTE_HEIGHT, WIDTH = 88, 11, 128


def doctor(machine):
    """What it finds wrong, a line each."""
    said = machine.ssh("silverstream doctor", check=False).stdout.decode()
    return "\n".join(line for line in said.splitlines() if line.strip())


def says(machine, what, *words):
    """The doctor names all of this."""
    said = doctor(machine)
    for word in words:
        check(word in said, f"{what}: the doctor does not say {word!r}:\n{said}")


def heading(rows, right=0, down=0):
    """The heading in the left upper corner of a picture that has wandered so far, as rows of bits."""
    bits = f"{int(rows, 16):0{len(rows) * 4}b}"
    return [bits[y * WIDTH + 1 + right:y * WIDTH + NOTE_WIDTH + right] for y in range(1 + down, NOTE_HEIGHT + down)]


def is_note(rows):
    """Whether a picture asks to note something. Untouched for a minute it wanders by a pixel (src/ui/idle.rs)."""
    wanted = heading(snapshot("problem-first"))
    return any(heading(rows, right, down) == wanted for right in (-1, 0, 1) for down in (-1, 0, 1))


def shows_a_note(machine, what):
    """The display asks the person to note something; it is what the jukebox means to show."""
    wait_for(lambda: is_note(machine.panel.rows()), 60,
             lambda: f"{what}: the display tells it; it shows:\n{machine.panel.text()}", every=0.5)
    print(machine.panel.text(), flush=True)


def read_notes(machine, number):
    """Each touch of the knob takes one note away."""
    for _ in range(number):
        machine.knob.turn(1)
        time.sleep(0.3)
    wait_for(lambda: not is_note(machine.panel.rows()), 30,
             lambda: f"{number} notes are read; the display shows:\n{machine.panel.text()}", every=0.5)


def plays(machine, song):
    machine.wait_status(lambda status: status["player"]["state"] == "playing", 60, "it plays")
    song.hear()


def mistaken_settings(machine, steps):
    """Each mistake is told with its line, on the display, by the doctor and on the card; the right key opens all the same."""
    lines = [number for number, line in enumerate(MISTAKES.splitlines(), 1) if line.endswith("# !")]
    problems = machine.wait_status(lambda status: status["problems"], 60, "the mistakes are told")["problems"]
    told = [line for line in lines if any(f"{SETTINGS}, line {line}:" in problem for problem in problems)]
    check(told == lines, f"mistakes are in lines {lines}, and told of {told}:\n" + "\n".join(problems))
    shows_a_note(machine, "mistakes in the settings")
    says(machine, "mistakes in the settings", *problems)
    read_notes(machine, len(problems))
    steps.done(f"mistakes in each section: {len(problems)} are told with their lines, by display and doctor; the key opens")


def problems_on_card(machine, steps):
    """Who has but a computer finds the mistakes on the card."""
    listed = read_from_boot(machine.card, PROBLEMS)
    lines = [number for number, line in enumerate(MISTAKES.splitlines(), 1) if line.endswith("# !")]
    check(all(f"line {line}:" in listed for line in lines), f"{PROBLEMS} lists others:\n{listed}")
    steps.done(f"{PROBLEMS} on the card has them too: {listed.splitlines()[2]}")


def clock_and_size(machine, steps):
    """Switched on at 1970 by its clock, the system lives in the time of its image; a card like the image has no room to grow."""
    year = int(machine.ssh("date +%Y"))
    check(2025 <= year < 2060, f"the year is {year}")
    says(machine, "a clock at 1970", "has not been set by the network")
    megabytes = int(machine.ssh("cat /sys/class/block/vda3/size")) // 2048
    check(megabytes == 64, f"the data partition has {megabytes} MiB")
    steps.done(f"clock at 1970: the jukebox lives in {year}; no room to grow: {megabytes} MiB of data")


def free_bytes(machine):
    return int(machine.ssh("df --output=avail -B1 /data | tail -1"))


def fill(machine, song, steps):
    """The data partition has no byte left for the jukebox, which plays on."""
    said = machine.ssh("setpriv --reuid silverstream --regid silverstream --clear-groups "
                       "sh -c 'cat /dev/zero >/data/music/fill' 2>&1 || true", seconds=300)
    check("No space left" in said, f"the data partition is not full: {said}")
    plays(machine, song)
    steps.done(f"data partition filled while a song plays: it plays on; {free_bytes(machine) >> 10} KiB are free by now")


def noise(machine, song, steps):
    """Bytes without sense come out of the serial panel's line, and others than were sent arrive at it."""
    panel, chance = machine.panel, random.Random(1)
    panel.disturb = lambda data: bytes(byte ^ (chance.random() < 0.02) * chance.randrange(1, 256) for byte in data)
    end = time.monotonic() + NOISE_SECONDS
    while time.monotonic() < end:
        with panel.lock:
            panel.line.sendall(chance.randbytes(chance.randrange(1, 200)))
        time.sleep(0.02)
    panel.disturb = None
    wait_for(lambda: panel.rows() == machine.ask("panel-picture")["bits"], 60,
             lambda: f"the panel's picture is whole after noise on its line; it shows:\n{panel.text()}", every=0.5)
    plays(machine, song)
    before = machine.status()["player"]["volume"]
    panel.turn(-3)
    machine.wait_status(lambda status: status["player"]["volume"] < before, 30, "the panel's knob makes it softer")
    steps.done(f"{NOISE_SECONDS} s of noise on the panel's line, {panel.damaged} frames damaged: picture and its knob work again")


def missing_knob(machine, steps):
    """The knob's chip is not there: the doctor says so, and the knob of the front panel does its work."""
    says(machine, "no knob", "/dev/gpiochip7")
    log = machine.ssh("journalctl -u silverstream.service -o cat | grep gpiochip7").splitlines()[0]
    print(machine.panel.text(), flush=True)
    steps.done(f"no knob: {log}")


def damage_file_system(machine):
    start, _ = data_partition(machine.card)
    with open(machine.card, "r+b") as card:
        card.seek(start)
        card.write(os.urandom(HEAD_BYTES))


def lives_in_memory(machine, song, what, steps):
    """Nothing can be kept: display, doctor and login say so, and it plays."""
    (machine.folder / "known_hosts").unlink(missing_ok=True)  # its host key was on the card
    machine.start()
    machine.connect_ssh()
    told = machine.wait_status(lambda status: status["problems"], 60, f"{what}: it is told")["problems"]
    check(any("nothing is kept" in problem for problem in told), f"{what}: it says {told}")
    shows_a_note(machine, what)
    says(machine, what, "memory is in its place")
    read_notes(machine, len(told))
    share_song(machine)
    song.place = None
    plays(machine, song)
    steps.done(f"{what}: {told[0]} SSH lets the owner in, and a song plays out of memory")


def small_cards(folder, steps):
    """A card just as large as the image, and one that is smaller."""
    image_bytes = (IMAGE / "silverstream.img").stat().st_size
    machine = new_machine(folder / "small", size=image_bytes)
    public = machine.key.with_suffix(".pub").read_text().strip()
    good = read_from_boot(machine.card, SETTINGS)
    write_to_boot(machine.card, SETTINGS, MISTAKES.replace("KEY", public))
    song = Song(machine)
    try:
        machine.start(extra=AT_1970)
        machine.connect_ssh()
        steps.done("card as large as the image, clock at 1970, mistakes in the settings: SSH lets the owner in")
        mistaken_settings(machine, steps)
        clock_and_size(machine, steps)
        share_song(machine)
        fill(machine, song, steps)
        machine.switch_off()
        song.note_end()
        problems_on_card(machine, steps)

        write_to_boot(machine.card, SETTINGS, good + NO_SUCH_KNOB)
        machine.start()
        at = song.wait_goes_on(BOOT_SECONDS)
        machine.connect_ssh()
        check(free_bytes(machine) <= RESERVE_BYTES * 3 // 2, f"{free_bytes(machine)} bytes are free")
        steps.done(f"full data partition: the song goes on {at - machine.started:.1f} s after the start")
        missing_knob(machine, steps)
        noise(machine, song, steps)
        print(doctor(machine))
        machine.cut()

        write_to_boot(machine.card, SETTINGS, good)
        damage_file_system(machine)
        lives_in_memory(machine, song, "a file system without its head", steps)
        machine.cut()
    finally:
        machine.cut()
    machine = new_machine(folder / "smaller", size=image_bytes - MISSING_BYTES, number=2)
    try:
        lives_in_memory(machine, Song(machine), "a card smaller than the image", steps)
    finally:
        machine.cut()


def large_card(folder, steps):
    """A card of 2 GiB whose file system can be repaired, and a board without a sound card."""
    machine = new_machine(folder / "large", number=3)
    song = Song(machine)
    try:
        machine.start()
        machine.connect_ssh()
        share_song(machine)
        song.hear()
        machine.switch_off()
        song.note_end()
        steps.done(f"a card with a song is made, switched off at {song.place:.1f} s")
        damage_file_system(machine)
        machine.start(sound_card=False)
        machine.connect_ssh()
        status = machine.wait_status(lambda status: status["player"]["problem"], 90, "it is told that there is no sound card")
        check(not status["problems"], f"the card's file system was to be repaired: {status['problems']}")
        print(machine.panel.text(), flush=True)
        says(machine, "no sound card", "sound card")
        steps.done(f"no sound card: {status['player']['problem']}")
        machine.switch_off()
        machine.start()
        at = song.wait_goes_on(BOOT_SECONDS)
        steps.done(f"file system repaired, sound card back: the song goes on {at - machine.started:.1f} s after the start")
    finally:
        machine.cut()


def run(folder, kinds=("small", "large")):
    steps = Steps()
    if "small" in kinds:
        small_cards(folder, steps)
    if "large" in kinds:
        large_card(folder, steps)


if __name__ == "__main__":
    network.enter()
    run(TOP / "target/image-test/bad-cards", sys.argv[1:] or ("small", "large"))
    print("bad-cards: passed")
