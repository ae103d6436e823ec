#include "client_fixture.hpp"

#include "inbox.hpp"
#include "transactions_impl.hpp"

#include "troupe/processor.hpp"

#include <semaphore>

namespace troupe::test {
namespace {

class processor_test : public Client {
protected:
  void SetUp() override {
    Client::SetUp();
    topic("in", 2);
    topic("out", 2);
  }
  processor start(processor::handler h, processor_options options = {}, std::size_t threads = 1) {
    options.group = "stage";
    if (options.topics.empty())
      options.topics = {{"in"}};
    auto made = processor::start(*c, std::move(options), threads, std::move(h));
    if (!made)
      throw std::runtime_error(to_string(made.error()));
    return std::move(*made);
  }
  void send(int from, int to) {
    auto p = open("in");
    for (int i = from; i < to; ++i)
      ASSERT_TRUE(p.send(text(std::to_string(i))));
  }
  /// Everything in `out`, once `n` messages are there and no more follows what is settled in `in`.
  std::multiset<std::string> published(std::size_t n) {
    settled();
    auto from = pull("look-" + std::to_string(++looks_), "out");
    auto all = bodies(fetch(from, n, true));
    const auto more = from.fetch(1, 50ms);
    EXPECT_TRUE(more && more->empty()) << "more came out than was put in";
    return all;
  }
  /// Until the group has nothing left.
  void settled() {
    for (int i = 0; i < 2000; ++i) {
      const auto info = c->describe_group("stage");
      ASSERT_TRUE(info) << to_string(info.error());
      std::uint64_t open = 0;
      for (const auto& q : info->queues)
        open += q.next.value - q.floor.value;
      if (open == 0)
        return;
      // Settles that ride along with something else take 20 ms.
      open_look_.try_acquire_for(10ms);
    }
    ADD_FAILURE() << "the group is not through";
  }
  static std::multiset<std::string> doubled(int from, int to) {
    std::multiset<std::string> all;
    for (int i = from; i < to; ++i)
      all.insert(std::to_string(2 * i));
    return all;
  }
  static outcome doubling(const leased_message& m, outputs& out) {
    out.send("out", text(std::to_string(2 * std::stoi(std::string(m.body())))));
    return outcome::ack();
  }

  /// What another processor of the group would do, which got the input as well because a lease ended.
  transactions other_runs() {
    auto made = transactions::open(*c, {.group = "rival"});
    if (!made)
      throw std::runtime_error(to_string(made.error()));
    return std::move(*made);
  }
  static void run_elsewhere(transactions& by, const leased_message& m, const std::string& output) {
    auto t = by.internals()->begin_at(m.id().shard, {}, {});
    ASSERT_TRUE(t) << to_string(t.error());
    ASSERT_FALSE(t->add("out", text(output)));
    const auto& d = *m.delivery;
    const auto committed = commit_with(*t, {d.group, d.queue, d.gen, {{m.offset(), 1}}});
    // The handler may run once more for the same input.
    EXPECT_TRUE(committed || committed.error().code == errc::lease_lost) << to_string(committed.error());
  }

private:
  int looks_ = 0;
  std::binary_semaphore open_look_{0};
};

} // namespace

INSTANTIATE_TEST_SUITE_P(node, processor_test, testing::Values(place::embedded, place::remote),
                         [](const auto& info) {
                           return info.param == place::embedded ? "in_this_process" : "behind_a_socket";
                         });

TEST_P(processor_test, publishes_what_it_makes_of_each_input_and_acknowledges_it_by_that) {
  send(0, 500);
  auto aut = start(doubling, {}, 3);
  EXPECT_EQ(published(500), doubled(0, 500));
  EXPECT_FALSE(aut.stop());
  const auto s = aut.statistics();
  EXPECT_EQ(s.processed, 500u);
  EXPECT_EQ(s.outputs, 500u);
  EXPECT_EQ(s.repeats, 0u);
  EXPECT_LT(s.transactions, 500u) << "many inputs at a time";
}

TEST_P(processor_test, drops_the_outputs_of_a_run_that_fails) {
  ASSERT_TRUE(c->create_group("stage", {.retry = retry_schedule::fixed(10ms)}));
  send(0, 20);
  auto aut = start([](const leased_message& m, outputs& out) {
    doubling(m, out);
    if (m.attempt() == 1 && m.body() == "7")
      throw std::runtime_error("not yet");
    return m.attempt() == 1 && m.body() == "8" ? outcome::retry(10ms) : outcome::ack();
  });
  EXPECT_EQ(published(20), doubled(0, 20));
  EXPECT_EQ(aut.statistics().retried, 2u);
}

TEST_P(processor_test, of_two_runs_of_an_input_one_counts_also_when_they_make_different_things_of_it) {
  auto rival = other_runs();
  send(0, 1);
  auto aut = start([&](const leased_message& m, outputs& out) {
    run_elsewhere(rival, m, "quick");
    out.send("out", text("slow"));
    return outcome::ack();
  });
  EXPECT_EQ(published(1), std::multiset<std::string>{"quick"});
  EXPECT_FALSE(aut.stop());
  EXPECT_EQ(aut.statistics().processed, 0u);
  EXPECT_EQ(aut.statistics().repeats, 1u);
}

TEST_P(processor_test, makes_the_rest_of_a_batch_visible_of_which_another_run_settled_a_part) {
  auto rival = other_runs();
  send(0, 40);
  auto aut = start([&](const leased_message& m, outputs& out) {
    const auto body = std::string(m.body());
    if (std::stoi(body) % 2 == 0)
      run_elsewhere(rival, m, std::to_string(2 * std::stoi(body)));
    return doubling(m, out);
  });
  EXPECT_EQ(published(40), doubled(0, 40));
  EXPECT_FALSE(aut.stop());
  EXPECT_EQ(aut.statistics().processed, 20u);
  EXPECT_EQ(aut.statistics().repeats, 20u);
}

TEST_P(processor_test, takes_an_input_once_more_when_its_group_was_reset) {
  send(0, 40);
  auto aut = start(doubling);
  EXPECT_EQ(published(40), doubled(0, 40));
  ASSERT_TRUE(c->reset_group("stage", {.topic = "in"}));
  auto twice = doubled(0, 40);
  twice.merge(doubled(0, 40));
  EXPECT_EQ(published(80), twice);
}

TEST_P(processor_test, an_input_whose_outputs_cannot_be_published_fails_and_takes_no_other_along) {
  auto options = group_options{};
  options.retry = retry_schedule::fixed(10ms);
  options.max_attempts = 2;
  ASSERT_TRUE(c->create_group("stage", options));
  send(0, 30);
  auto aut = start([](const leased_message& m, outputs& out) {
    if (m.body() == "11")
      out.send("nowhere", text("x"));
    if (m.body() == "12")
      for (std::size_t i = 0; i <= outputs::most; ++i)
        out.send("out", text("too much"));
    return doubling(m, out);
  });
  auto expected = doubled(0, 30);
  expected.erase("22");
  expected.erase("24");
  EXPECT_EQ(published(28), expected);
  const auto dead = c->dead_letters("stage", {.messages = true});
  ASSERT_TRUE(dead) << to_string(dead.error());
  std::map<std::string, std::string> why;
  for (const auto& letter : dead->letters)
    why[letter.message ? letter.message->content.body : ""] = letter.detail;
  EXPECT_THAT(why["11"], HasSubstr("nowhere"));
  EXPECT_THAT(why["12"], HasSubstr("may have 1024"));
}

TEST_P(processor_test, may_be_stopped_by_its_own_handler_and_by_many_at_once) {
  send(0, 30);
  std::optional<processor> aut;
  std::binary_semaphore started{0}, stopped{0};
  aut.emplace(start(
      [&](const leased_message& m, outputs& out) {
        if (m.body() == "3") {
          started.acquire();
          EXPECT_FALSE(aut->stop());
          stopped.release();
        }
        return doubling(m, out);
      },
      {.batch = 4}, 2));
  started.release();
  ASSERT_TRUE(stopped.try_acquire_for(30s));
  auto one = std::async(std::launch::async, [&] { return aut->stop(); });
  EXPECT_FALSE(aut->stop());
  EXPECT_FALSE(one.get());
  EXPECT_LE(aut->statistics().processed, 30u);
}

TEST_P(processor_test, is_refused_what_cannot_be) {
  const auto code = [&](processor_options options, std::size_t threads) {
    auto made = processor::start(*c, std::move(options), threads, doubling);
    return made ? errc::none : made.error().code;
  };
  EXPECT_EQ(code({.group = "stage", .topics = {{"in"}}, .batch = 0}, 1), errc::invalid_argument);
  EXPECT_EQ(code({.group = "stage", .topics = {{"in"}}}, 0), errc::invalid_argument);
  EXPECT_EQ(code({.group = "stage", .topics = {{"nowhere"}}}, 1), errc::not_found);
  EXPECT_FALSE(processor::start(*c, {.group = "stage", .topics = {{"in"}}}, 1, nullptr));
  ASSERT_TRUE(c->create_group("all", default_options(group_mode::broadcast)));
  EXPECT_EQ(code({.group = "all", .topics = {{"in"}}}, 1), errc::invalid_argument);
}

} // namespace troupe::test
