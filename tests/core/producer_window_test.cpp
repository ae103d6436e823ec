#include "troupe/producer_window.hpp"

#include <gtest/gtest.h>

#include <sstream>

namespace troupe {
namespace {

constexpr queue_id q1{1};
constexpr queue_id q2{2};
constexpr milliseconds never{1'000'000};

/// The effects since the last call, one word each: "1:2=#7" is ticket 7 sent as sequence 2 of epoch 1.
std::string trace(producer_window& w) {
  std::ostringstream out;
  for (const auto& e : w.take()) {
    if (out.tellp() > 0)
      out << ' ';
    if (const auto* s = std::get_if<producer_window::send>(&e))
      out << s->epoch.value << ':' << s->sequence.value << "=#" << s->batch.value
          << (s->again ? "again" : "");
    else if (const auto* d = std::get_if<producer_window::stored>(&e))
      out << "stored#" << d->batch.value;
    else {
      const auto& f = std::get<producer_window::failed>(e);
      out << "failed#" << f.batch.value << '(' << to_string(f.why.code) << ')';
    }
  }
  return out.str();
}

batch_answer says(std::uint64_t sequence, errc code = errc::none, std::uint64_t expected = 0) {
  batch_answer a{q1, producer_epoch{1}, batch_sequence{sequence}, code};
  a.expected = batch_sequence{expected};
  a.retry_after = milliseconds{100};
  a.reason = "because";
  return a;
}

class ProducerWindow : public testing::Test {
protected:
  void SetUp() override { w.connected({q1, q2}, now); }
  void add(int from, int to, queue_id q = q1, milliseconds deadline = never) {
    for (int i = from; i <= to; ++i)
      w.add(q, batch_ticket{static_cast<std::uint64_t>(i)}, deadline, now);
  }
  void answer(const batch_answer& a) { w.answer(a, now); }

  milliseconds now{1000};
  producer_window w{4};
};

TEST_F(ProducerWindow, SendsInOrderAndAtMostAsManyAsItMay) {
  add(1, 6);
  EXPECT_EQ(trace(w), "1:1=#1 1:2=#2 1:3=#3 1:4=#4");
  EXPECT_EQ(w.expected(), 4u);
  answer(says(1));
  EXPECT_EQ(trace(w), "stored#1 1:5=#5");
  EXPECT_EQ(w.undecided(q1), 5u);
}

TEST_F(ProducerWindow, NumbersEachQueueByItself) {
  add(1, 2);
  add(3, 4, q2);
  EXPECT_EQ(trace(w), "1:1=#1 1:2=#2 1:1=#3 1:2=#4");
}

TEST_F(ProducerWindow, IgnoresAnswersThatMatchNothing) {
  add(1, 1);
  trace(w);
  answer(says(2));
  auto other = says(1);
  other.epoch = producer_epoch{2};
  answer(other);
  other = says(1);
  other.queue = queue_id{9};
  answer(other);
  answer(says(0));
  EXPECT_EQ(trace(w), "");
  answer(says(1));
  answer(says(1));
  EXPECT_EQ(trace(w), "stored#1");
  EXPECT_EQ(w.expected(), 0u);
}

TEST_F(ProducerWindow, SendsEverythingInFlightAgainAfterAReconnect) {
  add(1, 3);
  answer(says(1));
  trace(w);
  w.disconnected();
  add(4, 4);
  EXPECT_EQ(trace(w), "");
  EXPECT_EQ(w.expected(), 0u);
  w.connected({q1, q2}, now);
  EXPECT_EQ(trace(w), "1:2=#2again 1:3=#3again 1:4=#4");
}

TEST_F(ProducerWindow, PausesAQueueThatIsOverloadedAndKeepsItsOrder) {
  add(1, 3);
  trace(w);
  answer(says(1, errc::overloaded));
  answer(says(2, errc::gap, 1));
  answer(says(3, errc::gap, 1));
  add(4, 4);
  EXPECT_EQ(trace(w), "");
  EXPECT_EQ(w.next_tick(), now + milliseconds{100});
  now += milliseconds{99};
  w.tick(now);
  EXPECT_EQ(trace(w), "");
  now += milliseconds{1};
  w.tick(now);
  EXPECT_EQ(trace(w), "1:1=#1again 1:2=#2again 1:3=#3again 1:4=#4");
}

TEST_F(ProducerWindow, ResendsOnceAllIsAnsweredHoweverManyAnswersNameTheSameGap) {
  add(1, 4);
  trace(w);
  answer(says(2, errc::gap, 1));
  answer(says(1, errc::overloaded));
  answer(says(3, errc::gap, 1));
  now += milliseconds{100};
  w.tick(now);
  EXPECT_EQ(trace(w), "") << "the answer to 4 is on its way";
  answer(says(4, errc::gap, 1));
  EXPECT_EQ(trace(w), "1:1=#1again 1:2=#2again 1:3=#3again 1:4=#4again");
  answer(says(1));
  answer(says(2));
  EXPECT_EQ(trace(w), "stored#1 stored#2");
}

TEST_F(ProducerWindow, PutsAnEmptyBatchInThePlaceOfOneRefusedForGood) {
  add(1, 3);
  trace(w);
  answer(says(1));
  answer(says(2, errc::too_large));
  EXPECT_EQ(trace(w), "stored#1 failed#2(too_large)");
  answer(says(3, errc::gap, 2));
  EXPECT_EQ(trace(w), "1:2=#0again 1:3=#3again");
  answer(says(2));
  answer(says(3));
  EXPECT_EQ(trace(w), "stored#3");
  EXPECT_EQ(w.undecided(q1), 0u);
}

TEST_F(ProducerWindow, PausesBeforeItSendsAnEmptyBatchAgainThatWasRefused) {
  add(1, 1);
  answer(says(1, errc::corrupt));
  EXPECT_EQ(trace(w), "1:1=#1 failed#1(corrupt) 1:1=#0again");
  answer(says(1, errc::corrupt));
  EXPECT_EQ(trace(w), "");
  now += milliseconds{200};
  w.tick(now);
  EXPECT_EQ(trace(w), "1:1=#0again");
}

TEST_F(ProducerWindow, TakesAnUnknownProducerForAGapWhileItsFirstBatchIsMissing) {
  add(1, 2);
  trace(w);
  answer(says(1, errc::overloaded));
  answer(says(2, errc::unknown_producer));
  now += milliseconds{100};
  w.tick(now);
  EXPECT_EQ(trace(w), "1:1=#1again 1:2=#2again");
}

TEST_F(ProducerWindow, BeginsANewEpochWhenTheBrokerForgotIt) {
  add(1, 1);
  answer(says(1));
  add(2, 3);
  trace(w);
  answer(says(2, errc::unknown_producer));
  EXPECT_EQ(trace(w), "2:1=#2again 2:2=#3again");
  answer(says(3, errc::unknown_producer)); // of the old epoch
  EXPECT_EQ(trace(w), "");
}

TEST_F(ProducerWindow, ReportsWhatMayBeStoredInsteadOfSendingItUnderANewEpoch) {
  add(1, 1);
  answer(says(1));
  add(2, 2);
  w.disconnected();
  add(3, 3);
  w.connected({q1, q2}, now);
  trace(w);
  answer(says(2, errc::unknown_producer));
  EXPECT_EQ(trace(w), "failed#2(unknown_producer) 2:1=#3again");
}

TEST_F(ProducerWindow, BeginsANewEpochWhenTheBrokerLostWhatItHeld) {
  add(1, 4);
  answer(says(1));
  answer(says(2));
  w.disconnected();
  w.connected({q1, q2}, now);
  trace(w);
  answer(says(3, errc::gap, 2));
  EXPECT_EQ(trace(w), "2:1=#3again 2:2=#4again");
}

TEST_F(ProducerWindow, IgnoresAGapBelowWhatThisConnectionConfirmed) {
  add(1, 3);
  answer(says(1));
  answer(says(2));
  trace(w);
  answer(says(3, errc::gap, 1));
  EXPECT_EQ(trace(w), "");
}

TEST_F(ProducerWindow, FailsWhatIsLateAndLetsTheRestPass) {
  add(1, 1, q1, now + milliseconds{10});
  add(2, 2);
  trace(w);
  EXPECT_EQ(w.next_tick(), now + milliseconds{10});
  now += milliseconds{10};
  w.tick(now);
  EXPECT_EQ(trace(w), "failed#1(timeout)");
  answer(says(2, errc::gap, 1));
  EXPECT_EQ(trace(w), "1:1=#0again 1:2=#2again");
}

TEST_F(ProducerWindow, LetsNoLostAnswerStopAQueueForLongerThanItsTimeout) {
  add(1, 2, q1, now + milliseconds{10});
  add(3, 3);
  answer(says(3, errc::gap, 1));
  trace(w);
  now += milliseconds{10};
  w.tick(now);
  EXPECT_EQ(trace(w), "failed#1(timeout) failed#2(timeout) 1:1=#0again 1:2=#0again 1:3=#3again");
}

TEST_F(ProducerWindow, FailsLateMessagesWithTheReasonOfTheLastRefusal) {
  add(1, 5, q1, now + milliseconds{50});
  trace(w);
  answer(says(1, errc::no_space));
  now += milliseconds{50};
  w.tick(now);
  EXPECT_EQ(trace(w),
            "failed#1(no_space) failed#2(timeout) failed#3(timeout) failed#4(timeout) failed#5(no_space)");
}

TEST_F(ProducerWindow, DoesNotAskARefusingQueueAgainWhenTheAnswerCouldComeTooLate) {
  add(1, 1, q1, now + milliseconds{310});
  add(2, 2);
  trace(w);
  const auto refuse = [&] {
    answer(says(1, errc::no_space));
    answer(says(2, errc::gap, 1));
    add(3, 3, q1, now + milliseconds{10}); // comes when little of the others' time is left
    now += milliseconds{100};
    w.tick(now);
  };
  refuse();
  EXPECT_EQ(trace(w), "failed#3(no_space) 1:1=#1again 1:2=#2again");
  refuse();
  EXPECT_EQ(trace(w), "failed#3(no_space) 1:1=#1again 1:2=#2again")
      << "110 ms are more than an eighth of 310";
  refuse();
  EXPECT_EQ(trace(w), "failed#3(no_space) failed#1(no_space) 1:1=#0again 1:2=#2again");
}

TEST_F(ProducerWindow, AsksAQueueThatRefusesNothingUpToTheDeadline) {
  w.disconnected();
  add(1, 1, q1, now + milliseconds{240});
  now += milliseconds{239};
  w.connected({q1, q2}, now);
  EXPECT_EQ(trace(w), "1:1=#1");
}

TEST_F(ProducerWindow, StartsANewEpochWhenTheBrokerRefusesTheEmptyBatch) {
  add(1, 2);
  add(3, 3);
  answer(says(1, errc::too_large));
  answer(says(2, errc::gap, 1));
  answer(says(3, errc::gap, 1));
  trace(w);
  for (int i = 0; i < 2; ++i) {
    answer(says(1, errc::corrupt));
    answer(says(2, errc::gap, 1));
    EXPECT_EQ(trace(w), "");
    answer(says(3, errc::gap, 1));
    EXPECT_EQ(trace(w), "");
    now += milliseconds{200};
    w.tick(now);
    EXPECT_EQ(trace(w), i == 0 ? "1:1=#0again 1:2=#2again 1:3=#3again" : "2:1=#2again 2:2=#3again");
  }
  auto stored = says(1);
  stored.epoch = producer_epoch{2};
  answer(stored);
  EXPECT_EQ(trace(w), "stored#2");
}

TEST_F(ProducerWindow, DoesNotRepeatWhatMayBeStoredInANewEpoch) {
  add(1, 2);
  w.disconnected();
  w.connected({q1, q2}, now);
  trace(w);
  answer(says(1, errc::too_large));
  answer(says(2, errc::gap, 1));
  EXPECT_EQ(trace(w), "failed#1(too_large) 1:1=#0again 1:2=#2again");
  for (int i = 0; i < 2; ++i) {
    answer(says(1, errc::corrupt));
    answer(says(2, errc::gap, 1));
    now += milliseconds{200};
    w.tick(now);
  }
  EXPECT_EQ(trace(w), "1:1=#0again 1:2=#2again failed#2(timeout)");
  add(3, 3);
  EXPECT_EQ(trace(w), "2:1=#3");
}

TEST_F(ProducerWindow, FailsEverythingOfAQueueThatIsGone) {
  add(1, 1);
  add(2, 2, q2);
  trace(w);
  w.connected({q2}, now);
  EXPECT_EQ(trace(w), "failed#1(not_found)");
  add(3, 3);
  EXPECT_EQ(trace(w), "failed#3(not_found)");
  answer(says(1));
  EXPECT_EQ(trace(w), "");
}

TEST_F(ProducerWindow, EndsAQueueWhereANewerIncarnationExists) {
  add(1, 2);
  trace(w);
  answer(says(2, errc::fenced));
  add(3, 3);
  EXPECT_EQ(trace(w), "failed#1(fenced) failed#2(fenced) failed#3(fenced)");
}

TEST_F(ProducerWindow, ReportsAFailedStorageAndGoesOnWhenItIsRepaired) {
  add(1, 2);
  trace(w);
  answer(says(1, errc::storage_failed));
  answer(says(2, errc::gap, 1));
  EXPECT_EQ(trace(w), "failed#1(storage_failed)");
  now += milliseconds{100};
  w.tick(now);
  EXPECT_EQ(trace(w), "1:1=#0again 1:2=#2again");
}

TEST_F(ProducerWindow, FailsEverythingWhenItEnds) {
  add(1, 6);
  trace(w);
  w.fail_all({errc::shutting_down, "closed"});
  EXPECT_EQ(trace(w),
            "failed#1(shutting_down) failed#2(shutting_down) failed#3(shutting_down) failed#4(shutting_down) "
            "failed#5(shutting_down) failed#6(shutting_down)");
  EXPECT_EQ(w.expected(), 0u);
}

} // namespace
} // namespace troupe
