"""What a wheel may promise: its tag, from what `objdump -p` tells of the programs."""

import platform
import unittest

import build_wheel

TOLD = """
intrada-worker:     file format elf64-x86-64

Dynamic Section:
  NEEDED               libtorch_cpu.so
  NEEDED               libc.so.6
  RUNPATH              $ORIGIN/../lib

Version References:
  required from libstdc++.so.6:
    0x08922974 0x00 10 GLIBCXX_3.4.9
    0x0297f871 0x00 08 GLIBCXX_3.4.{glibcxx}
  required from libc.so.6:
    0x069691b4 0x00 11 GLIBC_2.{glibc}
    0x06969190 0x02 07 GLIBC_2.30
    0x09691a75 0x00 02 GLIBC_2.2.5
"""


def told(glibc, glibcxx=24):
    return build_wheel.read_needs(TOLD.format(glibc=glibc, glibcxx=glibcxx))


class Tags(unittest.TestCase):
    def test_versions_are_compared_as_numbers_and_weak_symbols_may_be_missing(self):
        needs = told(28)
        self.assertEqual(needs.libraries, ["libtorch_cpu.so", "libc.so.6"])
        self.assertEqual(needs.versions, {"GLIBCXX": (3, 4, 24), "GLIBC": (2, 28)})

    def test_the_tag_is_that_of_the_oldest_system_that_has_all_symbols_of_all_programs(self):
        machine = platform.machine()
        for programs, minor in [
            ([told(28)], 28),
            ([told(17)], 28),
            ([told(17, 19)], 17),
            ([told(28), told(34)], 34),
            ([told(28, 26)], 31),
            ([told(36, 30)], 36),
        ]:
            self.assertEqual(build_wheel.tag_for(programs), f"manylinux_2_{minor}_{machine}", programs)

    def test_a_version_that_no_known_system_has_is_refused(self):
        with self.assertRaisesRegex(build_wheel.Wrong, "the programs need GLIBCXX 3.4.99, of which .* knows no system"):
            build_wheel.tag_for([told(28, 99)])

    def test_a_worker_that_only_some_builds_of_torch_serve_is_refused(self):
        for library in ["libtorch_cuda.so", "libc10_cuda.so", "libcudart.so.13"]:
            self.assertTrue(build_wheel.ONLY_SOME.match(library))
        for library in ["libtorch_cpu.so", "libc10.so", "libgomp.so.1", "libc.so.6"]:
            self.assertFalse(build_wheel.ONLY_SOME.match(library))


if __name__ == "__main__":
    unittest.main()
