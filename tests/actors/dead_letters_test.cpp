#include "group_fixture.hpp"

#include "troupe/wire_dead.hpp"

#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>
#include <gmock/gmock.h>

/// The DEAD LETTER of a group, through its GROUP, with real STORE, READER and shard.
namespace troupe::test {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class dead_letters_test : public group_fixture {
protected:
  /// Messages of queue 0, rejected by ann.
  void bury(const std::vector<std::string>& texts) {
    const auto before = offset_;
    publish_to(0, texts);
    const auto m = join_as(ann_);
    credit(ann_, m, 1000);
    received(ann_);
    for (const auto& d : last)
      settle(ann_, m, d, before, static_cast<std::uint32_t>(texts.size()), settle_action::dead);
    offset_ += texts.size();
    commit();
    world_.ask<bool>(aut, leave{m});
  }
  dead_page list(list_dead r = {}) {
    r.group = "billing";
    auto page = world_.ask<dead_page>(aut, r);
    EXPECT_TRUE(page) << to_string(page.error());
    return page ? *page : dead_page{};
  }
  std::vector<message_id> ids() {
    std::vector<message_id> all;
    for (const auto& letter : list().letters)
      all.push_back(letter.id);
    return all;
  }
  errc refused(list_dead r) {
    r.group = "billing";
    return world_.ask<dead_page>(aut, r).error().code;
  }

  consumer_probe ann_ = world_.make_probe<delivery, settled, dismissed>();
  std::uint64_t offset_ = 0;
};

TEST_F(dead_letters_test, come_in_pages_of_the_size_that_was_asked_for_and_each_once) {
  start(2);
  bury({"a", "b", "c", "d", "e"});
  std::vector<queue_offset> seen;
  list_dead ask;
  ask.max = 2;
  for (int pages = 0; pages < 5; ++pages) {
    const auto page = list(ask);
    EXPECT_LE(page.letters.size(), 2u);
    for (const auto& letter : page.letters)
      seen.push_back(letter.offset);
    if (!page.more)
      break;
    ask.after = page.next;
  }
  EXPECT_THAT(
      seen, ElementsAre(queue_offset{0}, queue_offset{1}, queue_offset{2}, queue_offset{3}, queue_offset{4}));
}

TEST_F(dead_letters_test, are_found_by_ids_whatever_their_order_and_repetitions) {
  start(1);
  bury({"a", "b", "c"});
  const auto all = ids();
  list_dead ask;
  ask.ids = {
      all.at(2), all.at(0), all.at(2), {shard_id{9}, log_index{1}, 0}, {shard_id{0}, log_index{999}, 0}};
  ask.messages = true;
  const auto page = list(ask);
  ASSERT_THAT(page.letters, SizeIs(2));
  EXPECT_EQ(page.letters[0].id, all[0]);
  EXPECT_EQ(page.letters[1].id, all[2]);
  EXPECT_FALSE(page.more);
  const auto messages = unpack_frame(page.frame, shard_id{0});
  ASSERT_TRUE(messages);
  ASSERT_THAT(*messages, SizeIs(2));
  EXPECT_EQ((*messages)[1].message.body, "c");
}

TEST_F(dead_letters_test, questions_without_sense_are_refused) {
  start(1);
  EXPECT_EQ(refused({.max = 0}), errc::invalid_argument);
  EXPECT_EQ(refused({.max = list_dead::most + 1}), errc::invalid_argument);
  EXPECT_EQ(refused({.filter = "a >"}), errc::invalid_argument);
  EXPECT_EQ(refused({.topic = "other"}), errc::not_found);
  EXPECT_EQ(refused({.ids = std::vector<message_id>(list_dead::most + 1)}), errc::invalid_argument);
  EXPECT_EQ(world_.ask<dead_settled>(aut, settle_dead{"billing", {}, true}).error().code,
            errc::invalid_argument);
}

TEST_F(dead_letters_test, that_are_redriven_are_delivered_once_more_and_only_once) {
  start(1);
  bury({"a", "b"});
  const auto all = ids();
  const auto done = world_.ask<dead_settled>(
      aut, settle_dead{"billing", {all.at(1), all.at(1), {{}, log_index{77}, 0}}, true});
  ASSERT_TRUE(done) << to_string(done.error());
  ASSERT_THAT(done->results, SizeIs(3));
  EXPECT_EQ(done->results[0].code, errc::none);
  EXPECT_EQ(done->results[1].code, errc::none) << "it was named twice";
  EXPECT_EQ(done->results[2].code, errc::not_found);
  EXPECT_THAT(ids(), ElementsAre(all.at(0)));
  const auto again = world_.ask<dead_settled>(aut, settle_dead{"billing", {all.at(1)}, true});
  ASSERT_TRUE(again);
  EXPECT_EQ(again->results.at(0).code, errc::not_found);
  run();
  const auto m = join_as(ann_);
  credit(ann_, m, 100);
  EXPECT_EQ(received(ann_), "0@2=b");
  ack_all(ann_, m, last.at(0));
  commit();
  restart_group();
  const auto n = join_as(ann_);
  credit(ann_, n, 100);
  EXPECT_THAT(received(ann_), IsEmpty());
}

/// Does what it is told by `real`, but its first answer never comes.
store_actor forgetful_store(caf::actor_system& sys, const store_actor& real) {
  return sys.spawn([real](store_actor::pointer self) -> store_actor::behavior_type {
    auto lost = std::make_shared<std::optional<caf::typed_response_promise<applied>>>();
    return {[self, real](append_request& r) { self->send(real, std::move(r)); },
            [self, real](settle_request& r) { self->send(real, std::move(r)); },
            [self, real, lost](propose_request& r) {
              auto promise = self->make_response_promise<applied>();
              const bool answers = lost->has_value();
              if (!answers)
                lost->emplace(promise);
              self->request(real, 1min, std::move(r)).then([promise, answers](applied& a) mutable {
                if (answers)
                  promise.deliver(std::move(a));
              });
              return promise;
            },
            [](status_atom) { return store_status{}; }, [](drain_atom) { return true; }};
  });
}

TEST_F(dead_letters_test, redriven_by_a_store_that_answers_too_late_are_delivered_all_the_same) {
  start(1);
  bury({"a", "b"});
  const auto m = join_as(ann_);
  credit(ann_, m, 100);
  const auto real = ctx_->stores[0];
  ctx_->stores[0] = world_.owned(forgetful_store(world_.system(), real));
  const auto said = std::make_shared<std::optional<dead_settled>>();
  world_.owned(caf::actor{world_.system().spawn(
      [said, to = aut, id = ids().at(1)](caf::event_based_actor* self) -> caf::behavior {
        self->request(to, 10min, settle_dead{"billing", {id}, true})
            .then([said](dead_settled& answer) { *said = std::move(answer); }, [](const caf::error&) {});
        return {[](int) {}};
      })});
  run();
  EXPECT_THAT(received(ann_), IsEmpty()) << "the answer is lost: nobody tells the queue";
  advance(31s);
  EXPECT_EQ(received(ann_), "0@2=b");
  ASSERT_TRUE(*said);
  EXPECT_EQ((*said)->results.at(0).code, errc::timeout) << "what is not known is not claimed";
  ctx_->stores[0] = real;
}

TEST_F(dead_letters_test, that_are_old_enough_go_but_not_by_a_clock_that_somebody_set) {
  group_definition_.options.dead_letter_retention = 10h;
  start(1);
  bury({"a", "b"});
  advance(1h);
  EXPECT_THAT(ids(), SizeIs(2));
  now_ += 24h; // somebody set the clock
  for (int hours = 0; hours < 3; ++hours)
    advance(1h);
  EXPECT_THAT(ids(), SizeIs(2));
  now_ -= 24h;
  for (int hours = 0; hours < 4; ++hours)
    advance(1h);
  EXPECT_THAT(ids(), SizeIs(2)) << "8 hours old";
  for (int hours = 0; hours < 4; ++hours)
    advance(1h);
  EXPECT_THAT(ids(), IsEmpty());
}

TEST_F(dead_letters_test, an_end_of_the_actor_costs_nothing_but_its_answers) {
  start(1);
  bury({"a"});
  group_definition_.options.dead_letter_retention = 0ms;
  ++group_definition_.version;
  redefine();
  EXPECT_THAT(ids(), SizeIs(1));
  restart_group();
  EXPECT_THAT(ids(), SizeIs(1));
}

} // namespace
} // namespace troupe::test
