#pragma once

#include "troupe/entry.hpp"

#include <functional>
#include <span>
#include <string_view>
#include <vector>

namespace troupe {

/// Says the steps of one call of the log to node_config::at_step, each kind of entry once. Costs nothing
/// while nobody listens.
class commit_steps {
public:
  commit_steps(const std::function<void(std::string_view)>& at_step, std::span<const proposal> proposals);

  void before() const { say("before"); }
  void stored() const { say("stored"); }
  void told() const { say("told"); }

private:
  void say(std::string_view step) const;

  const std::function<void(std::string_view)>& at_step_;
  std::vector<std::string_view> kinds_;
};

} // namespace troupe
