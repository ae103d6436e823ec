#pragma once

#include "inbox.hpp"

namespace troupe {

/// What becomes of one message.
settle_item settle_of(const leased_message& m, const outcome& said = {});
/// Back to the group: no failure.
settle_item give_back_of(const leased_message& m);

/// What became of messages, to be told together. In an ordered group what fails or is given back stops its
/// key: what lies behind it in its delivery is not to be begun any more.
class outcomes {
public:
  /// False when it lies behind one that stopped: the broker has it back already, and nothing is told of it.
  bool add(const leased_message& m, const outcome& said = {});
  bool give_back(const leased_message& m);
  /// Nothing said: the program does not want it, and it is acknowledged unseen.
  bool add_or_skip(const leased_message& m, const std::optional<outcome>& said);
  /// Sends what there is.
  void tell(inbox& to);

private:
  bool add(const leased_message& m, const settle_item& item);

  settle_runs runs_;
  std::uint64_t skipped_ = 0;
  /// Something waits for it: the next of a key, or the retry.
  bool key_waits_ = false;
};

} // namespace troupe
