"""The ROM without an operating system, run on the few instructions it is made of."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.rootfs.rom import SIZE, make_rom

COM1, STATUS = 0x3F8, 0x3FD


class Processor:
    """A processor in real mode that knows the ROM's instructions and nothing else."""

    def __init__(self, rom: bytes, busy: int) -> None:
        self.rom, self.at, self.zero = rom, 0xFFF0, False
        self.al = self.si = self.cx = self.dx = 0
        self.said = bytearray()
        self.too_early = 0
        self._busy, self._waiting = busy, busy

    def run(self, limit: int = 100_000) -> bool:
        """Run until it halts; False when it does not."""
        return any(self.step() for _ in range(limit))

    def take(self, size: int, *, signed: bool = False) -> int:
        value = int.from_bytes(self.rom[self.at : self.at + size], "little", signed=signed)
        self.at = (self.at + size) & 0xFFFF
        return value

    def jump(self, distance: int) -> None:
        self.at = (self.at + distance) & 0xFFFF

    def step(self) -> bool:  # noqa: C901, PLR0912  # one line an instruction
        match self.take(1):
            case 0xF4:
                return True
            case 0xFA | 0xFC:
                pass
            case 0xBE:
                self.si = self.take(2)
            case 0xB9:
                self.cx = self.take(2)
            case 0xBA:
                self.dx = self.take(2)
            case 0xEC:
                assert self.dx == STATUS
                self.al, self._waiting = 0x00 if self._waiting else 0x60, max(0, self._waiting - 1)
            case 0xA8:
                self.zero = self.al & self.take(1) == 0
            case 0x74:
                distance = self.take(1, signed=True)
                self.jump(distance if self.zero else 0)
            case 0x2E:
                assert self.take(1) == 0xAC
                self.al, self.si = self.rom[self.si], self.si + 1
            case 0xEE:
                assert self.dx == COM1
                self.too_early += self._waiting > 0
                self.said.append(self.al)
                self._waiting = self._busy
            case 0xE2:
                distance = self.take(1, signed=True)
                self.cx = (self.cx - 1) & 0xFFFF
                self.jump(distance if self.cx else 0)
            case 0xE9:
                self.jump(self.take(2, signed=True))
            case unknown:
                pytest.fail(f"the ROM has no business with instruction {unknown:#x} at {self.at - 1:#x}")
        return False


@settings(max_examples=25, deadline=None)
@given(st.from_regex(r"[0-9a-f]{1,40}", fullmatch=True), st.integers(0, 5))
def test_it_says_both_lines_and_halts(nonce: str, busy: int) -> None:
    processor = Processor(make_rom(nonce), busy)
    assert processor.run()
    assert bytes(processor.said) == f"INIT {nonce}\nREADY {nonce}\n".encode()


def test_it_waits_until_the_serial_port_takes_the_next_byte() -> None:
    processor = Processor(make_rom("00ff"), busy=7)
    processor.run()
    assert processor.too_early == 0


def test_it_has_the_size_that_ends_at_the_reset_vector() -> None:
    assert len(make_rom("a")) == SIZE == 65536


@pytest.mark.parametrize("nonce", ["", "a b", "a\nREADY b", "ä"])
def test_a_nonce_that_is_no_word_is_refused(nonce: str) -> None:
    with pytest.raises(ValueError, match="letters and digits"):
        make_rom(nonce)
