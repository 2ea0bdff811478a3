#!/usr/bin/env python3
"""The host's programs under sanitizers: builds the preset (asan: AddressSanitizer and UBSan; tsan: ThreadSanitizer), runs the unit tests of espd, its cards and the driver, and lets espd and keyd work as they do in
the field: two espd with the reference engine, with and without I/O threads; two simulated cards that share SAs, one of which dies again and again; keyd with strongSwan. The simulated card itself is that of the preset dev, without a sanitizer, for
it is a process of its own. Any report of a sanitizer fails. Usage: sanitize.py PRESET --dev BUILD_DIR_OF_DEV. The flows need root; without, only the unit tests run, exit 77."""
import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
UNITS, NOT_UNITS = r"^unit\.(host|driver)\.", "espd_example|tools|vectors"  # those want programs that are not built here
INTEROP = ROOT / "tests/interop/espd"
FLOWS = [
    [INTEROP / "two_hosts.py", "--udp", "--size", "200000"],
    [INTEROP / "two_hosts.py", "--size", "200000", "--threads", "2"],
    [INTEROP / "threads_test.py"],
    [INTEROP / "shared_cards_test.py"],
    [INTEROP / "soak_test.py", "--seconds", "15", "--cards", '["soft"]', "--life-kbytes", "500", "--only", "link,reset,espd_stop,keyd_stop"],
    [INTEROP / "soak_test.py", "--seconds", "15", "--life-kbytes", "500", "--only", "link,reset,reset_one,drain,card_dies"],
]


def say(text):
    print(f"==> {text}", flush=True)


def options(log):
    """Nothing is suppressed, XRT included. Each process writes its reports to a file of its own, also keyd's with their own users. espd and keyd forbid others to look into them, which the leak checker would have to: the unit tests look for leaks."""
    common = f"log_path={log}/report:exitcode=66"
    return {"ASAN_OPTIONS": f"{common}:detect_leaks=0", "UBSAN_OPTIONS": f"{common}:print_stacktrace=1:halt_on_error=1", "TSAN_OPTIONS": f"{common}:second_deadlock_stack=1:history_size=4"}


def build(preset):
    say(f"build, preset {preset}")
    subprocess.run(["cmake", "--preset", preset], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    folder = ROOT / "build" / preset
    listed = subprocess.run(["ninja", "-C", folder, "-t", "targets", "all"], capture_output=True, text=True, check=True).stdout
    units = sorted(set(re.findall(r"^(unit_(?:host|driver)_\w+):", listed, re.M)))
    subprocess.run(["ninja", "-C", folder, "espd", "espctl", "keyd", *units], check=True, stdout=subprocess.DEVNULL)
    return folder


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("preset", choices=("asan", "tsan"))
    parser.add_argument("--dev", type=Path, required=True, help="build folder with the simulated card")
    chosen = parser.parse_args()
    dev = chosen.dev.resolve()
    folder = build(chosen.preset)
    failed = []
    with tempfile.TemporaryDirectory(prefix="esplanade-sanitize-") as name:
        log = Path(name)
        log.chmod(0o1777)
        env = os.environ | options(log) | {"ESPLANADE_SIM": str(dev / "bin/esp-card-sim"), "ESPLANADE_XCLBIN": str(dev / "share/esplanade/esp_card.hw_emu.xclbin")}
        say("unit tests")
        leaks = env | {"ASAN_OPTIONS": env["ASAN_OPTIONS"].replace("detect_leaks=0", "detect_leaks=1")}
        if subprocess.run(["ctest", "--test-dir", folder, "-R", UNITS, "-E", NOT_UNITS, "--output-on-failure", "--no-tests=error"], env=leaks).returncode != 0:
            failed.append("unit tests")
        for flow in FLOWS if os.geteuid() == 0 else []:
            say(" ".join(map(str, flow)))
            watched = env | {"ESPLANADE_RECORD": str(log / "record.drec"), "ESPLANADE_SCOPE": str(log / "scope.sock")}  # their threads, too
            if subprocess.run([sys.executable, *map(str, flow), "--build", str(folder)], env=watched, timeout=900).returncode != 0:
                failed.append(flow[0].name)
        reports = sorted(log.glob("report.*"))
        for report in reports:
            print(f"--- {report.name}\n{report.read_text(errors='replace')[:20000]}", flush=True)
        if reports or failed:
            sys.exit(f"FAILED: {len(reports)} reports; {', '.join(failed) or 'the tests themselves passed'}")
    if os.geteuid() != 0:
        say("the flows need root: left out")
        sys.exit(77)
    say("no report")


main()
