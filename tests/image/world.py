"""The private BitTorrent world beside the emulated board: tests/real/world.py, with libtorrent and Transmission in it."""

import json
import pathlib
import queue
import shutil
import subprocess
import sys
import threading
import time

import network
from machine import TOP
from network import BOOTSTRAP
from waiting import Failed, check


ANNOUNCE_SECONDS = 15


class World:
    """A DHT, and seeders of real recordings. `start` makes the recordings; `ready` announces them."""

    def __init__(self, folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        log = open(folder / "world.log", "wb")
        self.process = subprocess.Popen(
            [sys.executable, TOP / "tests/real/world.py", network.cache() / "music", folder],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True, name="world").start()
        description = self.answer(180)
        check(description["bootstrap"] == BOOTSTRAP, f"the world is to be entered at {description['bootstrap']}")
        self.releases = description["releases"]

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def answer(self, seconds):
        try:
            line = self.lines.get(timeout=seconds)
        except queue.Empty:
            line = None
        if line is None:
            raise Failed("the BitTorrent world has ended or does not answer; see world.log")
        answer = json.loads(line)
        if "error" in answer:
            raise Failed(f"the BitTorrent world: {answer['error']}")
        return answer

    def tell(self, do, seconds=180, **arguments):
        self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self.process.stdin.flush()
        return self.answer(seconds)

    def index_all(self, machine):
        """Waits until the jukebox knows the songs; how many there are."""
        self.tell("ready")
        songs, announced = self.songs(), time.monotonic()

        def known(status):
            nonlocal announced
            # On a busy machine announcements get lost: the clients ask only once and in haste.
            if time.monotonic() - announced > ANNOUNCE_SECONDS:
                self.tell("announce")
                announced = time.monotonic()
            return status["index"]["tracks"] >= songs

        machine.wait_status(known, 300, f"all {songs} songs are indexed")
        return songs

    def recording(self, release, name=""):
        """The path of the one file of a release whose name contains this."""
        path = pathlib.Path(self.releases[release]["path"])
        if path.is_file():
            return path
        return next(entry for entry in sorted(path.iterdir()) if name in entry.name)

    def songs(self):
        """How many songs the jukebox should know soon; Transmission takes minutes until it announces its album (m4a)."""
        endings = (".mp3", ".flac", ".ogg", ".wav")
        return sum(file["path"].endswith(endings) for release in self.releases.values() for file in release["files"])
