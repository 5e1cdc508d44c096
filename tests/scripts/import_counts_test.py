#!/usr/bin/env python3
"""Does scripts/import_counts count what comes of files?   import_counts_test.py SCRIPT PROGRAM"""
import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT, PROGRAM = sys.argv[1:3]


def counts(program, *arguments):
    return subprocess.run([sys.executable, SCRIPT, "--program", str(program), *map(str, arguments)],
                          capture_output=True, text=True, timeout=120)


class ImportCounts(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.folder.name)
        files = self.path / "files" / "below"
        files.mkdir(parents=True)
        for name in ("one.csv", "two.csv"):
            (files / name).write_text("Layer, M, N, K,\na, 8, 8, 8,\n", encoding="utf-8")
        (files / "results.csv").write_text("a, b\n1, 2\n", encoding="utf-8")
        (files / "notes.txt").write_text("no ending that is asked for", encoding="utf-8")

    def tearDown(self):
        self.folder.cleanup()

    def test_files_become_networks_or_are_refused_in_a_line(self):
        done = counts(PROGRAM, self.path / "files", "--lines")
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = done.stdout.splitlines()
        self.assertEqual(lines[2], "| files | 3 | 2 | 0 | 0 | 1 | 0 |")
        self.assertTrue(lines[3].startswith("1  FILE: found a file of no format"), lines[3])

    def test_any_other_end_is_shown(self):
        crashing = self.path / "crashing"
        crashing.write_text("#!/bin/sh\necho 'out of memory' >&2\nexit 1\n", encoding="utf-8")
        crashing.chmod(0o755)
        done = counts(crashing, self.path / "files")
        self.assertEqual(done.returncode, 1)
        self.assertIn("| files | 3 | 0 | 0 | 0 | 0 | 3 |", done.stdout)
        self.assertIn("exit code 1: out of memory", done.stderr)

    def test_folders_without_files_are_named(self):
        done = counts(PROGRAM, self.path / "none")
        self.assertEqual(done.returncode, 2)
        self.assertIn("none: no file ends in", done.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
