// Machines that are any chain of memories (schema 2): all that is particular to one stands in its file.
#pragma once

#include "dosa/core/targets/target.hpp"
#include "dosa/models/chain/chain.hpp"

namespace dosa {

/// A mapping on a chain as a schedule: key "mapping".
class ChainSchedule : public Schedule {
 public:
  ChainSchedule(Mapping mapping, const Chain& chain)
      : mapping_(std::move(mapping)), text_(print_mapping(mapping_, chain)) {}

  const Mapping& mapping() const { return mapping_; }
  const char* key() const override { return "mapping"; }
  Json json() const override { return text_; }
  std::string text() const override { return text_; }

 private:
  Mapping mapping_;
  std::string text_;
};

/// The target of a chain. Throws Error{kUsage} for options of targets with surrogates.
TargetPtr make_chain_target(const MachinePtr& machine, const TargetOptions& options);

}  // namespace dosa
