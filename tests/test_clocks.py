"""Clocks of made machines: a /proc and a /sys in a folder, and a program called nvidia-smi on the PATH."""

import os
import sys
from types import SimpleNamespace

import pytest

from rgbt_bench import clocks
from rgbt_bench.clocks import ClockLog, Clocks, Reading, cpu_clock, gpu_clock, gpu_selector, read_clock


@pytest.fixture
def machine(tmp_path):
    """Write the files of a made machine and return its root."""

    def make(cpufreq=(), cpuinfo=None):
        for core, text in enumerate(cpufreq):
            folder = tmp_path / f"sys/devices/system/cpu/cpu{core}/cpufreq"
            folder.mkdir(parents=True)
            if text is not None:
                (folder / "scaling_cur_freq").write_text(text)
        (tmp_path / "sys/devices/system/cpu/cpuidle").mkdir(parents=True, exist_ok=True)
        if cpuinfo is not None:
            (tmp_path / "proc").mkdir()
            (tmp_path / "proc/cpuinfo").write_text(cpuinfo)
        return tmp_path

    return make


CPUINFO = "".join(f"processor\t: {core}\nmodel name\t: X @ 2.0GHz\ncpu MHz\t\t: {mhz}\n\n" for core, mhz in enumerate(
    ("1000.500", "2000.500", "3000.500")
))  # fmt: skip


def test_cpufreq_counts_in_khz_and_is_preferred(machine):
    root = machine(["1000000\n", "2000000\n"], CPUINFO)
    assert cpu_clock(root=root) == Reading(1500.0, "cpufreq")


def test_only_the_cores_that_the_process_may_run_on_count(machine):
    root = machine([f"{core}000000\n" for core in range(1, 12)], CPUINFO)
    assert cpu_clock({0, 10}, root).mhz == 6000.0
    assert cpu_clock({2, 99}, machine_without_cpufreq(root)) == Reading(3000.5, "cpuinfo")


def machine_without_cpufreq(root):
    (root / "sys").rename(root / "gone")
    return root


def test_cores_that_are_offline_or_tell_nothing_are_left_out(machine):
    assert cpu_clock(root=machine([None, "<unknown>\n", "0\n", "2400000\n"])) == Reading(2400.0, "cpufreq")


def test_where_no_core_tells_by_cpufreq_the_list_does(machine):
    assert cpu_clock(root=machine(["<unknown>"], CPUINFO)) == Reading(2000.5, "cpuinfo")


@pytest.mark.parametrize(
    "cpuinfo",
    [None, "", "processor : 0\nBogoMIPS : 50.00\n", "cpu MHz : 5\n", "processor : x\ncpu MHz : 5\n",
     "processor : 0\ncpu MHz : nan\n", "processor : 0\ncpu MHz : -5\n", "\x00\xff"],
)  # fmt: skip
def test_a_machine_that_does_not_tell_gives_none(cpuinfo, machine):
    assert cpu_clock(root=machine((), cpuinfo)) is None


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """Put a program of that name before all others; it notes what it is called with."""

    def make(body):
        program = tmp_path / "bin" / "nvidia-smi"
        program.parent.mkdir()
        head = (
            f"#!{sys.executable}\nimport sys, time\nopen({str(tmp_path / 'asked')!r}, 'a').write(repr(sys.argv[1:]))\n"
        )
        program.write_text(head + body + "\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
        return tmp_path / "asked"

    return make


def test_a_gpu_is_asked_for_by_its_place_not_by_torchs_number(nvidia_smi):
    asked = nvidia_smi("print(1980)")
    selector = gpu_selector(SimpleNamespace(pci_domain_id=0, pci_bus_id=0x1B, pci_device_id=0, uuid="abc"))
    assert gpu_clock(selector) == Reading(1980.0, "nvidia-smi")
    assert asked.read_text() == repr(
        ["--query-gpu=clocks.sm", "--format=csv,noheader,nounits", "-i", "00000000:1B:00.0"]
    )


@pytest.mark.parametrize("uuid", ["8f1c-22", "GPU-8f1c-22"])
def test_where_torch_does_not_tell_the_place_the_uuid_does(uuid):
    assert gpu_selector(SimpleNamespace(uuid=uuid)) == "GPU-8f1c-22"
    assert gpu_selector(SimpleNamespace(pci_bus_id=3, uuid=uuid)) == "GPU-8f1c-22"


def test_a_gpu_that_nothing_tells_apart_is_not_guessed(nvidia_smi):
    asked = nvidia_smi("print(1980)")
    assert gpu_clock(gpu_selector(SimpleNamespace())) is None
    assert not asked.exists()


@pytest.mark.parametrize(
    "body",
    ["print('[N/A]')", "print('[Not Supported]')", "print('1980'); sys.exit(6)", "pass", "print('1980\\n1410')",
     "print(0)", "print('inf')", "sys.stdout.buffer.write(b'\\xff')", "raise SystemExit('No devices were found')"],
)  # fmt: skip
def test_an_answer_that_is_no_clock_is_none(body, nvidia_smi):
    nvidia_smi(body)
    assert gpu_clock("00000000:01:00.0") is None


def test_a_program_that_hangs_is_left_after_its_time(nvidia_smi, monkeypatch):
    nvidia_smi("time.sleep(60)")
    monkeypatch.setattr(clocks, "_TIMEOUT_S", 0.2)
    assert gpu_clock("00000000:01:00.0") is None


def test_without_the_program_or_where_it_cannot_start_there_is_no_clock(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu_clock("00000000:01:00.0") is None
    (tmp_path / "nvidia-smi").write_text("not a program")
    (tmp_path / "nvidia-smi").chmod(0o755)
    assert gpu_clock("00000000:01:00.0") is None


def test_a_device_is_asked_in_its_own_way(nvidia_smi, monkeypatch):
    torch = pytest.importorskip("torch")
    nvidia_smi("print(1410)")
    place = SimpleNamespace(pci_domain_id=0, pci_bus_id=1, pci_device_id=0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: place)
    monkeypatch.setattr(clocks, "cpu_clock", lambda cores: Reading(2000.0, f"{len(cores)} cores"))
    assert read_clock(torch.device("cuda", 1)) == Reading(1410.0, "nvidia-smi")
    assert read_clock(torch.device("cpu")) == Reading(2000.0, f"{len(os.sched_getaffinity(0))} cores")
    assert read_clock(torch.device("meta")) is None


def test_a_log_sums_up_what_was_told_and_passes_over_a_gap():
    told = iter([Reading(1500.0, "a"), None, Reading(1000.0, "b"), Reading(1200.0, "a")])
    log = ClockLog(lambda: next(told))
    assert [log() for _ in range(4)] == [True] * 4
    assert log.summary() == Clocks(least=1000, median=1200, greatest=1500, source="a and b", readings=3)


def test_a_machine_that_does_not_tell_is_asked_once():
    asked = []
    log = ClockLog(lambda: asked.append(1))
    assert [log(), log(), log()] == [True, False, False]
    assert (len(asked), log.summary()) == (1, None)
