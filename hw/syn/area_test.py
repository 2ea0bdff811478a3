#!/usr/bin/env python3
"""area.py and netlist.py against modules whose area and depth can be counted by hand, and one of the card's."""
import argparse
import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import area  # noqa: E402
import netlist  # noqa: E402

YOSYS = "yosys"

# 12-input XOR between registers: two levels, three LUT6; 13 flip-flops.
XOR12 = """
module xor12 #(parameter int P0 = 0, parameter int P1 = 0, parameter int P2 = 0, parameter int P3 = 0) (input logic clk_i, input logic [11:0] a_i, output logic x_o);
  logic [11:0] a_q;
  always_ff @(posedge clk_i) begin
    a_q <= a_i;
    x_o <= ^a_q;
  end
endmodule
"""
# A part, twice, in a top with one LUT of its own. Few and many parameters: Yosys names what it derives in two ways.
PAIR = """
module pair #(parameter int Width = 4) (input logic clk_i, input logic [11:0] a_i, input logic [11:0] b_i, output logic [1:0] x_o);
  logic [1:0] x;
  xor12 #(.P0(7)) u_a (.clk_i(clk_i), .a_i(a_i), .x_o(x[0]));
  xor12 #(.P0(1), .P1(2), .P2(3), .P3(4)) u_b (.clk_i(clk_i), .a_i(b_i), .x_o(x[1]));
  always_ff @(posedge clk_i) x_o <= {x[0] && x[1], Width[0] ^ x[0]};
endmodule
"""
RAM = """
module ram (input logic clk_i, input logic we_i, input logic [4:0] wa_i, input logic [4:0] ra_i, input logic [13:0] d_i, output logic [13:0] q_o);
  logic [13:0] mem [0:31];
  logic [4:0] ra_q;
  always_ff @(posedge clk_i) begin
    ra_q <= ra_i;
    if (we_i) mem[wa_i] <= d_i;
    q_o <= mem[ra_q];
  end
endmodule
"""


def synthesise(folder, name, text, parts=(), more=""):
    file = folder / f"{name}.sv"
    file.write_text(text + more)
    return area.synthesise(area.Row(name, name, [file], parts=parts), YOSYS, 60)


class Area(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.at = Path(self.folder.name)

    def tearDown(self):
        self.folder.cleanup()

    def test_an_xor_of_12_has_two_levels_and_three_luts(self):
        result = synthesise(self.at, "xor12", XOR12)
        self.assertEqual(netlist.area(result["cells"]) | {"bram": 0, "uram": 0, "dsp": 0}, {"lut": 3, "ff": 13, "bram": 0, "uram": 0, "dsp": 0})
        self.assertEqual(result["levels"], 2)
        worst = result["paths"][0]
        self.assertEqual(worst["levels"], 2)
        self.assertIn("a_q", worst["start"])
        self.assertIn("x_o", worst["end"])
        self.assertEqual(len(worst["cells"]), 2)

    def test_a_lutram_of_14_by_32_is_eight_luts_and_its_read_one_level(self):
        result = synthesise(self.at, "ram", RAM)
        self.assertEqual(result["cells"].get("RAM32M16"), 1)
        self.assertEqual(netlist.area(result["cells"])["lut"], 8)
        self.assertEqual(result["levels"], 1)

    def test_a_part_is_left_out_and_counted_once_an_instance(self):
        part = area.Row("xor12", "xor12", [])
        results = {"xor12": synthesise(self.at, "xor12", XOR12), "pair": synthesise(self.at, "pair", PAIR, [part], XOR12)}
        self.assertEqual(results["pair"]["boxes"], {"xor12": 2})
        whole = synthesise(self.at, "pair", PAIR, (), XOR12)
        out, stack = area.figures(area.Row("pair", "pair", [], gbps=2, parts=[part]), results)
        self.assertEqual(out["lut"], netlist.area(whole["cells"])["lut"])
        self.assertEqual(out["ff"], netlist.area(whole["cells"])["ff"])
        self.assertEqual(stack["xor12"], 6)
        self.assertEqual(out["logic_levels"], 2)
        self.assertAlmostEqual(out["klut_per_gbps"], round(out["lut"] / 2000, 3))

    def test_broken_rtl_is_an_error_with_the_tools_words(self):
        with self.assertRaisesRegex(area.SynthesisError, "ERROR"):
            synthesise(self.at, "bad", "module bad (input logic a_i); nothing u_x (.a(a_i)); endmodule")

    def test_a_second_run_takes_the_kept_result(self):
        command = [sys.executable, str(HERE / "area.py"), "--yosys", YOSYS, "--cache", str(self.at), "--only", "trivium64"]
        output = self.at / "area.json"
        first = subprocess.run(command + ["--output", str(output)], capture_output=True, text=True, check=True)
        self.assertIn("synthesising", first.stderr)
        row = json.loads(output.read_text())["rows"][0]
        self.assertEqual(row["module"], "trivium64")
        self.assertGreaterEqual(row["ff"], 288)  # the cipher's state alone
        self.assertNotIn("synthesising", subprocess.run(command, capture_output=True, text=True, check=True).stderr)

    def test_files_are_found_by_what_a_module_instantiates(self):
        names = [f.name for f in area.find_files("tdes_pipe", area.rtl_index())]
        self.assertEqual(names, ["des_pkg.sv", "tdes_pipe.sv"])
        self.assertLess({"slot_ram.sv", "crypto_cipher.sv"}, {f.name for f in area.find_files("crypto_lane", area.rtl_index())})

    def test_an_unknown_row_is_refused(self):
        ran = subprocess.run([sys.executable, str(HERE / "area.py"), "--only", "nothing"], capture_output=True, text=True)
        self.assertEqual(ran.returncode, 1)
        self.assertIn("no row nothing", ran.stderr)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--yosys", default="yosys")
    options, rest = parser.parse_known_args()
    YOSYS = options.yosys
    unittest.main(argv=[sys.argv[0]] + rest)
