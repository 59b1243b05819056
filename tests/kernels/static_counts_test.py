#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The loops that bench/kernels/static_counts.py finds in SASS, on small listings. CTest: structure.static_counts."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench" / "kernels"))
import static_counts  # noqa: E402


def listing(*texts):
    return [(16 * i, text) for i, text in enumerate(texts)]


class Loops(unittest.TestCase):
    def test_a_loop_is_its_own_instructions_without_those_within(self):
        lines = listing(
            "MOV R1, R2",               # 0x00
            "IADD3 R3, R3, 1, RZ",      # 0x10 outer head
            "HMMA.16816.F32 R4, R5, R6, R4",  # 0x20 inner head
            "ISETP.NE.AND P0, PT, R3, R9, PT",
            "@P0 BRA 0x20",             # 0x40
            "HMMA.16816.F32 R8, R5, R6, R8",
            "@!P1 BRA 0x10",            # 0x60
            "EXIT")
        self.assertEqual(static_counts.loops_of(lines), [{"depth": 0, "instructions": 3, "hmma": 1},
                                                         {"depth": 1, "instructions": 3, "hmma": 1}])

    def test_code_moved_behind_the_end_belongs_to_the_loop_and_makes_none(self):
        lines = listing(
            "HMMA.16816.F32 R4, R5, R6, R4",  # 0x00 head
            "@P0 BRA 0x50",             # 0x10, the rare part
            "FADD R4, R4, R4",          # 0x20
            "@P1 BRA 0x0",              # 0x30
            "EXIT",                     # 0x40
            "FMUL R4, R4, 2",           # 0x50
            "BRA 0x20")                 # 0x60 goes back, but is no loop
        self.assertEqual(static_counts.loops_of(lines), [{"depth": 0, "instructions": 6, "hmma": 1}])

    def test_threads_meet_where_the_barrier_says(self):
        lines = listing(
            "BSSY B0, 0x50",            # 0x00 head
            "@P0 BRA 0x60",             # 0x10
            "HMMA.16816.F32 R4, R5, R6, R4",
            "BSYNC B0",                 # 0x30 to 0x50
            "EXIT",                     # 0x40 is not reached from above
            "@P1 BRA 0x0",              # 0x50
            "EXIT")                     # 0x60
        self.assertEqual(static_counts.loops_of(lines), [{"depth": 0, "instructions": 5, "hmma": 1}])

    def test_loops_without_tensor_cores_are_left_out(self):
        self.assertEqual(static_counts.loops_of(listing("FADD R1, R1, R1", "@P0 BRA 0x0", "EXIT")), [])


class Bounds(unittest.TestCase):
    kernels = [{"kernel": "k<1>", "architecture": "sm_90a", "registers": 40,
                "loops": [{"depth": 0, "instructions": 100, "hmma": 4}]}]

    def broken(self, **bound):
        return static_counts.check(self.kernels, [{"kernel": "k<1>", "architecture": "sm_90a", **bound}])

    def test_at_most(self):
        self.assertEqual(self.broken(what="main_loop", most=100), [])
        self.assertEqual(len(self.broken(what="main_loop", most=99)), 1)
        self.assertEqual(self.broken(what="registers", most=40), [])
        self.assertEqual(len(self.broken(what="registers", most=39)), 1)

    def test_what_is_not_there_is_broken(self):
        self.assertEqual(len(self.broken(what="inner_loop", most=1000)), 1)
        self.assertEqual(len(self.broken(what="main_loop", most=1000, architecture="sm_80")), 1)


if __name__ == "__main__":
    unittest.main()
