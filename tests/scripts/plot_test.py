#!/usr/bin/env python3
"""Does scripts/plot show what matters, and refuse what cannot be drawn?   plot_test.py SCRIPT"""
import argparse
import importlib.machinery
import importlib.util
import itertools
import json
import os
import subprocess
import sys
import tempfile
import unittest

try:
    import matplotlib  # noqa: F401
except ImportError:
    # As the script does: Debian's package belongs to Debian's interpreter.
    other = "/usr/bin/python3"
    if os.path.realpath(sys.executable) != os.path.realpath(other) and os.access(other, os.X_OK):
        os.execv(other, [other, *sys.argv])
    print("skipped: no matplotlib (Debian: apt install python3-matplotlib), so nothing was drawn")
    sys.exit(77)

SCRIPT = sys.argv.pop(1)
loader = importlib.machinery.SourceFileLoader("plot", SCRIPT)
sys.dont_write_bytecode = True
plot = importlib.util.module_from_spec(importlib.util.spec_from_loader("plot", loader))
loader.exec_module(plot)


def design(target, cycles, energy, area, hardware, workload="net"):
    return {"schema": "dosa-design/1", "workload": workload, "target": target, "hardware": hardware,
            "totals": {"cycles": cycles, "energy_uj": energy, "edp": cycles * energy, "area_mm2": area}, "layers": []}


class Plots(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()

    def tearDown(self):
        plot.plt.close("all")
        self.folder.cleanup()

    def file(self, name, data):
        path = os.path.join(self.folder.name, name)
        with open(path, "w", encoding="utf-8") as file:
            json.dump(data, file)
        return path

    def front(self, *designs):
        return plot.pareto(argparse.Namespace(
            inputs=[self.file(f"{i}.json", one) for i, one in enumerate(designs)]))

    def test_axes_have_numbers_whatever_their_range(self):
        for factor in (1.02, 2, 8, 40, 1e4):
            figure = self.front(*[design("a", 3e6 * factor ** (i / 9), 700 * factor ** (-i / 9), 1.5 * factor ** (i / 9),
                                         {"pe_dim": 16 + i}) for i in range(10)])
            figure.canvas.draw()
            renderer = figure.canvas.get_renderer()
            for axis in (axis for panel in figure.axes[:2] for axis in (panel.xaxis, panel.yaxis)):
                low, high = axis.get_view_interval()
                boxes = [tick.label1.get_window_extent(renderer) for tick in axis.get_major_ticks()
                         if low <= tick.get_loc() <= high and tick.label1.get_text()]
                shown = high / low > 1.001  # EDP is the same for all designs here
                self.assertGreaterEqual(len(boxes), 2 if shown else 0, f"{factor}: {axis.get_label_text()}")
                for one, other in itertools.combinations(boxes, 2):
                    self.assertFalse(one.overlaps(other), f"{factor}: {axis.get_label_text()}")

    def test_labels_keep_apart_and_inside(self):
        # Many designs close together: not all labels have room.
        figure = self.front(*[design("a", 1000 + 10 * i, 200 - i, 1 + 0.01 * i,
                                     {"pe_dim": 16 + i, "scratchpad_kib": 128, "accumulator_kib": 64})
                              for i in range(40)])
        renderer = figure.canvas.get_renderer()
        for panel in figure.axes[:2]:
            boxes = [text.get_window_extent(renderer) for text in panel.texts]
            self.assertGreaterEqual(len(boxes), 3)
            frame = panel.get_window_extent()
            for box in boxes:
                self.assertTrue(frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1)
            for one, other in itertools.combinations(boxes, 2):
                self.assertFalse(one.overlaps(other))

    def test_machines_are_told_apart_and_area_has_an_axis(self):
        figure = self.front(design("a", 1000, 200, 1, {"pe_dim": 8}), design("b", 500, 400, 9, {"pe_dim": 9}))
        energy, area = figure.axes[:2]
        self.assertIn("area", area.get_xlabel())
        self.assertEqual([area.get_xscale(), energy.get_xscale()], ["log", "linear"], "9 times, 2 times")
        labels = energy.get_legend_handles_labels()[1]
        self.assertTrue(any(label.startswith("a: 1 design ") for label in labels), labels)
        self.assertTrue(any(label.startswith("b: 1 design ") for label in labels), labels)
        markers = {str(dots.get_paths()[0].vertices.tolist()) for dots in energy.collections}
        self.assertEqual(len(markers), 2)

    def test_a_changed_machine_is_another_machine(self):
        changed = design("a", 500, 400, 9, {"pe_dim": 9})
        changed["set"] = {"dram.words_per_cycle": 16}
        figure = self.front(design("a", 1000, 200, 1, {"pe_dim": 8}), changed)
        labels = figure.axes[0].get_legend_handles_labels()[1]
        self.assertTrue(any(label.startswith("a: 1 design ") for label in labels), labels)
        self.assertTrue(any(label.startswith("a with dram.words_per_cycle=16: 1 design ") for label in labels), labels)
        self.assertEqual(figure.get_suptitle() if hasattr(figure, "get_suptitle") else figure._suptitle.get_text(),
                         "net on a, a with dram.words_per_cycle=16")

    def test_the_scale_of_areas_has_plain_numbers(self):
        figure = self.front(design("a", 1000, 200, 1, {"pe_dim": 8}), design("a", 500, 400, 9, {"pe_dim": 9}))
        figure.canvas.draw()
        numbers = [text.get_text() for text in figure.axes[2].get_yticklabels()]
        self.assertIn("2", numbers)
        self.assertIn("5", numbers)

    def test_curves_of_a_table_end_with_their_own_runs(self):
        path = os.path.join(self.folder.name, "c.csv")
        with open(path, "w", encoding="utf-8") as file:
            file.write("method,seed,samples,seconds,objective\nfast,0,10,0.5,8e9\nfast,0,90,1.5,2e9\n"
                       "slow,0,10,2,9e9\nslow,0,90,12,3e9\n")
        figure = plot.curves(argparse.Namespace(input=path))
        ends = {line.get_label(): max(line.get_xdata()) for line in figure.axes[1].lines}
        self.assertEqual(ends, {"fast": 1.5, "slow": 12})
        figure.canvas.draw()
        shown = [text.get_text() for text in figure.axes[0].get_yticklabels()]
        self.assertIn("$5\\cdot10^{9}$", shown, "more than one number within a decade")
        self.assertIn("one seed", figure._suptitle.get_text())

    def test_curves_show_how_the_ends_differ(self):
        def method(name, curve):
            return {"name": name, "runs": [{"curve": curve, "wall_s": curve[-1][1]}]}
        figure = plot.curves(argparse.Namespace(input=self.file("c.json", {
            "schema": "dosa-compare/1", "workload": "net", "target": "a", "objective": "edp",
            "methods": [method("default", [[1, 0.1, 3e14], [100, 0.2, 1.568e9]]),
                        method("gradient", [[50, 0.3, 1.6e9], [80, 1.0, 1.507e9]])]})))
        low, high = figure.axes[0].get_ylim()
        self.assertLess(low, 1.507e9)
        self.assertLess(high, 1e10)

    def test_measured_data_is_drawn_as_validate_writes_it(self):
        rows = [{"file": "m.csv", "line": i + 2, "pe_dim": 16, "matmul": i % 2 == 0, "measured_cycles": 1000.0 * (i + 1),
                 "predicted_cycles": 1100.0 * (i + 1)} for i in range(10)]
        data = {"table": "m.csv", "surrogate": None, "all": {"rows": 10}, "rows": rows}
        figure = plot.scatter(argparse.Namespace(input=self.file("v.json", data)))
        texts = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
        self.assertEqual(texts, ["5 convolutions, median error 10 %", "5 matrix products, median error 10 %"])
        self.assertIn("roofline", figure.axes[0].get_title())

    def test_what_cannot_be_drawn_is_refused_in_a_line(self):
        one = self.file("one.json", design("a", 1, 1, 1, {"pe_dim": 1}))
        other = self.file("other.json", design("a", 1, 1, 1, {"pe_dim": 1}, workload="another"))
        text = self.file("text.json", "text")
        for arguments, part in ((["pareto", one, other], "several networks"), (["scatter", text], "worst"),
                                (["curves", one], "dosa-compare/1"),
                                (["layers", text], "found no schema, expected \"dosa-design/1\"")):
            done = subprocess.run([sys.executable, SCRIPT, *arguments, "-o", os.path.join(self.folder.name, "x.png")],
                                  capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
            self.assertIn(part, done.stderr)
            self.assertFalse(os.path.exists(os.path.join(self.folder.name, "x.png")))


if __name__ == "__main__":
    unittest.main(verbosity=1)
