// Is what a page is made of escaped, and are its axes and labels readable?
#include "dosa/core/report/markup.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <regex>

#include "dosa/core/report/axis.hpp"
#include "dosa/core/report/chart.hpp"
#include "dosa/core/report/command.hpp"
#include "dosa/core/report/page.hpp"
#include "dosa/core/report/words.hpp"
#include "dosa/core/targets/target.hpp"
#include "dosa/models/base/random.hpp"
#include "tests/support.hpp"

namespace dosa::testing {
namespace {

using ::testing::HasSubstr;

TEST(Markup, TextAndAttributesAreEscaped) {
  const std::string hostile = "<b a='1' c=\"2\">&amp;\x1b[31m\xff\u202e";
  const std::string safe = "&lt;b a=&#39;1&#39; c=&quot;2&quot;&gt;&amp;amp;\\x1b[31m\\xff\\u202e";
  EXPECT_EQ(html::Markup(hostile).text(), safe);
  EXPECT_EQ(html::element("td", {{"title", hostile}}, {hostile, html::element("i")}).text(),
            "<td title=\"" + safe + "\">" + safe + "<i></i></td>");
}

TEST(Markup, PlacesOfTemplatesAreOnlyThoseOfTemplates) {
  const std::string name = "{{body}}{{style}}{{title}}";
  const std::string page = html::document(
      {name, html::element("p", {}, {name}), {{"first", name, name, html::element("p", {}, {name})}}});
  // In <title>, <h1>, the lead, the contents, the heading, the intro and the content.
  std::size_t count = 0;
  for (std::size_t at = page.find(name); at != std::string::npos; at = page.find(name, at + 1)) ++count;
  EXPECT_EQ(count, 7U);
}

TEST(Axis, NumbersForPeopleHaveThreeDigits) {
  for (const auto& [value, text] : std::vector<std::pair<double, std::string>>{{0, "0"},
                                                                               {0.00123456, "0.00123"},
                                                                               {12.345, "12.3"},
                                                                               {999.4, "999"},
                                                                               {999.6, "1.00 k"},
                                                                               {1000, "1.00 k"},
                                                                               {99960, "100 k"},
                                                                               {999600, "1.00 M"},
                                                                               {6376781, "6.38 M"},
                                                                               {6.28861e10, "62.9 G"},
                                                                               {-2.5e6, "-2.50 M"},
                                                                               {1e20, "1e+20"}})
    EXPECT_EQ(html::short_number(value), text);
  EXPECT_EQ(html::percentage(0.1234), "12.3 %");
  EXPECT_EQ(html::percentage(1), "100 %");
  EXPECT_EQ(html::percentage(0.00512), "0.51 %");
}

// Whatever the values, an axis holds all of them, in their order, and is neither bare nor crowded.
TEST(Axis, TicksAreRoundAscendAndAreFew) {
  Random random(1);
  for (int trial = 0; trial < 2000; ++trial) {
    const auto spacing = trial % 2 == 0 ? html::Spacing::kLinear : html::Spacing::kLogarithmic;
    std::vector<double> values;
    const double decades = 14 * random.uniform();
    const double low = std::pow(10, 12 * random.uniform() - 6);
    for (std::int64_t i = random.below(6); i > 0; --i)
      values.push_back(low * std::pow(10, decades * random.uniform()));
    const html::Axis axis(values, spacing);
    ASSERT_LT(axis.low(), axis.high());
    for (const double value : values) {
      ASSERT_GE(value, axis.low() * (1 - 1e-9)) << trial;
      ASSERT_LE(value, axis.high() * (1 + 1e-9)) << trial;
    }
    const std::vector<html::Tick>& ticks = axis.ticks();
    ASSERT_GE(ticks.size(), 2U) << trial;
    ASSERT_LE(ticks.size(), 13U) << trial;
    for (std::size_t i = 1; i < ticks.size(); ++i) {
      ASSERT_LT(axis.place(ticks[i - 1].value), axis.place(ticks[i].value)) << trial;
      ASSERT_NE(ticks[i - 1].label, ticks[i].label) << trial;
    }
  }
  EXPECT_EQ(html::spacing_for({1, 19}), html::Spacing::kLinear);
  EXPECT_EQ(html::spacing_for({1, 21}), html::Spacing::kLogarithmic);
  EXPECT_EQ(html::spacing_for({0, 21}), html::Spacing::kLinear);
}

/// The numbers that a pattern's groups find in a text.
std::vector<std::vector<double>> found(const std::string& text, const std::string& pattern) {
  std::vector<std::vector<double>> all;
  const std::regex expression(pattern);
  for (std::sregex_iterator match(text.begin(), text.end(), expression), end; match != end; ++match) {
    std::vector<double> numbers;
    for (std::size_t group = 1; group < match->size(); ++group) numbers.push_back(std::stod((*match)[group]));
    all.push_back(numbers);
  }
  return all;
}

TEST(Charts, EveryLayerIsInTheRooflineAndNamesKeepApart) {
  Random random(2);
  constexpr int kCharts = 20;
  std::size_t all_names = 0;
  for (int draw = 0; draw < kCharts; ++draw) {
    html::Roofline chart{256, 8, {}};
    for (int i = 0; i < 60; ++i) {
      const double intensity = std::pow(10, 3 * random.uniform());
      chart.points.push_back({fmt::format("layer {}", i), intensity,
                              std::min(256.0, 8 * intensity) * (0.1 + 0.9 * random.uniform()),
                              0.05 * random.uniform(), "l0", ""});
    }
    const std::string svg = html::draw(chart, {"id", "title", "description"}).text();
    EXPECT_EQ(found(svg, "<circle cx=\"([0-9.]+)\" cy=\"([0-9.]+)\"").size(), 60U);
    for (int i = 0; i < 60; ++i) EXPECT_THAT(svg, HasSubstr(fmt::format("<title>layer {}:", i)));
    const auto names = found(svg, "<text x=\"([0-9.]+)\" y=\"([0-9.]+)\" class=\"name[ a-z]*\">");
    EXPECT_GE(names.size(), 1U);
    all_names += names.size();
    for (std::size_t i = 0; i < names.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        EXPECT_TRUE(std::abs(names[i][0] - names[j][0]) > 40 || std::abs(names[i][1] - names[j][1]) > 10)
            << "chart " << draw << ", names " << i << " and " << j;
      }
    }
  }
  EXPECT_GE(all_names, 4U * kCharts) << "of 60 layers some 4 have room for a name";
}

// A first design that is 10^5 times worse than the last ones must not hide how these differ.
TEST(Charts, CurvesShowTheDifferencesAtTheEnd) {
  const html::Curves curves{"samples",
                            "EDP",
                            {{"a", "l0", {{1, 3e14, 3e14, 3e14}, {100, 1.507e9, 1.5e9, 1.6e9}}, 1000},
                             {"b", "l1", {{10, 1.568e9, 1.568e9, 1.568e9}}, 500}}};
  const std::string svg = html::draw(curves, {"id", "title", "description"}).text();
  const std::regex last_a("V([0-9.]+)H([0-9.]+)\" class=\"curve l0\""),
      last_b("M[0-9.]+ ([0-9.]+)H([0-9.]+)\" class=\"curve l1\"");
  std::smatch a, b;
  ASSERT_TRUE(std::regex_search(svg, a, last_a));
  ASSERT_TRUE(std::regex_search(svg, b, last_b));
  EXPECT_GT(std::stod(a[1]) - std::stod(b[1]), 4) << "b ends above a, by more than a line's width";
  EXPECT_GT(std::stod(a[2]), std::stod(b[2])) << "b ends before a";
}

TEST(Words, LettersOfDimensionsAreExplained) {
  EXPECT_EQ(html::letters_in("K 1000 in parts of 125 on 128, C fills 3 of 16"),
            " (C: input channels; K: output channels)");
  EXPECT_EQ(html::letters_in("P"), " (P: output width)");
  EXPECT_EQ(html::letters_in("waits for DRAM, mostly I; MACs, K2 and xN"), "");
}

TEST(Words, SizesOfMachinesAreExplained) {
  const auto meanings = [](const std::string& name) {
    const MachinePtr machine = load_machine({name, {}});
    std::vector<std::string> texts;
    for (std::size_t p = 0; p < machine->parameters.size(); ++p)
      texts.push_back(html::meaning_of(*machine, p));
    return texts;
  };
  EXPECT_EQ(meanings("gemmini-tl"),
            (std::vector<std::string>{"rows, and columns, of the array of multipliers",
                                      "KiB of the memory scratchpad", "KiB of the memory accumulator"}));
  const std::vector<std::string> eyeriss = meanings("eyeriss");
  EXPECT_EQ(eyeriss.front(), "how many weight_spad stand side by side below global_buffer, along X");
  EXPECT_EQ(eyeriss.back(), "what one global_buffer holds, in words");
  for (const char* name : {"simba", "nvdla", "tpu"}) {
    for (const std::string& meaning : meanings(name)) EXPECT_NE(meaning, "a size of the machine") << name;
  }
}

TEST(Words, SizesOfAFileAreForPeople) {
  EXPECT_EQ(html::sizes_text({{"pe_dim", 16}, {"scratchpad_kib", 64}, {"psum_words", 12}}),
            "pe_dim 16, scratchpad 64 KiB, psum_words 12");
  EXPECT_EQ(html::sizes_text(Json::object()), "sizes are fixed by its file");
}

TEST(Reproduction, WordsAreQuotedAsAShellReadsThem) {
  EXPECT_EQ(html::shell_command({"dosa", "map", "my net.json", "it's", "", "$(x)", "a=b,c"}),
            "dosa map 'my net.json' 'it'\\''s' '' '$(x)' a=b,c");
}

TEST(Reproduction, WhatAProvenanceDoesNotTellIsNotMadeUp) {
  const TargetPtr target = load_target("gemmini-tl");
  Design design;
  design.workload = "bert";
  design.target = "gemmini-tl";
  design.machine = target->shared_machine();
  design.hardware = design.machine->default_hardware;
  for (const char* provenance :
       {"{}", "null", "[1]", R"({"method": "by hand"})", R"({"method": 7, "options": "x"})",
        R"({"method": "gradient", "options": {"min": {"pe_dim": 1}, "max": 3}})"}) {
    design.provenance = Json::parse(provenance);
    const html::Reproduction made = html::reproduction_of(design, *target);
    EXPECT_EQ(made.command, "") << provenance;
    EXPECT_THAT(made.note, HasSubstr("does not record"));
  }
}

}  // namespace
}  // namespace dosa::testing
