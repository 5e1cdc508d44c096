#!/usr/bin/env python3
"""Are the pages of dosa report, dosa optimize --report and dosa compare --report what they are to be?

  page_test.py PROGRAM FOLDER structure               what is on the pages, read as XML
  page_test.py PROGRAM FOLDER browser CHROMIUM        how a browser shows them; leaves screenshots in FOLDER
"""
import json
import os
import re
import shutil
import subprocess
import sys
import time
import unittest
import urllib.parse
import xml.etree.ElementTree as ET

HOSTILE = ['<script>alert(1)</script>', '"><img src=x onerror=alert(2)>', "']]></style><b>", '{{body}}',
           '&lt;&amp;', 'a' * 300, 'new\nline\u202e\u0007', 'naïve–名前']
MACHINES = ["gemmini-tl", "gemmini-rtl", "simba", "eyeriss"]
program, folder = None, None


def dosa(*arguments, code=0):
    done = subprocess.run([program, *arguments], cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == code, f"{arguments}: {done.returncode}: {done.stderr}"
    return done


def path(name):
    return os.path.join(folder, name)


def read(name):
    with open(path(name), encoding="utf-8") as file:
        return file.read()


def page(name):
    """The page as a tree of XML, which is stricter than HTML."""
    return ET.fromstring(read(name))


def text_of(element):
    return "".join(element.itertext())


def printable(text):
    """What of a name a page shows."""
    return text.replace("\n", "\\n").replace("\u202e", "\\u202e").replace("\u0007", "\\x07")


def make_pages():
    """A page of every kind; those of designs with the design's file beside them."""
    hostile = [{"name": name, "dims": {"C": 8, "K": 8, "P": 4, "Q": 4, "R": 3, "S": 3}} for name in HOSTILE]
    with open(path("hostile.json"), "w", encoding="utf-8") as file:
        json.dump({"schema": "dosa-workload/1", "name": '</title><script src="http://x.example/">',
                   "layers": hostile}, file)
    for machine in MACHINES:
        dosa("map", "bert", "--machine", machine, "-o", f"{machine}.json", "-q",
             *(["--samples", "300"] if machine in ("simba", "eyeriss") else ["--max-nests", "2000"]))
    dosa("map", "hostile.json", "-o", "hostile_design.json", "-q", "--max-nests", "2000")
    for network in ("resnet50", "mobilenet_v2"):
        dosa("map", network, "--default", "-o", f"{network}.json")
    for design in [*MACHINES, "hostile_design", "resnet50", "mobilenet_v2"]:
        dosa("report", f"{design}.json", "-o", f"{design}.html")
    dosa("optimize", "bert", "--pe", "16", "--stages", "descent+polish", "--starts", "2", "--steps", "40",
         "--round-every", "10", "--polish-nests", "300", "--report", "optimised.html", "-o", "optimised.json", "-q")
    dosa("compare", "bert", "--seeds", "2", "--samples", "2000", "-q", "--report", "methods.html")
    dosa("compare", "bert", "--machines", "gemmini-tl,nvdla", "--samples", "3000", "-q", "--report", "machines.html")
    dosa("compare", "bert", "--machine", "gemmini-rtl", "--pe", "8,16", "--samples", "3000", "-q", "--report",
         "arrays.html")
    with open(path("small.json"), "w", encoding="utf-8") as file:
        json.dump({"schema": "dosa-workload/1", "name": "small", "layers": hostile[:1]
                   + [{"name": "product", "dims": {"P": 64, "C": 64, "K": 64}}]}, file)
    dosa("optimize", "bert", "small.json:2", "--pe", "16", "--scratchpad", "64", "--accumulator", "32", "--polish-nests",
         "300", "--report", "shared.html", "-o", "shared.json", "-q")
    dosa("optimize", "bert", "--pareto", "front", "--pareto-points", "6", "--max-pe", "4", "--polish-nests", "64",
         "--report", "front.html", "-q")


DESIGNS = [*MACHINES, "hostile_design", "resnet50", "mobilenet_v2", "optimised"]
COMPARISONS = ["methods", "machines", "arrays"]
PAGES = [*DESIGNS, *COMPARISONS, "shared", "front"]


class Structure(unittest.TestCase):
    def test_pages_are_complete_and_ask_for_nothing(self):
        for name in PAGES:
            with self.subTest(name):
                source, tree = read(f"{name}.html"), page(f"{name}.html")
                self.assertTrue(source.startswith("<!DOCTYPE html>\n"))
                self.assertLess(len(source.encode()), 2_000_000)
                self.assertEqual(tree.get("lang"), "en")
                for place in ("head/title", "body/header/h1", "body/nav", "body/main"):
                    self.assertEqual(len(tree.findall(place)), 1, place)
                self.assertIn("default-src 'none'", [m.get("content", "") for m in tree.iter("meta")][1])
                self.assertNotIn("@import", source)
                self.assertNotRegex(text_of(next(tree.iter("style"))), r"url\(|http")
                tags = {element.tag for element in tree.iter()}
                self.assertFalse(tags & {"script", "img", "iframe", "object", "embed", "form", "input", "base"})
                ids = [element.get("id") for element in tree.iter() if element.get("id")]
                self.assertEqual(len(ids), len(set(ids)))
                for element in tree.iter():
                    for key, value in element.items():
                        self.assertFalse(key.startswith("on"), key)
                        self.assertNotIn(key, ("src", "style"))
                        if key == "href":
                            self.assertTrue(value == "data:," or value[0] == "#" and value[1:] in ids, value)
                        if key in ("aria-labelledby", "aria-describedby"):
                            self.assertTrue(set(value.split()) <= set(ids), value)

    def test_lines_of_a_terminal_end_where_they_do(self):
        for name in PAGES:
            if not name.startswith("hostile"):  # whose names have line breaks, which are shown
                self.assertNotIn("\\n", text_of(page(f"{name}.html").find("body/header")), name)

    def test_figures_and_tables_speak_to_those_who_cannot_see_them(self):
        for name in PAGES:
            with self.subTest(name):
                tree = page(f"{name}.html")
                for figure in tree.iter("svg"):
                    if figure.get("role") == "img":
                        self.assertEqual([child.tag for child in figure][:2], ["title", "desc"])
                        self.assertTrue(all(child.text for child in list(figure)[:2]))
                    else:
                        self.assertEqual(figure.get("aria-hidden"), "true")
                tables = list(tree.iter("table"))
                self.assertGreaterEqual(len(tables), 1)
                for table in tables:
                    self.assertTrue(text_of(table.find("caption")))
                    columns = table.findall("thead/tr/th")
                    self.assertTrue(all(th.get("scope") == "col" for th in columns))
                    for row in table.findall("tbody/tr"):
                        self.assertEqual(len(row), len(columns), text_of(row))
                        self.assertEqual([row[0].tag, row[0].get("scope")], ["th", "row"])
                for section in tree.iter("section"):
                    self.assertEqual(section.find("h2").get("id"), section.get("aria-labelledby"))

    def test_every_layer_is_in_every_figure_and_table(self):
        for name in DESIGNS:
            with self.subTest(name):
                design, tree = json.loads(read(f"{name}.json")), page(f"{name}.html")
                names = [printable(layer["name"]) for layer in design["layers"]]
                circles = [text_of(c) for c in tree.find(".//section[@id='roofline']").iter("circle")]
                self.assertEqual(len(circles), len(names))
                for layer in names:
                    self.assertTrue(any(circle.startswith(layer + ":") for circle in circles), layer)
                bars, costs, schedules = [
                    [text_of(row[0]) for row in table.findall("tbody/tr")]
                    for table in [tree.find(".//section[@id='layers']//table"),
                                  *tree.findall(".//section[@id='tables']//table")[:2]]]
                self.assertEqual(costs, names)
                self.assertEqual(schedules, names)
                for row, layer in zip(bars, names):
                    self.assertTrue(row.startswith(layer), row)

    def test_numbers_are_those_of_the_design(self):
        for name in DESIGNS:
            with self.subTest(name):
                design, tree = json.loads(read(f"{name}.json")), page(f"{name}.html")
                rows = tree.find(".//section[@id='tables']//table").findall("tbody/tr")
                for row, layer in zip(rows, design["layers"]):
                    cells = [text_of(cell) for cell in row]
                    self.assertEqual(cells[1], str(layer["count"]))
                    self.assertEqual(cells[2], f"{layer['cycles']:.0f}")
                    self.assertEqual(cells[3], f"{layer['energy_uj']:.3f}")
                # In the bars, lengths are in proportion to the cycles and the energy of all runs.
                bars = tree.find(".//section[@id='layers']//table").findall("tbody/tr")
                for column, key in ((1, "cycles"), (3, "energy_uj")):
                    widths = [sum(float(r.get("width")[:-1]) for r in row[column].iter("rect")) for row in bars]
                    values = [layer[key] * layer["count"] for layer in design["layers"]]
                    for width, value in zip(widths, values):
                        self.assertAlmostEqual(width, 100 * value / max(values), delta=0.1)
                # What the time and the energy go into adds up.
                for legend in tree.find(".//section[@id='limits']").iter("ul"):
                    shares = [float(b.text.split()[0]) for b in legend.iter("b") if b.text.endswith(" %")]
                    if legend.get("class") == "legend":
                        self.assertAlmostEqual(sum(shares), 100, delta=0.5)

    def test_the_first_words_say_what_limits_a_design(self):
        for name in DESIGNS:
            with self.subTest(name):
                verdict = page(f"{name}.html").find(".//header/p[@class='verdict']").text
                # The largest share of the time, as the figure below shows it.
                time = page(f"{name}.html").find(".//section[@id='limits']//ul[@class='legend']")
                parts = {text_of(item).split(" % ")[1]: float(item.find("b").text.split()[0]) for item in time}
                kinds = {"Memory": sum(v for k, v in parts.items() if k.startswith("waiting for ")),
                         "The number of multipliers": parts.get("useful work", 0),
                         "The shape of the array":
                             parts.get("multipliers without work", 0) + parts.get("work on padding", 0),
                         "Overhead": sum(v for k, v in parts.items() if k.startswith("overhead"))}
                kinds["Multipliers and memory"] = kinds["The number of multipliers"]
                said = re.split(r" limits? this design", verdict)[0]
                self.assertAlmostEqual(kinds[said], max(kinds.values()), delta=0.11, msg=f"{verdict} {parts}")
                if said.startswith(("Multipliers", "The number")):
                    # Which it is depends on the layers' slowest parts, as the list above the figure has them.
                    list_of_limits = text_of(page(f"{name}.html").find(".//section[@id='limits']"))
                    shares = re.findall(r"\(\w+\) for ([0-9.]+) % of the time", list_of_limits)
                    waits = sum(float(share) for share in shares)
                    self.assertEqual(waits > 50, said == "Multipliers and memory", msg=f"{verdict} {list_of_limits}")

    def test_a_front_has_a_page(self):
        tree, front = page("front.html"), json.loads(read("front/front.json"))
        rows = tree.find(".//section[@id='designs']//table").findall("tbody/tr")
        self.assertEqual([row[0].text for row in rows], [design["file"] for design in front["designs"]])
        self.assertEqual([row[2].text for row in rows], [f"{d['totals']['cycles']:.0f}" for d in front["designs"]])
        self.assertEqual(min(float(row[5].text) for row in rows), 1)
        best = min(front["designs"], key=lambda design: design["totals"]["edp"])
        said = re.fullmatch(r"The least EDP takes ([0-9.]+) mm².*", tree.find(".//p[@class='verdict']").text)
        self.assertAlmostEqual(float(said.group(1)), best["totals"]["area_mm2"],
                               delta=0.01 * best["totals"]["area_mm2"])

    def test_a_folder_of_a_front_has_the_same_page(self):
        dosa("report", "front", "-o", "again.html")
        tree, searched = page("again.html"), page("front.html")
        for part in (".//header", ".//section[@id='area-edp']", ".//section[@id='designs']"):
            self.assertEqual(text_of(tree.find(part)), text_of(searched.find(part)), part)
        marks = list(tree.find(".//section[@id='area-edp']").iter("circle"))
        self.assertEqual(len(marks), self.designs_that_area_buys())
        # The command that its designs record makes the front again.
        command = tree.find(".//section[@id='provenance']//pre/code").text
        self.assertIn("--pareto front --pareto-points 6 --polish-nests 64 --max-size pe_dim=4", command)
        dosa(*command.replace("--pareto front", "--pareto front_again").split()[1:], "-q")
        self.assertEqual(json.loads(read("front_again/front.json")), json.loads(read("front/front.json")))
        # Of a folder there is nothing to choose, and what is in it is looked at.
        self.assertIn("of a front only --output", dosa("report", "front", "--clock", "1GHz", "-o", "x.html", code=2).stderr)
        shutil.copytree(path("front"), path("broken"))
        os.remove(path("broken/design_01.json"))
        self.assertIn("design_01.json", dosa("report", "broken", "-o", "x.html", code=2).stderr)
        with open(path("broken/front.json"), encoding="utf-8") as file:
            front = json.load(file)
        front["designs"][0]["file"] = "../optimised.json"
        with open(path("broken/front.json"), "w", encoding="utf-8") as file:
            json.dump(front, file)
        self.assertIn("the name of a file in the same folder", dosa("report", "broken", "-o", "x.html", code=2).stderr)
        front["designs"][0]["file"], front["workload"] = "design_02.json", "alexnet"
        with open(path("broken/front.json"), "w", encoding="utf-8") as file:
            json.dump(front, file)
        self.assertIn("allowed is one of alexnet", dosa("report", "broken", "-o", "x.html", code=2).stderr)
        self.assertIn("front.json", dosa("report", ".", "-o", "x.html", code=2).stderr)
        self.assertFalse(os.path.exists(path("x.html")))

    def designs_that_area_buys(self):
        """How many designs of the front have less EDP than all that are smaller."""
        best, better = float("inf"), 0
        for design in sorted(json.loads(read("front/front.json"))["designs"], key=lambda d: d["totals"]["area_mm2"]):
            better += design["totals"]["edp"] < best
            best = min(best, design["totals"]["edp"])
        return better

    def test_names_of_the_machine_are_explained(self):
        for name in [*DESIGNS, "shared"]:
            with self.subTest(name):
                tree, design = page(f"{name}.html"), json.loads(read(f"{name}.json"))
                words = {text_of(word): text_of(meaning) for word, meaning in zip(
                    tree.findall(".//section[@id='words']//dt"), tree.findall(".//section[@id='words']//dd"))}
                for size in design["hardware"]:
                    self.assertGreater(len(words[size.replace("_kib", "")]), 10)
                machine = text_of(tree.find(".//header" if name != "shared" else ".//section[@id='limits-1']"))
                self.assertRegex(machine, r"multiplies and adds with \d+ multipliers( \([0-9 ×]+\))?, each once a cycle")
                for level in tree.find(".//section[@id='hardware']" if name != "shared" else
                                       ".//section[@id='hardware-1']").iter("text"):
                    if level.get("class") == "block-name" and not level.text.endswith("multipliers"):
                        self.assertRegex(machine, rf"\b{level.text}\b")

    def test_several_networks_have_a_page(self):
        tree, design = page("shared.html"), json.loads(read("shared.json"))
        rows = tree.find(".//section[@id='networks']//table").findall("tbody/tr")
        self.assertEqual([row[0].text for row in rows], [n["workload"] for n in design["networks"]])
        for n, network in enumerate(design["networks"], 1):
            for part in ("limits", "hardware", "roofline", "layers", "sensitivities", "tables"):
                self.assertIsNotNone(tree.find(f".//section[@id='{part}-{n}']"))
            costs = tree.find(f".//section[@id='tables-{n}']//table").findall("tbody/tr")
            self.assertEqual([text_of(row[2]) for row in costs], [f"{l['cycles']:.0f}" for l in network["layers"]])
        dosa("report", "shared.json", "-o", "again.html")
        self.assertEqual(text_of(page("again.html").find(".//section[@id='networks']")),
                         text_of(tree.find(".//section[@id='networks']")))

    def test_clock_search_and_the_rest_of_the_network_are_on_the_page(self):
        dosa("report", "gemmini-tl.json", "--clock", "1GHz", "--resolve", "2", "--max-nests", "2000", "-q", "-o",
             "again.html")
        tree, explained = page("again.html"), json.loads(
            dosa("explain", "gemmini-tl.json", "--clock", "1GHz", "--resolve", "2", "--max-nests", "2000", "-q",
                 "--json").stdout)
        self.assertIn(f"{explained['at_clock']['latency_ms']:.3g} ms", text_of(tree.find(".//header")))
        searched = [found for one in explained["sensitivities"] for found in one.get("searched", [])]
        self.assertGreaterEqual(len(searched), 4)
        captions = {text_of(t.find("caption")): t for t in tree.find(".//section[@id='tables']").iter("table")}
        table = next(t for caption, t in captions.items() if "searches found" in caption)
        self.assertEqual([row[5].text for row in table.findall("tbody/tr")],
                         ["yes" if found["agrees"] else "no" for found in searched])
        left = {"schema": "dosa-workload/2", "name": "speech", "layers": [
            {"name": "frames", "dims": {"R": 31, "P": 100, "C": 16, "K": 16}, "padding": {"left": 15, "right": 15}},
            {"name": "huge", "dims": {"P": 4194304, "C": 131072, "K": 1}}]}
        with open(path("left.json"), "w", encoding="utf-8") as file:
            json.dump(left, file)
        dosa("map", "left.json", "--machine", "gemmini-rtl", "--max-nests", "300", "-q", "-o", "left_design.json")
        self.assertTrue(json.loads(read("left_design.json"))["left_to_cpu"])
        dosa("report", "left_design.json", "-o", "again.html")
        header = text_of(page("again.html").find(".//header"))
        self.assertIn("im2col on the CPU, which is not counted: frames", header)
        self.assertIn("left to the CPU, not counted: huge", header)

    def test_hostile_names_are_text(self):
        source, tree = read("hostile_design.html"), page("hostile_design.html")
        self.assertEqual(tree.find(".//h1").text, '</title><script src="http://x.example/"> on gemmini-tl')
        self.assertNotIn("<script", source)
        self.assertNotIn("<img", source)
        usual = {element.tag for element in page("gemmini-tl.html").iter()}
        self.assertLessEqual({element.tag for element in tree.iter()}, usual)

    def test_a_search_shows_how_it_went(self):
        tree = page("optimised.html")
        curve = tree.find(".//section[@id='search']//path[@class='curve l1']")
        self.assertGreater(len(re.findall("[MHV]", curve.get("d"))), 3)
        self.assertIsNone(page("gemmini-tl.html").find(".//section[@id='search']"))

    def test_the_command_makes_the_design_again(self):
        for name in ["gemmini-tl", "gemmini-rtl", "simba", "resnet50", "optimised"]:
            with self.subTest(name):
                dosa("report", f"{name}.json", "-o", "again.html")  # from the design alone
                command = page("again.html").find(".//section[@id='provenance']//pre/code").text
                self.assertTrue(command.startswith("dosa "), command)
                done = subprocess.run(f"'{program}' {command[5:]} -o again.json -q", shell=True, cwd=folder,
                                      capture_output=True, text=True, timeout=300)
                self.assertEqual(done.returncode, 0, command + done.stderr)
                self.assertEqual(read("again.json"), read(f"{name}.json"), command)
        typed = page("optimised.html").find(".//section[@id='provenance']//pre/code").text
        self.assertIn("--report optimised.html", typed)
        hostile = page("hostile_design.html").find(".//section[@id='provenance']")
        self.assertIn("put its file in the place of its name", text_of(hostile))

    def test_numbers_that_are_set_are_said(self):
        dosa("report", "gemmini-tl.json", "--set", "dram.words_per_cycle=16", "-o", "again.html")
        provenance = page("again.html").find(".//section[@id='provenance']")
        self.assertIsNone(provenance.find(".//pre"))
        self.assertIn("set dram.words_per_cycle", text_of(provenance))
        self.assertIn("16 words per cycle", text_of(page("again.html").find(".//section[@id='hardware']")))

    def test_comparisons_name_all_that_is_compared(self):
        for name, parts in (("methods", ["gradient", "random", "bayes", "annealing", "default"]),
                            ("machines", ["gemmini-tl", "nvdla", "The files differ in"]),
                            ("arrays", ["array 8 × 8", "array 16 × 16", "better than"])):
            with self.subTest(name):
                tree = page(f"{name}.html")
                for part in parts:
                    self.assertIn(part, text_of(tree.find(".//main")))
                self.assertTrue(tree.find(".//pre/code").text.startswith("dosa compare bert"))
        rows = page("methods.html").findall(".//section[@id='results']//tbody/tr")
        self.assertIn(f"The least median EDP: {min(rows, key=lambda row: float(row[5].text))[0].text}, with ",
                      page("methods.html").find(".//p[@class='verdict']").text)
        for name in ("machines", "arrays"):
            said = re.match(r"The least EDP: (.+), with [0-9.]+ [MGT]\. The next, .+, has ([0-9.]+) times as much\.",
                            page(f"{name}.html").find(".//p[@class='verdict']").text)
            self.assertGreaterEqual(float(said.group(2)), 1)
            least = min(page(f"{name}.html").findall(".//section[@id='tables']//tbody/tr"),
                        key=lambda row: float(row[3].text))
            self.assertEqual(said.group(1), least[0].text)
        for figure in ("against-samples", "against-time"):
            curves = page("methods.html").find(f".//section[@id='{figure}']//svg").iter("path")
            self.assertEqual(sum(c.get("class").startswith("curve") for c in curves), 5)

    def test_nothing_is_left_where_a_page_cannot_be_made(self):
        before = sorted(os.listdir(folder))
        begun = time.monotonic()
        for arguments in (["report", "bert.json", "-o", "x.html"], ["report", "gemmini-tl.json", "-o", "no/x.html"],
                          ["optimize", "unet", "--report", "no/x.html"], ["compare", "unet", "--report", "no/x.html"],
                          ["optimize", "bert", "--pareto", "other", "--report", "no/x.html"]):
            done = dosa(*arguments, code=2)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertEqual(sorted(os.listdir(folder)), before)


# In frames of given widths: which texts of a figure lie on one another, and whether anything is wider than the
# page.
HARNESS = """<!DOCTYPE html><html><body><pre id="out">pending</pre><script>
const results = [];
function look(name, width, page) {
  const found = {name: name, width: width, wide: page.documentElement.scrollWidth, overlaps: [], outside: []};
  for (const figure of page.querySelectorAll('svg.figure')) {
    const frame = figure.getBoundingClientRect();
    const texts = [...figure.querySelectorAll('text')].filter(t => getComputedStyle(t).display != 'none');
    const boxes = texts.map(t => t.getBoundingClientRect());
    boxes.forEach((a, i) => {
      if (a.left < frame.left - 1 || a.right > frame.right + 1) found.outside.push(texts[i].textContent);
      boxes.slice(0, i).forEach((b, j) => {
        // Boxes are those of whole lines, taller than letters; of turned texts they tell nothing.
        const tall = 0.3 * Math.min(a.height, b.height);
        if (texts[i].hasAttribute('transform') || texts[j].hasAttribute('transform')) return;
        if (a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - tall && b.top < a.bottom - tall)
          found.overlaps.push(texts[i].textContent + ' | ' + texts[j].textContent);
      });
    });
  }
  results.push(found);
}
const frames = FRAMES;
for (const [name, width] of frames) {
  const frame = document.createElement('iframe');
  frame.style = 'height:900px;border:0;width:' + width + 'px';
  frame.onload = () => {
    look(name, width, frame.contentDocument);
    if (results.length == frames.length)
      document.getElementById('out').textContent = encodeURIComponent(JSON.stringify(results));
  };
  frame.src = name + '.html';
  document.body.appendChild(frame);
}
</script></body></html>
"""


class Browser(unittest.TestCase):
    chromium = None

    def browse(self, *arguments):
        profile = path("profile")
        done = subprocess.run([self.chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                               "--no-first-run", "--disable-extensions", "--disable-background-networking",
                               f"--user-data-dir={profile}", "--enable-logging=stderr", *arguments],
                              capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([line for line in done.stderr.splitlines() if "CONSOLE" in line], [])
        return done.stdout

    def address(self, name):
        return "file://" + path(f"{name}.html")

    def test_pages_are_drawn_in_light_and_dark(self):
        for name in ("mobilenet_v2", "gemmini-rtl", "simba", "methods", "arrays", "front", "shared"):
            pictures = []
            for width, mode in ((1280, 1), (1280, 0), (390, 1)):
                picture = path(f"{name}_{width}_{'light' if mode else 'dark'}.png")
                self.browse(f"--screenshot={picture}", f"--window-size={width},2600",
                            f"--blink-settings=preferredColorScheme={mode}", self.address(name))
                with open(picture, "rb") as file:
                    pictures.append(file.read())
                self.assertGreater(len(pictures[-1]), 40_000, f"{picture}: next to nothing on it")
            self.assertEqual(len(set(pictures)), 3)

    def test_pages_print_on_a4(self):
        for name in ("mobilenet_v2", "gemmini-rtl", "methods", "front"):
            self.browse(f"--print-to-pdf={path(name + '.pdf')}", "--no-pdf-header-footer", self.address(name))
            with open(path(f"{name}.pdf"), "rb") as file:
                document = file.read()
            sizes = set(re.findall(rb"/MediaBox ?\[0 0 ([0-9.]+) ([0-9.]+)\]", document))
            self.assertTrue(sizes)
            for size in sizes:
                self.assertAlmostEqual(float(size[0]), 595, delta=1.5)
                self.assertAlmostEqual(float(size[1]), 842, delta=1.5)

    def test_no_request_leaves_a_page(self):
        for name in ("hostile_design", "simba", "methods"):
            log = path("net.json")
            self.browse(f"--log-net-log={log}", f"--screenshot={path('unused.png')}", self.address(name))
            with open(log, encoding="utf-8") as file:
                asked = {url for url in re.findall(r'"url":"([^"]+)"', file.read())
                         if not url.startswith(("file://", "data:", "chrome"))}
            # The browser's own services, which answer to no page.
            asked = {url for url in asked if not re.match(r"https?://[^/]*\.(google|googleapis|gvt1)\.com", url)}
            self.assertEqual(asked, set(), name)

    def test_texts_keep_apart_and_nothing_is_wider_than_the_page(self):
        frames = [[name, width] for name in PAGES for width in (1280, 760, 390)]
        with open(path("harness.html"), "w", encoding="utf-8") as file:
            file.write(HARNESS.replace("FRAMES", json.dumps(frames)))
        shown = self.browse("--allow-file-access-from-files", "--virtual-time-budget=20000", "--dump-dom",
                            "--window-size=1400,1000", self.address("harness"))
        results = json.loads(urllib.parse.unquote(re.search('<pre id="out">(.*?)</pre>', shown).group(1)))
        self.assertEqual(len(results), len(frames))
        for found in results:
            with self.subTest(f"{found['name']} at {found['width']}"):
                self.assertLessEqual(found["wide"], found["width"])
                self.assertEqual(found["overlaps"], [])
                self.assertEqual(found["outside"], [])


if __name__ == "__main__":
    program, folder = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    suite = Structure
    if sys.argv[3] == "browser":
        if len(sys.argv) < 5 or not sys.argv[4]:
            print("skipped: no chromium (Debian: apt install chromium), so no page was looked at in a browser")
            sys.exit(77)
        suite, Browser.chromium = Browser, sys.argv[4]
    # The browser looks at the pages that the test of their structure left.
    if suite is Structure or not os.path.exists(path("arrays.html")):
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        make_pages()
    result = unittest.TextTestRunner(verbosity=2).run(unittest.defaultTestLoader.loadTestsFromTestCase(suite))
    sys.exit(0 if result.wasSuccessful() else 1)
