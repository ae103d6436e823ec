// A shop sells from its own ledger and tells others by message: never one without the other. Each order is
// first a half message, then an entry in the ledger, then a decision. For one order the shop stops in
// between; the node asks, and the checker finds the answer in the ledger.

#include <arguments.hpp>

#include <troupe/client.hpp>
#include <troupe/consumer.hpp>
#include <troupe/transactions.hpp>

#include <CLI/CLI.hpp>

#include <chrono>
#include <iostream>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>

namespace {

constexpr auto topic = "orders";

int fail(const std::string& doing, const troupe::error& err) {
  std::cerr << "transactions: " << doing << ": " << troupe::to_string(err) << "\n";
  return 1;
}

/// The shop's own books; in a real shop a database, which the checker of another process can ask, too.
class ledger {
public:
  /// False when it is sold out.
  bool sell(const std::string& article) {
    std::lock_guard lock{mutex_};
    auto& left = stock_[article];
    if (left == 0)
      return false;
    --left;
    ++sold_[article];
    return true;
  }
  bool is_sold(const std::string& article) {
    std::lock_guard lock{mutex_};
    return sold_.contains(article);
  }

private:
  std::mutex mutex_;
  std::map<std::string, int> stock_{{"chair", 1}, {"table", 1}};
  std::map<std::string, int> sold_;
};

/// One line at a time, from two threads.
void say(const std::string& line) {
  static std::mutex mutex;
  std::lock_guard lock{mutex};
  std::cout << line << std::endl;
}

int run(const std::string& node) {
  auto client = troupe::client::connect({.address = node, .name = "shop"});
  if (!client)
    return fail("connecting to " + node, client.error());
  if (auto made = client->create_topic(topic, {.queues = 1});
      !made && made.error().code != troupe::errc::already_exists)
    return fail("creating the topic", made.error());

  ledger books;
  troupe::transaction_options options;
  options.group = "shop";
  options.checker = [&books](const troupe::checked_transaction& asked) {
    if (!asked.content)
      return troupe::decision::unknown;
    const bool sold = books.is_sold(asked.content->body);
    say("asked about " + asked.content->body + ": " + (sold ? "sold" : "not sold"));
    return sold ? troupe::decision::commit : troupe::decision::rollback;
  };
  auto shop = troupe::transactions::open(*client, std::move(options));
  if (!shop)
    return fail("opening transactions", shop.error());

  for (const std::string article : {"chair", "lamp", "table"}) {
    auto sent =
        shop->send(topic, {.body = article}, [&](const troupe::message& m, const troupe::message_id&) {
          if (!books.sell(m.body))
            return troupe::decision::rollback;
          if (m.body == "table")
            throw std::runtime_error("power cut"); // sold, but nobody said so
          return troupe::decision::commit;
        });
    if (!sent)
      return fail("selling " + article, sent.error());
    say(article + " is " + std::string{troupe::to_string(sent->state)});
  }

  auto warehouse = troupe::pull_consumer::open(*client, {.group = "warehouse", .topics = {{topic}}});
  if (!warehouse)
    return fail("joining the warehouse", warehouse.error());
  for (int left = 2; left > 0;) {
    auto orders = warehouse->fetch(10, std::chrono::minutes{1});
    if (!orders)
      return fail("receiving", orders.error());
    if (orders->empty())
      return fail("receiving", {troupe::errc::timeout, "no order came for a minute"});
    for (const auto& m : *orders)
      say("the warehouse packs " + std::string{m.body()});
    left -= static_cast<int>(orders->size());
    if (auto err = warehouse->ack(*orders))
      return fail("acknowledging", err);
  }
  if (auto err = warehouse->close())
    return fail("settling", err);
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  std::string node = "127.0.0.1:7700";
  CLI::App app{"Sells three articles in transactions of a ledger and a message, and loses none."};
  app.add_option("--node", node, "The node, HOST:PORT")->envname("TROUPE_NODE")->capture_default_str();
  if (const auto end = troupe::examples::read_arguments(app, argc, argv))
    return *end;
  return run(node);
}
