#pragma once

#include "troupe/subscription.hpp"

#include <functional>
#include <utility>

namespace troupe {

/// A batch as a test wants a subscription to see it. What is left out: all are wanted, none has a key.
class judged_view final : public batch_view {
public:
  using judge = std::function<bool(std::uint32_t position, std::uint16_t attempts)>;
  using keys = std::function<std::uint32_t(std::uint32_t position)>;

  judged_view(judge pass, keys key = {}) : pass_(std::move(pass)), key_(std::move(key)) {}
  bool wanted(std::uint32_t position, std::uint16_t attempts) override {
    return !pass_ || pass_(position, attempts);
  }
  std::uint32_t order_key(std::uint32_t position) override { return key_ ? key_(position) : 0; }
  /// Null when there is nothing to say.
  batch_view* view() { return pass_ || key_ ? this : nullptr; }

private:
  judge pass_;
  keys key_;
};

} // namespace troupe
