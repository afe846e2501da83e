"""Two machines are of one kind where the same processor computes with the same torch."""

from pathlib import Path

import pytest

from study.measured import machine
from study.measured.machine import Machine, this_machine

X86 = {
    "vendor_id": "GenuineIntel", "cpu family": "6", "model": "207", "model name": "A Xeon", "stepping": "2",
    "microcode": "0x1", "cpu MHz": "2100.0", "flags": "fpu amx_bf16 amx_tile", "vmx flags": "vnmi",
}  # fmt: skip
ARM = {"BogoMIPS": "100", "Features": "fp asimd bf16", "CPU implementer": "0x41", "CPU part": "0xd40"}


@pytest.fixture
def kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def of(fields: dict[str, str], torch: str = "2.9.0") -> Machine:
        one = "".join(f"{name}\t: {value}\n" for name, value in fields.items())
        info = tmp_path / "cpuinfo"
        info.write_text("".join(f"processor\t: {number}\n{one}\n" for number in range(2)))
        monkeypatch.setattr(machine, "_CPU_INFO", info)
        monkeypatch.setattr(machine, "version", lambda package: torch)
        return this_machine()

    return of


@pytest.mark.parametrize("fields", [X86, ARM])
def test_what_is_of_the_moment_makes_no_other_kind(kind, fields: dict[str, str]) -> None:
    flags = "flags" if "flags" in fields else "Features"
    again = fields | {"cpu MHz": "3900.1", "microcode": "0x2", flags: " ".join(reversed(fields[flags].split()))}
    assert kind(again) == kind(fields)


@pytest.mark.parametrize(
    ("fields", "changed"),
    [(X86, {"flags": "fpu"}), (X86, {"model": "85"}), (X86, {"vendor_id": "AuthenticAMD"}), (ARM, {"Features": "fp"})],
)
def test_another_processor_or_torch_is_another_kind(kind, fields: dict[str, str], changed: dict[str, str]) -> None:
    assert kind(fields | changed) != kind(fields)
    assert kind(fields, torch="2.10.0") != kind(fields)


@pytest.mark.parametrize(
    ("variable", "value"), [("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16"), ("ONEDNN_DEFAULT_FPMATH_MODE", "BF16")]
)
def test_a_variable_that_changes_the_kernels_makes_another_kind(
    kind, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.delenv(variable, raising=False)
    without = kind(X86)
    monkeypatch.setenv(variable, value)
    assert kind(X86) != without


def test_it_has_the_name_of_its_processor(kind) -> None:
    assert kind(X86).processor == "A Xeon"
    assert kind(ARM).processor


def test_a_machine_without_cpuinfo_is_some_kind(kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = kind(X86)
    monkeypatch.setattr(machine, "_CPU_INFO", tmp_path / "absent")
    assert this_machine() == this_machine() != known
    assert this_machine().processor
