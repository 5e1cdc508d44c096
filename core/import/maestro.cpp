// MAESTRO's networks (.m): Network NAME { Layer NAME { Type: CONV Stride { X: 2, Y: 2 } Dimensions { K: 64,
// ... } Dataflow { ... } } ... }. GAMMA writes the same. Dataflows and descriptions of accelerators are
// passed over.
#include <algorithm>
#include <cctype>
#include <charconv>
#include <map>

#include "dosa/core/import/importer.hpp"
#include "dosa/core/import/layer_list.hpp"
#include "dosa/models/base/error.hpp"

namespace dosa {
namespace {

constexpr std::size_t kMaxTokens = 4'000'000;

/// The words and the marks {}:,;() of a file, without its comments.
class MaestroText {
 public:
  explicit MaestroText(const ImportSource& source) : path_(source.path) {
    const std::string& text = source.content;
    std::size_t line = 1;
    for (std::size_t at = 0; at < text.size();) {
      if (text.compare(at, 2, "//") == 0) {
        at = std::min(text.find('\n', at), text.size());
      } else if (text.compare(at, 2, "/*") == 0) {
        const std::size_t end = std::min(text.find("*/", at + 2), text.size());
        line += static_cast<std::size_t>(std::count(text.begin() + static_cast<std::ptrdiff_t>(at),
                                                    text.begin() + static_cast<std::ptrdiff_t>(end), '\n'));
        at = std::min(end + 2, text.size());
      } else if (std::isspace(static_cast<unsigned char>(text[at])) != 0) {
        if (text[at++] == '\n') ++line;
      } else {
        const std::size_t end = is_mark(text[at]) ? at + 1 : end_of_word(text, at);
        if (tokens_.size() == kMaxTokens)
          fail(ErrorId::kFile, "{}: found more than the {} words that are allowed", path_, kMaxTokens);
        tokens_.push_back({text.substr(at, end - at), line});
        at = end;
      }
    }
  }

  bool at_end() const { return at_ == tokens_.size(); }
  /// The next word or mark; empty at the end.
  const std::string& peek() const {
    static const std::string none;
    return at_end() ? none : tokens_[at_].text;
  }
  std::string where() const {
    const std::size_t line = tokens_.empty() ? 1 : tokens_[std::min(at_, tokens_.size() - 1)].line;
    return fmt::format("{}: line {}", path_, line);
  }
  std::string take(const char* what) {
    if (at_end()) fail(ErrorId::kSyntax, "{}: found the end of the file, expected {}", where(), what);
    return tokens_[at_++].text;
  }
  bool take_if(const char* text) {
    if (peek() != text) return false;
    ++at_;
    return true;
  }
  void expect(const char* text) {
    if (!take_if(text)) {
      fail(ErrorId::kSyntax, "{}: found '{}', expected '{}'", where(), at_end() ? "the end" : peek(), text);
    }
  }
  /// Whether the word stands somewhere, with the mark behind it or behind the name that follows it.
  bool has(const char* word, const char* mark) const {
    for (std::size_t i = 0; i + 1 < tokens_.size(); ++i) {
      if (tokens_[i].text != word) continue;
      if (tokens_[i + 1].text == mark || (i + 2 < tokens_.size() && tokens_[i + 2].text == mark)) return true;
    }
    return false;
  }
  /// Passes over { ... } with everything in it.
  void skip_block() {
    expect("{");
    for (std::size_t open = 1; open > 0;) {
      const std::string token = take("'}'");
      if (token == "{") ++open;
      if (token == "}") --open;
    }
  }

 private:
  struct Token {
    std::string text;
    std::size_t line;
  };

  static bool is_mark(char c) { return std::string_view("{}:,;()").find(c) != std::string_view::npos; }
  static std::size_t end_of_word(const std::string& text, std::size_t at) {
    while (at < text.size() && !is_mark(text[at]) &&
           std::isspace(static_cast<unsigned char>(text[at])) == 0 && text.compare(at, 2, "//") != 0 &&
           text.compare(at, 2, "/*") != 0)
      ++at;
    return at;
  }

  std::string path_;
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
};

/// What a layer's block says.
struct MaestroLayer {
  std::string name, type;
  std::map<std::string, std::int64_t> sizes, strides;
  std::string where;

  std::int64_t size(const char* dim) const {
    const auto found = sizes.find(dim);
    if (found == sizes.end()) fail(ErrorId::kSchema, "{}: {}: the dimension {} is missing", where, name, dim);
    return found->second;
  }
  std::int64_t size_or(const char* dim, std::int64_t otherwise) const {
    return sizes.count(dim) > 0 ? sizes.at(dim) : otherwise;
  }
};

class MaestroReader {
 public:
  MaestroReader(const ImportSource& source, LayerList& layers, std::vector<std::string>& remarks)
      : text_(source), layers_(layers), remarks_(remarks) {}

  /// The name of the first network.
  std::string read() {
    std::string network;
    while (!text_.at_end()) {
      const std::string word = text_.take("Network");
      if (word == ";") continue;
      if (word == "Constant") {
        const std::string name = text_.take("a name");
        constants_[name] = integer(kMaxDim);
        text_.take_if(";");
      } else if (word == "Network") {
        const std::string name = text_.peek() == "{" ? "" : text_.take("a name");
        if (network.empty()) network = name;
        read_network();
      } else {
        // Descriptions of accelerators: NAME [NAME] { ... }
        if (text_.peek() != "{") text_.take("'{'");
        if (text_.peek() != "{") {
          fail(ErrorId::kSyntax, "{}: found '{}', expected Network, Constant or the block of an accelerator",
               text_.where(), word);
        }
        text_.skip_block();
        remarks_.push_back(fmt::format("{}: {}: left out, it is no part of a network", text_.where(), word));
      }
    }
    return network;
  }

 private:
  void read_network() {
    text_.expect("{");
    while (!text_.take_if("}")) {
      if (text_.take_if(";")) continue;
      text_.expect("Layer");
      MaestroLayer layer;
      layer.where = text_.where();
      layer.name = text_.peek() == "{" ? "" : text_.take("a name");
      read_block(layer);
      add(layer);
    }
  }

  void read_block(MaestroLayer& layer) {
    text_.expect("{");
    while (!text_.take_if("}")) {
      const std::string key = text_.take("'}'");
      if (key == ";") continue;
      if (key == "Type") {
        text_.expect(":");
        layer.type = text_.take("a type");
      } else if (key == "Dimensions") {
        read_sizes(layer.sizes, kMaxDim);
      } else if (key == "Stride") {
        read_sizes(layer.strides, kMaxStep);
      } else if (key == "Dataflow") {
        text_.skip_block();
      } else {
        fail(ErrorId::kSchema, "{}: found '{}', expected Type, Stride, Dimensions or Dataflow", text_.where(),
             key);
      }
    }
  }

  /// { X: 2, Y: 2 }, also with a colon before the brace and without commas.
  void read_sizes(std::map<std::string, std::int64_t>& sizes, std::int64_t max) {
    text_.take_if(":");
    text_.expect("{");
    while (!text_.take_if("}")) {
      if (text_.take_if(",") || text_.take_if(";")) continue;
      const std::string dim = text_.take("a dimension");
      text_.take_if(":");  // MAESTRO itself does without
      if (!sizes.emplace(dim, integer(max)).second)
        fail(ErrorId::kSchema, "{}: found {} a second time", text_.where(), dim);
    }
  }

  /// A number, or the name of a constant.
  std::int64_t integer(std::int64_t max) {
    const std::string where = text_.where();
    const std::string word = text_.take("a number");
    std::int64_t value = 0;
    if (const auto constant = constants_.find(word); constant != constants_.end()) {
      value = constant->second;
    } else {
      const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
      if (error != std::errc() || end != word.data() + word.size()) value = 0;
    }
    if (value < 1 || value > max)
      fail(ErrorId::kValue, "{}: found '{}', expected a constant or an integer in 1..{}", where, word, max);
    return value;
  }

  /// Outputs of an axis: given (X', Y'), or those of whole windows in the input.
  static std::int64_t outputs(const MaestroLayer& m, const char* given, const char* input, const char* filter,
                              std::int64_t stride) {
    if (m.sizes.count(given) > 0) return m.size(given);
    if (m.size(filter) > m.size(input)) {
      fail(ErrorId::kValue, "{}: {}: {}: found {}, expected at most the {} of {}", m.where, m.name, filter,
           m.size(filter), m.size(input), input);
    }
    return (m.size(input) - m.size(filter)) / stride + 1;
  }

  void add(const MaestroLayer& m) {
    const std::string type = m.type.empty() ? "CONV" : m.type;
    Layer layer;
    layer.name = m.name;
    if (type == "GEMM") {
      allow_only(m, {"M", "N", "K"});
      layer[Dim::P] = m.size("M");
      layer[Dim::K] = m.size("N");
      layer[Dim::C] = m.size("K");
      layers_.add(std::move(layer), m.where);
      return;
    }
    if (type != "CONV" && type != "DSCONV" && type != "NGCONV" && type != "TRCONV") {
      fail(ErrorId::kValue, "{}: {}: Type: found {}, expected CONV, DSCONV, NGCONV, TRCONV or GEMM", m.where,
           m.name, type);
    }
    allow_only(m, {"N", "G", "K", "C", "R", "S", "Y", "X", "Y'", "X'"});
    for (const auto& [dim, ignored] : m.strides) {
      if (dim != "X" && dim != "Y")
        fail(ErrorId::kValue, "{}: {}: Stride: found {}, expected X and Y", m.where, m.name, dim);
    }
    layer.wstride = m.strides.count("X") > 0 ? m.strides.at("X") : 1;
    layer.hstride = m.strides.count("Y") > 0 ? m.strides.at("Y") : 1;
    // Its R is the filter's height and slides over Y; ours is the width.
    layer[Dim::R] = m.size("S");
    layer[Dim::S] = m.size("R");
    layer[Dim::P] = outputs(m, "X'", "X", "S", layer.wstride);
    layer[Dim::Q] = outputs(m, "Y'", "Y", "R", layer.hstride);
    layer[Dim::N] = m.size_or("N", 1);
    if (type == "DSCONV") {
      if (m.size_or("K", 1) != 1 && m.size("K") != m.size("C")) {
        fail(ErrorId::kValue, "{}: {}: K: found {}, expected 1 in a depthwise convolution", m.where, m.name,
             m.size("K"));
      }
      layer.groups = m.size("C");
    } else {
      layer[Dim::K] = m.size("K");
      layer[Dim::C] = m.size("C");
      layer.groups = m.size_or("G", 1);
    }
    if (type == "NGCONV")
      remarks_.push_back(
          fmt::format("{}: {}: K and C are taken as those of one of the {} groups, as MAESTRO counts them",
                      m.where, m.name, layer.groups));
    if (type == "TRCONV")
      remarks_.push_back(
          fmt::format("{}: {}: the transposed convolution is taken as the convolution that is written, "
                      "as MAESTRO counts it",
                      m.where, m.name));
    layers_.add(std::move(layer), m.where);
  }

  static void allow_only(const MaestroLayer& m, const std::vector<std::string>& dims) {
    for (const auto& [dim, ignored] : m.sizes) {
      if (std::find(dims.begin(), dims.end(), dim) == dims.end()) {
        fail(ErrorId::kSchema, "{}: {}: Dimensions: found {}, expected {}", m.where, m.name, dim,
             fmt::join(dims, " "));
      }
    }
  }

  MaestroText text_;
  LayerList& layers_;
  std::vector<std::string>& remarks_;
  std::map<std::string, std::int64_t> constants_;
};

class MaestroImporter : public Importer {
 public:
  const char* name() const override { return "maestro"; }
  const char* kind() const override { return "a MAESTRO network"; }
  const char* description() const override {
    return "MAESTRO or GAMMA network, Network NAME { Layer NAME { Type: ... Dimensions { ... } } }";
  }

  bool knows(const ImportSource& source) const override {
    const MaestroText text({source.path, source.content.substr(0, kStart)});
    return text.has("Network", "{") && text.has("Layer", "{");
  }

  Imported read(const std::vector<ImportSource>& sources, const ImportOptions& options) const override {
    Imported imported;
    LayerList list;
    std::string network;
    for (const ImportSource& source : sources) {
      const std::string own = MaestroReader(source, list, imported.remarks).read();
      if (network.empty()) network = own;
    }
    if (list.empty())
      fail(ErrorId::kValue, "{}: found no layer, expected at least one", sources.front().path);
    if (network.empty()) network = stem_of_path(sources.front().path);
    imported.workload = workload_of(list, options.name.empty() ? network : options.name,
                                    "Imported from MAESTRO, whose inputs are stored with their padding.");
    return imported;
  }
};

}  // namespace

const Importer& maestro_importer() {
  static const MaestroImporter importer;
  return importer;
}

}  // namespace dosa
