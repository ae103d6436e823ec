#pragma once

#include "troupe/subscription.hpp"

#include <functional>
#include <utility>

namespace troupe {

/// A batch as a test wants a subscription to see it. What is left out: all are wanted, none has a key,
/// none expires.
class judged_view final : public batch_view {
public:
  using passes = std::function<bool(std::uint32_t position, std::uint16_t attempts)>;
  using keys = std::function<std::uint32_t(std::uint32_t position)>;

  using expiry = std::function<bool(std::uint32_t position)>;

  judged_view(passes pass, keys key = {}, expiry expired = {})
      : pass_(std::move(pass)), key_(std::move(key)), expired_(std::move(expired)) {}
  message_fate judge(std::uint32_t position, std::uint16_t attempts) override {
    if (pass_ && !pass_(position, attempts))
      return message_fate::skip;
    return expired_ && expired_(position) ? message_fate::expire : message_fate::deliver;
  }
  std::uint32_t order_key(std::uint32_t position) override { return key_ ? key_(position) : 0; }
  /// Null when there is nothing to say.
  batch_view* view() { return pass_ || key_ || expired_ ? this : nullptr; }

private:
  passes pass_;
  keys key_;
  expiry expired_;
};

} // namespace troupe
