#pragma once

#include "troupe/client.hpp"
#include "troupe/consumer.hpp"
#include "troupe/error.hpp"
#include "troupe/message.hpp"
#include "troupe/producer.hpp"

#include <functional>
#include <memory>

namespace troupe {

/// Asks over a topic and waits for the answer, as RocketMQ's request() does. The request is a message like
/// any other: stored, delivered at least once to each group of the topic, whose handler answers with reply().
/// The reply is not stored: it comes to the process that asked, through the node, or is lost with it. So an
/// answer says that the request was handled; no answer says nothing. Of several replies the first one counts.
/// Owns its producer; thread-safe.
class requester {
public:
  /// The reply, or: timeout (nothing is known of what became of the request), overloaded (10,000 requests
  /// wait), what producer::send gives, invalid_argument (a timeout outside 1 ms to 24 h, a property that
  /// request() sets itself: REPLY_TO_CLIENT, CORRELATION_ID), corrupt (a damaged reply), shutting_down.
  using callback = std::function<void(const result<message>&)>;
  static constexpr std::size_t most_waiting = 10'000;

  /// As producer::open(); also waits until the node knows where replies go.
  static result<requester> open(const client& c, producer_options options);
  requester(requester&&) noexcept;
  requester& operator=(requester&&) noexcept;
  /// As close().
  ~requester();

  /// Blocks until the reply is here, at most `timeout`. A message without a time to live gets the timeout as
  /// one: nobody waits for the answer after that.
  result<message> request(message m, milliseconds timeout);
  /// The callback runs on a thread of the client, must not block and must not throw.
  void request_async(message m, milliseconds timeout, callback done);

  /// What still waits fails with shutting_down. Idempotent.
  error close();

private:
  struct impl;
  explicit requester(std::unique_ptr<impl> i);
  std::unique_ptr<impl> impl_;
};

/// Answers a request, from its consumer's handler or any other thread that may block for the client's
/// timeout. Returns when the node has passed it on. invalid_argument (it asks for no reply, or the answer
/// breaks a limit of messages), not_found (who asked is not connected), overloaded (who asked does not read),
/// disconnected, timeout, shutting_down.
error reply(const client& c, const leased_message& request, message answer);

} // namespace troupe
