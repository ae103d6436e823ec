#include "shard_harness.hpp"

#include <gmock/gmock.h>

namespace troupe::test {
namespace {

using outcome = batch_verdict::outcome;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::StartsWith;

constexpr milliseconds window{10'000};

/// Messages whose key a queue had before, in both logs.
class repeats : public testing::TestWithParam<log_kind> {
protected:
  shard_harness h{GetParam()};

  batch_verdict publish_keys(std::uint64_t sequence, const std::vector<std::string>& keys,
                             std::int64_t time = 1000, milliseconds within = window) {
    const auto a = h.apply(publish(1, {make_keyed_batch(7, 1, sequence, keys)}, time, within));
    EXPECT_EQ(a.verdicts.size(), 1u);
    return a.verdicts.empty() ? batch_verdict{} : a.verdicts.front();
  }
  std::vector<std::string> messages() {
    std::vector<std::string> all;
    std::uint64_t next = h.store().extent(queue_id{1}).value().first.value;
    for (const auto& b : read_all(h.store(), queue_id{1})) {
      EXPECT_EQ(b.base.value, next);
      next += b.header.count;
      for (auto& body : bodies(b))
        all.push_back(body.substr(0, body.find(' ')));
    }
    EXPECT_EQ(next, h.store().extent(queue_id{1}).value().next.value);
    return all;
  }
  void expect_sound() { EXPECT_THAT(h.store().verify({}), IsEmpty()); }
};

INSTANTIATE_TEST_SUITE_P(logs, repeats, testing::Values(log_kind::local, log_kind::delayed),
                         [](const auto& info) { return to_string(info.param); });

TEST_P(repeats, do_not_become_visible_and_name_the_first_message) {
  EXPECT_THAT(publish_keys(1, {"a", "b"}).repeats, IsEmpty());
  const auto v = publish_keys(2, {"c", "b", "d", "a", "a"}, 5000);
  EXPECT_EQ(v.what, outcome::accepted);
  EXPECT_EQ(v.base, queue_offset{2});
  EXPECT_EQ(v.index, log_index{2});
  EXPECT_THAT(v.repeats, ElementsAre(repeated_message{1, log_index{1}, 1, queue_offset{1}},
                                     repeated_message{3, log_index{1}, 0, queue_offset{0}},
                                     repeated_message{4, log_index{1}, 0, queue_offset{0}}));
  EXPECT_THAT(messages(), ElementsAre("7/1/1/0", "7/1/1/1", "7/1/2/0", "7/1/2/2"));
  const auto found = h.store().find({shard_id{}, log_index{2}, 2}).value();
  EXPECT_EQ(found.base, queue_offset{3});
  EXPECT_EQ(h.store().find({shard_id{}, log_index{2}, 1}).error().code, errc::not_found)
      << "a repeat is not kept";
  expect_sound();
  h.reopen();
  EXPECT_THAT(publish_keys(3, {"d"}).repeats,
              ElementsAre(repeated_message{0, log_index{2}, 2, queue_offset{3}}));
  EXPECT_THAT(messages(), testing::SizeIs(4));
  expect_sound();
}

TEST_P(repeats, are_found_within_one_entry_and_one_batch) {
  const auto a = h.apply(publish(1,
                                 {make_keyed_batch(7, 1, 1, {"a", "a"}), make_keyed_batch(8, 1, 1, {"a"}),
                                  make_keyed_batch(9, 1, 1, {"b"})},
                                 1000, window));
  EXPECT_THAT(a.verdicts[0].repeats, ElementsAre(repeated_message{1, log_index{1}, 0, queue_offset{0}}));
  EXPECT_THAT(a.verdicts[1].repeats, ElementsAre(repeated_message{0, log_index{1}, 0, queue_offset{0}}));
  EXPECT_THAT(a.verdicts[2].repeats, IsEmpty());
  EXPECT_EQ(a.verdicts[2].base, queue_offset{1});
  EXPECT_EQ(a.next, queue_offset{2});
  EXPECT_THAT(messages(), ElementsAre("7/1/1/0", "9/1/1/0"));
  expect_sound();
}

TEST_P(repeats, have_the_same_answer_when_their_batch_comes_again) {
  publish_keys(1, {"a"});
  const auto first = publish_keys(2, {"x", "a", "y"});
  publish_keys(3, {"z"});
  auto again = publish_keys(2, {"x", "a", "y"}, 9000);
  EXPECT_EQ(again.what, outcome::duplicate);
  EXPECT_TRUE(again.known);
  EXPECT_EQ(again.base, first.base);
  EXPECT_EQ(again.repeats, first.repeats);
  again = publish_keys(2, {"x", "a", "y"}, 9000, milliseconds{0}); // the window was taken away since
  EXPECT_EQ(again.repeats, first.repeats);
  h.apply(forget_keys(1, 5000));
  EXPECT_FALSE(publish_keys(2, {"x", "a", "y"}, 9000).known);
  EXPECT_TRUE(publish_keys(3, {"z"}, 9000).known) << "it had none";
}

TEST_P(repeats, are_new_messages_once_the_window_is_over) {
  publish_keys(1, {"a"}, 1000);
  EXPECT_THAT(publish_keys(2, {"a"}, 10'999).repeats, testing::SizeIs(1));
  EXPECT_THAT(publish_keys(3, {"a"}, 11'000).repeats, IsEmpty()) << "the window begins with the first one";
  EXPECT_THAT(publish_keys(4, {"a"}, 20'999).repeats,
              ElementsAre(repeated_message{0, log_index{3}, 0, queue_offset{1}}));
  // The old batch is answered as ever, though its key was taken anew.
  const auto again = publish_keys(2, {"a"}, 21'000);
  EXPECT_THAT(again.repeats, ElementsAre(repeated_message{0, log_index{1}, 0, queue_offset{0}}));
  expect_sound();
}

TEST_P(repeats, are_not_looked_for_without_a_key_or_a_window_or_in_another_queue) {
  publish_keys(1, {"a", "", ""});
  EXPECT_THAT(publish_keys(2, {"", ""}).repeats, IsEmpty());
  EXPECT_THAT(publish_keys(3, {"a"}, 1000, milliseconds{0}).repeats, IsEmpty());
  EXPECT_THAT(h.apply(publish(2, {make_keyed_batch(7, 1, 1, {"a"})}, 1000, window)).verdicts[0].repeats,
              IsEmpty());
  EXPECT_THAT(publish_keys(4, {"a"}).repeats,
              ElementsAre(repeated_message{0, log_index{1}, 0, queue_offset{0}}));
  expect_sound();
}

TEST_P(repeats, of_a_message_that_was_trimmed_are_repeats_all_the_same) {
  publish_keys(1, {"a"});
  publish_keys(2, {"b"});
  h.apply(trim(1, 1));
  EXPECT_THAT(publish_keys(3, {"a"}).repeats,
              ElementsAre(repeated_message{0, log_index{1}, 0, queue_offset{0}}));
  EXPECT_THAT(messages(), ElementsAre("7/1/2/0"));
  EXPECT_EQ(h.store().stats().entries, 1u) << "an entry of repeats alone is not kept";
  expect_sound();
}

TEST_P(repeats, are_forgotten_step_by_step_and_with_their_queue) {
  for (std::uint64_t s = 1; s <= 1100; ++s)
    EXPECT_EQ(h.append({publish(1, {make_keyed_batch(7, 1, s, {"k" + std::to_string(s)}, 0)},
                                static_cast<std::int64_t>(s), window)}),
              error{});
  h.settle_down();
  EXPECT_EQ(h.store().oldest_keys(queue_id{1}).value(), from_unix_ms(1));
  EXPECT_FALSE(h.apply(forget_keys(1, 1090)).done);
  EXPECT_EQ(h.store().oldest_keys(queue_id{1}).value(), from_unix_ms(1025));
  EXPECT_TRUE(h.apply(forget_keys(1, 1090)).done);
  EXPECT_EQ(h.store().oldest_keys(queue_id{1}).value(), from_unix_ms(1090));
  EXPECT_THAT(publish_keys(1101, {"k1089", "k1090"}, 1200).repeats, testing::SizeIs(1));
  expect_sound();
  while (!h.apply(drop(1)).done) {
  }
  EXPECT_EQ(h.store().oldest_keys(queue_id{1}).value(), std::nullopt);
  EXPECT_THAT(publish_keys(1, {"k1095"}, 1200).repeats, IsEmpty());
  expect_sound();
}

TEST_P(repeats, leave_a_batch_that_makes_no_sense_to_its_producer) {
  auto b = make_keyed_batch(7, 1, 1, {"a"});
  auto bytes = std::string(b.data.view());
  bytes.replace(0, 8, 8, '\xff'); // the pointer to the root; the checksum is right
  b.data = block::copy_of(std::span<const char>(bytes.data(), bytes.size()));
  b.header.crc = crc32c(b.data.bytes());
  ASSERT_FALSE(batch_reader::open(b.header, b.data));
  EXPECT_EQ(h.apply(publish(1, {b}, 1000, window)).verdicts.at(0).what, outcome::corrupt);
  EXPECT_EQ(publish_keys(1, {"a"}).what, outcome::accepted);
  expect_sound();
}

TEST_P(repeats, survive_a_commit_that_found_no_room) {
  publish_keys(1, {"a"});
  std::vector<proposal> too_much;
  for (std::uint64_t s = 2; s < 7; ++s)
    too_much.push_back(publish(1, {make_keyed_batch(7, 1, s, {"b"}, 4u << 20)}, 1000, window));
  EXPECT_EQ(h.append(std::move(too_much)).code, errc::too_large);
  EXPECT_THAT(publish_keys(2, {"b", "a"}).repeats,
              ElementsAre(repeated_message{1, log_index{1}, 0, queue_offset{0}}));
}

class delayed_repeats : public repeats {
protected:
  static constexpr std::int64_t due = 60'000;
  std::uint64_t sequence_ = 0;

  batch_verdict delay(const std::vector<std::string>& keys, std::int64_t time = 1000) {
    std::vector<keyed_message> sent;
    for (const auto& key : keys)
      sent.push_back({key, due + static_cast<std::int64_t>(sent.size())});
    return h.apply(publish(1, {make_keyed_delayed(8, 1, ++sequence_, sent)}, time, window)).verdicts.at(0);
  }
  std::uint64_t waiting() { return h.store().extent(queue_id{1}).value().delayed; }
  /// Does all that is due after everything was.
  void fire() {
    for (;;) {
      auto found = h.store().due_timers(from_unix_ms(2 * due), 16384).value();
      if (found.empty())
        return;
      for (auto& fire : found.fires)
        h.apply({from_unix_ms(2 * due), std::move(fire)});
      for (auto& split : found.splits)
        h.apply({from_unix_ms(2 * due), split});
    }
  }
  void cancel(message_place message) {
    const auto place = h.store().find_delayed(message).value().value();
    h.apply({from_unix_ms(1000), cancel_entry{place.queue, place.row.value_or(timer_row_place{}), message}});
  }
};

INSTANTIATE_TEST_SUITE_P(logs, delayed_repeats, testing::Values(log_kind::local, log_kind::delayed),
                         [](const auto& info) { return to_string(info.param); });

TEST_P(delayed_repeats, do_not_wait_and_do_not_fire) {
  publish_keys(1, {"a"});
  const auto v = delay({"b", "a", "c", "b"});
  EXPECT_EQ(v.what, outcome::accepted);
  EXPECT_THAT(v.repeats, ElementsAre(repeated_message{1, log_index{1}, 0, queue_offset{0}},
                                     repeated_message{3, log_index{2}, 0, {}, true}));
  EXPECT_EQ(waiting(), 2u);
  expect_sound();
  h.reopen();
  fire();
  EXPECT_EQ(waiting(), 0u);
  EXPECT_THAT(messages(), ElementsAre("7/1/1/0", "8/1/1/0", "8/1/1/2"));
  EXPECT_EQ(h.store().find({shard_id{}, log_index{2}, 2}).value().base, queue_offset{2});
  EXPECT_EQ(h.store().find({shard_id{}, log_index{2}, 1}).error().code, errc::not_found);
  expect_sound();
}

TEST_P(delayed_repeats, of_a_message_that_waits_or_has_fired_get_its_id_from_its_acceptance_on) {
  delay({"a"}, 1000);
  const repeated_message first{0, log_index{1}, 0, {}, true};
  EXPECT_THAT(publish_keys(1, {"a"}, 10'999).repeats, ElementsAre(first)) << "a plain one, while it waits";
  EXPECT_THAT(delay({"a"}, 10'999).repeats, ElementsAre(first));
  fire();
  EXPECT_THAT(messages(), ElementsAre("8/1/1/0"));
  delay({"b"}, 3 * due);
  fire();
  EXPECT_THAT(delay({"b"}, 3 * due + 5).repeats, testing::SizeIs(1)) << "it has fired";
  EXPECT_THAT(delay({"a"}, 3 * due).repeats, IsEmpty()) << "its window is over";
  EXPECT_EQ(waiting(), 1u);
  expect_sound();
}

TEST_P(delayed_repeats, that_are_a_whole_batch_leave_nothing) {
  delay({"a", "b"});
  const auto entries = h.store().stats().entries;
  const auto v = delay({"b", "a", "b"});
  EXPECT_EQ(v.what, outcome::accepted);
  EXPECT_THAT(v.repeats, testing::SizeIs(3));
  EXPECT_EQ(waiting(), 2u);
  EXPECT_EQ(h.store().stats().entries, entries);
  expect_sound();
  while (!h.apply(forget_keys(1, 2000)).done) {
  }
  fire();
  h.apply(trim(1, 2));
  EXPECT_EQ(h.store().stats().entries, 0u) << "the last message took its entries along";
  EXPECT_EQ(h.store().oldest_keys(queue_id{1}).value(), std::nullopt);
  expect_sound();
}

TEST_P(delayed_repeats, have_the_same_answer_when_their_batch_comes_again) {
  publish_keys(1, {"a"});
  const auto first = delay({"b", "a", "b"});
  --sequence_;
  auto again = delay({"b", "a", "b"}, 5000);
  EXPECT_EQ(again.what, outcome::duplicate);
  EXPECT_EQ(again.index, first.index);
  EXPECT_EQ(again.repeats, first.repeats);
  delay({"x"});
  --sequence_;
  again = delay({"x"}, 5000);
  EXPECT_EQ(again.what, outcome::duplicate);
  EXPECT_TRUE(again.known);
  EXPECT_THAT(again.repeats, IsEmpty());
  EXPECT_EQ(waiting(), 2u);
  fire();
  sequence_ = 0;
  EXPECT_EQ(delay({"b", "a", "b"}, 5000).repeats, first.repeats);
  h.apply(forget_keys(1, 3 * due));
  sequence_ = 0;
  EXPECT_FALSE(delay({"b", "a", "b"}, 5000).known);
  EXPECT_TRUE(delay({"x"}, 5000).known) << "it had none";
  expect_sound();
}

TEST_P(delayed_repeats, of_a_message_that_was_cancelled_are_repeats_all_the_same) {
  delay({"a", "b"});
  cancel({log_index{1}, 0});
  EXPECT_EQ(waiting(), 1u);
  EXPECT_THAT(delay({"a"}).repeats, ElementsAre(repeated_message{0, log_index{1}, 0, {}, true}));
  EXPECT_THAT(publish_keys(1, {"a"}).repeats, testing::SizeIs(1));
  expect_sound();
  cancel({log_index{1}, 1});
  EXPECT_EQ(h.store().stats().entries, 0u);
  fire();
  EXPECT_THAT(messages(), IsEmpty());
  expect_sound();
}

TEST_P(delayed_repeats, share_an_entry_with_plain_messages_and_with_other_lanes) {
  auto lower = make_keyed_batch(9, 1, 1, {"c", "a", "d"});
  lower.header.lane = 1;
  const auto a = h.apply(publish(1,
                                 {make_keyed_batch(7, 1, 1, {"a", "a", "b"}),
                                  make_keyed_delayed(8, 1, ++sequence_, {{"b", due}, {"c", due}, {"e", due}}),
                                  lower, make_keyed_batch(7, 1, 2, {"e", "f"})},
                                 1000, window));
  EXPECT_THAT(a.verdicts[1].repeats, ElementsAre(repeated_message{0, log_index{1}, 2, queue_offset{1}}));
  EXPECT_THAT(a.verdicts[2].repeats, ElementsAre(repeated_message{0, log_index{1}, 4, {}, true},
                                                 repeated_message{1, log_index{1}, 0, queue_offset{0}}));
  EXPECT_THAT(a.verdicts[3].repeats, ElementsAre(repeated_message{0, log_index{1}, 5, {}, true}));
  EXPECT_EQ(a.verdicts[2].base, queue_offset{2});
  EXPECT_EQ(a.verdicts[3].base, queue_offset{3});
  EXPECT_EQ(a.next, queue_offset{4});
  EXPECT_EQ(waiting(), 2u);
  EXPECT_THAT(messages(), ElementsAre("7/1/1/0", "7/1/1/2", "9/1/1/2", "7/1/2/1"));
  expect_sound();
  h.apply(trim(1, 4));
  EXPECT_EQ(h.store().stats().entries, 1u) << "what waits holds it";
  fire();
  EXPECT_THAT(messages(), ElementsAre("8/1/1/1", "8/1/1/2"));
  expect_sound();
  h.apply(trim(1, 6));
  EXPECT_EQ(h.store().stats().entries, 0u);
  expect_sound();
}

TEST_P(delayed_repeats, that_are_the_whole_queue_go_with_it) {
  delay({"a", "a"});
  delay({"a"});
  while (!h.apply(drop(1)).done) {
  }
  EXPECT_EQ(h.store().stats().entries, 0u);
  EXPECT_EQ(h.store().oldest_keys(queue_id{1}).value(), std::nullopt);
  sequence_ = 0;
  EXPECT_THAT(delay({"a"}).repeats, IsEmpty());
  expect_sound();
}

TEST(key_memory, grows_with_the_keys_and_goes_with_them) {
  shard_harness h{log_kind::local};
  std::uint64_t n = 0;
  for (std::uint64_t s = 1; s <= 100; ++s) {
    std::vector<std::string> keys(1000);
    for (auto& key : keys)
      key = "k" + std::to_string(n++);
    h.apply(publish(1, {make_keyed_batch(7, 1, s, keys, 0)}, static_cast<std::int64_t>(s), window));
  }
  const auto full = h.store().key_memory();
  EXPECT_GE(full, n * 10);
  EXPECT_LE(full, n * 20);
  while (!h.apply(forget_keys(1, 1000)).done) {
  }
  h.apply(publish(1, {make_keyed_batch(7, 1, 101, {"x"}, 0)}, 1000, window));
  EXPECT_LT(h.store().key_memory(), 10'000u);
}

} // namespace
} // namespace troupe::test
