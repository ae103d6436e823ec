#pragma once

#include "client_impl.hpp"
#include "producer_actor.hpp"

#include "troupe/producer.hpp"

#include <atomic>
#include <memory>

namespace troupe {

/// What a producer owns; transactions send their half messages through one of their own per topic.
struct producer::impl {
  client owner;
  producer_options options;
  std::shared_ptr<outbox> messages;
  caf::actor actor;
  std::atomic<bool> closed{false};

  impl(const client& c, producer_options o) : owner(c), options(std::move(o)) {}
  ~impl() { close(); }

  /// Started; options must be as producer::open() checks them.
  static result<std::unique_ptr<impl>> open(const client& c, producer_options options);
  error close();
  /// `half`: it is a half message.
  error put(message& m, completion&& done, bool may_block, const half_of* half = nullptr);
};

/// What is wrong with them.
error check(const producer_options& o);

} // namespace troupe
