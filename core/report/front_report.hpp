// The page of a front: designs of which no other one is better in latency, energy and area at once.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dosa/core/design/design.hpp"
#include "dosa/core/report/page.hpp"

namespace dosa::html {

/// A design of the front and the name of its file.
struct FrontDesign {
  std::string file;
  Design design;
};

struct Front {
  std::string workload, target;
  std::vector<FrontDesign> designs;  ///< may be empty, where a search was interrupted
  std::int64_t found = 0;            ///< designs before those furthest apart were kept
  bool interrupted = false;
  std::string command;       ///< that makes it; empty: not known
  std::string command_note;  ///< what is to be said of the command
};

Page front_page(const Front& front);

}  // namespace dosa::html
