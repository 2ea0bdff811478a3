#!/usr/bin/env python3
"""Programs that know nothing of this project on a simulated card of a kernel that is not ours: they work, alone and several at
once, and whatever is killed takes nothing with it that stays.

    emulation_test.py BIN XCLBIN [unittest arguments]"""
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

BIN, XCLBIN = (Path(a).resolve() for a in sys.argv[1:3])
RUN = BIN / "esp-xrt-run"
DEATH_S = 5      # what everything that dies may take others at most
PATIENCE_S = 60  # on a busy machine


def command(*program, options=()):
    return [str(RUN), *options, str(BIN / program[0]), str(XCLBIN), *map(str, program[1:])]


def processes():
    """{pid: (parent, name)} of all that live."""
    out = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                name, rest = re.match(r"\d+ \((.*)\) (.*)", (folder / "stat").read_text(), re.S).groups()
                state, parent = rest.split()[:2]
                if state != "Z":
                    out[int(folder.name)] = (int(parent), name)
    return out


def below(pid, name):
    """Descendants of `pid` with this name."""
    alive = processes()

    def is_below(p):
        while p in alive and p != pid:
            p = alive[p][0]
        return p == pid
    return [p for p, (_, n) in alive.items() if n == name and is_below(p)]


def gone(pids, seconds=DEATH_S):
    """True once none of the processes lives any more."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not set(pids) & set(processes()):
            return True
        time.sleep(0.02)
    return False


class Host:
    """A program that adds for as long as it is left alone."""

    def __init__(self, devices=1):
        self.process = subprocess.Popen(command("vadd_native", 5000, 1_000_000, devices, options=["--devices", str(devices)]), stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, process_group=0)
        if not any(line == "ready\n" for line in self.process.stdout):
            raise AssertionError(f"the program ended before it was ready: {self.end()}")
        self.pid = self.process.pid
        self.fronts, self.models = below(self.pid, "vadd-sim"), below(self.pid, "vadd-model")

    def end(self, seconds=DEATH_S):
        """(exit status, standard error)"""
        _, errors = self.process.communicate(timeout=seconds)
        return self.process.returncode, errors

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()


class Emulation(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.log = Path(folder.name) / "sim.log"
        os.environ["ESPLANADE_SIM_LOG"] = str(self.log)

    def host(self, devices=1):
        host = Host(devices)
        self.addCleanup(host.close)
        self.assertEqual((len(host.fronts), len(host.models)), (devices, devices), self.log.read_text())
        return host

    def run_folders(self, pid):
        return list(Path("/tmp").glob(f"esplanade-run-{pid}-*"))

    def gone_folder(self, pid):
        end = time.monotonic() + DEATH_S
        while self.run_folders(pid) and time.monotonic() < end:
            time.sleep(0.02)
        return not self.run_folders(pid)

    def passes(self, *program, options=(), says):
        result = subprocess.run(command(*program, options=options), capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn(says, result.stdout)

    def test_native_program(self):
        for words in (1, 2, 63, 64, 65, 5001):
            with self.subTest(words=words):
                self.passes("vadd_native", words, 2, says=f"vadd: {words} words, 2 runs, 1 devices, 0 wrong")

    def test_c_program(self):
        for words in (1, 4097):
            with self.subTest(words=words):
                self.passes("vadd_c", words, says=f"vadd: {words} words, 0 wrong")

    def test_each_compute_unit(self):
        for unit in ("vadd_1", "vadd_2"):
            with self.subTest(unit=unit):
                self.passes("vadd_native", 100, 1, 1, f"vadd:{{{unit}}}", says="100 words, 1 runs, 1 devices, 0 wrong")

    def test_transfer_of_several_mib(self):
        self.passes("vadd_native", 3_000_000, says="3000000 words, 1 runs, 1 devices, 0 wrong")

    def test_a_transfer_that_would_break_xrt_ends_with_a_word(self):
        result = subprocess.run(command("vadd_native", 8_000_000, options=["--largest", "1"]), capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        if result.returncode == 0:  # the block could grow where it was: no harm done
            self.assertIn(" 0 wrong", result.stdout)
        else:
            self.assertEqual(result.returncode, 1)
            self.assertIn("larger --largest", result.stderr)

    def test_several_programs_with_two_devices_each(self):
        programs = [subprocess.Popen(command("vadd_native", 3000 + n, 5, 2, options=["--devices", "2"]), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
                    for n in range(3)]
        for n, program in enumerate(programs):
            text, _ = program.communicate(timeout=PATIENCE_S)
            self.assertEqual(program.returncode, 0, text)
            self.assertIn(f"vadd: {3000 + n} words, 5 runs, 2 devices, 0 wrong", text)
            self.assertTrue(self.gone_folder(program.pid))

    def test_a_recording_of_two_compute_units_repeats(self):
        recording = self.log.parent / "field.rec"
        done = subprocess.run(command("vadd_native", 3000, 10), env=os.environ | {"ESPLANADE_SIM_RECORD": str(recording)}, capture_output=True, text=True, timeout=PATIENCE_S)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.repeats(recording)

    def repeats(self, recording):
        replay = subprocess.run([BIN / "vadd-sim", "--replay", recording], capture_output=True, text=True, timeout=PATIENCE_S)
        self.assertEqual(replay.returncode, 0, replay.stdout + replay.stderr)
        self.assertRegex(replay.stdout, r"(\d+) of \1 frames")

    def test_each_device_of_a_program_has_files_of_its_own(self):
        folder = self.log.parent / "v1.0"  # a point in the folder's name is no ending of the file's
        folder.mkdir()
        variables = {"STATS": folder / "stats.json", "RECORD": folder / "field.rec", "WAVE": f"{folder}/w.fst:0:2000", "CONTROL": folder / "control"}
        with subprocess.Popen(command("vadd_native", 3000, 1_000_000, 3, options=["--devices", "3"]), stdout=subprocess.PIPE, text=True,
                              env=os.environ | {f"ESPLANADE_SIM_{name}": str(value) for name, value in variables.items()}) as program:
            try:
                self.assertTrue(any(line == "ready\n" for line in program.stdout))
                for name in ("control", "control@2", "control@3"):
                    with socket.socket(socket.AF_UNIX) as control:
                        control.settimeout(PATIENCE_S)
                        control.connect(str(folder / name))
                        control.sendall(b"nonsense\0")
                        self.assertIn(b"plan:1: ", control.recv(4096))
            finally:
                program.terminate()
        end = time.monotonic() + DEATH_S
        while time.monotonic() < end and (len(list(folder.glob("stats.json*"))) < 3 or list(folder.glob("control*"))):
            time.sleep(0.02)
        waves = {f"w{card}.fst{unit}" for card in ("", "@2", "@3") for unit in ("", ".1")}  # the kernel has two compute units
        self.assertEqual({f.name for f in folder.iterdir()}, waves | {"stats.json", "stats.json@2", "stats.json@3", "field.rec", "field.rec.key", "field.rec@2", "field.rec@2.key",
                                                                      "field.rec@3", "field.rec@3.key"})
        for name in ("field.rec", "field.rec@2", "field.rec@3"):
            self.repeats(folder / name)

    def test_hosts_that_are_killed_leave_nothing(self):
        hosts = [self.host(devices) for devices in (1, 2, 1)]
        simulators = [p for h in hosts for p in h.fronts + h.models]
        self.assertEqual(len(simulators), 8)
        survivor = self.host()
        for host in hosts:
            host.process.send_signal(signal.SIGKILL)
        for host in hosts:
            self.assertEqual(host.end()[0], -signal.SIGKILL)
        self.assertTrue(gone(simulators))
        self.assertTrue(all(self.gone_folder(h.pid) for h in hosts))
        self.assertTrue(set(survivor.fronts + survivor.models) <= set(processes()))

    def test_a_terminated_program_leaves_nothing(self):
        host = self.host()
        host.process.terminate()
        self.assertEqual(host.end()[0], -signal.SIGTERM)
        self.assertTrue(gone(host.fronts + host.models))
        self.assertTrue(self.gone_folder(host.pid))

    def test_a_program_that_crashes_leaves_nothing_and_takes_nobody_along(self):
        for sent, died in ((signal.SIGSEGV, signal.SIGSEGV), (signal.SIGABRT, signal.SIGABRT), (signal.SIGFPE, signal.SIGTERM)):  # XRT's handler makes the last
            with self.subTest(signal=sent):
                host = self.host()
                with subprocess.Popen(["sleep", str(PATIENCE_S)], process_group=host.pid) as bystander:
                    host.process.send_signal(sent)
                    self.assertEqual(host.end()[0], -died)
                    self.assertTrue(gone(host.fronts + host.models))
                    self.assertTrue(self.gone_folder(host.pid))
                    self.assertIsNone(bystander.poll())
                    bystander.kill()

    def test_models_that_die_do_not_hang_their_programs(self):
        hosts = [self.host() for _ in range(3)]
        for host in hosts:
            os.kill(host.models[0], signal.SIGKILL)
        for host in hosts:
            status, errors = host.end()
            # Wrong sums, or an exception in a thread of XRT's, which finds a card of all ones impossible.
            self.assertIn(status, (1, -signal.SIGABRT), errors)
        self.assertTrue(gone([p for h in hosts for p in h.fronts]))
        self.assertIn("killed by signal 9", self.log.read_text())

    def test_a_front_that_dies_does_not_hang_its_program(self):
        host = self.host()
        os.kill(host.fronts[0], signal.SIGKILL)
        status, errors = host.end()
        self.assertIn(status, (1, -signal.SIGPIPE))
        if status == 1:
            self.assertIn("front process is gone", errors)
        self.assertTrue(gone(host.models))
        self.assertTrue(self.gone_folder(host.pid))

    def test_a_simulator_of_another_kernel_says_so(self):
        environment = os.environ | {"ESPLANADE_SIM": str(BIN / "esp-card-sim")}
        result = subprocess.run(command("vadd_c"), capture_output=True, text=True, timeout=PATIENCE_S, env=environment, check=False)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("the .xclbin is of kernel vadd, this simulator of esp_card", self.log.read_text())

    def test_a_simulator_that_is_not_there_is_named_at_once(self):
        for path in ("/nonexistent/vadd-sim", "bin/vadd-sim"):
            result = subprocess.run(command("vadd_c"), capture_output=True, text=True, timeout=PATIENCE_S, env=os.environ | {"ESPLANADE_SIM": path}, check=False)
            self.assertEqual(result.returncode, 1)
            self.assertIn(f"ESPLANADE_SIM is {path}", result.stderr)

    def test_what_is_missing_is_named(self):
        for arguments, says in (([RUN, "/nonexistent/program", XCLBIN], "/nonexistent/program: no program"), ([RUN, "/bin/true"], "--emconfig"),
                                ([RUN, "/bin/true", "/nonexistent/a.xclbin"], "/nonexistent/emconfig.json"), ([RUN, "--devices", "0", "/bin/true"], "1 to 16")):
            with self.subTest(says=says):
                result = subprocess.run(list(map(str, arguments)), capture_output=True, text=True, timeout=PATIENCE_S, check=False)
                self.assertEqual(result.returncode, 1)
                self.assertIn(says, result.stderr)
                self.assertEqual(len(result.stderr.splitlines()), 1)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
