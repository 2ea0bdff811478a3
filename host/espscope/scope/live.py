"""A look at a card that another program drives, through the socket that its driver serves (ESPLANADE_SCOPE). Nothing here changes the
card: the driver refuses a register that cannot be read without an effect."""
import json
import os
import socket

from scope.cardmap import RINGS, ScopeError

ANSWER_MAX = 16 << 20
REGISTERS_MAX, RING_OCTETS_MAX = 1024, 64 << 10  # what the driver answers at once
DEFAULT = "/run/esplanade/scope.sock"


class Live:
    def __init__(self, path=None):
        self.path = path or os.environ.get("ESPLANADE_SCOPE") or DEFAULT
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.socket.connect(self.path)  # with a timeout it would not wait while others are served
            self.socket.settimeout(10)
        except OSError as error:
            raise ScopeError(f"{self.path}: {error.strerror or error}; start the program that drives the card with ESPLANADE_SCOPE={self.path}, "
                             "and be the user that it runs as") from error
        self.rest = b""

    def ask(self, ask, **more):
        try:
            self.socket.sendall(json.dumps({"ask": ask} | more).encode() + b"\n")
            while b"\n" not in self.rest:
                part = self.socket.recv(1 << 16)
                if not part or len(self.rest) > ANSWER_MAX:
                    raise ScopeError(f"{self.path}: the program that drives the card has ended")
                self.rest += part
        except OSError as error:
            raise ScopeError(f"{self.path}: no answer: {error}") from error
        line, self.rest = self.rest.split(b"\n", 1)
        try:
            answer = dict(json.loads(line))
            if "error" in answer:
                raise ScopeError(f"{self.path}: {answer['error']}")
        except (ValueError, TypeError) as error:
            raise ScopeError(f"{self.path}: an answer that is none: {error}") from error
        return answer

    def values(self, registers):
        """One value each, in this order, a register as often as it is named; None where a look would change something."""
        out = []
        for at in range(0, len(registers), REGISTERS_MAX):
            out += self.ask("registers", offsets=[r.offset for r in registers[at:at + REGISTERS_MAX]])["values"]
        return out

    def read(self, registers):
        """Values of the registers that a look does not change, by name."""
        wanted = [r for r in registers if not r.why_not_read()]
        return {r.name: v for r, v in zip(wanted, self.values(wanted)) if v is not None}

    def read_names(self, card, *names):
        return self.values([card.by_name[n] for n in names])

    def entries(self, card, ring, first, count):
        """(number, entry decoded) of the free-running numbers [first, first + count) of a ring."""
        size = ring["entries"]
        while count > 0:
            run = min(count, size - first % size, RING_OCTETS_MAX // ring["entry_bytes"])
            octets = bytes.fromhex(self.ask("ring", ring=ring["number"], first=first % size, count=run)["octets"])
            yield from enumerate(card.entries(dict(RINGS)[ring["kind"]], octets), first)
            first, count = first + run, count - run
