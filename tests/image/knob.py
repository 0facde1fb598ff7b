"""A rotary encoder on the board's GPIO lines 0 and 1 with a button on line 2, as board/qemu-virt.toml says."""

import time

A, B, BUTTON = 0, 1, 2
OPEN, CLOSED = True, False  # contacts close to ground; pull-ups hold them high
# Gray code of one detent clockwise: A closes first.
CLOCKWISE = [(CLOSED, OPEN), (CLOSED, CLOSED), (OPEN, CLOSED), (OPEN, OPEN)]
COUNTER = [(OPEN, CLOSED), (CLOSED, CLOSED), (CLOSED, OPEN), (OPEN, OPEN)]
# Between edges: a hand that turns half a revolution a second, as people dial.
EDGE_SECONDS = 0.02
PRESS_SECONDS = 0.15
# Longer than the jukebox takes for a double press.
BETWEEN_PRESSES = 0.6
HOLD_SECONDS = 1.5


class Knob:
    def __init__(self, lines):
        self.lines = lines
        self.rest()

    def rest(self):
        """All contacts open. Also after a reset of the machine, which forgets the levels."""
        for line in (A, B, BUTTON):
            self.lines.set(line, OPEN)
        self.a = self.b = OPEN

    def turn(self, detents, edge_seconds=EDGE_SECONDS):
        """Turns by detents, clockwise positive."""
        for _ in range(abs(detents)):
            for a, b in CLOCKWISE if detents > 0 else COUNTER:
                if a != self.a:
                    self.lines.set(A, a)
                if b != self.b:
                    self.lines.set(B, b)
                self.a, self.b = a, b
                self.lines.wait_noticed()
                time.sleep(edge_seconds)

    def press(self, seconds=PRESS_SECONDS):
        self.lines.set(BUTTON, CLOSED)
        self.lines.wait_noticed()
        time.sleep(seconds)
        self.lines.set(BUTTON, OPEN)
        self.lines.wait_noticed()
        time.sleep(BETWEEN_PRESSES)

    def hold(self):
        self.press(HOLD_SECONDS)
