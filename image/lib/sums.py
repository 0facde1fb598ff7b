#!/usr/bin/env python3
"""Writes a kernel slot's file `sums`: CRC-32s of kernel and initramfs, which boot.cmd compares before it starts them.

    sums.py FOLDER      with Image.gz and initrd.img

U-Boot's crc32 leaves its result in memory, most significant byte first or last as U-Boot was built: both readings of the
word are written down.
"""

import pathlib
import sys
import zlib

folder = pathlib.Path(sys.argv[1])
lines = []
for name, file in (("kernel", "Image.gz"), ("initrd", "initrd.img")):
    found = zlib.crc32((folder / file).read_bytes()).to_bytes(4, "big")
    lines += [f"{name}_sum={found.hex()}\n", f"{name}_swapped={found[::-1].hex()}\n"]
(folder / "sums").write_text("".join(lines))
