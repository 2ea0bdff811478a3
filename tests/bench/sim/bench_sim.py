#!/usr/bin/env python3
"""How fast the simulation is: packets and cycles a second by model, size and lanes, what SystemC, XRT, waves and recording cost, and
two other ways to run the same RTL (the plain Verilated loop, Icarus). Rows {name, value, unit} as JSON.

    bench_sim.py BUILD_DIR --output FILE [--quick]

Each figure is the best of three runs, for the machine may be shared; --quick takes one of each and few packets.
What the driver's recording costs is too little for that: record_host.cpp."""
import argparse
import json
import os
import pathlib
import re
import resource
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[3]
PARTS = ("crypto", "front", "back", "sad", "queue", "card")  # as in hw/CMakeLists.txt
ICARUS_CYCLES = 10_000


def run(argv, env):
    done = subprocess.run([str(a) for a in argv], env=os.environ | env, capture_output=True, text=True, timeout=600)
    if done.returncode:
        sys.exit(f"{argv[0]}: {done.stderr or done.stdout}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def best(turns, argv, env=None):
    runs = [run(argv, env or {}) for _ in range(turns)]
    lower = ("_ms", "_us")
    return {key: (min if key.endswith(lower) else max)(r[key] for r in runs) for key in runs[0]}


def replay(bin_dir, folder, size, packets, turns):
    """Cycles a second of the SystemC platform alone: a recorded run without XRT and without other processes."""
    file = folder / "replay.rec"
    run([bin_dir / "sim_host", size, packets], {"ESPLANADE_SIM_RECORD": str(file)})
    rates = []
    for _ in range(turns):
        said = subprocess.run([bin_dir / "esp-card-sim", "--replay", file], capture_output=True, text=True, check=True, timeout=600).stdout
        match = re.search(r"^(\d+) cycles in ([\d.]+) s$", said, re.M)
        rates.append(int(match[1]) / float(match[2]))
    return max(rates)


def icarus(folder):
    """Clock cycles a second of CPU time of the whole card at rest: what a run of so many cycles more costs over one without."""
    files = []
    for part in PARTS:
        for line in (ROOT / "hw/rtl" / part / "files.txt").read_text().splitlines():
            if line and not line.startswith("#") and line not in files:
                files.append(line)
    # Icarus 11 never leaves time 0 with this many always_comb blocks: they wake each other in a circle, though no value changes. The same
    # RTL with always @* in their place runs; the bench reads ID and STATUS of it.
    sources = []
    for file in files:
        if "esp_card_x" not in file:
            sources.append(folder / file.replace("/", "_"))
            sources[-1].write_text((ROOT / "hw/rtl" / file).read_text().replace("always_comb", "always @*"))
    built = folder / "card.vvp"
    seconds = []
    for cycles in (0, ICARUS_CYCLES):
        done = subprocess.run(["iverilog", "-g2012", "-s", "icarus_clock", f"-Picarus_clock.Cycles={cycles}", "-o", built, *sources,
                               ROOT / "tests/bench/sim/icarus_clock.sv"], capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        said = subprocess.run(["vvp", built], capture_output=True, text=True, timeout=600, check=True).stdout
        if f"CLOCKED {cycles}" not in said:
            sys.exit(f"Icarus: {said}")
        seconds.append(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before)
    return ICARUS_CYCLES / (seconds[1] - seconds[0])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    bin_dir, rows = args.build / "bin", []
    turns, scale = (1, 1) if args.quick else (3, 4)

    def row(name, value, unit):
        rows.append({"name": name, "value": round(value, 3), "unit": unit})
        print(f"{name:<58} {value:>14,.1f} {unit}", flush=True)

    host = bin_dir / "sim_host"
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        rates = {}
        for size in (64, 1500):
            packets = scale * (400 if size == 1500 else 2000)
            for model, factor in (("rtl", 1), ("functional", 60)):
                got = best(turns, [host, size, packets * factor], {"ESPLANADE_SIM_MODEL": model})
                rates[size, model] = got
                row(f"{model}, 1 lane, {size} bytes", got["packets_per_s"], "packets/s")
                if model == "rtl":
                    row(f"{model}, 1 lane, {size} bytes", got["cycles_per_s"], "cycles/s")
            row(f"functional over rtl, {size} bytes", rates[size, "functional"]["packets_per_s"] / rates[size, "rtl"]["packets_per_s"], "times")
            null = {model: best(turns, [host, size, packets * factor, "null"], {"ESPLANADE_SIM_MODEL": model})["packets_per_s"]
                    for model, factor in (("rtl", 1), ("functional", 60))}
            row(f"functional over rtl, {size} bytes, NULL cipher", null["functional"] / null["rtl"], "times")
            plain = best(turns, [bin_dir / "sim_loop", size, packets])
            row(f"plain Verilator loop, 1 lane, {size} bytes", plain["cycles_per_s"], "cycles/s")
            row(f"plain Verilator loop, 1 lane, {size} bytes", plain["packets_per_s"], "packets/s")
            row(f"SystemC platform over the plain loop (a replay), {size} bytes", 100 * (plain["cycles_per_s"] / replay(bin_dir, folder, size, packets, turns) - 1), "% more time a cycle")
            row(f"SystemC, XRT and processes over the plain loop, {size} bytes", 100 * (plain["cycles_per_s"] / rates[size, "rtl"]["cycles_per_s"] - 1), "% more time a cycle")
        for lanes in (1, 4):
            one, two = (best(turns, [bin_dir / program, 1500, scale * 200, lanes])["cycles_per_s"] for program in ("sim_loop", "sim_loop_threads"))
            row(f"plain Verilator loop, {lanes} lane{'s' * (lanes > 1)}, two threads, 1500 bytes", two, "cycles/s")
            row(f"two threads over one, {lanes} lane{'s' * (lanes > 1)}", two / one, "times")
        x4 = args.build / "share/esplanade/x4/esp_card_x4.hw_emu.xclbin"
        if x4.exists():
            for size in (64, 1500):
                got = best(turns, [host, size, scale * (200 if size == 1500 else 1000)], {"ESPLANADE_XCLBIN": str(x4)})
                row(f"rtl, 4 lanes, {size} bytes", got["packets_per_s"], "packets/s")
                row(f"rtl, 4 lanes, {size} bytes", got["cycles_per_s"], "cycles/s")
        base = rates[1500, "rtl"]
        for key, text, unit in (("register_read_us", "register read through XRT, median", "us"), ("register_write_us", "register write through XRT, median", "us"),
                                ("to_card_mb_s", "buffer to the card, 16 MiB", "MB/s"), ("from_card_mb_s", "buffer from the card, 16 MiB", "MB/s"),
                                ("startup_ms", "start-up: open to ready", "ms")):
            row(text, base[key], unit)
        few = scale * 400
        for text, env in (("waves armed, trigger not reached", {"ESPLANADE_SIM_WAVE": f"{folder}/armed.fst:packet=1000000000"}),
                          ("recording", {"ESPLANADE_SIM_RECORD": f"{folder}/bench.rec"})):
            got = best(turns, [host, 1500, few], env)
            row(f"{text}, 1500 bytes", 100 * (base["cycles_per_s"] / got["cycles_per_s"] - 1), "% more time a cycle")
        for size, packets in ((64, 1_500_000), (1500, 400_000)):
            file = folder / "driver.drec"
            got = run([bin_dir / "record_host", size, packets // (8 if args.quick else 1), file], {"ESPLANADE_SIM_MODEL": "functional"})
            for measure, text in (("processors", "processor time of all processes"), ("clock", "time by the clock")):
                for key, which in (("more", "median"), ("more_lower", "lower quartile"), ("more_upper", "upper quartile")):
                    row(f"driver's recording, functional, {size} bytes, {text}, {which}", got[measure][key], "% more a packet")
                row(f"driver's recording, functional, {size} bytes, {text}, median", got[measure]["more_ns"], "ns more a packet")
            row(f"driver's recording, functional, {size} bytes", file.stat().st_size / got["packets"], "octets a packet")
        got = best(1, [host, 1500, 40], {"ESPLANADE_SIM_WAVE": f"{folder}/on.fst"})
        row("waves of everything, 1500 bytes", base["cycles_per_s"] / got["cycles_per_s"], "times the time a cycle")
        rest = best(turns, [bin_dir / "sim_loop", "rest", scale * 50_000])["cycles_per_s"]
        rate = icarus(folder)
        row("plain Verilator loop, 1 lane, 4,096 SAs, at rest", rest, "cycles/s")
        row("Icarus, the same RTL (always_comb read as always @*), 1 lane, 4,096 SAs, at rest", rate, "cycles/s")
        row("plain Verilator loop over Icarus, at rest", rest / rate, "times")
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps({"rows": rows}, indent=1) + "\n")


main()
