"""PF_KEYv2 over espd's socket, written from RFC 2367 and <linux/pfkeyv2.h> and not from our own codec: a second opinion."""
import ipaddress
import socket
import struct

GETSPI, UPDATE, ADD, DELETE, GET, ACQUIRE, REGISTER, EXPIRE, FLUSH, DUMP = range(1, 11)
EXT_SA, EXT_CURRENT, EXT_HARD, EXT_SOFT, EXT_SRC, EXT_DST = 1, 2, 3, 4, 5, 6
EXT_KEY_AUTH, EXT_KEY_ENCRYPT, EXT_SPIRANGE, EXT_SA2, EXT_NATT_TYPE, EXT_NATT_SPORT, EXT_NATT_DPORT = 8, 9, 16, 19, 20, 21, 22
SATYPE_ESP, SHA1HMAC, TRIPLE_DES, NULL = 3, 3, 3, 11


def extension(kind, body):
    """Length in units of 8 octets, type, body, padding."""
    pad = -(4 + len(body)) % 8
    return struct.pack("=HH", (4 + len(body) + pad) // 8, kind) + body + bytes(pad)


def address(kind, text):
    ip = ipaddress.ip_address(text)
    if ip.version == 4:
        raw = struct.pack("=H", socket.AF_INET) + struct.pack("!H", 0) + ip.packed + bytes(8)
    else:
        raw = struct.pack("=H", socket.AF_INET6) + struct.pack("!HI", 0, 0) + ip.packed + bytes(4)
    return extension(kind, struct.pack("=BBH", 0, ip.max_prefixlen, 0) + raw)


def key(kind, octets):
    return extension(kind, struct.pack("=HH", len(octets) * 8, 0) + octets)


def sa(spi, replay=64, cipher=TRIPLE_DES):
    return extension(EXT_SA, struct.pack("!I", spi) + struct.pack("=BBBBI", replay, 1, SHA1HMAC, cipher, 0))


def sa2(reqid, mode=2):
    return extension(EXT_SA2, struct.pack("=BBHII", mode, 0, 0, 0, reqid))


def lifetime(kind, packets=0, octets=0, seconds=0):
    return extension(kind, struct.pack("=IQQQ", packets, octets, seconds, 0))


def natt(sport, dport):
    return (extension(EXT_NATT_TYPE, struct.pack("=BBBB", 2, 0, 0, 0)) + extension(EXT_NATT_SPORT, struct.pack("!HH", sport, 0)) +
            extension(EXT_NATT_DPORT, struct.pack("!HH", dport, 0)))


class Reply:
    def __init__(self, octets):
        version, self.type, self.errno, self.satype, units, _, self.seq, self.pid = struct.unpack_from("=BBBBHHII", octets)
        assert version == 2 and units * 8 == len(octets), octets.hex()
        self.octets, self.ext, at = octets, {}, 16
        while at < len(octets):
            units, kind = struct.unpack_from("=HH", octets, at)
            assert units > 0 and kind not in self.ext, octets.hex()
            self.ext[kind] = octets[at:at + units * 8]
            at += units * 8

    def spi(self):
        return struct.unpack_from("!I", self.ext[EXT_SA], 4)[0]

    def reqid(self):
        return struct.unpack_from("=I", self.ext[EXT_SA2], 12)[0]


class Client:
    """A key-socket. Unasked messages (ACQUIRE, EXPIRE) gather in `unasked`."""

    def __init__(self, path, pid=4711):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(10)
        self.socket.connect(str(path))
        self.pid, self.seq, self.unasked = pid, 0, []

    def close(self):
        self.socket.close()

    def send(self, kind, *extensions, errno=0, satype=SATYPE_ESP, seq=None):
        if seq is None:
            self.seq += 1
            seq = self.seq
        body = b"".join(extensions)
        self.socket.send(struct.pack("=BBBBHHII", 2, kind, errno, satype, (16 + len(body)) // 8, 0, seq, self.pid) + body)
        return seq

    def receive(self):
        octets = self.socket.recv(8192)
        if not octets:
            raise ConnectionError("espd closed the PF_KEY socket")
        return Reply(octets)

    def ask(self, kind, *extensions, **kw):
        """One request, its answer."""
        seq = self.send(kind, *extensions, **kw)
        while True:
            reply = self.receive()
            if reply.type == kind and reply.pid == self.pid and reply.seq == seq:
                return reply
            self.unasked.append(reply)

    def dump(self):
        self.send(DUMP)
        found = []
        while True:
            reply = self.receive()
            if reply.type != DUMP:
                self.unasked.append(reply)
                continue
            if reply.errno == 0:
                found.append(reply)
            if reply.seq == 0:
                return found

    def wait_unasked(self, kind):
        while True:
            for reply in self.unasked:
                if reply.type == kind:
                    self.unasked.remove(reply)
                    return reply
            self.unasked.append(self.receive())
