#include "connection.hpp"

#include "fake_broker.hpp"

#include <caf/io/middleman_actor.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace troupe {
namespace {

using namespace std::chrono_literals;

class Connection : public testing::Test {
protected:
  void start() {
    connection_config cfg;
    cfg.embedded = broker.directory;
    cfg.client_name = "test";
    cfg.status = status;
    aut = fixture.owned(fixture.system().spawn(connection, cfg));
    fixture.run();
  }
  /// Over a network on which the next attempts end like this, and those after it at the broker.
  void start_remote(const std::vector<caf::sec>& ends) {
    connection_config cfg;
    cfg.host = "::1";
    cfg.port = 7700;
    cfg.middleman =
        fixture.owned(fixture.system().spawn([this, ends](caf::event_based_actor*) -> caf::behavior {
          return {[this, left = ends](caf::connect_atom, const std::string&, std::uint16_t) mutable
                  -> caf::result<caf::node_id, caf::strong_actor_ptr, std::set<std::string>> {
            ++attempts;
            if (left.empty())
              return {caf::node_id{}, caf::actor_cast<caf::strong_actor_ptr>(broker.directory),
                      std::set<std::string>{}};
            const auto end = left.front();
            left.erase(left.begin());
            return end;
          }};
        }));
    cfg.status = status;
    aut = fixture.owned(fixture.system().spawn(connection, cfg));
    fixture.run();
  }
  template <class Message> void tell(Message m) {
    caf::anon_send(aut, std::move(m));
    fixture.run();
  }

  test::deterministic fixture;
  test::fake_broker broker{fixture};
  std::shared_ptr<line_status> status = std::make_shared<line_status>();
  caf::actor aut;
  int attempts = 0;
};

TEST_F(Connection, GreetsTheNodeAndTellsWhoeverIsAttached) {
  start();
  ASSERT_EQ(broker.hellos.size(), 1u);
  EXPECT_EQ(broker.hellos[0].client, "test");
  EXPECT_EQ(broker.hellos[0].version, wire_version);
  EXPECT_FALSE(status->first_line(0ms));
  auto listener = fixture.make_probe<line_up, line_down, line_closed>();
  tell(attach_line{listener.handle()});
  ASSERT_EQ(listener.all<line_up>().size(), 1u);
  EXPECT_EQ(listener.all<line_up>()[0].directory, broker.directory);
}

TEST_F(Connection, RefusesANodeOfAnotherVersion) {
  broker.speaks = wire_version + 1;
  start();
  EXPECT_EQ(status->first_line(0ms).code, errc::unknown_version);
}

TEST_F(Connection, TriesAgainWithPausesUntilTheNodeAnswers) {
  broker.refuse_hello = {errc::overloaded, "starting"};
  start();
  EXPECT_TRUE(status->first_line(0ms));
  fixture.advance(60ms);
  EXPECT_EQ(broker.hellos.size(), 2u);
  broker.refuse_hello = {};
  fixture.advance(100ms);
  EXPECT_EQ(broker.hellos.size(), 3u);
  EXPECT_FALSE(status->first_line(0ms));
}

TEST_F(Connection, SaysAtOnceThatNobodyListens) {
  start_remote({caf::sec::cannot_connect_to_node});
  EXPECT_TRUE(status->settled());
  const auto why = status->first_line(0ms);
  EXPECT_EQ(why.code, errc::disconnected);
  EXPECT_EQ(why.reason, "nobody listens at [::1]:7700");
  EXPECT_THAT(why.hint, testing::HasSubstr("--listen [::1]:7700"));
}

TEST_F(Connection, WaitsForSomebodyWhoAcceptsAndDoesNotAnswer) {
  start_remote({caf::sec::disconnect_during_handshake, caf::sec::connection_timeout,
                caf::sec::disconnect_during_handshake});
  for (int n = 1; n <= 3; ++n) {
    EXPECT_EQ(attempts, n);
    EXPECT_FALSE(status->settled()) << "another attempt may succeed";
    const auto why = status->first_line(0ms);
    EXPECT_THAT(why.reason, testing::HasSubstr("accepts connections at [::1]:7700")) << n;
    EXPECT_THAT(why.reason, testing::HasSubstr("within 10s")) << n;
    EXPECT_THAT(why.hint, testing::HasSubstr("stopped, busy, or no node")) << n;
    fixture.advance(250ms);
  }
  EXPECT_TRUE(status->settled());
  EXPECT_FALSE(status->first_line(0ms));
}

TEST_F(Connection, TriesOftenAsLongAsTheFirstLineIsWaitedFor) {
  start_remote(std::vector(100, caf::sec::disconnect_during_handshake));
  for (int n = 0; n < 40; ++n)
    fixture.advance(250ms);
  EXPECT_GE(attempts, 40) << "in 10 s";
}

TEST_F(Connection, HandsOnWhyTheNodeTakesNoClientsAndTriesAgain) {
  broker.refuse_hello = {errc::shutting_down, "the node drains", "connect again when it runs"};
  start_remote({});
  EXPECT_FALSE(status->settled());
  const auto why = status->first_line(0ms);
  EXPECT_EQ(why.code, errc::shutting_down);
  EXPECT_THAT(why.reason, testing::HasSubstr("the node drains"));
  broker.refuse_hello = {};
  fixture.advance(250ms);
  EXPECT_FALSE(status->first_line(0ms));
}

TEST_F(Connection, SaysWhatHasTakenTooLong) {
  start_remote({caf::sec::request_timeout});
  EXPECT_FALSE(status->settled());
  EXPECT_EQ(status->first_line(0ms).code, errc::timeout);
  EXPECT_THAT(status->first_line(0ms).reason,
              testing::HasSubstr("no node at [::1]:7700 answered within 10s"));
}

TEST_F(Connection, TellsEverybodyWhenTheNodeIsLostAndFailsWhatWaitsForItsAnswer) {
  start();
  auto listener = fixture.make_probe<line_up, line_down, line_closed>();
  tell(attach_line{listener.handle()});
  // Nobody answers `drain` there, so the call is open when the node dies.
  bool asked = false;
  auto call = answer_slot<bool>::make([&](caf::event_based_actor*, const caf::actor&,
                                          const std::shared_ptr<answer_slot<bool>>&) { asked = true; });
  tell(call_directory{call});
  EXPECT_TRUE(asked);
  EXPECT_FALSE(call->over());
  broker.die();
  EXPECT_EQ(listener.all<line_down>().size(), 1u);
  auto answer = call->wait_until(std::chrono::steady_clock::now());
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->error().code, errc::disconnected);
}

TEST_F(Connection, CarriesOutCallsOnceTheLineIsUpUnlessNobodyWaitsAnyMore) {
  broker.refuse_hello = {errc::overloaded, "starting"};
  start();
  auto wanted = make_call<names>(1000ms, list_topics_atom::value);
  int starts = 0;
  auto given_up = answer_slot<names>::make([&](caf::event_based_actor*, const caf::actor&,
                                               const std::shared_ptr<answer_slot<names>>&) { ++starts; });
  tell(call_directory{wanted});
  tell(call_directory{given_up});
  EXPECT_FALSE(given_up->wait_until(std::chrono::steady_clock::now()));
  broker.refuse_hello = {};
  fixture.advance(60ms);
  auto answer = wanted->wait_until(std::chrono::steady_clock::now());
  ASSERT_TRUE(answer && *answer);
  EXPECT_EQ((*answer)->values, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(starts, 0);
}

TEST_F(Connection, HandsOnWhatTheNodeRefuses) {
  start();
  broker.refuse_route = {errc::no_space, "the disk is full", "make room"};
  auto call = make_call<names>(1000ms, list_topics_atom::value);
  tell(call_directory{call});
  auto answer = call->wait_until(std::chrono::steady_clock::now());
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->error(), broker.refuse_route);
}

TEST_F(Connection, EndsWhenItIsClosedAndEverybodyAttachedHasEnded) {
  start();
  auto listener = fixture.make_probe<line_up, line_down, line_closed>();
  tell(attach_line{listener.handle()});
  tell(close_atom::value);
  EXPECT_EQ(listener.all<line_closed>().size(), 1u);
  EXPECT_FALSE(status->wait_ended(0ms));
  auto late = make_call<names>(1000ms, list_topics_atom::value);
  tell(call_directory{late});
  EXPECT_EQ(late->wait_until(std::chrono::steady_clock::now())->error().code, errc::shutting_down);
  listener.kill();
  fixture.run();
  EXPECT_TRUE(status->wait_ended(0ms));
}

} // namespace
} // namespace troupe
