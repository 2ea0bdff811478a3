#!/usr/bin/env python3
"""mkxclbin.py: the container has the layout of struct axlf, the same input gives the same bytes, bad input is named."""
import io
import json
import struct
import subprocess
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent.parent
TOOL = ROOT / "hw/xclbin/mkxclbin.py"
DESCRIPTION = ROOT / "hw/xclbin/esp_card.toml"


def make(folder, description=DESCRIPTION, simulator="/opt/esplanade/bin/esp-card-sim"):
    result = subprocess.run([sys.executable, TOOL, description, "--simulator", simulator, "--xclbin", folder / "x", "--emconfig", folder / "e"],
                            capture_output=True, text=True, check=False)
    return result.returncode, result.stderr.strip()


def sections(data):
    count, = struct.unpack_from("<I", data, 448)
    out = {}
    for n in range(count):
        kind, _, offset, size = struct.unpack_from("<I16s4xQQ", data, 456 + 40 * n)
        assert offset % 8 == 0 and offset + size <= len(data)
        out[kind] = data[offset:offset + size]
    return out


class Mkxclbin(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.folder = Path(self.temporary.name)

    def made(self, **options):
        status, error = make(self.folder, **options)
        self.assertEqual((status, error), (0, ""))
        return (self.folder / "x").read_bytes()

    def refused(self, text, says):
        bad = self.folder / "bad.toml"
        bad.write_text(text)
        status, error = make(self.folder, description=bad)
        self.assertEqual(status, 1)
        self.assertEqual(len(error.splitlines()), 1, error)
        self.assertIn(says, error)

    def test_header(self):
        data = self.made()
        self.assertEqual(data[:8], b"xclbin2\0")
        length, = struct.unpack_from("<Q", data, 304)
        self.assertEqual(length, len(data))
        mode, = struct.unpack_from("<H", data, 332)
        self.assertEqual(mode, 4)  # hardware emulation
        self.assertEqual(data[352:416].rstrip(b"\0"), b"esplanade_card_sim_1_0")

    def test_sections_agree(self):
        parts = sections(self.made())
        self.assertEqual(set(parts), {0, 2, 6, 7, 8, 11, 14})
        instance = ElementTree.fromstring(parts[2]).find(".//instance/addrRemap")
        base, = struct.unpack_from("<Q", parts[8], 16)
        self.assertEqual(int(instance.get("base"), 16), base)
        self.assertEqual(parts[8][24:88].rstrip(b"\0"), b"esp_card:esp_card_1")
        count, = struct.unpack_from("<i", parts[6])
        tags = [parts[6][8 + 40 * n + 24:8 + 40 * n + 40].rstrip(b"\0") for n in range(count)]
        self.assertEqual(tags, [b"DDR[0]", b"HOST[0]"])
        archive = zipfile.ZipFile(io.BytesIO(parts[0]))
        launcher = archive.getinfo("behav_waveform/xsim/simulate.sh")
        self.assertEqual(launcher.external_attr >> 16, 0o755)
        self.assertIn(b"/opt/esplanade/bin/esp-card-sim", archive.read(launcher))
        self.assertEqual(archive.read("behav_waveform/xsim/platform.toml"), DESCRIPTION.read_bytes())

    def test_compute_units_have_ranges_and_connections_of_their_own(self):
        two = self.folder / "two.toml"
        two.write_text(DESCRIPTION.read_text().replace('["esp_card_1"]', '["a", "b"]'))
        parts = sections(self.made(description=two))
        units = {i.get("name"): int(i.find("addrRemap").get("base"), 16) for i in ElementTree.fromstring(parts[2]).iter("instance")}
        self.assertEqual(units, {"a": 0x1800000, "b": 0x1810000})
        self.assertEqual([struct.unpack_from("<Q", parts[8], 16 + 80 * n)[0] for n in range(2)], [0x1800000, 0x1810000])
        rows = struct.unpack("<i12i", parts[7])
        self.assertEqual(rows, (4, 0, 0, 0, 1, 0, 1, 0, 1, 0, 1, 1, 1))  # argument, unit, memory

    def test_emconfig_names_the_platform_of_the_xclbin(self):
        data = self.made()
        name = json.loads((self.folder / "e").read_text())["Platform"]["Boards"][0]["Devices"][0]["Name"]
        self.assertEqual(data[352:416].rstrip(b"\0").decode(), name)

    def test_same_input_same_bytes_other_input_other_uuid(self):
        first, second = self.made(), self.made()
        self.assertEqual(first, second)
        self.assertNotEqual(first[416:432], self.made(simulator="/elsewhere/esp-card-sim")[416:432])

    def test_launcher_without_a_simulator_says_so(self):
        archive = zipfile.ZipFile(io.BytesIO(sections(self.made(simulator="/nowhere/esp-card-sim"))[0]))
        archive.extractall(self.folder)
        log = self.folder / "log"
        result = subprocess.run(["sh", self.folder / "behav_waveform/xsim/simulate.sh"], env={"ESPLANADE_SIM_LOG": str(log), "PATH": "/usr/bin:/bin"},
                                capture_output=True, text=True, check=False)
        self.assertEqual(result.returncode, 127)
        self.assertIn("no simulator at /nowhere/esp-card-sim", log.read_text())

    def test_bad_descriptions_are_named(self):
        good = DESCRIPTION.read_text()
        self.refused("x = ", "bad.toml")
        self.refused(good.replace('instances = ["esp_card_1"]', ""), "[kernel] instances")
        self.refused(good.replace('type = "ddr4"', 'type = "core"'), "'core' is none of")
        self.refused(good.replace("size = 0x4000_0000", "size = 100"), "multiples of 4096")
        self.refused(good.replace('"DDR[0]"', '"a tag of more than fifteen bytes"'), "longer than 15 bytes")
        self.refused(good.replace('protocol = "user_managed"', 'protocol = "ap_ctrl"'), "protocol 'ap_ctrl' is none of")
        self.refused(good.replace('protocol = "user_managed"\n', ""), "[kernel] protocol must be there")
        self.refused(good.replace("data_width = 512", "data_width = 48"), "data_width 48 is none of 32, 64")
        self.refused(good.replace('port = "m_axi_gmem"', 'port = "m_axi_gmen"'), "[[argument]] 0: port 'm_axi_gmen' is none of m_axi_gmem")
        self.refused(good.replace('["esp_card_1"]', '["a", "a"]'), "instances must be 1 to 16 different names")
        self.refused(good.replace("control_range = 0x1_0000", "control_range = 0x1_8000"), "power of two")
        self.refused(good.replace("[[port]]", "[[ports]]"), "there is no table 'ports'")
        self.refused(good.replace("clock_mhz", "clock_mhZ"), "no key 'clock_mhZ'")
        self.refused(good.replace('name = "esp_card"', 'name = "esp__card"'), "'esp__card' is no name")
        self.refused(good.replace('name = "memory1"', 'name = "memory0"'), "[[argument]] name 'memory0' is there twice")
        status, error = make(self.folder, description=self.folder / "absent.toml")
        self.assertEqual(status, 1)
        self.assertIn("absent.toml", error)
        status, error = make(self.folder, simulator="relative/path")
        self.assertEqual(status, 1)
        self.assertIn("absolute path", error)

    def test_pins_follow_the_description(self):
        def pins(text):
            file = self.folder / "k.toml"
            file.write_text(text)
            subprocess.run([sys.executable, TOOL.parent / "mkpins.py", file, "--output", self.folder / "k.h"], check=True)
            return (self.folder / "k.h").read_text()
        card = DESCRIPTION.read_text()
        self.assertIn("#include <Vesp_card.h>", pins(card))
        self.assertIn('kShape{"m_axi_gmem", 64}', pins(card))
        self.assertIn("p.address & 0xffff)", pins(card))
        other = pins(card.replace('name = "esp_card"', 'name = "esp_card"\ntop = "other"\nsignal_case = "upper"\ncontrol_address_width = 6\nclock = "clk"\n'
                                  'reset = "rst_n"').replace("user_managed", "ap_ctrl_chain").replace('interrupt = "interrupt"\n', ""))
        for says in ("Model = Vother;", 'kKernel = "esp_card"', "m.m_axi_gmem_ARVALID", "m.s_axi_control_WREADY", "p.address & 0x3f)", "ControlProtocol::kApCtrlChain",
                     "m.clk = level", "m.rst_n = !active", "return false;"):
            self.assertIn(says, other)
        self.assertNotIn("arvalid", other)
        ports = pins(card.replace('data_width = 512', 'data_width = 32\n[[port]]\nname = "m_axi_b"\ndata_width = 1024'))
        self.assertIn("std::tuple<Port0, Port1>", ports)
        self.assertIn('kShape{"m_axi_b", 128}', ports)


if __name__ == "__main__":
    unittest.main()
