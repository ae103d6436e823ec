#pragma once

#include "client_impl.hpp"
#include "consumer_actor.hpp"
#include "inbox.hpp"

#include "troupe/consumer.hpp"

#include <memory>

namespace troupe {

/// A CONSUMER and its INBOX, as both interfaces of consuming use them.
class membership {
public:
  /// Joins; the first join's outcome is the answer.
  static result<std::unique_ptr<membership>> begin(const client& c, consumer_options options, bool push);
  /// Ends without leaving politely, if leave() was not called: the node gives the leases back.
  ~membership();

  const std::shared_ptr<inbox>& messages() const { return messages_; }
  /// Flushes settles, gives back what is unsettled, leaves. At most `limit`, and a little.
  error leave(milliseconds limit);
  void renew(const held_lease& lease);

private:
  explicit membership(const client& c) : owner_(c) {}

  client owner_;
  std::shared_ptr<inbox> messages_;
  caf::actor actor_;
  bool left_ = false;
};

} // namespace troupe
