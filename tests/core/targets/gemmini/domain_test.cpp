#include "dosa/core/targets/gemmini/domain.hpp"

#include <gtest/gtest.h>

#include "dosa/core/targets/gemmini/surrogate.hpp"
#include "dosa/core/targets/gemmini/training.hpp"
#include "dosa/models/base/files.hpp"
#include "tests/core/targets/gemmini/promises.hpp"
#include "tests/support.hpp"

namespace dosa {
namespace {

using testing::expect_error;
using testing::measured_layers;

LayerRun convolution(std::int64_t kernel, std::int64_t stride, std::int64_t channels, std::int64_t width) {
  Layer layer;
  layer.name = "layer";
  layer[Dim::R] = layer[Dim::S] = kernel;
  layer[Dim::P] = layer[Dim::Q] = width;
  layer[Dim::C] = layer[Dim::K] = channels;
  layer.wstride = layer.hstride = stride;
  return LayerRun::of(layer, gemmini::Call::kConv);
}

MeasuredDomain example() {
  MeasuredDomain domain;
  domain.add(convolution(1, 1, 64, 14), 16);
  domain.add(convolution(7, 2, 3, 56), 16);
  return domain;
}

TEST(MeasuredDomain, SaysWhatIsUnlikeAndWhatIsLarger) {
  const MeasuredDomain domain = example();
  EXPECT_FALSE(domain.outside(convolution(3, 1, 16, 28), 16).any());  // between what was measured
  const OutsideMeasured first = domain.outside(convolution(11, 4, 3, 55), 16);
  EXPECT_EQ(first.unlike,
            (std::vector<std::string>{"kernel 11 (measured: 1 to 7)", "stride 4 (measured: 1 to 2)"}));
  EXPECT_TRUE(first.larger.empty());
  const OutsideMeasured narrow = domain.outside(convolution(3, 1, 1, 14), 16);
  EXPECT_EQ(narrow.unlike, (std::vector<std::string>{"input_channels 1 (measured: 3 to 64)",
                                                     "output_channels 1 (measured: 3 to 64)"}));
  const OutsideMeasured wide = domain.outside(convolution(3, 1, 64, 112), 16);
  EXPECT_TRUE(wide.unlike.empty());
  EXPECT_EQ(domain.outside(convolution(3, 1, 16, 28), 64).unlike,
            (std::vector<std::string>{"pe_dim 64 (measured: 16 to 16)"}));
  EXPECT_EQ(wide.larger,
            (std::vector<std::string>{"width 112 (measured: 14 to 56)", "height 112 (measured: 14 to 56)"}));
}

TEST(MeasuredDomain, RefusesACallThatNoMeasurementMade) {
  LayerRun product = convolution(1, 1, 64, 14);
  product.matmul = true;
  expect_error([&] { example().outside(product, 16); }, ErrorId::kValue, {"layer layer", "matrix product"});
}

TEST(MeasuredDomain, IsReadAsItIsWritten) {
  const Json json = example().json();
  EXPECT_EQ(MeasuredDomain::from_json(JsonInput::from_text(json.dump(), "x")).json(), json);
  Json reversed = json;
  reversed["convolution"]["kernel"] = {7, 1};
  expect_error([&] { MeasuredDomain::from_json(JsonInput::from_text(reversed.dump(), "x")); },
               ErrorId::kValue, {"kernel[1]"});
  Json short_of_one = json;
  short_of_one["convolution"]["stride"] = {1};
  expect_error([&] { MeasuredDomain::from_json(JsonInput::from_text(short_of_one.dump(), "x")); },
               ErrorId::kSchema, {"stride", "found 1 numbers"});
}

TEST(MeasuredDomain, OfTheShippedSurrogateHoldsAllItsRows) {
  const auto shipped = data_folder() / "surrogate" / "gemmini-rtl.safetensors";
  const MeasuredDomain domain = Surrogate::load(shipped).target.domain;
  const Measurements rows = testing::shipped_training_rows();
  const std::vector<LayerRun> layers = measured_layers(rows);
  EXPECT_GE(layers.size(), 400u);
  for (const LayerRun& layer : layers) EXPECT_FALSE(domain.outside(layer, 16).any());
  EXPECT_EQ(MeasuredRuns::of(rows).target.domain.json(), domain.json());
}

}  // namespace
}  // namespace dosa
