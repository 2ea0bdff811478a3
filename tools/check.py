#!/usr/bin/env python3
"""House rules that a compiler does not check: who may include whom, and calls that are banned. Exit 1 and a line each."""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Folder -> prefixes that its #include "..." lines may have. The longest folder that fits a file counts.
MAY_INCLUDE = {
    "common/base": ["common/base/"],
    "common/crypto": ["common/base/", "common/crypto/"],
    "common/esp": ["common/base/", "common/crypto/", "common/esp/"],
    "common/pfkey": ["common/base/", "common/esp/", "common/pfkey/"],
    "common/pcap": ["common/base/", "common/pcap/"],
    "common/testing": ["common/testing/"],
    "driver": ["common/", "driver/", "hw/regs/"],
    "host": ["common/", "driver/", "host/", "hw/regs/", "keyd/vectors/"],
    "keyd": ["common/", "keyd/"],
    "sim": ["common/base/", "common/crypto/", "sim/", "hw/regs/"],
    "sim/functional": ["common/base/", "common/crypto/", "common/esp/", "sim/", "hw/regs/"],
}
# (pattern, what is wrong, folders where it is allowed)
BANNED = [
    (r"#include <openssl/", "OpenSSL outside common/crypto and the RTL benches", ["common/crypto", "hw/tb"]),
    (r"#include [<\"](xrt/|experimental/xrt|xrt\.h)", "XRT outside driver/xrt", ["driver/xrt", "tests", "sim"]),
    (r"\bmemcmp\s*\(", "memcmp: use constant_time_equal or std::ranges::equal", []),
    (r"\b(rand|srand|system|popen|strcpy|strcat|sprintf|gets)\s*\(", "banned C function", []),
]


def folder_rule(path):
    fits = [f for f in MAY_INCLUDE if path.startswith(f + "/")]
    return max(fits, key=len, default=None)


def main():
    wrong = []
    for top in ("common", "driver", "host", "keyd", "sim", "tests", "hw/tb"):
        for file in sorted((ROOT / top).rglob("*")):
            if file.suffix not in (".h", ".cpp"):
                continue
            path = str(file.relative_to(ROOT))
            rule = folder_rule(path)
            for number, line in enumerate(file.read_text().splitlines(), 1):
                found = re.match(r'\s*#include "([^"]+)"', line)
                if found and rule:
                    target = found[1]
                    local = "/" not in target or target.startswith("esplanade/")
                    if not local and not any(target.startswith(p) for p in MAY_INCLUDE[rule]):
                        wrong.append(f"{path}:{number}: {rule} may not include {target}")
                code = line.split("//")[0]
                for pattern, what, allowed in BANNED:
                    if re.search(pattern, code) and not any(path.startswith(a + "/") for a in allowed):
                        wrong.append(f"{path}:{number}: {what}")
    print("\n".join(wrong) if wrong else "house rules: all kept")
    sys.exit(1 if wrong else 0)


main()
