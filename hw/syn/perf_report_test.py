#!/usr/bin/env python3
"""tools/perf_report.py on made-up measurements: tables, plots, markers and bad input."""
import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools/perf_report.py"


def card_rows():
    rows = []
    for lanes in (1, 2, 4):
        for direction in ("encap", "decap"):
            for size in (64, 1500, "imix"):
                rate = {64: 7.0, 1500: 7.9, "imix": 7.5}[size] * lanes
                rows.append({"bytes": size, "direction": direction, "sas": 16, "lanes": lanes, "bytes_per_cycle": rate, "roofline": 8.0 * lanes,
                             "fraction": rate / 8 / lanes, "gbps_at_300mhz": rate * 2.4, "latency_cycles": None if size == "imix" else 1000 + size})
    return rows


def area_rows():
    row = {"ff": 1, "bram": 0.5, "uram": 2, "dsp": 0, "logic_levels": 6, "io_levels": 3, "sta_ps": 1, "gbps": 19.2, "klut_per_gbps": 0.51}
    return [{"module": "tdes_pipe", "lut": 5400} | row, {"module": "esp_card (1 lane)", "lut": 50000} | row, {"module": "esp_card (4 lanes)", "lut": 170000} | row]


class Report(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.at = Path(self.folder.name)
        self.doc = self.at / "performance.md"
        self.doc.write_text((ROOT / "docs/performance.md").read_text())

    def tearDown(self):
        self.folder.cleanup()

    def run_tool(self, card=None, area=None):
        for name, content in (("card", card), ("area", area)):
            if content is not None:
                (self.at / f"{name}.json").write_text(json.dumps(content))
        return subprocess.run([sys.executable, TOOL, *(word for name in ("card", "area", "ike", "sim", "driver", "espd") for word in (f"--{name}", self.at / f"{name}.json")), "--doc", self.doc], capture_output=True, text=True)

    def test_tables_and_plots_hold_the_measurements(self):
        stacks = {"esp_card (1 lane)": {"rest": 20000, "crypto_lane": 30000}, "esp_card (4 lanes)": {"rest": 50000, "crypto_lane": 120000}}
        path = {"module": "sad", "levels": 9, "start": "FDRE a_q", "end": "FDRE b_q", "cells": ["LUT6 x", "CARRY4 y"]}
        ran = self.run_tool({"rows": card_rows(), "mixed": [{"mix": "both ways", "lanes": 1, "bytes_per_cycle": 7.123, "flows": [{"name": "64 encap", "bytes_per_cycle": 0.5, "share": 0.9}]}]},
                            {"rows": area_rows(), "stacks": stacks, "worst_paths": [path], "missing": []})
        self.assertEqual(ran.returncode, 0, ran.stderr)
        text = self.doc.read_text()
        self.assertIn("| 64 | encap | 16 | 1 | 7.00 | 8.00 | 88 % | 16.8 | 1,064 |", text)
        self.assertIn("| imix | decap | 16 | 4 | 30.00 | 32.00 | 94 % | 72.0 | - |", text)
        self.assertIn("| both ways | 1 | 7.12 | 64 encap | 0.500 | 90 % |", text)
        self.assertIn("| 1500 | encap | 19.0 | 37.9 | 75.8 |", text)
        self.assertIn("| esp_card (4 lanes) | 170,000 |", text)
        self.assertIn("| sad | 9 | `FDRE a_q` | `FDRE b_q` | LUT6, CARRY4 |", text)
        self.assertIn("| Alveo U50 | 15 |", text)  # (872,000 x 0.7 - 10,000) / 40,000
        self.assertIn("secworks/sha1", text)
        self.assertNotIn("Not measured yet", text)
        for name in ("rate", "lanes", "latency", "area"):
            svg = ElementTree.fromstring((self.at / f"performance/{name}.svg").read_text())
            drawn = [e for e in svg.iter() if e.tag.endswith(("polyline", "rect"))]
            self.assertGreater(len(drawn), 1, name)
            for e in svg.iter():
                for key in ("x", "y", "cx", "cy", "x1", "x2", "y1", "y2"):
                    if e.get(key):
                        self.assertTrue(0 <= float(e.get(key)) <= 760, (name, key, e.get(key)))

    def test_the_speed_of_the_simulation_has_its_table(self):
        (self.at / "sim.json").write_text(json.dumps({"rows": [{"name": "rtl, 1 lane", "value": 1234.5, "unit": "packets/s"}, {"name": "start-up", "value": 3.25, "unit": "ms"}]}))
        ran = self.run_tool()
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertIn("| rtl, 1 lane | 1,234 | packets/s |\n| start-up | 3.2 | ms |", self.doc.read_text())

    def test_the_same_input_gives_the_same_bytes(self):
        self.run_tool({"rows": card_rows()}, {"rows": area_rows()})
        once = self.doc.read_text()
        self.run_tool()
        self.assertEqual(once, self.doc.read_text())

    def test_a_missing_input_leaves_its_sections_alone(self):
        self.doc.write_text(self.doc.read_text().replace("<!-- begin area -->\n", "<!-- begin area -->\nkept\n"))
        ran = self.run_tool(card={"rows": card_rows()})
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertIn("kept", self.doc.read_text())

    def test_bad_input_is_named_and_the_document_stays(self):
        before = self.doc.read_text()
        rows = card_rows()
        del rows[3]["roofline"]
        for card, words in (({"rows": rows}, "row 3 has no roofline"), ({}, "no rows")):
            ran = self.run_tool(card=card)
            self.assertEqual(ran.returncode, 1)
            self.assertIn(words, ran.stderr)
        self.doc.write_text("no markers")
        self.assertIn("markers", self.run_tool(card={"rows": card_rows()}).stderr)
        self.doc.write_text(before)

    def test_nothing_measured_is_an_error(self):
        self.assertEqual(self.run_tool().returncode, 1)


if __name__ == "__main__":
    unittest.main()
