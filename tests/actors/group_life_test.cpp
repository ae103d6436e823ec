#include "group_fixture.hpp"

#include "random_source.hpp"

#include <gmock/gmock.h>

#include <map>
#include <set>

/// Where a group begins, and what it keeps over deaths of its own parts.
namespace troupe::test {
namespace {

using namespace std::chrono_literals;
using testing::IsEmpty;
using testing::SizeIs;

class group_life : public group_fixture {
protected:
  consumer_probe ann = world_.make_probe<delivery, settled, dismissed>();
  consumer_probe bob = world_.make_probe<delivery, settled, dismissed>();

  /// Everything that comes to a fresh member.
  std::string all_that_comes() {
    auto who = world_.make_probe<delivery, settled, dismissed>();
    credit(who, join_as(who), 1000);
    return received(who);
  }
};

TEST_F(group_life, begins_with_the_earliest_message) {
  publish_fixture::run();
  start(1);
  publish_to(0, {"a"});
  EXPECT_EQ(all_that_comes(), "0@0=a");
}

TEST_F(group_life, begins_with_the_latest_message_as_of_the_answer_to_the_first_join) {
  topic_definition_ = topic_of(2);
  topic_ = world_.owned(spawn_topic(world_.system(), ctx_, topic_definition_));
  publish_to(0, {"old"});
  start(2, "*", {.from = start_position::kind::latest});
  sequences_[0] = 1;
  const auto m = join_as(ann);
  publish_to(0, {"new"});
  publish_to(1, {"also new"});
  credit(ann, m, 100);
  EXPECT_EQ(received(ann), "0@1=new 1@0=also new");
}

TEST_F(group_life, begins_with_the_first_message_stored_at_or_after_a_time) {
  topic_definition_ = topic_of(1);
  topic_ = world_.owned(spawn_topic(world_.system(), ctx_, topic_definition_));
  publish_to(0, {"a"});
  advance(10s);
  publish_to(0, {"b"});
  advance(10s);
  publish_to(0, {"c"});
  start(1, "*", {.from = start_position::kind::time, .at = now_ - 15s});
  EXPECT_EQ(all_that_comes(), "0@1=b 0@2=c");
}

TEST_F(group_life, keeps_its_first_place_whatever_came_before_anybody_consumed) {
  start(1, "*", {.from = start_position::kind::latest});
  join_as(ann);
  publish_to(0, {"a"});
  restart_group();
  EXPECT_EQ(all_that_comes(), "0@0=a") << "latest is where the group began, not where it starts again";
}

TEST_F(group_life, a_queue_that_is_added_later_begins_with_its_first_message) {
  start(1, "*", {.from = start_position::kind::latest});
  const auto m = join_as(ann);
  credit(ann, m, 100);
  topic_definition_.options.queues = 2;
  topic_definition_.queues.push_back({queue_id{9}, 1});
  caf::anon_send(topic_, topic_changed{topic_definition_});
  producer_.send(topic_, topic_changed{topic_definition_});
  run();
  publish_to(1, {"first"});
  producer_.send(aut, definitions());
  run();
  EXPECT_EQ(received(ann), "1@0=first");
}

TEST_F(group_life, a_queue_that_was_added_while_nobody_was_there_begins_with_its_first_message) {
  start(1, "*", {.from = start_position::kind::latest});
  join_as(ann);
  topic_definition_.options.queues = 2;
  topic_definition_.queues.push_back({queue_id{9}, 1});
  producer_.send(topic_, topic_changed{topic_definition_});
  run();
  publish_to(1, {"first"});
  restart_group();
  EXPECT_EQ(all_that_comes(), "1@0=first");
}

TEST_F(group_life, a_queue_without_a_place_when_a_crash_came_begins_where_the_group_began) {
  topic_definition_ = topic_of(2);
  topic_ = world_.owned(spawn_topic(world_.system(), ctx_, topic_definition_));
  publish_to(0, {"old"});
  publish_to(1, {"old"});
  advance(1s);
  const auto chosen = now_;
  // The crash: one place is durable, the other is not.
  ASSERT_TRUE(world_.ask<applied>(
      ctx_->stores[0], propose_request{reset_entry{group_id{1}, queue_id{1}, 0, queue_offset{1}}}));
  advance(1s);
  publish_to(1, {"new"});
  start(2, "*", {start_position::kind::latest, chosen});
  EXPECT_EQ(all_that_comes(), "1@1=new");
}

TEST_F(group_life, after_a_restart_settled_messages_stay_settled_and_attempts_are_kept) {
  start(1);
  publish_to(0, {"a", "b", "c", "d"});
  const auto m = join_as(ann);
  credit(ann, m, 100);
  received(ann);
  const auto d = last.at(0);
  settle(ann, m, d, 1, 1);
  settle(ann, m, d, 2, 1, settle_action::retry, 5000);
  commit();
  restart_group();
  const auto n = join_as(bob);
  credit(bob, n, 100);
  EXPECT_EQ(received(bob), "0@0=a 0@3=d") << "what was leased is undelivered again, without a failure";
  advance(5s);
  EXPECT_EQ(received(bob), "0@2=cx1");
  bob.send(aut, consume{.member = n, .settles = {{d.queue, d.gen, d.lease, queue_offset{3}, 1}}});
  run();
  commit();
  EXPECT_EQ(progress_of(0).settled.size(), 2u) << "an ack of the same generation counts, whoever leased it";
}

TEST_F(group_life, a_question_that_comes_before_the_group_is_up_again_is_answered_with_all_its_queues) {
  start(2);
  publish_to(0, {"a", "b"});
  publish_to(1, {"c"});
  const auto m = join_as(ann);
  credit(ann, m, 1);
  ack_all(ann, m, ann.take<delivery>().at(0));
  commit();
  caf::anon_send_exit(aut, caf::exit_reason::kill);
  run();
  aut = spawn_group(world_.system(), ctx_, definitions());
  const auto s = status();
  ASSERT_THAT(s.queues, SizeIs(2));
  std::uint64_t lag = 0;
  for (const auto& q : s.queues)
    lag += q.next.value - q.floor.value;
  EXPECT_EQ(lag, 2u);
}

TEST_F(group_life, goes_on_when_a_queue_died) {
  start(1);
  publish_to(0, {"a"});
  const auto m = join_as(ann);
  credit(ann, m, 100);
  EXPECT_EQ(received(ann), "0@0=a");
  const auto q = world_.ask<queue_handle>(topic_, queue_request{0});
  ASSERT_TRUE(q);
  caf::anon_send_exit(q->queue, caf::exit_reason::unhandled_exception);
  run();
  advance(1s);
  publish_to(0, {"b"});
  EXPECT_EQ(received(ann), "0@1=b");
}

TEST_F(group_life, settles_that_a_dead_subscription_had_not_written_are_told_to_be_lost) {
  start(1);
  publish_to(0, {"a", "b", "c"});
  const auto m = join_as(ann);
  credit(ann, m, 100);
  EXPECT_EQ(received(ann), "0@0=a 0@1=b 0@2=c");
  const auto d = last.at(0);
  const auto subscription = ann.sender();
  settle(ann, m, d, 0, 1); // on its way to the disk
  settle(ann, m, d, 1, 1); // waits for that
  EXPECT_THAT(ann.take<settled>(), IsEmpty());
  caf::anon_send_exit(subscription, caf::exit_reason::unhandled_exception);
  run();
  const auto told = [&] {
    auto all = ann.take<settled>();
    return all.size() == 1 && all[0].tag == 0 && all[0].queue == d.queue && all[0].code == errc::lease_lost;
  };
  EXPECT_TRUE(told()) << "what was in its memory";
  settle(ann, m, d, 2, 1);
  EXPECT_TRUE(told()) << "what came while there was none";
  advance(1s);
  EXPECT_EQ(received(ann), "0@1=b 0@2=c");
  EXPECT_GT(last.back().lease, d.lease) << "a late settle of the old lease must not meet a new one";
}

TEST_F(group_life, goes_on_when_the_topic_died_and_came_back) {
  start(1);
  const auto m = join_as(ann);
  credit(ann, m, 100);
  caf::anon_send_exit(topic_, caf::exit_reason::kill);
  run();
  advance(1s);
  topic_ = world_.owned(spawn_topic(world_.system(), ctx_, topic_definition_));
  producer_.send(aut, definitions());
  run();
  advance(1s);
  publish_to(0, {"a"});
  EXPECT_EQ(received(ann), "0@0=a");
}

TEST_F(group_life, members_are_dismissed_when_the_last_topic_is_deleted) {
  start(1);
  const auto m = join_as(ann);
  producer_.send(aut, group_changed{group_definition_, {}});
  run();
  const auto told = ann.take<dismissed>();
  ASSERT_THAT(told, SizeIs(1));
  EXPECT_EQ(told[0].member, m);
  EXPECT_EQ(told[0].code, errc::not_found);
  auto again = world_.ask<joined>(aut, join{.group = "billing", .consumer = ann.handle()});
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, errc::not_found);
}

TEST_F(group_life, messages_that_were_trimmed_while_nobody_looked_are_passed_over) {
  start(1);
  for (auto text : {"a", "b", "c", "d"})
    publish_to(0, {text, text});
  EXPECT_TRUE(
      world_.ask<applied>(ctx_->stores[0], propose_request{trim_entry{queue_id{1}, queue_offset{5}}}));
  advance(60s); // the hot tail is given up
  advance(60s);
  restart_group();
  const auto m = join_as(ann);
  credit(ann, m, 100);
  EXPECT_EQ(received(ann), "0@4=c 0@5=c 0@6=d 0@7=d");
  ack_all(ann, m, last.at(0));
  commit();
  EXPECT_EQ(progress_of(0).row.floor, queue_offset{8});
}

TEST_F(group_life, a_backlog_out_of_the_store_comes_completely_and_in_order) {
  start(1);
  std::uint64_t n = 0;
  for (int i = 0; i < 50; ++i) {
    std::vector<std::string> texts;
    for (int k = 0; k < 40; ++k)
      texts.push_back(std::to_string(n++) + std::string(1000, 'x'));
    publish_to(0, texts);
  }
  advance(60s); // the hot tail is given up
  advance(60s);
  const auto m = join_as(ann);
  std::uint64_t next = 0;
  for (int round = 0; round < 1000 && next < n; ++round) {
    credit(ann, m, 137, 300'000);
    received(ann);
    for (const auto& d : last) {
      auto frame = frame_reader::open(d.frame, d.shard);
      ASSERT_TRUE(frame);
      while (frame->next()) {
        ASSERT_EQ(frame->offset().value, next);
        ASSERT_EQ(frame->body().substr(0, frame->body().find('x')), std::to_string(next));
        ++next;
      }
      ack_all(ann, m, d);
    }
  }
  EXPECT_EQ(next, n);
  commit();
  EXPECT_EQ(progress_of(0).row.floor, queue_offset{n});
}

TEST_F(group_life, a_message_larger_than_all_credit_still_comes) {
  start(1);
  publish_to(0, {std::string(3'000'000, 'x'), "small"});
  const auto m = join_as(ann);
  credit(ann, m, 10, 1000);
  received(ann);
  ASSERT_THAT(last, SizeIs(1));
  EXPECT_EQ(last[0].messages, 1u);
}

/// Members come, hang, die and leave, the group dies and comes back, at random; in the end every message was
/// acknowledged, and none came after that.
TEST_F(group_life, loses_nothing_and_repeats_nothing_that_is_settled_whatever_happens) {
  random_source random{2024};
  SCOPED_TRACE(random.describe());
  group_definition_.options.lease = 5s;
  group_definition_.options.max_unsettled = 40;
  start(3);
  struct worker {
    consumer_probe probe;
    std::uint64_t member = 0;
    std::vector<delivery> held;
  };
  std::vector<worker> workers;
  std::map<std::pair<std::uint32_t, std::uint64_t>, std::string> published;
  std::set<std::pair<std::uint32_t, std::uint64_t>> acked;
  std::vector<std::uint64_t> next(3);
  const auto collect = [&] {
    for (auto& w : workers)
      for (auto& d : w.probe.take<delivery>()) {
        auto frame = frame_reader::open(d.frame, d.shard);
        ASSERT_TRUE(frame);
        while (frame->next()) {
          const std::pair key{d.number, frame->offset().value};
          ASSERT_EQ(frame->body(), published.at(key));
          ASSERT_EQ(acked.count(key), 0u) << key.first << "@" << key.second << " came after its ack";
        }
        w.held.push_back(std::move(d));
      }
  };
  const auto ack_one = [&](worker& w, std::size_t at) {
    const auto d = w.held[at];
    w.held.erase(w.held.begin() + static_cast<std::ptrdiff_t>(at));
    auto frame = frame_reader::open(d.frame, d.shard);
    while (frame->next())
      acked.emplace(d.number, frame->offset().value);
    ack_all(w.probe, w.member, d);
  };
  const auto join_one = [&] {
    worker w{world_.make_probe<delivery, settled, dismissed>(), 0, {}};
    w.member = join_as(w.probe);
    ASSERT_NE(w.member, 0u);
    credit(w.probe, w.member, 100'000);
    workers.push_back(std::move(w));
  };
  const auto step = [&] {
    switch (random.below(12)) {
    case 0:
    case 1: {
      const auto number = static_cast<std::uint32_t>(random.below(3));
      std::vector<std::string> texts(random.between(1, 30));
      for (auto& text : texts) {
        text = random.letters(5);
        published[{number, next[number]++}] = text;
      }
      publish_to(number, texts);
      break;
    }
    case 2:
      if (workers.size() < 4)
        join_one();
      break;
    case 3:
      if (!workers.empty() && random.one_in(3)) {
        auto& w = workers[random.below(workers.size())];
        if (random.one_in(2))
          w.probe.kill();
        else
          EXPECT_TRUE(world_.ask<bool>(aut, leave{w.member}));
        run();
        collect();
        workers.erase(workers.begin() + (&w - workers.data()));
      }
      break;
    case 4:
      advance(milliseconds{random.below(6000)});
      break;
    case 5:
      // What was acknowledged is durable before the group dies; what was not may come again.
      if (random.one_in(15)) {
        commit();
        collect();
        restart_group();
        workers.clear();
      }
      break;
    default:
      if (!workers.empty()) {
        auto& w = workers[random.below(workers.size())];
        if (!w.held.empty()) {
          const auto at = random.below(w.held.size());
          if (random.one_in(4)) {
            const auto& d = w.held[at];
            settle(w.probe, w.member, d, random.below(next[d.number]), 5, settle_action::retry, 0,
                   random.one_in(2));
          } else {
            ack_one(w, at);
          }
        }
      }
    }
    run();
    collect();
  };
  for (int i = 0; i < 1500 && !HasFatalFailure(); ++i)
    step();
  commit();
  collect();
  workers.clear();
  restart_group();
  join_one();
  for (int i = 0; i < 1000 && acked.size() < published.size() && !HasFatalFailure(); ++i) {
    advance(1s);
    collect();
    while (!HasFatalFailure() && !workers[0].held.empty())
      ack_one(workers[0], 0);
    collect();
  }
  EXPECT_EQ(acked.size(), published.size());
  commit();
  for (std::uint32_t number = 0; number < 3; ++number)
    EXPECT_EQ(progress_of(number).row.floor.value, next[number]);
}

} // namespace
} // namespace troupe::test
