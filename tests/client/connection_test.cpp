#include "connection.hpp"

#include "fake_broker.hpp"

#include <gtest/gtest.h>

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
  template <class Message> void tell(Message m) {
    caf::anon_send(aut, std::move(m));
    fixture.run();
  }

  test::deterministic fixture;
  test::fake_broker broker{fixture};
  std::shared_ptr<line_status> status = std::make_shared<line_status>();
  caf::actor aut;
};

TEST_F(Connection, GreetsTheNodeAndTellsWhoeverIsAttached) {
  start();
  ASSERT_EQ(broker.hellos.size(), 1u);
  EXPECT_EQ(broker.hellos[0].client, "test");
  EXPECT_EQ(broker.hellos[0].version, wire_version);
  EXPECT_FALSE(status->first_attempt(0ms));
  auto listener = fixture.make_probe<line_up, line_down, line_closed>();
  tell(attach_line{listener.handle()});
  ASSERT_EQ(listener.all<line_up>().size(), 1u);
  EXPECT_EQ(listener.all<line_up>()[0].directory, broker.directory);
}

TEST_F(Connection, RefusesANodeOfAnotherVersion) {
  broker.speaks = wire_version + 1;
  start();
  EXPECT_EQ(status->first_attempt(0ms).code, errc::unknown_version);
}

TEST_F(Connection, TriesAgainWithPausesUntilTheNodeAnswers) {
  broker.refuse_hello = {errc::overloaded, "starting"};
  start();
  EXPECT_TRUE(status->first_attempt(0ms));
  fixture.advance(60ms);
  EXPECT_EQ(broker.hellos.size(), 2u);
  broker.refuse_hello = {};
  fixture.advance(100ms);
  EXPECT_EQ(broker.hellos.size(), 3u);
  EXPECT_FALSE(status->first_attempt(0ms));
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
