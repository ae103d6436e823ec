#include "troupe/entry.hpp"

#include "schemas/random_records.hpp"

#include <gtest/gtest.h>

namespace troupe {
namespace {

using test::encode_entry;
using test::random_source;

/// Batches hold blocks, which have no equality: compares headers and bytes.
bool same(const entry_body& a, const entry_body& b) {
  if (a.index() != b.index())
    return false;
  const auto* x = std::get_if<append_entry>(&a);
  if (!x)
    return std::visit(
        [&b]<class Value>(const Value& value) {
          if constexpr (std::is_same_v<Value, append_entry>)
            return false;
          else
            return value == std::get<Value>(b);
        },
        a);
  const auto& y = std::get<append_entry>(b);
  return x->queue == y.queue && x->window == y.window && x->ordinals == y.ordinals &&
         std::equal(x->batches.begin(), x->batches.end(), y.batches.begin(), y.batches.end(),
                    [](const batch& l, const batch& r) {
                      return l.header == r.header && l.data.view() == r.data.view();
                    });
}

class every_entry : public testing::TestWithParam<std::size_t> {};

std::string kind_name(const testing::TestParamInfo<std::size_t>& info) {
  static constexpr const char* names[] = {"noop",   "append",      "settle",  "define",
                                          "trim",   "drop_queue",  "reset",   "redrive",
                                          "purge",  "fire",        "split",   "cancel",
                                          "evict",  "forget_keys", "begin",   "seal",
                                          "decide", "confirm",     "checked", "forget_transactions"};
  return names[info.param];
}

INSTANTIATE_TEST_SUITE_P(kinds, every_entry, testing::Range<std::size_t>(0, std::variant_size_v<entry_body>),
                         kind_name);

TEST_P(every_entry, comes_back_from_its_bytes) {
  random_source random{30 + GetParam()};
  SCOPED_TRACE(random.describe());
  for (int round = 0; round < 300; ++round) {
    auto body = test::random_body(random, GetParam());
    entry_header wanted{.term = random.next(),
                        .index = log_index{random.next() | 1},
                        .time = from_unix_ms(static_cast<std::int64_t>(random.below(253'402'300'800'000)))};
    auto bytes = encode_entry(body, wanted);
    ASSERT_EQ(bytes.size, encoded_size(body));
    ASSERT_EQ(bytes.size % 8, 0u);
    auto header = decode_header(bytes.bytes());
    ASSERT_TRUE(header) << to_string(header.error());
    EXPECT_EQ(header->kind, kind_of(body));
    EXPECT_EQ(header->term, wanted.term);
    EXPECT_EQ(header->index, wanted.index);
    EXPECT_EQ(header->time, wanted.time);
    EXPECT_EQ(header->length, bytes.size);
    auto again = decode_body(*header, bytes);
    ASSERT_TRUE(again) << to_string(again.error());
    EXPECT_TRUE(same(*again, body));
    EXPECT_EQ(encode_entry(body, wanted).view(), bytes.view());
  }
}

TEST_P(every_entry, is_read_at_any_address) {
  random_source random{40 + GetParam()};
  SCOPED_TRACE(random.describe());
  auto body = test::random_body(random, GetParam());
  auto bytes = encode_entry(body);
  for (std::size_t shift = 0; shift < 8; ++shift) {
    test::writable_copy copy(bytes.bytes(), shift);
    auto header = decode_header(copy.bytes());
    ASSERT_TRUE(header) << to_string(header.error());
    auto again = decode_body(*header, copy.as_block());
    ASSERT_TRUE(again) << to_string(again.error());
    EXPECT_TRUE(same(*again, body));
  }
}

TEST(append_entry, has_a_directory_that_places_batches_and_ordinals) {
  random_source random{50};
  SCOPED_TRACE(random.describe());
  for (int round = 0; round < 100; ++round) {
    auto body = test::random_body(random, 1);
    const auto& append = std::get<append_entry>(body);
    auto bytes = encode_entry(body);
    auto header = decode_header(bytes.bytes());
    ASSERT_TRUE(header);
    EXPECT_EQ(header->queue, append.queue);
    EXPECT_EQ(header->batches, append.batches.size());
    auto places = decode_directory(*header, bytes.bytes());
    ASSERT_TRUE(places) << to_string(places.error());
    ASSERT_EQ(places->size(), append.batches.size());
    std::uint32_t ordinal = 0;
    for (std::size_t i = 0; i < places->size(); ++i) {
      const auto& place = (*places)[i];
      EXPECT_EQ(place.header, append.batches[i].header);
      EXPECT_EQ(place.first_ordinal, ordinal);
      EXPECT_EQ(place.at % 8, 0u);
      EXPECT_EQ(bytes.slice(place.at, place.header.size).view(), append.batches[i].data.view());
      ordinal += place.header.count;
    }
  }
}

TEST(append_entry, gives_batches_that_share_its_bytes) {
  random_source random{51};
  SCOPED_TRACE(random.describe());
  append_entry append{queue_id{1}, {test::build(std::vector{test::random_message(random)})}};
  auto bytes = encode_entry(append);
  auto body = decode_body(*decode_header(bytes.bytes()), bytes);
  ASSERT_TRUE(body);
  const auto& b = std::get<append_entry>(*body).batches.at(0);
  EXPECT_EQ(b.data.data.get(), bytes.data.get() + entry_header::size + 48);
  EXPECT_TRUE(batch_reader::open(b.header, b.data));
}

TEST(entry, costs_104_bytes_beyond_one_batch) {
  random_source random{52};
  auto b = test::build(std::vector{test::random_message(random)});
  EXPECT_EQ(encoded_size(append_entry{queue_id{1}, {b}}), 56 + 48 + b.data.size);
}

/// What a careful proposer and a reader say of the same value.
void expect_agreement(const entry_body& body) {
  auto wrong = validate(proposal{from_unix_ms(1), body});
  auto bytes = encode_entry(body);
  auto header = decode_header(bytes.bytes());
  ASSERT_TRUE(header) << to_string(header.error());
  auto again = decode_body(*header, bytes);
  EXPECT_EQ(!wrong, again.has_value())
      << to_string(wrong) << "; " << (again ? "read" : to_string(again.error()));
  EXPECT_TRUE(!wrong || wrong.code == errc::invalid_argument);
}

TEST(proposal, is_valid_exactly_when_its_entry_could_be_read_again) {
  random_source random{53};
  SCOPED_TRACE(random.describe());
  auto small = [&] { return static_cast<std::uint32_t>(random.below(3)); };
  auto time = [&] {
    return from_unix_ms(random.one_in(10) ? -1 : random.one_in(10) ? 253'402'300'800'000 : 5);
  };
  int refused = 0;
  for (int round = 0; round < 3000; ++round) {
    settle_range range{queue_offset{random.one_in(10) ? ~0ull - small() : small()}, small(),
                       static_cast<settle_action>(random.below(6)), 0, time()};
    range.reason = static_cast<dead_reason>(random.between(1, 5));
    if (random.one_in(3))
      range.detail = random.one_in(3) ? random.bytes(3) : random.letters(random.between(1020, 1026));
    if (random.one_in(20))
      range.count = max_dead_range + small();
    expect_agreement(settle_entry{{{group_id{1}, queue_id{1}, 0, generation{1}, {range}}}});
    auto topic = test::random_topic(random);
    topic.id = topic_id{small()};
    topic.options.queues += random.one_in(5);
    topic.queues.front().first = queue_id{random.one_in(5) ? 0xfffffff0u + small() : small()};
    topic.created = time();
    topic.options.retention = time().time_since_epoch();
    auto group = test::random_group(random);
    group.options.mode = static_cast<group_mode>(random.below(4));
    group.options.lease = time().time_since_epoch();
    if (!group.subscriptions.empty())
      group.subscriptions.front() = {
          topic_id{small()}, "*", {static_cast<start_position::kind>(random.below(4)), time()}};
    std::vector<message_place> places(random.one_in(20) ? max_listed_messages + small() : small());
    for (std::uint32_t i = 0; i < places.size(); ++i)
      places[i] = {log_index{7}, random.one_in(5) ? small() : i};
    expect_agreement(redrive_entry{group_id{1}, queue_id{1}, places});
    expect_agreement(purge_entry{group_id{1}, queue_id{1}, places});
    expect_agreement(define_entry{{topic}, {}, {}, {}});
    expect_agreement(define_entry{{}, {group}, {}, {}});
    auto b = test::build(std::vector{test::random_message(random)});
    b.header.kind = static_cast<batch_kind>(random.below(4));
    b.header.count = random.one_in(5) ? max_batch_count + small() : 1;
    expect_agreement(append_entry{queue_id{1}, {b}});
    refused += bool(
        validate({from_unix_ms(1), settle_entry{{{group_id{1}, queue_id{1}, 0, generation{1}, {range}}}}}));
  }
  EXPECT_GT(refused, 300);
  EXPECT_LT(refused, 2700);
}

TEST(proposal, is_refused_with_a_batch_that_is_not_as_long_as_it_says) {
  auto b = test::build(std::vector{message{.body = "body"}});
  EXPECT_FALSE(validate({from_unix_ms(1), append_entry{queue_id{1}, {b}}}));
  b.header.size += 8;
  EXPECT_EQ(validate({from_unix_ms(1), append_entry{queue_id{1}, {b}}}).code, errc::invalid_argument);
}

TEST(proposal, is_refused_with_a_dead_letter_that_could_not_be_shown) {
  settle_range dead{queue_offset{5},       1, settle_action::dead, 16, {}, dead_reason::rejected,
                    std::string(1024, 'x')};
  auto refusal = [](const settle_range& range) {
    return validate({from_unix_ms(1), settle_entry{{{group_id{1}, queue_id{1}, 0, generation{1}, {range}}}}});
  };
  auto with = [&](auto change) {
    auto range = dead;
    change(range);
    return refusal(range).code;
  };
  EXPECT_EQ(refusal(dead), error{});
  EXPECT_EQ(with([](auto& r) { r.detail += 'x'; }), errc::invalid_argument);
  EXPECT_EQ(with([](auto& r) { r.detail = "\xff"; }), errc::invalid_argument);
  EXPECT_EQ(with([](auto& r) { r.count = max_dead_range + 1; }), errc::invalid_argument);
  EXPECT_EQ(with([](auto& r) { r.reason = dead_reason{}; }), errc::invalid_argument);
  EXPECT_EQ(with([](auto& r) { r.reason = dead_reason{5}; }), errc::invalid_argument);
  EXPECT_EQ(with([](auto& r) { r.action = settle_action::ack; }), errc::invalid_argument);
}

TEST(proposal, is_refused_with_messages_that_do_not_ascend_or_are_too_many) {
  auto refusal = [](std::vector<message_place> places) {
    const auto code = validate({from_unix_ms(1), redrive_entry{group_id{1}, queue_id{1}, places}}).code;
    EXPECT_EQ(validate({from_unix_ms(1), purge_entry{group_id{1}, queue_id{1}, places}}).code, code);
    return code;
  };
  EXPECT_EQ(refusal({{log_index{1}, 5}, {log_index{2}, 0}, {log_index{2}, 1}}), errc::none);
  EXPECT_EQ(refusal({}), errc::invalid_argument);
  EXPECT_EQ(refusal({{log_index{1}, 5}, {log_index{1}, 5}}), errc::invalid_argument);
  EXPECT_EQ(refusal({{log_index{2}, 0}, {log_index{1}, 5}}), errc::invalid_argument);
  std::vector<message_place> many(max_listed_messages);
  for (std::uint32_t i = 0; i < many.size(); ++i)
    many[i] = {log_index{1}, i};
  EXPECT_EQ(refusal(many), errc::none);
  many.push_back({log_index{2}, 0});
  EXPECT_EQ(refusal(many), errc::invalid_argument);
}

TEST(proposal, is_refused_with_buckets_that_do_not_exist_and_rows_that_do_not_ascend) {
  auto refusal = [](entry_body body) { return validate({from_unix_ms(1), std::move(body)}).code; };
  const timer_bucket minutes{from_unix_ms(1 << 18), timer_level::minutes};
  const timer_row_place row{minutes, log_index{5}, 0};
  const timer_row_place later{minutes, log_index{5}, 1};
  const message_place message{log_index{3}, 4};
  EXPECT_EQ(refusal(fire_entry{queue_id{1}, 10, {row, later}, {message, message}}), errc::none);
  EXPECT_EQ(refusal(fire_entry{queue_id{1}, 10, {later, row}, {message}}), errc::invalid_argument);
  EXPECT_EQ(refusal(fire_entry{queue_id{1}, 10, {row, row}, {message}}), errc::invalid_argument);
  EXPECT_EQ(refusal(fire_entry{queue_id{1}, 10, {}, {message}}), errc::invalid_argument);
  EXPECT_EQ(refusal(fire_entry{queue_id{1}, 10, {row}, {}}), errc::invalid_argument);
  EXPECT_EQ(refusal(fire_entry{queue_id{1}, 10, {row}, std::vector<message_place>(1024, message)}),
            errc::none);
  EXPECT_EQ(refusal(fire_entry{queue_id{1}, 10, {row}, std::vector<message_place>(1025, message)}),
            errc::invalid_argument);
  const timer_row_place crooked{{from_unix_ms(5), timer_level::minutes}, log_index{5}, 0};
  const timer_row_place unknown{{from_unix_ms(0), timer_level{3}}, log_index{5}, 0};
  for (const auto& bad : {crooked, unknown}) {
    EXPECT_EQ(refusal(fire_entry{queue_id{1}, 10, {bad}, {message}}), errc::invalid_argument);
    EXPECT_EQ(refusal(cancel_entry{queue_id{1}, bad, message}), errc::invalid_argument);
    EXPECT_EQ(refusal(split_entry{bad.bucket, 1}), errc::invalid_argument);
  }
  EXPECT_EQ(refusal(cancel_entry{queue_id{1}, row, message}), errc::none);
  EXPECT_EQ(refusal(split_entry{minutes, 16384}), errc::none);
  EXPECT_EQ(refusal(split_entry{minutes, 0}), errc::invalid_argument);
  EXPECT_EQ(refusal(split_entry{minutes, 16385}), errc::invalid_argument);
  EXPECT_EQ(refusal(split_entry{{from_unix_ms(1 << 18), timer_level::seconds}, 1}), errc::invalid_argument);
}

TEST(proposal, is_refused_with_a_step_of_a_transaction_that_makes_no_sense) {
  auto refusal = [](entry_body body) {
    expect_agreement(body);
    return validate({from_unix_ms(1), std::move(body)}).code;
  };
  const auto bad = errc::invalid_argument;
  const message_id id{shard_id{1}, log_index{3}, 4};
  EXPECT_EQ(refusal(begin_entry{std::string(255, 'g'), std::string(255, 'k'), never()}), errc::none);
  EXPECT_EQ(refusal(begin_entry{std::string(256, 'g'), "", never()}), bad);
  EXPECT_EQ(refusal(begin_entry{"", std::string(256, 'k'), never()}), bad);
  EXPECT_EQ(refusal(begin_entry{"\xff", "", never()}), bad);
  EXPECT_EQ(refusal(begin_entry{"", "", never() + milliseconds{1}}), bad);
  EXPECT_EQ(refusal(seal_entry{log_index{1}, never(), {id}}), errc::none);
  EXPECT_EQ(refusal(seal_entry{log_index{1}, never(), std::vector(1024, id)}), errc::none);
  EXPECT_EQ(refusal(seal_entry{log_index{1}, never(), std::vector(1025, id)}), bad);
  EXPECT_EQ(refusal(seal_entry{log_index{1}, never(), {}}), bad);
  EXPECT_EQ(refusal(seal_entry{log_index{0}, never(), {id}}), bad);
  EXPECT_EQ(refusal(confirm_entry{log_index{0}, shard_id{1}}), bad);
  EXPECT_EQ(refusal(checked_entry{}), bad);
  EXPECT_EQ(refusal(checked_entry{{{{queue_id{1}, log_index{1}, 0}, never()}}}), errc::none);
  EXPECT_EQ(refusal(checked_entry{{{{queue_id{1}, log_index{0}, 0}, never()}}}), bad);
  EXPECT_EQ(refusal(forget_transactions_entry{from_unix_ms(-1)}), bad);
}

TEST(proposal, is_refused_with_a_decision_that_makes_no_sense) {
  const settle_section guard{
      group_id{1}, queue_id{1}, 0, generation{1}, {{queue_offset{5}, 2, settle_action::ack, 0, {}}}};
  decide_entry whole{
      .transaction = {shard_id{1}, log_index{7}},
      .home = true,
      .commit = true,
      .guard = guard,
      .queues = {{queue_id{1}, 10, {{log_index{3}, 4}}}, {queue_id{2}, 10, {{log_index{3}, 4}}}},
      .elsewhere = {{shard_id{2}, log_index{3}, 4}},
      .next_check = never()};
  auto with = [&](auto change) {
    auto e = whole;
    change(e);
    expect_agreement(e);
    return validate({from_unix_ms(1), e}).code;
  };
  const auto bad = errc::invalid_argument;
  EXPECT_EQ(with([](auto&) {}), errc::none);
  EXPECT_EQ(with([](auto& e) { e.queues = {}; }), errc::none);
  EXPECT_EQ(with([](auto& e) { e.transaction = {}; }), bad);
  EXPECT_EQ(with([](auto& e) { e.commit = false; }), bad);
  EXPECT_EQ(with([](auto& e) { e.home = false; }), bad);
  EXPECT_EQ(with([](auto& e) { e.guard->ranges = {}; }), bad);
  EXPECT_EQ(with([](auto& e) { e.guard->ranges[0].action = settle_action::skip; }), bad);
  EXPECT_EQ(with([](auto& e) { e.guard->ranges[0].count = 0; }), bad);
  EXPECT_EQ(with([](auto& e) { e.queues[1].queue = queue_id{1}; }), bad);
  EXPECT_EQ(with([](auto& e) { e.queues[0].queue = queue_id{0}; }), bad);
  EXPECT_EQ(with([](auto& e) { e.queues[0].messages = {}; }), bad);
  EXPECT_EQ(with([](auto& e) { e.queues[0].messages.resize(1023); }), errc::none);
  EXPECT_EQ(with([](auto& e) { e.queues[0].messages.resize(1024); }), bad);
  EXPECT_EQ(with([](auto& e) { e.elsewhere.resize(1025); }), bad);
  EXPECT_EQ(with([](auto& e) { e.next_check = from_unix_ms(-1); }), bad);
  whole.home = false;
  whole.guard.reset();
  EXPECT_EQ(with([](auto&) {}), bad);
  EXPECT_EQ(with([](auto& e) { e.elsewhere = {}; }), errc::none);
  EXPECT_EQ(with([](auto& e) { e.elsewhere = {}, e.transaction = {}; }), errc::none);
  EXPECT_EQ(with([](auto& e) { e.elsewhere = {}, e.queues = {}; }), bad);
}

TEST(proposal, is_refused_at_an_impossible_time) {
  EXPECT_FALSE(validate({from_unix_ms(0), {}}));
  EXPECT_EQ(validate({from_unix_ms(-1), {}}).code, errc::invalid_argument);
  EXPECT_EQ(validate({from_unix_ms(253'402'300'800'000), {}}).code, errc::invalid_argument);
}

TEST(topic_and_group, come_back_from_their_bytes) {
  random_source random{60};
  SCOPED_TRACE(random.describe());
  for (int round = 0; round < 300; ++round) {
    auto topic = test::random_topic(random);
    auto t = decode_topic(encode(topic));
    ASSERT_TRUE(t) << to_string(t.error());
    EXPECT_EQ(*t, topic);
    auto group = test::random_group(random);
    auto g = decode_group(encode(group));
    ASSERT_TRUE(g) << to_string(g.error());
    EXPECT_EQ(*g, group);
  }
}

TEST(topic_and_group, are_not_taken_for_one_another) {
  random_source random{61};
  EXPECT_EQ(decode_group(encode(test::random_topic(random))).error().code, errc::corrupt);
  EXPECT_EQ(decode_topic(encode(test::random_group(random))).error().code, errc::corrupt);
}

} // namespace
} // namespace troupe
