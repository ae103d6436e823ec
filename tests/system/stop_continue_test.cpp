#include "ledger.hpp"
#include "loader.hpp"
#include "system_fixture.hpp"

#include "troupe/consumer.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <csignal>
#include <iostream>
#include <random>
#include <thread>

namespace troupe::test {

namespace {

using nlohmann::json;

class stop_continue_test : public testing::Test {
protected:
  void start(std::vector<std::string> options = {}) {
    node_.emplace(dir_ / "data", std::move(options));
    node_->start();
    client_.emplace(connect(*node_));
    must(client_->create_topic("orders", {.queues = 4}));
  }
  /// How the node looks to somebody who asks it with little patience.
  static errc seen_by(client& impatient) {
    const auto status = impatient.node_status();
    return status ? errc::none : status.error().code;
  }

  temporary_directory dir_;
  std::optional<node_process> node_;
  std::optional<client> client_;
};

} // namespace

TEST_F(stop_continue_test, a_node_that_is_stopped_under_load_loses_and_doubles_nothing) {
  random_source random{std::random_device{}()};
  SCOPED_TRACE(random.describe());
  std::cout << "the node stopped under load, " << random.describe() << std::endl;
  start();
  ledger books;
  // Two publish; with the third nothing but questions goes to the node.
  std::vector<client> clients;
  for (int n = 0; n < 3; ++n)
    clients.push_back(connect(*node_, 1s));
  const auto all_see = [&](errc what) {
    return eventually(
        [&] { return std::ranges::all_of(clients, [&](auto& c) { return seen_by(c) == what; }); });
  };
  std::vector<std::unique_ptr<loader>> loaders;
  for (std::uint32_t n = 0; n < 2; ++n)
    loaders.push_back(std::make_unique<loader>(clients[n],
                                               producer_options{.topic = "orders", .timeout = 120s},
                                               loader_options{.number = n, .seed = random.next()}, books));
  for (int round = 0; round < 4; ++round) {
    const auto goal = books.acknowledged() + random.between(1, 3000);
    ASSERT_TRUE(eventually([&] { return books.acknowledged() >= goal; })) << "publishing does not go on";
    node_->signal(SIGSTOP);
    // Short stops go unnoticed; in the last one the clients give the connection up and try to make new ones,
    // which are accepted by the kernel and answered by nobody.
    const auto enough = round == 3 ? errc::disconnected : errc::timeout;
    EXPECT_TRUE(all_see(enough));
    node_->signal(SIGCONT);
    EXPECT_TRUE(all_see(errc::none));
  }
  std::uint64_t reconnects = 0;
  for (auto& l : loaders) {
    l->stop();
    reconnects += l->statistics().reconnects;
  }
  EXPECT_GE(reconnects, loaders.size());
  EXPECT_EQ(books.failed(), 0u) << books.first_failure();
  books.expect_exactly_once(read_by_consumer(*client_, "orders", "fresh"));
  EXPECT_EQ(node_->stop(), 0) << node_->log();
  const auto verified = node_->verify();
  EXPECT_EQ(verified.status, 0) << verified.out << verified.err;
  books.expect_exactly_once(read_by_store(node_->data(), "orders"));
}

TEST_F(stop_continue_test,
       a_producer_that_is_stopped_until_the_node_gives_it_up_goes_on_and_doubles_nothing) {
  start();
  auto program = start_troupe(*node_, {"--json", "--timeout", "2m", "send", "orders", "--lines", "-"},
                              {.keep_input = true});
  // It is fed by a thread, because a stopped program reads nothing. A failing test ends both.
  constexpr std::uint64_t count = 20'000;
  std::jthread feeder{[&](const std::stop_token& given_up) {
    const std::stop_callback end{given_up, [&] { program.signal(SIGKILL); }};
    bool reads = true;
    for (std::uint64_t n = 0; n < count && reads; ++n)
      reads = program.write(to_message({0, n, 0, n}, 100).body + "\n", 120s);
    program.close_input();
  }};
  ASSERT_TRUE(program.read_line()) << program.errors();
  program.signal(SIGSTOP);
  EXPECT_TRUE(eventually([&] { return must(client_->node_status()).connections == 1; }))
      << "the node does not give up a producer that does not answer";
  program.signal(SIGCONT);
  feeder.join();
  EXPECT_EQ(program.wait(120s), 0) << program.errors();

  const auto said = program.output();
  EXPECT_EQ(static_cast<std::uint64_t>(std::ranges::count(said, '\n')), count);
  // Lines are reported in the order in which they were given.
  std::map<std::uint64_t, place> told;
  std::istringstream lines{said};
  for (std::string line; std::getline(lines, line);) {
    const auto r = json::parse(line);
    told[told.size()] = {r.at("queue"), r.at("offset"), *parse_message_id(r.at("id").get<std::string>())};
  }
  std::map<std::uint64_t, place> found;
  for (const auto& f : read_by_consumer(*client_, "orders", "fresh"))
    EXPECT_TRUE(found.emplace(f.what.serial, f.where).second) << "twice: " << f.what.serial;
  EXPECT_EQ(found, told);
}

TEST_F(stop_continue_test, the_memory_of_the_node_stays_bounded_while_a_consumer_is_stopped) {
  // Besides these two the node holds what members have credit for (8 MiB here), and itself.
  start({"--in-flight", "16MiB", "--tail-cache", "16MiB"});
  constexpr std::uint64_t bound = 128u << 20;
  constexpr std::size_t size = 16'384;
  constexpr std::uint64_t count = (256u << 20) / size;
  auto to = must(producer::open(*client_, {.topic = "orders"}));
  must(to.send(to_message({0, 0, 0, 0}, size)));
  auto program = start_troupe(*node_, {"--json", "receive", "orders", "--group", "slow"});
  ASSERT_TRUE(program.read_line()) << program.errors();
  program.signal(SIGSTOP);

  std::atomic<std::uint64_t> failed{0};
  std::uint64_t highest = 0;
  for (std::uint64_t n = 1; n < count; ++n) {
    to.send_async(to_message({0, n, static_cast<std::uint32_t>(n % 100), n / 100}, size),
                  [&](const result<receipt>& answer) { failed += answer ? 0 : 1; });
    if (n % 256 == 0)
      highest = std::max(highest, node_->anonymous_memory());
  }
  must(to.flush(120s));
  highest = std::max(highest, node_->anonymous_memory());
  EXPECT_EQ(failed, 0u);
  EXPECT_LT(highest, bound);
  std::cout << "RssAnon of the node while 256 MiB passed a stopped consumer: at most " << (highest >> 20)
            << " MiB" << std::endl;

  program.signal(SIGCONT);
  EXPECT_TRUE(eventually([&] { return all_settled(*client_, "slow"); }, 120s)) << program.errors();
  highest = std::max(highest, node_->anonymous_memory());
  EXPECT_LT(highest, bound);
  program.signal(SIGTERM);
  EXPECT_EQ(program.wait(), 0) << program.errors();
}

} // namespace troupe::test
