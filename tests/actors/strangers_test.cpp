#include "group_fixture.hpp"

#include "directory.hpp"
#include "subscription.hpp"

#include <caf/io/middleman.hpp>

#include <gmock/gmock.h>

/// Whatever a peer sends to a handle that it came by: no actor ends by it.
namespace troupe::test {
namespace {

using testing::IsEmpty;

/// Another node, as far as addresses go.
class other_node {
public:
  other_node()
      : sys_(cfg_),
        actor_(sys_.spawn([](caf::event_based_actor*) -> caf::behavior { return {[](int) {}}; })) {}
  ~other_node() { caf::anon_send_exit(actor_, caf::exit_reason::user_shutdown); }
  const caf::actor& actor() const { return actor_; }

private:
  /// Without a middleman all actor systems have the same, empty address.
  struct config : caf::actor_system_config {
    config() { load<caf::io::middleman>(); }
  };

  config cfg_;
  caf::actor_system sys_;
  caf::actor actor_;
};

struct strangers : group_fixture {
  consumer_probe consumer_ = world_.make_probe<delivery, settled, dismissed>();

  std::vector<std::pair<std::string, caf::actor>> all() {
    auto catalog = spawn_catalog(world_.system(), ctx_);
    EXPECT_TRUE(catalog);
    directory_config cfg;
    cfg.catalog = world_.owned(*catalog);
    cfg.on_end = [](const error&) {};
    const auto queue = world_.ask<queue_handle>(topic_, queue_request{0});
    EXPECT_TRUE(queue);
    const auto subscription = world_.owned(spawn_subscription(world_.system(), {.ctx = ctx_,
                                                                                .group = aut,
                                                                                .group_number = group_id{9},
                                                                                .queue = queue_id{1},
                                                                                .topic = "orders",
                                                                                .source = queue->queue}));
    const auto directory = world_.owned(spawn_directory(world_.system(), ctx_, cfg));
    run();
    const auto any = [](const auto& handle) { return caf::actor_cast<caf::actor>(handle); };
    return {{"QUEUE", any(queue->queue)},
            {"TOPIC", any(topic_)},
            {"GROUP", any(aut)},
            {"SUBSCRIPTION", any(subscription)},
            {"STORE", any(ctx_->stores[0])},
            {"READER", any(ctx_->readers[0])},
            {"RETENTION", any(ctx_->retentions[0])},
            {"TIMER", any(ctx_->timers[0])},
            {"TRANSACTIONS", any(ctx_->transactions[0])},
            {"CATALOG", any(*catalog)},
            {"DIRECTORY", directory}};
  }
};

TEST_F(strangers, end_no_actor_by_errors_exits_or_messages_that_are_not_for_them) {
  start(1);
  other_node other;
  auto ended = std::make_shared<std::vector<std::string>>();
  const auto watching = all();
  world_.owned(caf::actor{world_.system().spawn([=](caf::event_based_actor* self) -> caf::behavior {
    for (const auto& [name, handle] : watching)
      self->monitor(handle);
    self->set_down_handler([=](const caf::down_msg& d) { ended->push_back(caf::to_string(d.reason)); });
    return {[](int) {}};
  })});
  run();
  for (const auto& [name, handle] : watching) {
    SCOPED_TRACE(name);
    caf::anon_send(handle, caf::error{caf::sec::runtime_error});
    caf::send_as(producer_.handle(), handle, caf::error{caf::sec::runtime_error});
    caf::send_as(producer_.handle(), handle, std::string{"what is this"});
    caf::anon_send(handle, caf::down_msg{producer_.handle().address(), caf::exit_reason::kill});
    caf::send_as(other.actor(), handle, caf::exit_msg{handle.address(), caf::exit_reason::user_shutdown});
    caf::anon_send(handle, caf::exit_msg{other.actor().address(), caf::exit_reason::user_shutdown});
    for (auto atom : {caf::atom("tick"), caf::atom("commit"), caf::atom("settle_due"), caf::atom("slice"),
                      caf::atom("tail_idle"), caf::atom("drain"), caf::atom("status")}) {
      if (name == "DIRECTORY" && atom == caf::atom("drain"))
        continue; // everybody may
      caf::anon_send(handle, atom);
      for (auto number : {0ul, 1ul, ~0ul})
        caf::anon_send(handle, atom, std::uint64_t{number});
    }
    caf::anon_send(handle, caf::atom("restart"), ~0u);
    caf::anon_send(handle, caf::atom("work"), std::uint64_t{1});
    run();
    EXPECT_THAT(*ended, IsEmpty());
  }
  advance(milliseconds{1000});
  const auto member = join_as(consumer_);
  credit(consumer_, member, 10);
  publish_to(0, {"still here"});
  EXPECT_EQ(received(consumer_), "0@0=still here");
}

} // namespace
} // namespace troupe::test
