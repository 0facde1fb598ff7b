#!/usr/bin/env python3
"""Pulls the plug of emulated boards at random moments, many times, and looks what is left.

    python tests/image/power_cuts.py [--cuts 60] [--seed N] [--boards N] [--folder DIR]

A cut kills QEMU: what the board has written to the card is on it, nothing later. After each cut the card is examined (file
system, SQLite's integrity check, songs that were known before), the board started again, and the jukebox has to play:
the song that was playing goes on where it was last heard, to within 5 s, as compared with the recording sample by
sample; a new jukebox has to play a song of the swarm. The owner's settings have to be whole, without the Wi-Fi password.
"""

import argparse
import json
import pathlib
import random
import threading
import time
import traceback

import card as cards
import network
import sound
from machine import IMAGE, TOP, Machine, make_card, make_key, read_from_boot, settings
from updates import make_bundle
from visit import WIFI, password_is_taken_over
from waiting import Failed, check, wait_for
from world import World

# A long one: it plays through many cuts.
RELEASE, SONG = "ogg", "Last Colour"
TOLERANCE = 3
POSITION_SECONDS = 5
SOUND_SECONDS = 300
HEARD_BYTES = 6 * sound.SAMPLE_RATE * sound.FRAME_BYTES
# From here on the song is set back to its beginning, so that it does not end.
REWIND_AT = 240
# What a board says whose update was cut off three times before it was confirmed (src/jukebox/status.rs): no fault.
LEFT = "The update in slot {} was not up for a whole minute, so the system before it runs. Install it once more."
BUNDLE_ON_CARD = "/data/update.raucb"

# Moments of a cut with their weights, and how many seconds after its begin it comes at most.
PHASES = {"first boot": (2, 60), "starting": (2, 40), "playing": (3, 30), "indexing": (2, 60), "updating": (3, 150),
          "powering off": (2, 12)}


class Board:
    """A board that is cut off again and again, and what is known of it."""

    def __init__(self, folder, number, key, world, seed, bundles):
        self.folder, self.key, self.world, self.bundles = folder / f"board-{number}", key, world, bundles
        self.folder.mkdir(parents=True, exist_ok=True)
        self.random = random.Random(f"{seed} {number}")
        self.machine = Machine(self.folder / "machine", self.folder / "card.img", key, number=number)
        self.recording = sound.recorded(world.recording(RELEASE, SONG))
        self.heard = None       # place in the song that was heard last, in seconds
        self.songs = 0          # that the catalogue had at least
        self.watch = None       # the capture since the place in the song was last known to be continuous
        self.updates = 0
        self.updated = False    # since the card is a new one

    # -- Phases: each leaves the machine running at the moment of the cut ---------------------------------------------

    def new_card(self):
        make_card(self.machine.card, settings(self.key, network.BOOTSTRAP, WIFI))
        self.written = read_from_boot(self.machine.card, "silverstream.toml")
        (self.machine.folder / "known_hosts").unlink(missing_ok=True)
        self.heard, self.songs, self.updates, self.updated = None, 0, 0, False

    def begin(self, phase):
        """Brings the board to where the phase begins."""
        if phase in ("first boot", "indexing"):
            self.machine.cut()
            self.new_card()
            self.start()
            if phase == "indexing":
                self.machine.connect_ssh()
        elif phase == "starting":
            self.note_heard()
            self.machine.cut()
            self.start()
        elif phase == "updating":
            self.bring_bundle()
            self.updated = True
            self.machine.ssh(f"systemd-run --no-block --collect sh -c 'rauc install {BUNDLE_ON_CARD} && systemctl reboot'")
        elif phase == "powering off":
            self.machine.ssh("systemctl --no-block poweroff")

    def bring_bundle(self):
        """Versions in turn: what is written to a slot is another system than the one that was there, so half of it is neither."""
        with open(self.bundles[self.updates % len(self.bundles)], "rb") as bundle:
            self.machine.ssh(f"cat >{BUNDLE_ON_CARD} && sync", seconds=300, stdin=bundle)
        self.updates += 1

    def cut(self, phase):
        """Waits a random while, pulls the plug; the seconds it waited."""
        most = PHASES[phase][1]
        wait = self.random.uniform(0, most)
        end, restarted = time.monotonic() + wait, False
        while time.monotonic() < end:
            if not self.machine.running():
                self.note_heard()
                self.machine.wait_end(10)
                if phase == "powering off":
                    break  # it has done so in time
                # It restarts once, to start the update; in no other phase does it by itself.
                check(phase == "updating" and not restarted, f"it has restarted by itself while {phase}:\n{self.machine.tail()}")
                restarted = True
                self.start()
            time.sleep(0.05)
        self.machine.cut()
        self.note_heard()
        return wait

    # -- What is known ------------------------------------------------------------------------------------------------

    def start(self):
        # A restart ends QEMU, and what is heard before and after it is not in one file.
        self.machine.start(extra=["-no-reboot"])
        self.watch = sound.Watch(self.machine.sound)

    def note_heard(self):
        """Remembers the place in the song that was heard last, if any of it was."""
        if self.watch is None or not self.machine.sound.exists():
            return
        heard = self.watch.samples()
        if sound.loud_place(heard, 0) is None:
            return  # nothing yet
        compared = sound.compare(heard, self.recording, TOLERANCE)
        self.heard = compared.starts_at + compared.length

    def keep_in_the_song(self):
        """Sets the song back before it ends."""
        if self.machine.status()["player"]["position_s"] > REWIND_AT:
            self.machine.ask("seek", to={"absolute": 2.0})
            status = self.machine.wait_status(lambda status: 4 < status["player"]["position_s"] < 60, 60, "the song is set back")
            self.watch = sound.Watch(self.machine.sound).skip()
            self.heard = status["player"]["position_s"]

    # -- Afterwards ---------------------------------------------------------------------------------------------------

    def recover(self):
        """Examines the card, starts the board, and waits until it plays; what was found, for the table."""
        found = {}
        songs = cards.examine(self.machine.card)
        check((songs or 0) >= self.songs, f"the catalogue has {songs} songs, and had {self.songs}")
        expected = self.heard
        self.start()
        if expected is None:
            self.play_out_of_the_swarm()
        at = wait_for(self.sounding, SOUND_SECONDS, lambda: f"the jukebox plays; the console:\n{self.machine.tail()}", every=0.1)
        found["sound_s"] = round(at - self.machine.started, 1)
        wait_for(lambda: len(self.watch.samples()) * 2 > HEARD_BYTES, 120, "the jukebox plays on")
        compared = sound.compare(self.watch.samples(), self.recording, TOLERANCE)
        if expected is not None:
            found["off_s"] = round(compared.starts_at - expected, 2)
            check(abs(found["off_s"]) <= POSITION_SECONDS,
                  f"the song was heard up to {expected:.1f} s and goes on at {compared.starts_at:.1f} s")
        self.heard = compared.starts_at + compared.length
        self.machine.connect_ssh()
        status = self.machine.wait_status(lambda status: status["player"]["state"] == "playing", 60, "it says that it plays")
        found["slot"] = "B" if "rauc.slot=B" in self.machine.ssh("cat /proc/cmdline") else "A"
        problems, left = status["problems"], status["left_slot"]
        if self.updated and left and left != found["slot"] and problems == [LEFT.format(left)]:
            found["left"], problems = left, []
        check(not problems, f"the jukebox complains: {problems}")
        failed = self.machine.ssh("systemctl --failed --no-legend --plain; ls /data/silverstream /run | grep -E 'damaged|data-in-memory' || true")
        check(not failed.strip(), f"units have failed, or data was lost: {failed}")
        self.songs = max(self.songs, status["index"]["tracks"])
        found["songs"] = self.songs
        password_is_taken_over(self.machine, self.written)
        self.keep_in_the_song()
        return found

    def sounding(self):
        samples = self.watch.samples() if self.machine.sound.exists() else []
        return time.monotonic() if any(samples) else None

    def play_out_of_the_swarm(self):
        self.machine.connect_ssh()
        wait_for(lambda: self.machine.status(), 240, "the jukebox answers", every=1)
        self.machine.ask("add", source=self.world.releases[RELEASE]["magnet"])

        def hit():
            results = self.machine.ask("search", query=SONG, limit=5, mode="fuzzy").get("results", [])
            return next((hit for hit in results if hit["title"] == SONG), None)

        track = wait_for(hit, 180, f"{SONG!r} is in the catalogue", every=1)["track"]
        self.machine.ask("play", track=track)


def work(board, phases, results, log):
    """Cuts the board off in each of the phases; a fault gets it a new card and does not end the run."""
    while True:
        try:
            number, phase = phases.pop(0)
        except IndexError:
            break
        entry = {"cut": number, "phase": phase}
        begin = time.monotonic()
        try:
            if not board.machine.running() and phase not in ("first boot", "indexing"):
                board.new_card()
                board.recover()
            board.begin(phase)
            entry["after_s"] = round(board.cut(phase), 1)
            entry.update(board.recover())
        except Exception as error:  # goes into the table; the next cut shall still come
            entry["fault"] = f"{type(error).__name__}: {error}"
            log.write(traceback.format_exc())
            (board.folder / f"fault-{number}.log").write_text(
                board.machine.tail(400) + "\n" + traceback.format_exc(), encoding="utf-8")
            board.machine.cut()
        entry["took_s"] = round(time.monotonic() - begin)
        results.append(entry)
        line = json.dumps(entry)
        log.write(line + "\n")
        log.flush()
        print(line, flush=True)
    board.machine.cut()


def choose(cuts, seed):
    """The phases of all cuts: each at least once in six, in random order."""
    chance = random.Random(seed)
    weights = [weight for weight, _ in PHASES.values()]
    phases = list(PHASES) * (cuts // (2 * len(PHASES)))
    phases += chance.choices(list(PHASES), weights, k=cuts - len(phases))
    chance.shuffle(phases)
    return list(enumerate(phases, 1))


def table(results):
    lines = [f"{'phase':14} {'cuts':>5} {'faults':>6} {'largest jump':>13} {'slowest sound':>14}"]
    for phase in [*PHASES, "all"]:
        some = [entry for entry in results if phase in (entry["phase"], "all")]
        jumps = [abs(entry["off_s"]) for entry in some if "off_s" in entry]
        sounds = [entry["sound_s"] for entry in some if "sound_s" in entry]
        lines.append(f"{phase:14} {len(some):5} {sum('fault' in entry for entry in some):6} "
                     f"{f'{max(jumps):.2f} s' if jumps else '-':>13} {f'{max(sounds):.0f} s' if sounds else '-':>14}")
    return "\n".join(lines)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--cuts", type=int, default=60)
    arguments.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    arguments.add_argument("--boards", type=int, default=1, help="emulated at once; each keeps two cores busy")
    arguments.add_argument("--folder", type=pathlib.Path, default=TOP / "target/power-cuts")
    options = arguments.parse_args()
    network.enter()
    options.folder.mkdir(parents=True, exist_ok=True)
    print(f"seed {options.seed}", flush=True)
    key = make_key(options.folder)
    bundles = [make_bundle("next", options.folder), IMAGE / "silverstream.raucb"]
    world = World(options.folder / "world")
    world.tell("ready")
    phases, results = choose(options.cuts, options.seed), []
    with open(options.folder / "log.jsonl", "a", encoding="utf-8") as log:
        log.write(json.dumps({"seed": options.seed, "cuts": options.cuts}) + "\n")
        boards = [Board(options.folder, number, key, world, options.seed, bundles) for number in range(1, options.boards + 1)]
        threads = [threading.Thread(target=work, args=(board, phases, results, log)) for board in boards]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        summary = f"{table(results)}\nseed {options.seed}"
        log.write(summary + "\n")
    print(summary)
    faults = [entry for entry in results if "fault" in entry]
    if faults or len(results) < options.cuts:
        raise Failed(f"{len(faults)} of {len(results)} cuts left a fault; see {options.folder}")


if __name__ == "__main__":
    main()
