#!/usr/bin/env python3
"""The kernel as packaged for a card against the kernel as the simulated .xclbin has it, and against the RTL's ports."""
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import tomllib
import unittest
from pathlib import Path
from xml.etree import ElementTree

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))
import gen_top  # noqa: E402
import pack  # noqa: E402

EMBEDDED_METADATA = 2  # enum axlf_section_kind


def embedded_metadata(lanes=1):
    """Section EMBEDDED_METADATA of a simulated .xclbin as mkxclbin.py writes it."""
    with tempfile.TemporaryDirectory() as folder:
        file, description = Path(folder) / "x", pack.DESCRIPTION
        if lanes > 1:
            description = Path(folder) / "description.toml"
            description.write_text(pack.lanes_description(lanes))
        subprocess.run([sys.executable, ROOT / "hw/xclbin/mkxclbin.py", description, "--simulator", "/opt/sim", "--xclbin", file], check=True)
        data = file.read_bytes()
    count, = struct.unpack_from("<I", data, 448)
    for n in range(count):
        kind, _, offset, size = struct.unpack_from("<I16s4xQQ", data, 456 + 40 * n)
        if kind == EMBEDDED_METADATA:
            return ElementTree.fromstring(data[offset:offset + size])
    raise AssertionError("no EMBEDDED_METADATA")


def sv_ports(text):
    """{port: (direction, bits)} of a module whose ports stand one a line."""
    return {m[3]: (m[1], int(m[2] or 0) + 1) for m in re.finditer(r"^  (input|output)\s+logic\s+(?:\[(\d+):0\]\s+)?(\w+)", text, re.M)}


class Pack(unittest.TestCase):
    def test_a_card_has_the_ports_and_arguments_of_the_simulated_xclbin(self):
        for lanes in (1, 4):
            ours = ElementTree.fromstring(pack.kernel_xml(lanes)).find("kernel")
            theirs = embedded_metadata(lanes).find(".//kernel")
            for key in ("name", "language", "hwControlProtocol", "interrupt"):
                self.assertEqual(ours.get(key), theirs.get(key), key)
            by_name = lambda nodes: {n.get("name"): dict(n.attrib) for n in nodes}  # noqa: E731
            self.assertEqual(by_name(ours.iter("port")), by_name(theirs.iter("port")))
            self.assertEqual(by_name(ours.iter("arg")), by_name(theirs.iter("arg")))
            self.assertEqual(len(by_name(ours.iter("arg"))), 2 * lanes)

    def test_more_lanes_only_add_ports_and_arguments(self):
        one = ElementTree.fromstring(pack.kernel_xml(1))
        for lanes in (2, 4, 16):
            many = ElementTree.fromstring(pack.kernel_xml(lanes))
            masters = [p.get("name") for p in many.iter("port") if p.get("mode") == "master"]
            self.assertEqual(len(masters), lanes)
            self.assertEqual(masters[:2], ["m_axi_gmem", "m_axi_gmem1"])
            args = [dict(a.attrib) for a in many.iter("arg")]
            self.assertEqual(args[:len(list(one.iter("arg")))], [dict(a.attrib) for a in one.iter("arg")])
            self.assertEqual([int(a["id"]) for a in args], list(range(len(args))))
            offsets = [int(a["offset"], 16) for a in args]
            self.assertEqual(len(set(offsets)), len(offsets))
            self.assertEqual({a["port"] for a in args}, set(masters))

    def test_every_port_of_the_metadata_is_a_full_axi_interface_of_the_rtl(self):
        for lanes, name in gen_top.TOPS:
            ports = sv_ports((ROOT / f"hw/rtl/card/{name}.sv").read_text())
            described = {p.get("name"): p for p in ElementTree.fromstring(pack.kernel_xml(lanes)).iter("port")}
            prefixes = {re.sub(r"_[a-z]+$", "", p) for p in ports if "_axi_" in p}
            self.assertEqual(prefixes, set(described))
            for prefix, node in described.items():
                self.assertEqual(ports[f"{prefix}_wdata"][1], int(node.get("dataWidth")))
                self.assertEqual(ports[f"{prefix}_wdata"][0], "output" if node.get("mode") == "master" else "input")
                self.assertEqual(ports[f"{prefix}_araddr"][1], 64 if node.get("mode") == "master" else 16)
            self.assertEqual(1 << ports["s_axi_control_awaddr"][1], int(described["s_axi_control"].get("range"), 16))
            self.assertEqual(ports["interrupt"], ("output", 1))

    def test_a_top_of_any_width_connects_each_lane_to_its_own_slice(self):
        text = gen_top.top(3, "three")
        found = re.search(r"\.m_axi_rdata_i\(\{(.*?)\}\)", text, re.S)[1]
        self.assertEqual([s.strip() for s in found.split(",")], ["m_axi_gmem2_rdata", "m_axi_gmem1_rdata", "m_axi_gmem_rdata"])
        driven = set(re.findall(r"\bm_axi_gmem2_\w+", text.split(");\n", 1)[1]))
        self.assertEqual(driven, {p for p in sv_ports(text) if p.startswith("m_axi_gmem2_")})

    @unittest.skipUnless(shutil.which("tclsh"), "no tclsh")
    def test_the_packaging_script_runs_through_with_stand_ins_for_vivados_commands(self):
        with tempfile.TemporaryDirectory() as folder:
            at = Path(folder)
            (at / "files.txt").write_text(f"{at}/pkg.sv\n{at}/esp_card.sv\n{at}/card_core.sv\n")
            (at / "dry.tcl").write_text("""
              set argv [lassign $argv script]
              proc note {args} { puts $args; return thing }
              foreach name {create_project add_files set_property current_fileset update_compile_order close_project package_xo} { interp alias {} $name {} note $name }
              namespace eval ipx {}
              foreach name {package_project current_core get_user_parameters get_hdl_parameters associate_bus_interfaces infer_bus_interface get_bus_interfaces
                            add_bus_parameter create_xgui_files update_checksums check_integrity save_core} { interp alias {} ipx::$name {} note ipx::$name }
              source $script
            """)
            ran = subprocess.run(["tclsh", at / "dry.tcl", HERE / "package_kernel.tcl", "4", at / "files.txt", at / "out", "0x1234abcd"], capture_output=True, text=True)
            self.assertEqual(ran.returncode, 0, ran.stderr)
            for bus in ("s_axi_control", "m_axi_gmem", "m_axi_gmem1", "m_axi_gmem2", "m_axi_gmem3"):
                self.assertIn(f"ipx::associate_bus_interfaces -busif {bus} -clock ap_clk", ran.stdout)
            self.assertNotIn("m_axi_gmem4", ran.stdout)
            self.assertIn("AllowTestMode=0", ran.stdout)
            self.assertIn(f"add_files -norecurse {at}/card_core.sv", ran.stdout)
            self.assertNotIn(f"add_files -norecurse {at}/esp_card.sv", ran.stdout)
            self.assertEqual((at / "out/esp_card_x4.sv").read_text(), gen_top.top(4, "esp_card_x4"))
            self.assertEqual((at / "out/kernel.xml").read_text(), pack.kernel_xml(4))

    def test_wrong_lane_counts_are_refused(self):
        for arguments in (["gen_top.py", "--lanes", "0"], ["gen_top.py", "--lanes", "17"], ["gen_top.py", "--lanes", "2", "--name", "a b"],
                          ["pack.py", "--kernel-xml", "/dev/null", "--lanes", "0"]):
            ran = subprocess.run([sys.executable, HERE / arguments[0], *arguments[1:]], capture_output=True, text=True)
            self.assertEqual(ran.returncode, 1, arguments)

    def test_link_files_name_existing_ports_and_the_clock(self):
        table = pack.platforms()
        for p in table["platform"]:
            text = pack.link_config(p, table["clock_mhz"])
            self.assertEqual(re.findall(r"^sp=esp_card_1\.(\w+):", text, re.M), [gen_top.master_name(n) for n in range(p["lanes"])])
            self.assertIn(f"freqHz={table['clock_mhz']}000000:esp_card_1", text)
            self.assertIn(f"nk={pack.kernel_name(p['lanes'])}:1:esp_card_1", text)
        self.assertEqual(table["clock_mhz"], tomllib.loads(pack.DESCRIPTION.read_text())["kernel"]["clock_mhz"])

    def test_lanes_that_fit_follow_from_the_areas(self):
        # A lane of 50 kLUT, 20 BRAM and 64 URAM beside 10 kLUT, 30 BRAM and 4 URAM.
        card = lambda n: {"lut": 10000 + 50000 * n, "bram": 30 + 20 * n, "uram": 4 + 64 * n}  # noqa: E731
        rows = [{"module": "esp_card (1 lane)"} | card(1), {"module": "esp_card (4 lanes)"} | card(4)]
        figures, lane, shared = pack.fit(rows)
        self.assertEqual((lane["lut"], shared["uram"]), (50000, 4))
        u50 = figures[0]
        self.assertEqual((u50["lut"], u50["bram"], u50["uram"], u50["fits"]), (12, 45, 6, 6))  # (610400 - 10000) / 50000, ...
        self.assertIn("| Alveo U50 | 12 | 45 | 6 |", pack.fit_markdown(rows))
        with self.assertRaises(pack.PackError):
            pack.fit(rows[:1])


if __name__ == "__main__":
    unittest.main()
