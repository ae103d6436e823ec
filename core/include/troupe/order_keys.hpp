#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

namespace troupe {

/// The keys of an ordered subscription that are out, wait for a retry, or have messages that were passed over
/// because of that. Any other key has nothing below the cursor that is not settled. A key costs about 150
/// bytes, however many messages wait behind it.
class order_keys {
public:
  static constexpr std::uint64_t none = std::numeric_limits<std::uint64_t>::max();

  struct state {
    /// Its messages that are neither settled nor out lie in [first_held, last_held]; none: there are none.
    /// Both may have been settled since.
    std::uint64_t first_held = none;
    std::uint64_t last_held = 0;
    /// The message that failed, and until when the key waits because of it; 0: it does not.
    std::uint64_t stopper = none;
    std::int64_t due = 0;
    /// Messages that are out, all by this lease.
    std::uint64_t lease = 0;
    std::uint32_t out = 0;
    /// The last pass that left a message of the key where it was: later ones must stay, too.
    std::uint64_t stopped = 0;
    bool held() const { return first_held != none; }
    /// The message at this offset is not out any more, or was passed over.
    void hold(std::uint64_t at);
  };

  /// Null: it has nothing below the cursor.
  const state* find(std::uint64_t key) const;
  /// Calls f(state&); the key is forgotten when nothing of it is out or held then.
  template <class F> void change(std::uint64_t key, F&& f) {
    auto& s = keys_[key];
    unplace(key, s);
    f(s);
    place(key, s);
  }
  /// Those that waited until `now` wait no longer.
  void wake(std::int64_t now);
  /// The key whose first message can go out, by the lowest bound.
  std::optional<std::pair<std::uint64_t, std::uint64_t>> first_ready() const;
  std::optional<std::int64_t> next_due() const;
  std::uint64_t ready() const { return ready_.size(); }
  std::size_t size() const { return keys_.size(); }
  /// [first, next) was looked at in this pass; keys that can go on and were not found there begin behind.
  void passed(std::uint64_t first, std::uint64_t next, std::uint64_t pass);

private:
  void unplace(std::uint64_t key, const state& s);
  void place(std::uint64_t key, state& s);

  std::unordered_map<std::uint64_t, state> keys_;
  /// Keys that are not out: (first_held, key) of those that can go on, (due, key) of those that wait.
  std::set<std::pair<std::uint64_t, std::uint64_t>> ready_;
  std::set<std::pair<std::int64_t, std::uint64_t>> waiting_;
};

} // namespace troupe
