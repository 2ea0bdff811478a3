#!/usr/bin/env python3
"""Checks that the card's benches can fail: breaks the RTL in one place at a time and wants a failing test.

    mutants.py BUILD_DIR [NAME...]     BUILD_DIR has the benches built; NAME picks mutants

Takes a minute or two a mutant, so it is no part of the test run. Exit code 1 if a mutant survives.
"""
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[3]
RTL = ROOT / "hw/rtl"
# name: (file, text, replacement, bench that must notice)
MUTANTS = {
    "window-never-set": ("sa/sa_table.sv", "if (ahead_q) dy_new.seq = up_seq_i;", "", "replay"),
    "no-check-after-icv": ("sa/sa_table.sv", "assign refused = up_check_i && !window_ok;", "assign refused = 1'b0;", "replay"),
    "off-by-one-window": ("sa/replay_window.sv", "distance_i < 32'(window_i)", "distance_i <= 32'(window_i)", "replay"),
    "any-outer-address": ("sa/sa_table.sv", "!st.check_outer || (st.src", "1'b1 || (st.src", "descriptors"),
    "end-of-window": ("ring/window_check.sv", "end_q <= window_end_i", "end_q <= 65'd64 + window_end_i", "descriptors"),
    "bytes-past-the-end": ("axi/axi_wr.sv", "pkt_left_q >= 16'd64 ?", "pkt_left_q != 16'd0 ?", "vectors"),
    "page-crossing": ("axi/axi_rd.sv", "assign burst          = beats_q < to_page ? beats_q : to_page;",
                      "assign burst          = beats_q;", "descriptors"),
    "overrun-the-host": ("ring/ring_queue.sv", "waiting < room ? waiting[15:0] : room[15:0]", "waiting[15:0]", "descriptors"),
    "completion-before-data": ("ring/cpl_writer.sv", "(!head_wait || done_valid)", "1'b1", "vectors"),
    "number-of-refused": ("sa/sa_table.sv", "assign allot   = lk_encap_i && lk_status == card_pkg::StatusOk;",
                          "assign allot   = lk_encap_i && known_q;", "descriptors"),
    "remove-at-once": ("sa/sa_table.sv", "assign drained_o = !behind[15];", "assign drained_o = 1'b1;", "sa"),
    "entry-window-stays": ("sa/sa_command.sv", "if (!rst_ni || (active_q && command_q == card_pkg::SaCommandInstall && finish)) entry_q",
                           "if (!rst_ni) entry_q", "sa"),
    "checksum": ("ring/ip_parse.sv", "|| fold2 != 16'hffff", "", "descriptors"),
}


def run(args, **more):
    return subprocess.run([str(a) for a in args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)


def survives(build, name, folder):
    path, old, new, bench = MUTANTS[name]
    text = (RTL / path).read_text()
    if old not in text:
        sys.exit(f"{name}: its text is no longer in {path}")
    changed = folder / pathlib.Path(path).name
    changed.write_text(text.replace(old, new))
    files = [line for part in ("lane/files.txt", "files.txt") for line in (RTL / part).read_text().split("\n")
             if line and not line.startswith("#")]
    sources = [changed if f == path else RTL / f for f in files]
    made = run(["verilator", "--cc", "--build", "-j", "2", "--top-module", "esp_card", "--Mdir", folder / "obj", "-O3",
                "--x-assign", "fast", "--trace-fst", "--trace-structs", "-CFLAGS", "-O1 -fPIC", "-Wno-fatal",
                ROOT / "hw/model/esp_card.vlt", *sources])
    if made.returncode:
        sys.exit(f"{name}: does not build\n{made.stdout[-3000:]}")
    libraries = [next(build.rglob(f"lib{n}.a")) for n in
                 ("card_bench", "verilated_runtime", "esplanade_esp", "esplanade_crypto", "esplanade_base")]
    objects = build.glob(f"tests/rtl/card/CMakeFiles/rtl_card_{bench}.dir/*.o")
    linked = run(["g++", *objects, libraries[0], folder / "obj/Vesp_card__ALL.a", *libraries[1:], "-lfmt", "-lcrypto",
                  "-lz", "-lpthread", "-o", folder / "bench"])
    if linked.returncode:
        sys.exit(f"{name}: does not link\n{linked.stdout[-3000:]}")
    try:
        return run([folder / "bench"], timeout=600).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    left = []
    for name in sys.argv[2:] or MUTANTS:
        with tempfile.TemporaryDirectory() as folder:
            alive = survives(pathlib.Path(sys.argv[1]), name, pathlib.Path(folder))
        print(f"{name}: {'SURVIVES ' + MUTANTS[name][3] if alive else 'caught by ' + MUTANTS[name][3]}", flush=True)
        left += [name] if alive else []
    sys.exit(1 if left else 0)


main()
