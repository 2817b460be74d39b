"""A guest without an operating system: a ROM of 64 KiB that says its two lines on the serial port and halts."""

from __future__ import annotations

SIZE = 65536
"""The smallest firmware QEMU maps. Its last 16 bytes hold the reset vector (Intel SDM vol. 3, 10.1.4)."""

_COM1 = 0x3F8
_DATA = 0x0100


def make_rom(nonce: str) -> bytes:
    """Return a ROM that writes "INIT <nonce>" and "READY <nonce>" to COM1, a byte at a time, and halts.

    Before every byte it waits until the transmitter is empty (line status register, bit 5), as any program must.
    The processor starts in real mode at 0xFFFFFFF0, the ROM's last 16 bytes, with CS based at 0xFFFF0000: the
    whole ROM is addressable through CS, and neither stack nor memory is needed.

    Raises:
        ValueError: the nonce is no plain word.
    """
    if not nonce.isascii() or not nonce.isalnum():
        raise ValueError(f"a nonce is letters and digits, not {nonce!r}")
    text = f"INIT {nonce}\nREADY {nonce}\n".encode()
    code = assemble(len(text))
    rom = bytearray(b"\xf4" * SIZE)
    rom[: len(code)] = code
    rom[_DATA : _DATA + len(text)] = text
    # jmp 0x0000: a near jump from offset 0xFFF0 wraps within the segment.
    rom[0xFFF0:0xFFF3] = b"\xe9" + (-0xFFF3 & 0xFFFF).to_bytes(2, "little")
    return bytes(rom)


def assemble(length: int) -> bytes:
    """Return the program for a text of so many bytes, as 16-bit machine code."""
    return b"".join(
        (
            b"\xfa\xfc",  # cli; cld
            b"\xbe" + _DATA.to_bytes(2, "little"),  # mov si, text
            b"\xb9" + length.to_bytes(2, "little"),  # mov cx, length
            b"\xba" + (_COM1 + 5).to_bytes(2, "little"),  # next: mov dx, line status
            b"\xec",  # wait: in al, dx
            b"\xa8\x20",  # test al, transmitter empty
            b"\x74\xfb",  # jz wait
            b"\x2e\xac",  # cs lodsb
            b"\xba" + _COM1.to_bytes(2, "little"),  # mov dx, COM1
            b"\xee",  # out dx, al
            b"\xe2\xf0",  # loop next
            b"\xf4",  # halt: hlt
            b"\xeb\xfd",  # jmp halt
        )
    )
