#pragma once

#include "troupe/batch.hpp"
#include "troupe/entry.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace troupe {

/// The entry without its repeats: it stays as it is while there are none.
class entry_thinner {
public:
  explicit entry_thinner(const append_entry& e) : whole_(e) {}

  /// A batch that is not accepted.
  void add(const batch& b, std::uint32_t ordinal) {
    if (thinned_)
      push(b, ordinal);
    ++done_;
  }
  /// One that is: what is left of it, by the ordinals of the first messages.
  std::vector<batch_part> add(const batch& b, std::uint32_t ordinal,
                              const std::vector<repeated_message>& repeats) {
    if (repeats.empty()) {
      add(b, ordinal);
      return {{ordinal, b}};
    }
    begin();
    std::vector<std::uint32_t> positions;
    for (const auto& r : repeats)
      positions.push_back(r.position);
    auto parts = without(b, positions);
    for (auto& part : parts) {
      part.first += ordinal;
      push(part.messages, part.first);
    }
    ++done_;
    return parts;
  }
  std::optional<entry_body> take() {
    return thinned_ ? std::optional<entry_body>(std::move(*thinned_)) : std::nullopt;
  }

private:
  void begin() {
    if (thinned_)
      return;
    thinned_.emplace(append_entry{whole_.queue, {}, whole_.window});
    std::uint32_t ordinal = 0;
    for (std::size_t i = 0; i < done_; ++i) {
      push(whole_.batches[i], ordinal);
      ordinal += whole_.batches[i].header.count;
    }
  }
  void push(const batch& b, std::uint32_t ordinal) {
    thinned_->batches.push_back(b);
    thinned_->ordinals.push_back(ordinal);
  }

  const append_entry& whole_;
  std::size_t done_ = 0;
  std::optional<append_entry> thinned_;
};

} // namespace troupe
