#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every row of the sheet of bad inputs has a test that carries its id (S01 ... C15), or is listed here with the reason.

Usage: reliability_rows.py TESTS_DIR [--list]
"""
import pathlib
import re
import sys

GROUPS = {"S": 37, "P": 28, "H": 40, "J": 14, "D": 40, "C": 15}
NOT_YET = {
}


def main():
    tests = pathlib.Path(sys.argv[1])
    where = {}
    for path in sorted(tests.rglob("*")):
        if path.suffix not in {".cpp", ".py", ".sh"} or path.name == pathlib.Path(__file__).name:
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            for group, digits in re.findall(r"(?<![A-Za-z0-9])([SPHJDC])(\d\d)(?!\d)", line.replace("_", " ")):
                where.setdefault(group + digits, []).append(f"{path.relative_to(tests)}:{number}")
    missing = []
    for group, count in GROUPS.items():
        for index in range(1, count + 1):
            row = f"{group}{index:02d}"
            if row not in where and row not in NOT_YET:
                missing.append(row)
            if "--list" in sys.argv:
                print(row, "not yet: " + NOT_YET[row] if row in NOT_YET else " ".join(where.get(row, ["MISSING"])[:4]))
    total = sum(GROUPS.values())
    print(f"{total} rows: {total - len(missing) - len(NOT_YET)} with a test, {len(NOT_YET)} wait for training, {len(missing)} missing")
    if missing:
        print("missing: " + " ".join(missing))
    return 1 if missing else 0


sys.exit(main())
