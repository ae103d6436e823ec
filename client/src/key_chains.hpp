#pragma once

#include "troupe/definitions.hpp"
#include "troupe/delivery_frame.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

namespace troupe {

/// Which messages of one delivery of an ordered group come one after the other: a chain for each key, or one
/// for all of a group that is in order by queue. When one fails, the broker takes back what lies behind it in
/// its chain, so that must not be begun any more. Positions are those of the delivery. Thread-safe once made.
class key_chains {
public:
  /// Null when each message is a chain of its own, as always while one message of a key is out at a time.
  static std::unique_ptr<key_chains> of(const frame_reader& messages, group_order by);

  /// The positions, chain by chain: chains in the order of their first messages, and each in its own.
  std::uint32_t in_turn(std::uint32_t i) const { return turns_[i]; }
  /// Where, in that order, the chain of what is before `i` ends: the least cut at or behind `i` that divides
  /// no chain.
  std::uint32_t cut(std::uint32_t i) const { return ends_[chain_[turns_[i - 1]]]; }
  bool together(std::uint32_t a, std::uint32_t b) const { return chain_[a] == chain_[b]; }
  /// Nothing of its chain is behind it.
  bool is_last(std::uint32_t position) const { return turns_[ends_[chain_[position]] - 1] == position; }

  void failed(std::uint32_t position);
  bool behind_failure(std::uint32_t position) const { return position > failed_[chain_[position]]; }

private:
  explicit key_chains(std::uint32_t messages) : chain_(messages) { turns_.reserve(messages); }
  void end_chain() { ends_.push_back(static_cast<std::uint32_t>(turns_.size())); }
  void add(std::uint32_t position);

  std::vector<std::uint32_t> chain_; // of each position
  std::vector<std::uint32_t> turns_;
  std::vector<std::uint32_t> ends_; // of each chain, in turns_
  /// The first position of each chain that failed.
  std::vector<std::atomic<std::uint32_t>> failed_;
};

} // namespace troupe
