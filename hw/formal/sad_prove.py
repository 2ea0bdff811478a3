#!/usr/bin/env python3
"""Proofs about the SA table, with Yosys alone.

  sad_prove.py            all but the longest
  sad_prove.py --slow     all
  sad_prove.py NAME...    these: window, life, keys

window     sad_window equals the definition of the replay window, for every state and number (64 bits of ring, 8-bit
           numbers): one step from an arbitrary state is everything, the module keeps nothing else.
life       from reset, in every order of lookups, updates and commands (one lane, two entries): no lookup finds an entry
           that is not installed, and nothing is wiped while a packet found before the close is held. Bounded:
           68 cycles, enough for clear, install, lookup, close, update and wipe. Parity and room for events are left free.
           Minutes of solving: only with --slow or by name.
keys       no bit of a key, of the HMAC states or of a key row can reach an output other than the key ports of the
           lookup's answer, by any path through any register, in any number of cycles. Two tables that differ in keys
           alone are therefore equal on all those outputs. The parity results of the key RAM are cut; they do not
           depend on the key, as the RAM writes the parity it checks.

Each proof comes with cases that must be reachable (a claim of the contrary has to fail) and with mutants, text
replaced in a copy of a file, that have to fail. One line a result; exit code 0 only when all is as it should be.
"""
import argparse
import collections
import json
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
RTL = ROOT / "hw/rtl"
FORMAL = ROOT / "hw/formal"
SAD = RTL / "sad/sad.sv"


def mutated(path, edits, work):
    """`path`, or a copy of it with the edits in it."""
    mine = [(a, b) for p, a, b in edits if p == path]
    if not mine:
        return path
    text = path.read_text()
    for old, new in mine:
        if text.count(old) != 1:
            raise SystemExit(f"sad_prove: {path.name} holds {text.count(old)} times: {old}")
        text = text.replace(old, new)
    copy = work / path.name
    copy.write_text(text)
    return copy


def yosys(script, work, seconds):
    """Return code and text of a run of Yosys."""
    (work / "script.ys").write_text(script)
    done = subprocess.run(["yosys", "-s", str(work / "script.ys")], cwd=work, capture_output=True, text=True, timeout=seconds)
    return done.returncode, done.stdout + done.stderr


def sat(files, top, define, depth, memory, edits, work, seconds):
    """True: proved. False: refuted. Anything else ends the program."""
    names = " ".join(str(mutated(f, edits, work)) for f in files)
    defines = f"-D{define} " if define else ""
    script = f"""read_verilog -formal -sv {defines}{names}
hierarchy -check -top {top}
proc
flatten
{'memory_map' if memory else ''}
opt -full
chformal -remove -cover
async2sync
dffunmap
techmap
dffunmap
opt -full
dffunmap
opt_clean -purge
sat -set-assumes -prove-asserts -seq {depth}
"""
    code, text = yosys(script, work, seconds)
    if code == 0 and "SAT proof finished - no model found: SUCCESS!" in text:
        return True
    if code == 0 and "SAT proof finished - model found: FAIL!" in text:
        return False
    print(text[-3000:])
    raise SystemExit(f"sad_prove: {top}: Yosys gave no verdict")


def window(define, edits, work):
    return sat([RTL / "sad/sad_window.sv", FORMAL / "sad_window_props.sv"], "sad_window_props", define, 3, False, edits, work, 900)


def life(define, edits, work):
    files = [RTL / "pkg/card_pkg.sv", FORMAL / "sad_life_stubs.sv", RTL / "sad/sad_window.sv", RTL / "sad/sad_arbiter.sv", SAD,
             FORMAL / "sad_life_props.sv"]
    return sat(files, "sad_life_props", define, 68, True, edits, work, 3600)


SECRET_NETS = ("u_sad.key_rd", "u_sad.key9_q", "u_command.istate_q", "u_command.ostate_q", "u_command.u_sha1.w_q",
               "u_command.u_sha1.a_q", "u_command.u_md5.block_q", "u_command.u_md5.a_q")
KEY_PORTS = ("lr_enc_key_o", "lr_istate_o", "lr_ostate_o")


def keys(define, edits, work):
    """Backward cone of every public output in the netlist of bits; True where it meets no secret bit."""
    names = [RTL / n for n in (RTL / "sad/files.txt").read_text().split("\n") if n and not n.startswith("#")]
    names += [ROOT / "hw/tb/sad/sad_bench_top.sv"]
    cut = [(SAD, "sad_ram #(.Words(KeyWords), .Depth(SaEntries)) u_key", "sad_key_ram #(.Words(KeyWords), .Depth(SaEntries)) u_key")]
    (work / "sad_key_ram.sv").write_text("""(* blackbox *) module sad_key_ram #(parameter int Words = 8, parameter int Depth = 4,
  localparam int Addr = $clog2(Depth)) (input logic clk_i, wr_en_i, input logic [Addr-1:0] wr_addr_i,
  input logic [64*Words-1:0] wr_data_i, input logic rd_en_i, input logic [Addr-1:0] rd_addr_i,
  output logic [64*Words-1:0] rd_data_o, output logic [Words-1:0] rd_bad_o); endmodule
""")
    files = " ".join([str(work / "sad_key_ram.sv")] + [str(mutated(f, cut + edits, work)) for f in names])
    code, text = yosys(f"""read_verilog -sv {files}
chparam -set SaEntries 4 -set ReplayWindow 32 -set Lanes 1 sad_bench_top
hierarchy -check -top sad_bench_top
proc
flatten
memory -nomap
opt -full
simplemap
opt -full
write_json netlist.json
""", work, 1200)
    if code != 0:
        print(text[-3000:])
        raise SystemExit("sad_prove: keys: Yosys gave no netlist")
    top = json.loads((work / "netlist.json").read_text())["modules"]["sad_bench_top"]
    bits = {name: net["bits"] for name, net in top["netnames"].items()}
    secret = {}
    for name in SECRET_NETS:
        for bit in bits[name]:
            secret[bit] = name
    entry = bits["u_command.entry_q"]
    for low, width in ((1024, 192), (1280, 160)):  # EncKey, AuthKey of format SaEntry
        for i in range(low, low + width):
            secret[entry[i]] = f"entry_q[{i}]"
    secret = {b: n for b, n in secret.items() if not isinstance(b, str)}
    if len(secret) < 192 + 160 + 2 * 512 + 320:
        raise SystemExit(f"sad_prove: keys: only {len(secret)} secret bits in the netlist")
    driver = {}
    for cell in top["cells"].values():
        black = cell["type"].endswith("sad_key_ram")
        inputs, outputs = [], []
        for port, conn in cell["connections"].items():
            if cell["port_directions"][port] == "output":
                if not (black and port == "rd_bad_o"):
                    outputs += conn
            else:
                inputs += [b for b in conn if not isinstance(b, str)]
        for bit in outputs:
            driver[bit] = inputs
    todo = collections.deque()
    for name, port in top["ports"].items():
        if port["direction"] == "output" and (name not in KEY_PORTS if define is None else name == define):
            todo += [b for b in port["bits"] if not isinstance(b, str)]
    seen = set(todo)
    while todo:
        bit = todo.popleft()
        if bit in secret:
            return False
        for source in driver.get(bit, ()):
            if source not in seen:
                seen.add(source)
                todo.append(source)
    if len(seen) < 5000:
        raise SystemExit("sad_prove: keys: the cone is too small to mean anything")
    return True


PROOFS = {
    "window": dict(
        run=window,
        reach=["REACH_1", "REACH_2", "REACH_3"],
        mutants=[(RTL / "sad/sad_window.sv", "assign wrap     = seq_pos <= top_pos", "assign wrap     = 1'b0"),
                 (RTL / "sad/sad_window.sv", "11'(below_q[Pos-1:0]) < {window_q, 5'd0}", "11'(below_q[Pos-1:0]) <= {window_q, 5'd0}"),
                 (RTL / "sad/sad_window.sv", "& ~{32{far}}", "")]),
    "life": dict(
        run=life,
        slow=True,
        reach=["REACH_1", "REACH_2"],
        mutants=[(SAD, "    par_closed.valid = '0;\n", ""),
                 (SAD, "assign drained_o = held_old_q == '0;", "assign drained_o = 1'b1;"),
                 (SAD, "      held_old_q <= held_q;\n", "      held_old_q <= '0;\n")]),
    "keys": dict(
        run=keys,
        reach=["lr_enc_key_o", "lr_istate_o"],  # these ports do meet the key
        mutants=[(RTL / "sad/sad_command.sv", "if (in_view && view_word < 5'd20)", "if (in_entry) reg_rdata_o = entry_q[32*reg_addr_i[7:2] +: 32]; else if (in_view && view_word < 5'd20)"),
                 (SAD, "assign lr_ip_id_o   = ip_id9_q;", "assign lr_ip_id_o   = ip_id9_q ^ {15'd0, key9_q[77]};")]),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[[], *PROOFS])
    parser.add_argument("--slow", action="store_true")
    args = parser.parse_args()
    good = True
    for name, proof in PROOFS.items():
        if args.names and name not in args.names or not args.names and proof.get("slow") and not args.slow:
            continue
        jobs = [("holds", None, [], True)]
        jobs += [(f"reaches {r}", r, [], False) for r in proof["reach"]]
        jobs += [(f"mutant {n + 1} fails", None, [m], False) for n, m in enumerate(proof["mutants"])]
        for what, define, edits, wanted in jobs:
            begin = time.monotonic()
            with tempfile.TemporaryDirectory() as work:
                got = proof["run"](define, edits, pathlib.Path(work))
            right = got == wanted
            good = good and right
            print(f"{'ok  ' if right else 'FAIL'} {name}: {what} ({time.monotonic() - begin:.0f} s)", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
