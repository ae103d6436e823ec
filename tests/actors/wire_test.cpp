#include "troupe/wire_admin.hpp"
#include "troupe/wire_dead.hpp"

#include <caf/actor_system.hpp>
#include <caf/binary_deserializer.hpp>
#include <caf/binary_serializer.hpp>
#include <caf/exit_reason.hpp>
#include <caf/message.hpp>
#include <caf/sec.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <vector>

namespace troupe {
namespace {

class wire : public testing::Test {
protected:
  struct config : caf::actor_system_config {
    config() { add_wire_types(*this); }
  };
  config cfg_;
  caf::actor_system sys_{cfg_};

  template <class T> std::vector<char> bytes_of(const T& x) {
    std::vector<char> bytes;
    caf::binary_serializer sink{sys_, bytes};
    EXPECT_FALSE(sink(x));
    return bytes;
  }
  /// As a message between nodes: types by name.
  template <class T> T through_the_wire(const T& x) {
    const auto bytes = bytes_of(caf::make_message(x));
    caf::binary_deserializer source{sys_, bytes};
    caf::message m;
    const auto err = m.load(source);
    EXPECT_FALSE(err) << sys_.render(err);
    if (!m.match_elements<T>()) {
      ADD_FAILURE() << "arrived as " << caf::to_string(m);
      return {};
    }
    return m.get_as<T>(0);
  }
};

block block_of(std::string_view text) { return block::copy_of({text.data(), text.size()}); }

TEST_F(wire, carries_a_batch_with_every_field_of_its_header) {
  publish p;
  p.queue = queue_id{7};
  p.wanted = durability::buffered;
  p.header = {.producer = producer_id{0xfedcba9876543210},
              .epoch = producer_epoch{3},
              .sequence = batch_sequence{4},
              .count = 5,
              .size = 8,
              .crc = 6,
              .lane = 1,
              .kind = batch_kind::delayed};
  p.data = block_of("12345678");
  const auto q = through_the_wire(p);
  EXPECT_EQ(q.queue, p.queue);
  EXPECT_EQ(q.wanted, p.wanted);
  EXPECT_EQ(q.header, p.header);
  EXPECT_EQ(q.data.view(), "12345678");
}

TEST_F(wire, carries_empty_and_the_largest_blocks_and_aligns_them) {
  EXPECT_TRUE(through_the_wire(delivery{}).frame.empty());
  std::vector<char> large(max_block, 'x');
  delivery d;
  d.frame = block::copy_of(large);
  const auto e = through_the_wire(d);
  ASSERT_EQ(e.frame.size, max_block);
  EXPECT_EQ(std::memcmp(e.frame.data.get(), large.data(), large.size()), 0);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(e.frame.data.get()) % 8, 0u);
}

TEST_F(wire, refuses_a_block_above_the_cap_before_it_allocates) {
  std::vector<char> bytes;
  caf::binary_serializer sink{sys_, bytes};
  std::size_t n = std::size_t{max_block} + 1;
  ASSERT_FALSE(sink.begin_sequence(n));
  bytes.resize(bytes.size() + max_block + 8);
  caf::binary_deserializer source{sys_, bytes};
  block b;
  EXPECT_TRUE(source(b));
  EXPECT_TRUE(b.empty());
}

TEST_F(wire, refuses_a_block_longer_than_what_arrived) {
  auto bytes = bytes_of(block_of("0123456789"));
  bytes.resize(bytes.size() - 1);
  caf::binary_deserializer source{sys_, bytes};
  block b;
  EXPECT_TRUE(source(b));
  EXPECT_TRUE(b.empty());
}

TEST_F(wire, of_every_truncated_message_gives_an_error_and_never_a_crash) {
  topic_status t;
  t.name = "orders";
  t.queues.resize(3);
  const auto bytes = bytes_of(caf::make_message(t));
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    std::vector<char> cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n));
    caf::binary_deserializer source{sys_, cut};
    caf::message m;
    EXPECT_TRUE(m.load(source)) << n << " of " << bytes.size();
  }
}

TEST_F(wire, carries_options_statuses_and_results) {
  topic_status t;
  t.name = "orders";
  t.options = {.queues = 3, .retention = milliseconds{123}, .retention_bytes = 1u << 30, .max_message = 99};
  t.queues = {
      {.number = 2, .id = queue_id{9}, .first = queue_offset{1}, .next = queue_offset{5}, .bytes = 77}};
  const auto u = through_the_wire(t);
  EXPECT_EQ(u.options, t.options);
  ASSERT_EQ(u.queues.size(), 1u);
  EXPECT_EQ(u.queues[0].id, queue_id{9});
  EXPECT_EQ(u.queues[0].bytes, 77u);

  published p;
  p.results.push_back({.queue = queue_id{1},
                       .epoch = producer_epoch{2},
                       .sequence = batch_sequence{3},
                       .code = errc::gap,
                       .duplicate = true,
                       .placed = true,
                       .shard = shard_id{4},
                       .base = queue_offset{5},
                       .index = log_index{6},
                       .first_ordinal = 7,
                       .expected = batch_sequence{8},
                       .retry_after = 9,
                       .reason = "why"});
  const auto q = through_the_wire(p);
  ASSERT_EQ(q.results.size(), 1u);
  const auto& r = q.results[0];
  EXPECT_EQ(r.code, errc::gap);
  EXPECT_TRUE(r.duplicate);
  EXPECT_TRUE(r.placed);
  EXPECT_EQ(r.index, log_index{6});
  EXPECT_EQ(r.expected, batch_sequence{8});
  EXPECT_EQ(r.retry_after, 9u);
  EXPECT_EQ(r.reason, "why");
}

TEST_F(wire, carries_the_options_of_a_group) {
  set_group s{"billing",
              {.lease = milliseconds{1234},
               .retry = {.steps = {milliseconds{10}, milliseconds{20}}, .jitter = 7},
               .max_unsettled = 5,
               .max_attempts = 3,
               .on_exhausted = exhausted_action::drop,
               .dead_letter_retention = milliseconds{77},
               .order_by = group_order::queue,
               .order_batch = 8,
               .max_unsettled_bytes = std::uint64_t{1} << 33,
               .low_share = 4,
               .on_expired = expired_action::dead_letter}};
  EXPECT_EQ(through_the_wire(s).options, s.options);
  s.options.retry = {.steps = {}, .initial = milliseconds{1}, .factor = 150, .maximum = milliseconds{9}};
  EXPECT_EQ(through_the_wire(s).options, s.options);
  s.options.retry.steps.assign(retry_schedule::most_steps, milliseconds{10});
  EXPECT_EQ(through_the_wire(s).options, s.options);
}

TEST_F(wire, carries_what_a_member_learned_of_its_group) {
  join j;
  j.topics = {{"orders", "paid"}};
  j.mode = group_mode::broadcast;
  j.version = 7;
  const auto k = through_the_wire(j);
  EXPECT_EQ(k.topics.at(0).filter, "paid");
  EXPECT_EQ(k.mode, group_mode::broadcast);
  EXPECT_EQ(k.version, 7u);
  joined a;
  a.mode = group_mode::ordered;
  a.version = 8;
  a.topics = {{"orders", "*"}};
  const auto b = through_the_wire(a);
  EXPECT_EQ(b.mode, group_mode::ordered);
  EXPECT_EQ(b.version, 8u);
  EXPECT_EQ(b.topics.at(0).topic, "orders");
}

TEST_F(wire, carries_dead_letters_and_what_is_done_with_them) {
  consume c;
  c.settles.push_back({.queue = queue_id{4}, .action = settle_action::dead, .detail = "no such customer"});
  EXPECT_EQ(through_the_wire(c).settles.at(0).detail, "no such customer");
  dead_page p;
  p.letters.push_back({.id = {shard_id{1}, log_index{2}, 3},
                       .topic = "orders",
                       .number = 4,
                       .offset = queue_offset{5},
                       .reason = dead_reason::rejected,
                       .attempts = 6,
                       .died = 7,
                       .detail = "why"});
  p.next = {queue_id{8}, {shard_id{1}, log_index{9}, 10}};
  p.more = true;
  const auto q = through_the_wire(p);
  ASSERT_EQ(q.letters.size(), 1u);
  EXPECT_EQ(q.letters[0].id, p.letters[0].id);
  EXPECT_EQ(q.letters[0].reason, dead_reason::rejected);
  EXPECT_EQ(q.letters[0].detail, "why");
  EXPECT_EQ(q.next.id, p.next.id);
  EXPECT_TRUE(q.more);
  EXPECT_EQ(through_the_wire(dead_settled{{{}, {p.next.id, errc::not_found}}}).results.at(1).code,
            errc::not_found);
}

TEST_F(wire, refuses_more_steps_of_a_retry_policy_than_there_may_be) {
  retry_schedule s;
  s.steps.assign(retry_schedule::most_steps + 1, milliseconds{10});
  const auto bytes = bytes_of(s);
  caf::binary_deserializer source{sys_, bytes};
  retry_schedule read;
  EXPECT_TRUE(source(read));
}

TEST_F(wire, knows_every_type_by_name) {
  through_the_wire(hello{});
  through_the_wire(welcome{});
  through_the_wire(route_request{});
  through_the_wire(route{});
  through_the_wire(topic_filter{});
  through_the_wire(join{});
  through_the_wire(joined{});
  through_the_wire(group_news{});
  through_the_wire(settle_item{});
  through_the_wire(consume{});
  through_the_wire(settled{});
  through_the_wire(renew{});
  through_the_wire(leave{});
  through_the_wire(dismissed{});
  through_the_wire(create_topic{});
  through_the_wire(set_topic{});
  through_the_wire(topic_name{});
  through_the_wire(create_group{});
  through_the_wire(group_name{});
  through_the_wire(retry_schedule{});
  through_the_wire(set_group{});
  through_the_wire(pause_group{});
  through_the_wire(reset_group{});
  through_the_wire(queue_reset{});
  through_the_wire(group_reset{});
  through_the_wire(subscribe_group{});
  through_the_wire(dead_place{});
  through_the_wire(list_dead{});
  through_the_wire(dead_status{});
  through_the_wire(dead_page{});
  through_the_wire(settle_dead{});
  through_the_wire(dead_result{});
  through_the_wire(dead_settled{});
  through_the_wire(subscription_status{});
  through_the_wire(member_status{});
  through_the_wire(group_status{});
  through_the_wire(names{});
  through_the_wire(get_message{});
  through_the_wire(found_message{});
  through_the_wire(shard_status{});
  through_the_wire(node_status{});
}

TEST_F(wire, carries_our_errors_with_reason_hint_and_retry) {
  const error e{errc::no_space, "the disk is full", "free some", milliseconds{1500}};
  EXPECT_EQ(from_caf(to_caf(e)), e);
  EXPECT_EQ(from_caf(through_the_wire(to_caf(e))), e);
  EXPECT_FALSE(to_caf(error{}));
  EXPECT_FALSE(from_caf(caf::error{}));
  EXPECT_EQ(sys_.render(to_caf(e)), to_string(e));
}

TEST_F(wire, maps_errors_of_caf_to_ours) {
  EXPECT_EQ(from_caf(caf::sec::request_timeout).code, errc::timeout);
  EXPECT_EQ(from_caf(caf::sec::request_receiver_down).code, errc::disconnected);
  EXPECT_EQ(from_caf(caf::sec::cannot_connect_to_node).code, errc::disconnected);
  EXPECT_EQ(from_caf(caf::sec::runtime_error).code, errc::internal);
  EXPECT_EQ(from_caf(caf::exit_reason::remote_link_unreachable).code, errc::disconnected);
  EXPECT_EQ(from_caf(caf::exit_reason::user_shutdown).code, errc::shutting_down);
}

TEST_F(wire, survives_an_error_of_ours_with_foreign_content) {
  const caf::error strange{200, caf::atom("troupe"), caf::make_message(42)};
  EXPECT_TRUE(from_caf(strange));
  EXPECT_FALSE(sys_.render(strange).empty());
  const caf::error negative{5, caf::atom("troupe"),
                            caf::make_message(std::string{"a"}, std::string{"b"}, std::int64_t{-7})};
  EXPECT_EQ(from_caf(negative).retry_after, milliseconds{0});
}

} // namespace
} // namespace troupe
