"""What lies on a card, read while it is out of the board."""

import os
import pathlib
import sqlite3
import struct
import subprocess
import tempfile

from waiting import Failed

DATA_PARTITION = 3
SECTOR = 512
CATALOGUE = "/silverstream/catalogue.sqlite3"


def data_partition(card):
    """Start and length of the data partition in bytes, as the partition table has them."""
    with open(card, "rb") as file:
        table = file.read(SECTOR)[446:510]
    start, length = struct.unpack("<II", table[16 * (DATA_PARTITION - 1) + 8:][:8])
    return start * SECTOR, length * SECTOR


def copy_sparse(source, start, length, target):
    """Copies a part of a file, leaving holes where it has holes."""
    with open(source, "rb") as ours, open(target, "wb") as theirs:
        theirs.truncate(length)
        at, end = start, start + length
        while at < end:
            try:
                at = min(os.lseek(ours.fileno(), at, os.SEEK_DATA), end)
            except OSError:
                return  # only a hole is left
            hole = min(os.lseek(ours.fileno(), at, os.SEEK_HOLE), end)
            while at < hole:
                theirs.seek(at - start)
                ours.seek(at)
                data = ours.read(min(hole - at, 1 << 22))
                theirs.write(data)
                at += len(data)


def examine(card):
    """Looks at the data partition of a card that was cut off: what e2fsck and SQLite say about it.

    Returns the number of songs in the catalogue, None if there is no file system or no catalogue yet. Works on a copy.
    """
    with tempfile.TemporaryDirectory(dir=pathlib.Path(card).parent) as name:
        folder = pathlib.Path(name)
        image = folder / "data.img"
        copy_sparse(card, *data_partition(card), image)
        with open(image, "rb") as file:
            file.seek(1024 + 56)
            if file.read(2) != b"\x53\xef":
                return None  # cut before the file system was made
        # Replays the journal, as the next start does; what it cannot mend without asking would be damage.
        check = subprocess.run(["e2fsck", "-p", image], capture_output=True, check=False)
        if check.returncode >= 4:
            raise Failed(f"the data partition is damaged: {check.stdout.decode()}{check.stderr.decode()}")
        for ending in ("", "-wal"):
            subprocess.run(["debugfs", "-R", f"dump {CATALOGUE}{ending} {folder}/catalogue{ending}", image],
                           capture_output=True, check=True)
        catalogue = folder / "catalogue"
        if not catalogue.exists() or catalogue.stat().st_size == 0:
            return None
        return songs(catalogue)


def songs(catalogue):
    """Songs in a catalogue that is intact; fails if SQLite finds fault with it."""
    with sqlite3.connect(catalogue) as database:
        try:
            found = [row[0] for row in database.execute("PRAGMA integrity_check")]
            if found != ["ok"]:
                raise Failed(f"the catalogue is damaged: {found[:5]}")
            tables = {row[0] for row in database.execute("SELECT name FROM sqlite_master")}
            return database.execute("SELECT tracks FROM totals").fetchone()[0] if "totals" in tables else 0
        except sqlite3.DatabaseError as error:
            raise Failed(f"the catalogue is damaged: {error}") from error
