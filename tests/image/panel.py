"""A serial front panel: the other side of board/serial-panel.md (version 2), written from that text alone."""

import binascii
import random
import struct
import threading
import time

from qemu import connect
from waiting import wait_for

ASK, REGION, LIGHT, HELLO, INPUT = 0x01, 0x02, 0x03, 0x81, 0x82
VERSION = 2
MAX_FRAME = 136
REPEAT_SECONDS = 0.1
PRESS_SECONDS = 0.15
BETWEEN_PRESSES = 0.6
HOLD_SECONDS = 1.5


def crc(data):
    """CRC-16/IBM-3740."""
    return binascii.crc_hqx(data, 0xFFFF)


def encode(message):
    """COBS of the message and its checksum, with the zero at the end."""
    message += struct.pack("<H", crc(message))
    return b"".join(bytes([len(piece) + 1]) + piece for piece in message.split(b"\0")) + b"\0"


def decode(frame):
    """The message of a frame without its zero, None if it is damaged."""
    message, at = b"", 0
    while at < len(frame):
        length = frame[at]
        if length == 0 or at + length > len(frame):
            return None
        message += (b"\0" if at else b"") + frame[at + 1:at + length]
        at += length
    if len(message) < 3 or crc(message[:-2]) != struct.unpack("<H", message[-2:])[0]:
        return None
    return message[:-2]


class Panel:
    """A display and a knob at the end of a serial line, which is a Unix socket of QEMU here."""

    def __init__(self, path, width=128, height=64):
        self.width, self.height = width, height
        self.picture = bytearray(width * height // 8)
        self.boot, self.damaged, self.token = random.randrange(1 << 16), 0, 0
        self.position, self.pushed, self.presses = 0, 0, 0
        self.light = None
        self.heard = None  # when the jukebox was last heard, monotonic
        self.changes = 0
        self.disturb = None  # a function that noise makes of what arrives
        self.lock = threading.Lock()
        self.line = connect(path)
        self.send_hello()
        threading.Thread(target=self.listen, daemon=True, name="panel").start()

    def listen(self):
        frame = bytearray()
        try:
            while data := self.line.recv(4096):
                for byte in self.disturb(data) if self.disturb else data:
                    if byte:
                        frame.append(byte)
                        continue
                    if frame:
                        self.receive(bytes(frame))
                        frame.clear()
        except OSError:
            pass  # the machine was cut off

    def receive(self, frame):
        message = decode(frame) if len(frame) < MAX_FRAME else None
        if message is None:
            self.damaged = (self.damaged + 1) & 0xFFFF
            self.send_hello()
            return
        self.heard = time.monotonic()
        kind, body = message[0], message[1:]
        if kind == ASK and len(body) >= 2:
            self.token = body[1]
            self.send_hello()
        elif kind == REGION and len(body) >= 3:
            page, x = body[0], struct.unpack("<H", body[1:3])[0]
            if page < self.height // 8:
                pixels = body[3:3 + max(0, self.width - x)]
                start = page * self.width + x
                self.picture[start:start + len(pixels)] = pixels
                self.changes += 1
        elif kind == LIGHT and body:
            self.light = body[0]

    def send(self, message):
        try:
            with self.lock:
                self.line.sendall(encode(message))
        except OSError:
            pass  # nobody at the other end

    def state(self):
        return struct.pack("<hBB", self.position, self.pushed, self.presses)

    def send_hello(self):
        self.send(struct.pack("<BBHHHHBH", HELLO, VERSION, self.width, self.height, self.boot, self.damaged, self.token,
                              crc(bytes(self.picture))) + self.state())

    def send_input(self):
        """Now, and once more a little later: that is the whole of the protection against loss."""
        self.send(bytes([INPUT]) + self.state())
        threading.Timer(REPEAT_SECONDS, lambda: self.send(bytes([INPUT]) + self.state())).start()

    def turn(self, detents):
        for _ in range(abs(detents)):
            self.position += 1 if detents > 0 else -1
            self.position = (self.position + 0x8000) % 0x10000 - 0x8000
            self.send_input()
            time.sleep(0.05)

    def press(self, seconds=PRESS_SECONDS):
        self.pushed, self.presses = 1, (self.presses + 1) & 0xFF
        self.send_input()
        time.sleep(seconds)
        self.pushed = 0
        self.send_input()
        time.sleep(BETWEEN_PRESSES)

    def hold(self):
        self.press(HOLD_SECONDS)

    def wait_heard(self, seconds):
        wait_for(lambda: self.heard, seconds, "the jukebox speaks on the serial line of the panel")

    def rows(self):
        """The picture as the control socket's `panel-picture` has it: rows, most significant bit leftmost."""
        rows = bytearray(self.width // 8 * self.height)
        for y in range(self.height):
            for x in range(self.width):
                if self.picture[y // 8 * self.width + x] >> (y % 8) & 1:
                    rows[(y * self.width + x) // 8] |= 0x80 >> (x % 8)
        return rows.hex()

    def text(self):
        """The picture for a log, two rows in one line."""
        lit = lambda x, y: self.picture[y // 8 * self.width + x] >> (y % 8) & 1
        return "\n".join(
            "".join(" ▀▄█"[lit(x, y) + 2 * lit(x, y + 1)] for x in range(self.width)).rstrip()
            for y in range(0, self.height, 2))
