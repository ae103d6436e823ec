#pragma once

#include "publish_fixture.hpp"

#include "troupe/delivery_frame.hpp"

#include <string>
#include <vector>

namespace troupe::test {

/// What a CONSUMER hears.
using consumer_probe = probe<delivery, settled, dismissed>;

/// A delivered message, as a test compares it.
struct got {
  std::uint32_t number = 0;
  std::uint8_t priority = 0;
  std::uint64_t offset = 0;
  std::uint16_t attempts = 0;
  std::string body;
  bool operator==(const got&) const = default;
};
std::string to_string(const std::vector<got>& all);

/// A GROUP on a topic with real QUEUEs, STORE and shard.
class group_fixture : public publish_fixture {
protected:
  ~group_fixture() override;

  /// A topic with ids from 1 on, and a group that follows it.
  void start(std::uint32_t queues, const std::string& filter = "*", start_position from = {});
  /// The GROUP (and with it its SUBSCRIPTIONs) ends as if its node had died, and comes up again from the
  /// store.
  void restart_group();
  group_changed definitions() const;
  /// The CATALOG tells the GROUP of its definition.
  void redefine();

  /// Publishes one batch to queue number `number`; an entry "tag:body" gives the message a tag.
  void publish_to(std::uint32_t number, const std::vector<std::string>& texts);
  void publish_messages(std::uint32_t number, const std::vector<message>& messages,
                        std::uint8_t priority = 0);
  /// To a lane of a topic with priorities_.
  void publish_as(std::uint8_t priority, std::uint32_t number, const std::vector<std::string>& bodies);
  /// 0 when the join was refused.
  std::uint64_t join_as(const consumer_probe& who, const std::string& name = {});
  void credit(consumer_probe& who, std::uint64_t member, std::uint32_t messages,
              std::uint32_t bytes = 64u << 20);
  /// Everything delivered to `who` since the last call. Its deliveries are kept in `last`.
  std::string received(consumer_probe& who);
  /// Settles [first, first + count) of a delivery.
  void settle(consumer_probe& who, std::uint64_t member, const delivery& d, std::uint64_t first,
              std::uint32_t count, settle_action action = settle_action::ack, std::uint32_t delay_ms = 0,
              bool give_back = false);
  /// Acknowledges every message of a delivery, whatever its gaps.
  void ack_all(consumer_probe& who, std::uint64_t member, const delivery& d);
  /// Long enough for settles to be committed: those under way, and those that waited for these.
  void commit() {
    for (int i = 0; i < 3; ++i)
      advance(milliseconds{20});
  }
  group_status status();
  /// What the store knows of queue number `number`.
  subscription_state progress_of(std::uint32_t number, std::uint8_t priority = 0) const;

  /// Of the topic.
  std::uint8_t priorities_ = 1;
  topic_definition topic_definition_;
  group_definition group_definition_;
  retry_schedule retry_ = retry_schedule::fixed(std::chrono::seconds{1});
  topic_actor topic_;
  group_actor aut;
  producer_probe producer_ = world_.make_probe<published, route>();
  std::vector<std::uint64_t> sequences_;
  std::vector<delivery> last;
};

} // namespace troupe::test
