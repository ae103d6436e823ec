#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <optional>
#include <utility>

namespace troupe {

/// Values over half-open ranges of numbers. Ranges are disjoint and sorted; neighbours with equal values are
/// one range, so a million consecutive offsets of one state cost one node. Every operation is O(log n) plus
/// the ranges it touches. Not thread-safe.
template <class T> class range_map {
public:
  struct span {
    std::uint64_t next = 0;
    T value{};
  };
  using map_type = std::map<std::uint64_t, span>;
  using const_iterator = typename map_type::const_iterator;

  bool empty() const { return spans_.empty(); }
  /// Ranges, not numbers.
  std::size_t size() const { return spans_.size(); }
  const_iterator begin() const { return spans_.begin(); }
  const_iterator end() const { return spans_.end(); }
  void clear() { spans_.clear(); }

  /// The range that holds `at`, or end().
  const_iterator find(std::uint64_t at) const {
    auto it = begin_at(at);
    return it != spans_.end() && it->first <= at ? it : spans_.end();
  }

  /// The first range that ends after `at`, or end().
  const_iterator begin_at(std::uint64_t at) const {
    auto it = spans_.upper_bound(at);
    if (it != spans_.begin() && std::prev(it)->second.next > at)
      --it;
    return it;
  }

  /// Everything in [first, next) has this value from now on.
  void assign(std::uint64_t first, std::uint64_t next, const T& value) {
    if (first >= next)
      return;
    auto hint = cut(first, next);
    if (hint != spans_.begin()) {
      auto before = std::prev(hint);
      if (before->second.next == first && before->second.value == value) {
        first = before->first;
        hint = spans_.erase(before);
      }
    }
    if (hint != spans_.end() && hint->first == next && hint->second.value == value) {
      next = hint->second.next;
      hint = spans_.erase(hint);
    }
    spans_.emplace_hint(hint, first, span{next, value});
  }

  /// Nothing in [first, next) has a value from now on.
  void erase(std::uint64_t first, std::uint64_t next) {
    if (first < next)
      cut(first, next);
  }

  /// Calls f(first, next, value) for every part of a range within [first, next), in order. f must not change
  /// this map.
  template <class F> void visit(std::uint64_t first, std::uint64_t next, F&& f) const {
    for (auto it = begin_at(first); it != spans_.end() && it->first < next; ++it)
      f(std::max(first, it->first), std::min(next, it->second.next), it->second.value);
  }

  /// Calls f(first, next) for every part of [first, next) that has no value, in order. f must not change this
  /// map.
  template <class F> void visit_gaps(std::uint64_t first, std::uint64_t next, F&& f) const {
    auto at = first;
    for (auto it = begin_at(first); it != spans_.end() && it->first < next; ++it) {
      if (at < it->first)
        f(at, it->first);
      at = it->second.next;
    }
    if (at < next)
      f(at, next);
  }

private:
  /// Empties [first, next); gives the first range at or after `next`.
  typename map_type::iterator cut(std::uint64_t first, std::uint64_t next) {
    auto it = spans_.upper_bound(first);
    if (it != spans_.begin() && std::prev(it)->second.next > first)
      --it;
    while (it != spans_.end() && it->first < next) {
      const auto low = it->first;
      if (it->second.next > next) {
        // The tail survives under its new start.
        auto node = spans_.extract(it++);
        if (low < first)
          spans_.emplace_hint(it, low, span{first, node.mapped().value});
        node.key() = next;
        return spans_.insert(it, std::move(node));
      }
      if (low < first) {
        it->second.next = first;
        ++it;
      } else {
        it = spans_.erase(it);
      }
    }
    return it;
  }

  map_type spans_;
};

/// A set of offsets as sorted, disjoint ranges.
class offset_set {
public:
  bool empty() const { return ranges_.empty(); }
  /// Ranges, not offsets.
  std::size_t ranges() const { return ranges_.size(); }
  void add(std::uint64_t first, std::uint64_t next) { ranges_.assign(first, next, {}); }
  void remove(std::uint64_t first, std::uint64_t next) { ranges_.erase(first, next); }
  bool contains(std::uint64_t at) const { return ranges_.find(at) != ranges_.end(); }
  /// Where the range of `at` ends; empty when it is not in the set.
  std::optional<std::uint64_t> end_of(std::uint64_t at) const {
    const auto it = ranges_.find(at);
    return it == ranges_.end() ? std::nullopt : std::optional{it->second.next};
  }
  /// Every offset from `floor` up to the answer is in the set; those below are forgotten. The way a floor
  /// moves.
  std::uint64_t merge_floor(std::uint64_t floor) {
    auto it = ranges_.find(floor);
    const auto moved = it == ranges_.end() ? floor : it->second.next;
    ranges_.erase(0, moved);
    return moved;
  }
  template <class F> void visit(std::uint64_t first, std::uint64_t next, F&& f) const {
    ranges_.visit(first, next, [&](std::uint64_t a, std::uint64_t b, const present&) { f(a, b); });
  }
  template <class F> void visit_gaps(std::uint64_t first, std::uint64_t next, F&& f) const {
    ranges_.visit_gaps(first, next, std::forward<F>(f));
  }

private:
  struct present {
    bool operator==(const present&) const = default;
  };
  range_map<present> ranges_;
};

} // namespace troupe
