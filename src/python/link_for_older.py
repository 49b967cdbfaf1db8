#!/usr/bin/env python3
"""A linker for cargo whose programs run with an older glibc than that of this machine.

`build_wheel.py` sets it up. zig links, with the symbols of the glibc that INTRADA_GLIBC names; the C++ and the unwinding library
stay those of GCC, which libtorch uses too: zig's own would be a second one in a process. INTRADA_STUBS is an object file with the
few symbols that newer headers of libstdc++ use and older systems lack.
"""

import os
import platform
import subprocess
import sys

#: Words of GCC, or of Rust for GCC, that zig doesn't take or that it does by itself.
LEFT_OUT = ("-fuse-ld=", "-B", "-nodefaultlibs", "-m64", "-lgcc")
#: Libraries that are linked as this compiler has them.
OF_GCC = {"-lgcc_s": "libgcc_s.so.1", "-lstdc++": "libstdc++.so.6"}
#: Symbols that a system with glibc 2.28 lacks: of glibc 2.32, and of GCC 9. Without threads being counted, counters of references
#: are always atomic, which is right and hardly slower.
STUBS = """
#include <sstream>
template std::ostringstream::basic_ostringstream();
extern "C" { __attribute__((visibility("hidden"))) char __libc_single_threaded; }
"""


def linked(word: str) -> str:
    """An argument as zig takes it; empty if it is left out."""
    if word in OF_GCC:
        ask = [*os.environ.get("CXX", "c++").split(), f"-print-file-name={OF_GCC[word]}"]
        return subprocess.run(ask, stdout=subprocess.PIPE, check=True, text=True).stdout.strip()
    return "" if word.startswith(LEFT_OUT) else word


def main() -> None:
    """Takes the place of this process by zig's linker."""
    target = f"{platform.machine()}-linux-gnu.{os.environ['INTRADA_GLIBC']}"
    words = [word for word in map(linked, sys.argv[1:]) if word]
    if "-lstdc++" in sys.argv:
        words.insert(0, os.environ["INTRADA_STUBS"])
    # The libraries of GCC need symbols of this machine's glibc, which those of the other machine don't.
    fixed = ["-m", "ziglang", "cc", "-target", target, "-Wl,--allow-shlib-undefined"]
    python = os.environ["INTRADA_PYTHON"]
    os.execv(python, [python, *fixed, *words])


if __name__ == "__main__":
    main()
