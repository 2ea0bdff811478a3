"""A look at a card that another program drives, through the socket that its driver serves (ESPLANADE_SCOPE). Nothing here changes the
card: the driver refuses a register that cannot be read without an effect."""
import json
import os
import socket

from scope.cardmap import ScopeError

ANSWER_MAX = 16 << 20
RUN_BYTES = 64 * 1024  # of a ring in one answer
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
            answer = json.loads(line)
        except ValueError as error:
            raise ScopeError(f"{self.path}: an answer that is none: {error}") from error
        if not isinstance(answer, dict) or "error" in answer:
            raise ScopeError(f"{self.path}: {answer.get('error') if isinstance(answer, dict) else 'an answer that is none'}")
        return answer

    def _values(self, registers):
        """Of these registers in this order, one look after another; None for one that a look would change."""
        return [v for at in range(0, len(registers), 1024) for v in self.ask("registers", offsets=[r.offset for r in registers[at:at + 1024]])["values"]]

    def read(self, registers):
        """Values of the registers that a look does not change, by name."""
        wanted = [r for r in registers if not r.why_not_read()]
        return {r.name: v for r, v in zip(wanted, self._values(wanted)) if v is not None}

    def read_names(self, card, *names):
        return self._values([card.by_name[n] for n in names])

    def entries(self, card, ring, form, first, count):
        """Decoded entries of `ring`, one of the answer to "rings", with the free-running numbers [first, first + count); no more than it has places."""
        size, places = card.formats[form][0], ring["entries"]
        count = min(count, places)
        octets = b""
        while len(octets) < count * size:
            at = (first + len(octets) // size) % places
            run = min(count - len(octets) // size, places - at, RUN_BYTES // size)
            part = bytes.fromhex(self.ask("ring", ring=ring["number"], first=at, count=run)["octets"])
            if len(part) != run * size:
                raise ScopeError(f"{self.path}: {len(part)} octets of a ring where {run * size} were asked for")
            octets += part
        return [card.decode(form, octets[i:i + size]) for i in range(0, len(octets), size)]

    def rings(self):
        """The rings that are on, each with its number."""
        return [ring | {"number": n} for n, ring in enumerate(self.ask("rings")["rings"])]
