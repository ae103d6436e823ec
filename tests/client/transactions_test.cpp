#include "client_fixture.hpp"

#include "inbox.hpp"
#include "transactions_impl.hpp"

#include "troupe/transactions.hpp"

namespace troupe::test {
namespace {

using testing::UnorderedElementsAre;
using state = transaction_state;

/// Transactions with a node of three shards, which asks soon and gives up soon.
class transactions_client : public Client {
protected:
  void SetUp() override {
    start(check_schedule{.after = 50ms, .every = 50ms, .most = 1000, .gathering = 60s});
    topic("orders");
  }
  void start(const check_schedule& checks) {
    node_config cfg;
    cfg.data = directory / "data";
    cfg.host = "127.0.0.1";
    cfg.shards = 3;
    cfg.transaction_checks = checks;
    auto started = node::start(std::move(cfg));
    ASSERT_TRUE(started) << to_string(started.error());
    broker = std::move(*started);
    ASSERT_NO_FATAL_FAILURE(connect());
  }
  void TearDown() override {
    if (c)
      c->close();
  }
  transactions open_as(const std::string& group, transaction_checker checker = {}) {
    transaction_options options;
    options.group = group;
    options.checker = std::move(checker);
    auto opened = transactions::open(*c, std::move(options));
    if (!opened)
      throw std::runtime_error(to_string(opened.error()));
    return std::move(*opened);
  }
  template <class T> static T value_of(result<T> r) {
    if (!r)
      throw std::runtime_error(to_string(r.error()));
    return std::move(*r);
  }
  static bool eventually(const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + 60s;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline)
        return false;
      std::this_thread::sleep_for(5ms); // check-allow: the condition is looked at again until the deadline
    }
    return true;
  }
  std::vector<transaction_info> undecided(const std::string& group = {}) {
    std::vector<transaction_info> all;
    transaction_query query;
    query.group = group;
    query.max = 2;
    do {
      auto page = value_of(c->list_transactions(query));
      all.insert(all.end(), page.transactions.begin(), page.transactions.end());
      query.after = page.next;
    } while (query.after);
    return all;
  }
  std::uint64_t visible_in(const std::string& name) {
    std::uint64_t sum = 0;
    for (const auto& q : value_of(c->describe_topic(name)).queues)
      sum += q.next.value;
    return sum;
  }
};

} // namespace

INSTANTIATE_TEST_SUITE_P(node, transactions_client, testing::Values(place::embedded, place::remote),
                         [](const auto& info) {
                           return info.param == place::embedded ? "in_this_process" : "behind_a_socket";
                         });

TEST_P(transactions_client, a_message_is_published_when_the_local_work_says_commit) {
  auto aut = open_as("shop");
  const auto sold = value_of(aut.send("orders", text("sold"), [](const message& m, const message_id& id) {
    EXPECT_EQ(m.body, "sold");
    EXPECT_GT(id.index.value, 0u);
    return decision::commit;
  }));
  EXPECT_EQ(sold.state, state::committed);
  EXPECT_FALSE(sold.undecided);
  EXPECT_FALSE(sold.half.visible);
  const auto refused =
      value_of(aut.send("orders", text("refused"), [](auto&&...) { return decision::rollback; }));
  EXPECT_EQ(refused.state, state::rolled_back);
  auto from = pull("readers", "orders");
  const auto got = fetch(from, 1, true);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].id(), sold.half.id);
  EXPECT_EQ(visible_in("orders"), 1u);
  EXPECT_FALSE(c->get(refused.half.id));
}

TEST_P(transactions_client, what_the_local_work_leaves_open_the_checker_decides) {
  counter asked;
  std::mutex mutex;
  std::map<std::string, std::uint32_t> checks;
  auto aut = open_as("shop", [&](const checked_transaction& t) {
    EXPECT_TRUE(t.message && !t.transaction);
    EXPECT_EQ(t.topic, "orders");
    std::lock_guard lock{mutex};
    const auto& body = t.content ? t.content->body : "?";
    checks[body] = t.checks;
    asked.add();
    if (body == "throws")
      throw std::runtime_error("the ledger is closed");
    return body == "third time" && t.checks < 3 ? decision::unknown
           : body == "no"                       ? decision::rollback
                                                : decision::commit;
  });
  const auto open = [](const message&, const message_id&) { return decision::unknown; };
  const auto yes = value_of(aut.send("orders", text("yes"), open));
  EXPECT_EQ(yes.state, state::prepared);
  value_of(aut.send("orders", text("no"), open));
  value_of(aut.send("orders", text("third time"), open));
  const auto thrown = value_of(aut.send(
      "orders", text("crash"), [](auto&&...) -> decision { throw std::runtime_error("power cut"); }));
  EXPECT_EQ(thrown.state, state::prepared);
  auto from = pull("readers", "orders");
  EXPECT_THAT(bodies(fetch(from, 3, true)), UnorderedElementsAre("yes", "third time", "crash"));
  EXPECT_TRUE(eventually([&] { return undecided().empty(); }));
  {
    std::lock_guard lock{mutex};
    EXPECT_EQ(checks["third time"], 3u);
  }
  const auto left = value_of(aut.send("orders", text("throws"), open));
  ASSERT_TRUE(asked.reaches(asked.value() + 3));
  EXPECT_EQ(value_of(aut.rollback(left.half.id)), state::rolled_back);
}

TEST_P(transactions_client, a_checker_that_blocks_keeps_nobody_from_deciding) {
  std::promise<void> entered;
  std::promise<void> go_on;
  auto released = go_on.get_future().share();
  std::atomic<bool> first{true};
  auto aut = open_as("shop", [&](const checked_transaction& t) {
    if (first.exchange(false))
      entered.set_value();
    released.wait();
    // It may use the client, also to wait.
    EXPECT_TRUE(c->list_topics());
    return t.content && t.content->body == "slow" ? decision::commit : decision::unknown;
  });
  const auto slow = value_of(aut.prepare("orders", text("slow")));
  entered.get_future().wait();
  const auto fast = value_of(aut.prepare("orders", text("fast")));
  EXPECT_EQ(value_of(aut.commit(fast.id)), state::committed);
  go_on.set_value();
  EXPECT_TRUE(eventually([&] { return visible_in("orders") == 2; }));
  EXPECT_EQ(value_of(aut.commit(slow.id)), state::committed);
}

TEST_P(transactions_client, ten_thousand_half_messages_are_decided_each_as_it_was_said) {
  constexpr int many = 10'000;
  auto aut = open_as("shop");
  counter decided;
  std::atomic<int> wrong{0};
  for (int i = 0; i < many; ++i)
    aut.prepare_async("orders", text(std::to_string(i)), [&, i](const result<receipt>& half) {
      if (!half || half->visible || !half->placed) {
        ++wrong;
        return decided.add();
      }
      const auto done = [&, i](const result<transaction_state>& s) {
        wrong += !s || *s != (i % 2 == 0 ? state::committed : state::rolled_back);
        decided.add();
      };
      i % 2 == 0 ? aut.commit_async(half->id, done) : aut.rollback_async(half->id, done);
    });
  ASSERT_TRUE(decided.reaches(many, 60s));
  EXPECT_EQ(wrong, 0);
  EXPECT_FALSE(aut.flush());
  auto from = pull("readers", "orders");
  std::multiset<std::string> expected;
  for (int i = 0; i < many; i += 2)
    expected.insert(std::to_string(i));
  EXPECT_EQ(bodies(fetch(from, many / 2, true)), expected);
  EXPECT_TRUE(undecided().empty());
}

TEST_P(transactions_client, the_first_decision_stands_and_the_second_hears_of_it) {
  auto aut = open_as("shop");
  const auto sold = value_of(aut.prepare("orders", text("sold")));
  const auto gone = value_of(aut.prepare("orders", text("gone")));
  EXPECT_EQ(value_of(aut.commit(sold.id)), state::committed);
  EXPECT_EQ(value_of(aut.commit(sold.id)), state::committed);
  EXPECT_EQ(aut.rollback(sold.id).error().code, errc::conflict);
  EXPECT_EQ(value_of(c->rollback_transaction(gone.id)), state::rolled_back);
  const auto late = aut.commit(gone.id);
  ASSERT_FALSE(late);
  EXPECT_TRUE(late.error().code == errc::conflict || late.error().code == errc::not_found)
      << to_string(late.error());
  EXPECT_EQ(aut.commit({shard_id{1}, log_index{4711}, 0}).error().code, errc::not_found);
  EXPECT_EQ(aut.commit({shard_id{9}, log_index{1}, 0}).error().code, errc::not_found);
}

TEST_P(transactions_client, many_messages_in_many_topics_become_visible_together_or_not_at_all) {
  topic("bills");
  auto aut = open_as("shop");
  auto sold = value_of(aut.begin("order 7"));
  auto given_up = value_of(aut.begin());
  for (int i = 0; i < 30; ++i)
    for (const auto* name : {"orders", "bills"}) {
      ASSERT_FALSE(sold.add(name, text(std::to_string(i), std::to_string(i))));
      ASSERT_FALSE(given_up.add(name, text("never", std::to_string(i))));
    }
  const auto ids = value_of(sold.prepare());
  EXPECT_EQ(ids.size(), 60u);
  std::set<std::uint16_t> shards;
  for (const auto& id : ids)
    shards.insert(id.shard.value);
  EXPECT_EQ(shards.size(), 3u);
  EXPECT_EQ(sold.add("orders", text("late")).code, errc::invalid_argument);
  EXPECT_EQ(visible_in("orders") + visible_in("bills"), 0u);
  EXPECT_EQ(value_of(sold.commit()), state::committed);
  EXPECT_EQ(value_of(given_up.rollback()), state::rolled_back);
  EXPECT_EQ(sold.rollback().error().code, errc::conflict);
  auto orders = pull("readers", "orders");
  auto bills = pull("readers-2", "bills");
  EXPECT_EQ(fetch(orders, 30, true).size(), 30u);
  EXPECT_EQ(fetch(bills, 30, true).size(), 30u);
  EXPECT_TRUE(eventually([&] { return undecided().empty(); })) << "also in the shards that had to be told";
  EXPECT_EQ(visible_in("orders") + visible_in("bills"), 60u);
}

TEST_P(transactions_client, one_that_is_destroyed_is_rolled_back_and_a_prepared_one_is_asked_about) {
  std::promise<checked_transaction> asked;
  std::atomic<bool> first{true};
  auto aut = open_as("shop", [&](const checked_transaction& t) {
    if (first.exchange(false))
      asked.set_value(t);
    return decision::commit;
  });
  {
    auto forgotten = value_of(aut.begin("forgotten"));
    ASSERT_FALSE(forgotten.add("orders", text("never")));
  }
  transaction_id id;
  {
    auto left = value_of(aut.begin("order 8"));
    id = left.id();
    ASSERT_FALSE(left.add("orders", text("later")));
    value_of(left.prepare());
  }
  const auto question = asked.get_future().get();
  EXPECT_EQ(question.transaction, id);
  EXPECT_EQ(question.key, "order 8");
  EXPECT_FALSE(question.message);
  auto from = pull("readers", "orders");
  EXPECT_THAT(bodies(fetch(from, 1, true)), UnorderedElementsAre("later"));
  EXPECT_TRUE(eventually([&] { return undecided().empty(); }));
  EXPECT_EQ(visible_in("orders"), 1u);
}

TEST_P(transactions_client, publishes_to_several_queues_at_once) {
  topic("bills", 1);
  auto aut = open_as("shop");
  const auto ids =
      value_of(aut.publish({{"orders", text("a")}, {"bills", text("b")}, {"orders", text("c")}}));
  ASSERT_EQ(ids.size(), 3u);
  auto orders = pull("readers", "orders");
  auto bills = pull("readers-2", "bills");
  EXPECT_THAT(bodies(fetch(orders, 2, true)), UnorderedElementsAre("a", "c"));
  EXPECT_THAT(bodies(fetch(bills, 1, true)), UnorderedElementsAre("b"));
  EXPECT_EQ(aut.publish({}).error().code, errc::invalid_argument);
  EXPECT_EQ(aut.publish({{"orders", text("never")}, {"no-such-topic", text("x")}}).error().code,
            errc::not_found);
  EXPECT_TRUE(eventually([&] { return undecided().empty(); }));
  EXPECT_EQ(visible_in("orders"), 2u);
}

TEST_P(transactions_client, acknowledgements_go_with_a_commit_or_not_at_all) {
  topic("in", 1);
  auto to = open("in");
  ASSERT_TRUE(to.send(text("work")));
  auto from = pull("crew", "in");
  const auto work = fetch(from, 1);
  ASSERT_EQ(work.size(), 1u);
  const auto& held = *work[0].delivery;
  auto aut = open_as("crew");
  const auto run = [&](const std::string& body) {
    auto t = value_of(
        aut.internals()->begin_at(shard_id{static_cast<std::uint16_t>(held.queue.value % 3)}, {}, {}));
    EXPECT_FALSE(t.add("orders", text(body)));
    // The first group of this node.
    return commit_with(t, {group_id{1}, held.queue, held.gen, {{work[0].offset(), 1}}});
  };
  const auto won = run("first run");
  ASSERT_TRUE(won) << to_string(won.error());
  EXPECT_EQ(*won, state::committed);
  EXPECT_EQ(run("second run").error().code, errc::lease_lost);
  EXPECT_FALSE(from.ack(work[0]));
  EXPECT_FALSE(from.close());
  auto results = pull("readers", "orders");
  EXPECT_THAT(bodies(fetch(results, 1, true)), UnorderedElementsAre("first run"));
  EXPECT_TRUE(eventually([&] { return undecided().empty(); }));
  EXPECT_EQ(visible_in("orders"), 1u);
}

TEST_P(transactions_client, lists_what_is_undecided_and_decides_by_hand) {
  auto shop = open_as("shop");
  auto bank = open_as("bank");
  std::set<message_id> halves;
  for (int i = 0; i < 10; ++i)
    halves.insert(value_of(shop.prepare("orders", text(std::to_string(i), std::to_string(i)))).id);
  auto whole = value_of(bank.begin("transfer"));
  ASSERT_FALSE(whole.add("orders", text("money")));
  const auto parts = value_of(whole.prepare());
  std::set<message_id> listed;
  for (const auto& t : undecided("shop")) {
    EXPECT_EQ(t.group, "shop");
    EXPECT_EQ(t.topic, "orders");
    EXPECT_EQ(t.state, state::prepared);
    EXPECT_EQ(t.messages, 1u);
    ASSERT_TRUE(t.message);
    listed.insert(*t.message);
  }
  EXPECT_EQ(listed, halves);
  const auto transfers = undecided("bank");
  ASSERT_EQ(transfers.size(), 1u);
  EXPECT_EQ(transfers[0].transaction, whole.id());
  EXPECT_EQ(transfers[0].key, "transfer");
  EXPECT_EQ(c->commit_transaction(parts[0]).error().code, errc::invalid_argument);
  EXPECT_EQ(value_of(c->commit_transaction(whole.id())), state::committed);
  for (const auto& id : halves)
    EXPECT_EQ(value_of(c->commit_transaction(id)), state::committed);
  EXPECT_EQ(c->rollback_transaction(*halves.begin()).error().code, errc::conflict);
  EXPECT_EQ(c->commit_transaction(transaction_id{shard_id{0}, log_index{4711}}).error().code,
            errc::not_found);
  EXPECT_EQ(c->commit_transaction(transaction_id{shard_id{9}, log_index{1}}).error().code, errc::not_found);
  auto from = pull("readers", "orders");
  EXPECT_EQ(fetch(from, 11, true).size(), 11u);
  EXPECT_TRUE(eventually([&] { return undecided().empty(); }));
}

TEST_P(transactions_client, refuses_what_makes_no_sense) {
  EXPECT_EQ(transactions::open(*c, {}).error().code, errc::invalid_argument);
  EXPECT_EQ(transactions::open(*c, {.group = "no group"}).error().code, errc::invalid_argument);
  auto aut = open_as("shop");
  message later = text("later");
  later.deliver_at = std::chrono::floor<milliseconds>(std::chrono::system_clock::now()) + 1h;
  EXPECT_EQ(aut.prepare("orders", later).error().code, errc::invalid_argument);
  EXPECT_EQ(aut.prepare("nowhere", text("x")).error().code, errc::not_found);
  EXPECT_EQ(aut.begin(std::string(256, 'k')).error().code, errc::invalid_argument);
  auto empty = value_of(aut.begin());
  EXPECT_EQ(empty.commit().error().code, errc::invalid_argument);
  EXPECT_EQ(value_of(empty.rollback()), state::rolled_back);
  EXPECT_FALSE(aut.close());
  EXPECT_EQ(aut.prepare("orders", text("x")).error().code, errc::shutting_down);
  EXPECT_EQ(aut.commit({}).error().code, errc::shutting_down);
}

TEST_P(transactions_client, many_threads_decide_at_once) {
  auto aut = open_as("shop");
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 25; ++i) {
        auto r = aut.send("orders", text(std::to_string(t)),
                          [&](auto&&...) { return i % 2 == 0 ? decision::commit : decision::rollback; });
        wrong += !r || r->undecided;
      }
    });
  for (auto& t : threads)
    t.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_TRUE(eventually([&] { return visible_in("orders") == 4u * 13u; }));
}

} // namespace troupe::test
