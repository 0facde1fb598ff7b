"""QEMU's control sockets: QMP for the machine, qtest for the levels of its GPIO lines."""

import json
import socket
import threading

from waiting import Failed, wait_for


def connect(path):
    """Connects to a Unix socket that a program is about to open."""
    def attempt():
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            client.connect(str(path))
            return client
        except OSError:
            client.close()
            raise

    return wait_for(attempt, 20, f"{path} is open", every=0.05)


class Qmp:
    """QEMU Machine Protocol; events go to a function."""

    def __init__(self, path, on_event):
        self.socket = connect(path)
        self.lines = self.socket.makefile("r", encoding="utf-8")
        self.on_event = on_event
        self.lock = threading.Lock()
        self.answers = []
        self.arrived = threading.Condition()
        self.ended = False
        json.loads(self.lines.readline())  # greeting
        threading.Thread(target=self.read, daemon=True, name="qmp").start()
        self.ask("qmp_capabilities")

    def read(self):
        try:
            for line in self.lines:
                message = json.loads(line)
                if "event" in message:
                    self.on_event(message)
                else:
                    with self.arrived:
                        self.answers.append(message)
                        self.arrived.notify()
        except (OSError, ValueError):
            pass
        with self.arrived:
            self.ended = True
            self.arrived.notify()

    def ask(self, command, **arguments):
        with self.lock:
            self.socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
            with self.arrived:
                if not self.arrived.wait_for(lambda: self.answers or self.ended, 30) or not self.answers:
                    raise Failed(f"QEMU does not answer {command}")
                answer = self.answers.pop(0)
        if "error" in answer:
            raise Failed(f"QEMU refuses {command}: {answer['error']['desc']}")
        return answer["return"]


# The PL061 of QEMU's virt, and its register of interrupts that wait for the kernel (ARM DDI 0190, 3.3.7).
GPIO_BASE, GPIO_WAITING = 0x0903_0000, 0x418
NOTICE_SECONDS = 10


class Lines:
    """The lines of the PL061 GPIO controller, moved from outside: the kernel sees true edges."""

    def __init__(self, qmp, path):
        devices = qmp.ask("qom-list", path="/machine/unattached")
        self.path = next(f"/machine/unattached/{device['name']}" for device in devices if device["type"] == "child<pl061>")
        self.socket = connect(path)
        self.answers = self.socket.makefile("r", encoding="ascii")
        self.lock = threading.Lock()

    def set(self, line, level):
        self.ask(f"set_irq_in {self.path} unnamed-gpio-in {line} {int(level)}")

    def wait_noticed(self):
        """Waits until the kernel has taken note of all edges. On a busy computer the emulated processor stands still for
        longer than a hand takes from one edge to the next, which no real one does."""
        wait_for(lambda: self.ask(f"readl {GPIO_BASE + GPIO_WAITING:#x}") == ["0x0000000000000000"], NOTICE_SECONDS,
                 "the kernel takes note of an edge", every=0.001)

    def ask(self, command):
        with self.lock:
            self.socket.sendall(f"{command}\n".encode())
            answer = self.answers.readline().split()
        if answer[:1] != ["OK"]:
            raise Failed(f"QEMU does not obey {command!r}: {answer}")
        return answer[1:]
