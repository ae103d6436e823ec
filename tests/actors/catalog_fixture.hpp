#pragma once

#include "publish_fixture.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace troupe::test {

/// A CATALOG on a real shard.
struct catalog_fixture : publish_fixture {
  catalog_actor aut;

  void SetUp() override { aut = start(); }
  void TearDown() override { end(aut); }

  catalog_actor start() {
    auto catalog = spawn_catalog(world_.system(), ctx_);
    EXPECT_TRUE(catalog) << to_string(catalog.error());
    run();
    return *catalog;
  }
  void end(catalog_actor& catalog) {
    caf::anon_send_exit(catalog, caf::exit_reason::user_shutdown);
    catalog = nullptr;
    run();
  }
  result<topic_status> create(const std::string& name, std::uint32_t queues = 2) {
    topic_options options;
    options.queues = queues;
    return world_.ask<topic_status>(aut, create_topic{name, options});
  }
  std::vector<std::string> topics() { return world_.ask<names>(aut, list_topics_atom::value)->values; }
  std::vector<std::string> durable_topics() {
    std::vector<std::string> result;
    auto loaded = ctx_->shards[0]->load_definitions();
    for (const auto& topic : loaded->topics)
      result.push_back(topic.name);
    return result;
  }
  /// The TOPIC as such, which no answer names.
  caf::actor topic_behind(const std::string& topic) {
    auto found = std::make_shared<caf::actor>();
    world_.owned(
        caf::actor{world_.system().spawn([=, aut = aut](caf::event_based_actor* self) -> caf::behavior {
          self->request(aut, std::chrono::minutes{1}, route_request{topic}).then([=](const route&) {
            *found = caf::actor_cast<caf::actor>(self->current_sender());
          });
          return {[](const route&) {}};
        })});
    run();
    return *found;
  }
  /// Publishes one message to a queue of a topic through its route.
  void publish_one(const std::string& topic, const std::string& body) {
    auto where = world_.ask<route>(aut, route_request{topic});
    ASSERT_TRUE(where) << to_string(where.error());
    auto producer = world_.make_probe<published, route>();
    producer.send(where->queues[0], publish_of(where->ids[0], make_batch(7, 1, {body})));
    run();
    auto answers = producer.take<published>();
    ASSERT_EQ(answers.size(), 1u);
    ASSERT_EQ(answers[0].results[0].code, errc::none) << answers[0].results[0].reason;
  }
};

/// Sends many requests at once, as a pipelining client does, and counts the answers.
struct pipelining_client {
  struct counts {
    int done = 0;
    std::vector<error> refused;
  };
  std::shared_ptr<counts> got = std::make_shared<counts>();

  template <class Answer, class Request>
  void send_all(deterministic& world, const caf::actor& to, std::vector<Request> requests) {
    world.owned(
        caf::actor{world.system().spawn([=, got = got](caf::event_based_actor* self) -> caf::behavior {
          for (const auto& r : requests)
            self->request(to, std::chrono::minutes{1}, r)
                .then([got](const Answer&) { ++got->done; },
                      [got](const caf::error& err) { got->refused.push_back(from_caf(err)); });
          return {[](int) {}};
        })});
  }
};

} // namespace troupe::test
