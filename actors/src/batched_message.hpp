#pragma once

#include "troupe/batch.hpp"
#include "troupe/filter.hpp"

namespace troupe {

/// A message in a batch, as a filter sees it. The batch outlives it.
class batched_message final : public filter_subject {
public:
  explicit batched_message(const batch_reader& batch) : batch_(batch) {}
  /// `attempts`: failures recorded for it.
  void move_to(std::uint32_t position, std::uint16_t attempts) {
    position_ = position;
    attempts_ = attempts;
  }

  std::uint32_t tag_hash() const override { return batch_.meta(position_).tag_hash; }
  std::string_view tag() const override { return batch_.tag(position_); }
  std::optional<std::string_view> property(std::string_view name) const override {
    return batch_.property(position_, name);
  }
  std::optional<std::string_view> next_key(std::uint32_t& cursor) const override {
    return batch_.next_key(position_, cursor);
  }
  std::uint8_t priority() const override { return batch_.meta(position_).priority; }
  timestamp born() const override { return batch_.meta(position_).born; }
  std::uint32_t attempt() const override { return attempts_ + 1u; }

private:
  const batch_reader& batch_;
  std::uint32_t position_ = 0;
  std::uint16_t attempts_ = 0;
};

} // namespace troupe
