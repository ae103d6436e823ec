#include "cli_fixture.hpp"
#include "random_source.hpp"
#include "system_fixture.hpp"

#include "troupe/consumer.hpp"
#include "troupe/transactions.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <future>
#include <map>
#include <mutex>
#include <random>
#include <set>

/// Transactions with real processes: programs and nodes are killed at the moments that matter.
namespace troupe::test {

namespace {

using state = transaction_state;

/// What a program knows for good of its own work, as its database would: which orders were sold.
class order_book {
public:
  void sold(const std::string& order) {
    std::lock_guard lock{mutex_};
    sold_.insert(order);
  }
  bool is_sold(const std::string& order) const {
    std::lock_guard lock{mutex_};
    return sold_.contains(order);
  }

private:
  mutable std::mutex mutex_;
  std::set<std::string> sold_;
};

/// A program that sells: each order is a transaction of some messages in two topics. Some it rolls back, some
/// it forgets to decide.
class shop {
public:
  transaction_checker checker() {
    return [this](const checked_transaction& t) {
      return book_.is_sold(t.key) ? decision::commit : decision::rollback;
    };
  }
  void sell(transactions& to, std::uint64_t seed, int orders, const std::atomic<bool>& stop) {
    random_source own(seed);
    for (int n = 0; !stop && n < orders; ++n)
      sell(to, own, "order " + std::to_string(n));
  }
  /// `got`: how many messages of each order are in the topics.
  void expect_whole(std::map<std::string, int> got) const {
    std::size_t committed = 0;
    for (const auto& [key, entry] : all_) {
      const auto seen = static_cast<std::size_t>(got[key]);
      EXPECT_TRUE(seen == 0 || seen == entry.messages) << key << ": " << seen << " of " << entry.messages;
      EXPECT_EQ(seen > 0, book_.is_sold(key)) << key;
      if (entry.told) {
        EXPECT_EQ(*entry.told == state::committed, seen > 0) << key;
      }
      committed += seen > 0;
    }
    EXPECT_GT(committed, 0u);
    EXPECT_LT(committed, all_.size());
  }

private:
  struct tried {
    std::size_t messages = 0;
    std::optional<state> told;
  };
  void sell(transactions& to, random_source& own, const std::string& key) {
    auto t = to.begin(key);
    if (!t)
      return;
    auto& entry = all_[key];
    entry.messages = 2 + own.below(8);
    bool taken = true;
    for (std::size_t i = 0; i < entry.messages; ++i)
      taken =
          taken && !t->add(i % 2 == 0 ? "orders" : "bills", {.body = key, .order_key = std::to_string(i)});
    if (!taken || !t->prepare())
      return; // rolled back by its destructor, or for its age
    if (own.below(3) == 0) {
      if (const auto s = t->rollback())
        entry.told = *s;
      return;
    }
    book_.sold(key);
    if (own.below(4) == 0)
      return; // the program forgets to decide
    if (const auto s = t->commit())
      entry.told = *s;
  }

  order_book book_;
  std::map<std::string, tried> all_;
};

class transactions_system : public testing::Test {
protected:
  explicit transactions_system(const std::filesystem::path& program = TROUPE_TROUPED)
      : node_{dir_ / "data", soon(), program} {}

  static std::vector<std::string> soon() {
    return {"--shards",
            "3",
            "--transaction-check-after",
            "100ms",
            "--transaction-check-every",
            "100ms",
            "--transaction-max-checks",
            "1000",
            "--transaction-timeout",
            "3s"};
  }
  void start() {
    node_.start();
    client_.emplace(connect(node_));
    must(client_->create_topic("orders", {.queues = 6}));
    must(client_->create_topic("bills", {.queues = 3}));
  }
  void restart() {
    node_.kill();
    node_.start();
  }
  transactions open_as(const std::string& group, transaction_checker checker = {}) {
    transaction_options options;
    options.group = group;
    options.checker = std::move(checker);
    return must(transactions::open(*client_, std::move(options)));
  }
  std::vector<transaction_info> undecided() {
    std::vector<transaction_info> all;
    transaction_query query;
    do {
      auto page = client_->list_transactions(query);
      if (!page) // the client may not have noticed yet that the node is back
        return {transaction_info{}};
      all.insert(all.end(), page->transactions.begin(), page->transactions.end());
      query.after = page->next;
    } while (query.after);
    return all;
  }
  bool all_decided() {
    return eventually([this] { return undecided().empty(); });
  }
  /// How often each body is in a topic, by a group of its own.
  std::map<std::string, int> bodies_in(const std::string& topic) {
    std::uint64_t count = 0;
    for (const auto& q : must(client_->describe_topic(topic)).queues)
      count += q.next.value - q.first.value;
    auto from = must(pull_consumer::open(
        *client_, {.group = "readers-" + std::to_string(++groups_), .topics = {{topic}}}));
    std::map<std::string, int> got;
    for (std::uint64_t n = 0; n < count;) {
      const auto some = must(from.fetch(1000, 30s));
      if (some.empty()) {
        ADD_FAILURE() << "only " << n << " of " << count << " messages came";
        break;
      }
      n += some.size();
      for (const auto& m : some)
        ++got[std::string{m.body()}];
      must(from.ack(some));
    }
    must(from.close());
    return got;
  }
  /// Of both topics.
  std::map<std::string, int> messages_of_orders() {
    auto got = bodies_in("orders");
    for (const auto& [body, count] : bodies_in("bills"))
      got[body] += count;
    return got;
  }
  void expect_sound() {
    node_.kill();
    const auto verified = node_.verify();
    EXPECT_EQ(verified.status, 0) << verified.out << verified.err;
  }

  temporary_directory dir_;
  node_process node_;
  std::optional<client> client_;
  int groups_ = 0;
};

} // namespace

TEST_F(transactions_system, another_program_of_the_group_decides_for_one_that_was_killed) {
  start();
  auto victim = start_troupe(
      node_,
      {"--json", "send", "orders", "--lines", "-", "--transaction", "leave", "--producer-group", "shop"},
      {.keep_input = true});
  std::string lines;
  for (int i = 0; i < 20; ++i)
    lines += "order " + std::to_string(i) + "\n";
  ASSERT_TRUE(victim.write(lines));
  for (int i = 0; i < 20; ++i)
    ASSERT_TRUE(victim.read_line()) << victim.errors();
  victim.signal(SIGKILL);
  ASSERT_TRUE(victim.wait());
  auto living = open_as("shop", [](const checked_transaction& t) {
    // Every other order was sold before the program died.
    return t.content && (t.content->body.back() - '0') % 2 == 0 ? decision::commit : decision::rollback;
  });
  EXPECT_TRUE(all_decided());
  const auto got = bodies_in("orders");
  EXPECT_EQ(got.size(), 10u);
  for (const auto& [body, count] : got) {
    EXPECT_EQ(count, 1) << body;
    EXPECT_EQ((body.back() - '0') % 2, 0) << body;
  }
  must(living.close());
  expect_sound();
}

TEST_F(transactions_system, half_messages_outlive_a_node_that_is_killed_before_they_are_decided) {
  start();
  auto aut = open_as("shop");
  std::vector<message_id> ids;
  std::mutex mutex;
  constexpr int many = 10'000;
  for (int i = 0; i < many; ++i)
    aut.prepare_async("orders", {.body = std::to_string(i)}, [&](const result<receipt>& r) {
      std::lock_guard lock{mutex};
      if (r)
        ids.push_back(r->id);
    });
  must(aut.flush(60s));
  ASSERT_EQ(ids.size(), static_cast<std::size_t>(many));
  EXPECT_TRUE(bodies_in("orders").empty());
  restart();
  std::atomic<int> wrong{0};
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto done = [&, i](const result<transaction_state>& s) {
      wrong += !s || *s != (i % 4 == 0 ? state::rolled_back : state::committed);
    };
    i % 4 == 0 ? aut.rollback_async(ids[i], done) : aut.commit_async(ids[i], done);
  }
  must(aut.flush(60s));
  EXPECT_EQ(wrong, 0);
  restart();
  ASSERT_TRUE(eventually([&] { return client_->node_status().has_value(); }));
  EXPECT_EQ(bodies_in("orders").size(), static_cast<std::size_t>(many * 3 / 4));
  EXPECT_TRUE(all_decided());
  EXPECT_EQ(aut.rollback(ids[1]).error().code, errc::conflict);
  expect_sound();
}

TEST_F(transactions_system, transactions_over_topics_and_shards_are_whole_whenever_the_node_is_killed) {
  start();
  random_source random(std::random_device{}());
  SCOPED_TRACE(random.describe());
  shop orders;
  auto aut = open_as("shop", orders.checker());
  std::atomic<bool> stop{false};
  // Not the other way round: a process ends with the thread that started it.
  auto selling =
      std::async(std::launch::async, [&, seed = random.next()] { orders.sell(aut, seed, 2000, stop); });
  for (int i = 0; i < 6; ++i) {
    selling.wait_for(milliseconds{300 + random.below(900)});
    restart();
  }
  stop = true;
  selling.get();
  ASSERT_TRUE(eventually([&] { return client_->node_status().has_value(); }));
  ASSERT_TRUE(all_decided());
  orders.expect_whole(messages_of_orders());
  must(aut.close());
  expect_sound();
}

namespace {

/// The node ends itself at a step of a kind of entry, which is its parameter.
class transaction_steps : public transactions_system, public testing::WithParamInterface<std::string> {
protected:
  transaction_steps() : transactions_system(TROUPE_STEPPED_NODE) {}
};

} // namespace

TEST_P(transaction_steps, a_node_that_ends_there_leaves_no_transaction_half_done) {
  node_.start({.environment = {{"TROUPE_STEP", GetParam()}}});
  client_.emplace(connect(node_));
  must(client_->create_topic("orders", {.queues = 6}));
  must(client_->create_topic("bills", {.queues = 3}));
  shop orders;
  auto aut = open_as("shop", orders.checker());
  const std::atomic<bool> stop{false};
  auto selling = std::async(std::launch::async, [&] { orders.sell(aut, 7, 40, stop); });
  ASSERT_EQ(node_.handle().wait(60s), 128 + SIGKILL) << "no entry came to this step";
  node_.start();
  selling.get();
  ASSERT_TRUE(eventually([&] { return client_->node_status().has_value(); }));
  ASSERT_TRUE(all_decided());
  orders.expect_whole(messages_of_orders());
  must(aut.close());
  expect_sound();
}

INSTANTIATE_TEST_SUITE_P(kinds, transaction_steps,
                         testing::Values("begin.before", "begin.stored", "begin.told", "seal.before",
                                         "seal.stored", "seal.told", "decide.before", "decide.stored",
                                         "decide.told", "confirm.before", "confirm.stored", "confirm.told",
                                         "checked.before", "checked.stored", "checked.told"),
                         [](const auto& info) {
                           auto name = info.param;
                           std::ranges::replace(name, '.', '_');
                           return name;
                         });

TEST_F(transactions_system, half_messages_that_are_decided_while_the_node_is_killed_are_decided_once) {
  start();
  random_source random(std::random_device{}());
  SCOPED_TRACE(random.describe());
  order_book book;
  auto aut = open_as("shop", [&](const checked_transaction& t) {
    return t.content && book.is_sold(t.content->body) ? decision::commit : decision::rollback;
  });
  std::set<std::string> prepared;
  auto selling = std::async(std::launch::async, [&, seed = random.next()] {
    random_source own(seed);
    for (int n = 0; n < 400; ++n) {
      const auto order = "order " + std::to_string(n);
      const auto sent = aut.send("orders", {.body = order}, [&](const message& m, const message_id&) {
        if (own.below(2) == 0)
          return decision::rollback;
        book.sold(m.body);
        return own.below(4) == 0 ? decision::unknown : decision::commit;
      });
      if (sent)
        prepared.insert(order);
    }
  });
  for (int i = 0; i < 5; ++i) {
    selling.wait_for(milliseconds{100 + random.below(400)});
    restart();
  }
  selling.get();
  ASSERT_TRUE(eventually([&] { return client_->node_status().has_value(); }));
  ASSERT_TRUE(all_decided());
  const auto got = bodies_in("orders");
  for (const auto& order : prepared) {
    const auto at = got.find(order);
    EXPECT_EQ(at == got.end() ? 0 : at->second, book.is_sold(order) ? 1 : 0) << order;
  }
  must(aut.close());
  expect_sound();
}

TEST_F(transactions_system, what_nobody_answers_for_is_parked_and_decided_by_hand) {
  node_process node{dir_ / "parked",
                    {"--transaction-check-after", "50ms", "--transaction-check-every", "50ms",
                     "--transaction-max-checks", "2"}};
  node.start();
  const auto troupe = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"--node", node.address(), "--json"});
    return run(TROUPE_CLI, std::move(arguments));
  };
  ASSERT_EQ(troupe({"topic", "create", "orders", "--queues", "1"}).status, 0);
  const auto id = [&](const std::string& body) {
    return objects(troupe({"send", "orders", body, "--transaction", "leave", "--producer-group", "shop"}).out)
        .at(0)["id"]
        .get<std::string>();
  };
  const auto sold = id("sold");
  const auto refused = id("refused");
  const auto listed = [&] { return objects(troupe({"transaction", "list", "--group", "shop"}).out); };
  ASSERT_TRUE(eventually([&] {
    const auto all = listed();
    return all.size() == 2 && all[0]["state"] == "parked" && all[1]["state"] == "parked";
  }));
  EXPECT_EQ(listed().at(0)["checks"], 2);
  EXPECT_EQ(listed().at(0)["messages"], 1);
  EXPECT_EQ(listed().at(0)["group"], "shop");
  node.kill();
  node.start();
  EXPECT_EQ(listed().size(), 2u);
  EXPECT_EQ(objects(troupe({"transaction", "commit", sold}).out).at(0)["state"], "committed");
  EXPECT_EQ(troupe({"transaction", "commit", sold}).status, 0) << "said again";
  EXPECT_EQ(troupe({"transaction", "rollback", sold}).status, 1);
  EXPECT_EQ(objects(troupe({"transaction", "rollback", refused}).out).at(0)["state"], "rolled_back");
  EXPECT_EQ(troupe({"transaction", "commit", refused}).status, 1);
  EXPECT_TRUE(listed().empty());
  const auto got =
      objects(troupe({"receive", "orders", "--group", "g", "--max", "2", "--wait", "500ms"}).out);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0]["body"], "sold");
  EXPECT_EQ(got[0]["id"], sold);
}

/// The same by the command line.
class cli_transaction : public cli {};

TEST_F(cli_transaction, a_sent_message_is_committed_rolled_back_or_left) {
  new_topic("orders", {"--queues", "1"});
  const auto sent = works_json({"send", "orders", "a", "--transaction", "commit"}).at(0);
  EXPECT_EQ(sent["state"], "committed");
  EXPECT_FALSE(sent.contains("offset"));
  works({"send", "orders", "b", "--transaction", "rollback"});
  EXPECT_THAT(works({"send", "orders", "c", "--transaction", "leave"}), HasSubstr("prepared id "));
  const auto open = works_json({"transaction", "list"});
  ASSERT_EQ(open.size(), 1u);
  EXPECT_EQ(open[0]["state"], "prepared");
  EXPECT_EQ(objects(troupe({"--json", "message", "get", open[0]["id"]}).out).at(0)["state"], "prepared");
  EXPECT_EQ(open[0]["group"], "troupe");
  EXPECT_EQ(open[0]["topic"], "orders");
  EXPECT_EQ(works_json({"message", "get", open[0]["id"]}).at(0)["body"], "c");
  EXPECT_THAT(works({"transaction", "list"}), HasSubstr("prepared"));
  EXPECT_THAT(works({"transaction", "rollback", open[0]["id"]}), HasSubstr("nobody gets it"));
  EXPECT_THAT(works({"transaction", "list"}), HasSubstr("no transaction is undecided"));
  EXPECT_EQ(works_json({"receive", "orders", "--group", "g", "--max", "1"}).at(0)["body"], "a");
}

TEST_F(cli_transaction, each_line_is_a_transaction_of_its_own) {
  new_topic("lines", {"--queues", "2"});
  std::string lines;
  for (int i = 0; i < 1000; ++i)
    lines += std::to_string(i) + "\n";
  const auto sent = works_json({"send", "lines", "--lines", "-", "--transaction", "commit"}, lines);
  ASSERT_EQ(sent.size(), 1000u);
  EXPECT_EQ(sent[999]["state"], "committed");
  EXPECT_EQ(works_json({"topic", "describe", "lines"}).at(0)["messages"], 1000);
  EXPECT_THAT(works({"send", "lines", "--lines", "-", "--transaction", "rollback"}, lines),
              HasSubstr("rolled_back"));
  EXPECT_EQ(works_json({"topic", "describe", "lines"}).at(0)["messages"], 1000);
}

TEST_F(cli_transaction, says_what_is_wrong_with_an_id) {
  refused(1, {"transaction", "commit", "0-4711-0"}, "not known");
  refused(1, {"transaction", "commit", "0-4711"}, "not known");
  refused(1, {"transaction", "rollback", "9-1-0"}, "no shard 9");
}

} // namespace troupe::test
