// An ordered group: bookings of an account one after the other, different accounts in parallel, over two
// members with four threads each. Now and then a booking fails; its account waits for it, the others go on.

#include <arguments.hpp>

#include <troupe/client.hpp>
#include <troupe/consumer.hpp>
#include <troupe/producer.hpp>

#include <CLI/CLI.hpp>

#include <chrono>
#include <iostream>
#include <map>
#include <mutex>
#include <semaphore>
#include <string>

namespace {

constexpr int accounts = 7;
constexpr int bookings = 50;

int fail(const std::string& doing, const troupe::error& err) {
  std::cerr << "ordered_group: " << doing << ": " << troupe::to_string(err) << "\n";
  return 1;
}

/// What was booked, by account. Each booking's body is its number within the account.
class ledger {
public:
  troupe::outcome book(const troupe::leased_message& m) {
    const std::lock_guard lock{mutex_};
    auto& next = next_[std::string(m.order_key())];
    const auto number = std::stoi(std::string(m.body()));
    // Every tenth booking fails the first time: the group brings it again before the account's next one.
    if (number % 10 == 9 && m.attempt() == 1) {
      ++failures_;
      return troupe::outcome::retry({}, "the account is locked");
    }
    if (number < next)
      return troupe::outcome::ack(); // at least once: a repeat
    in_order_ = in_order_ && number == next;
    ++next;
    booked_.release();
    return troupe::outcome::ack();
  }
  bool wait(int count, std::chrono::seconds limit) {
    const auto end = std::chrono::steady_clock::now() + limit;
    for (int n = 0; n < count; ++n)
      if (!booked_.try_acquire_until(end))
        return false;
    return true;
  }
  int print() const {
    const std::lock_guard lock{mutex_};
    for (const auto& [account, count] : next_)
      std::cout << account << ": " << count << " bookings\n";
    std::cout << failures_ << " failed once; " << (in_order_ ? "every" : "NOT every")
              << " account in order\n";
    return in_order_ ? 0 : 1;
  }

private:
  mutable std::mutex mutex_;
  std::map<std::string, int> next_;
  std::counting_semaphore<> booked_{0};
  int failures_ = 0;
  bool in_order_ = true;
};

int run(const std::string& node) {
  auto client = troupe::client::connect({.address = node, .name = "ordered_group"});
  if (!client)
    return fail("connecting to " + node, client.error());
  auto options = troupe::default_options(troupe::group_mode::ordered);
  options.retry = troupe::retry_schedule::fixed(std::chrono::milliseconds{20});
  if (auto made = client->create_topic("bookings", {.queues = 4}); !made)
    return fail("creating topic bookings", made.error());
  if (auto made = client->create_group("bookkeeping", options); !made)
    return fail("creating group bookkeeping", made.error());

  auto producer = troupe::producer::open(*client, {.topic = "bookings"});
  if (!producer)
    return fail("publishing", producer.error());
  for (int n = 0; n < bookings; ++n)
    for (int account = 0; account < accounts; ++account)
      if (auto sent =
              producer->send({.body = std::to_string(n), .order_key = "account " + std::to_string(account)});
          !sent)
        return fail("publishing", sent.error());

  ledger books;
  const auto join = [&] {
    return troupe::consumer::start(*client, {.group = "bookkeeping", .topics = {{"bookings"}}}, 4,
                                   [&](const troupe::leased_message& m) { return books.book(m); });
  };
  auto one = join();
  if (!one)
    return fail("joining group bookkeeping", one.error());
  auto two = join();
  if (!two)
    return fail("joining group bookkeeping", two.error());
  if (!books.wait(accounts * bookings, std::chrono::seconds{60})) {
    std::cerr << "ordered_group: not everything came within a minute\n";
    return 1;
  }
  if (auto err = one->stop())
    return fail("settling", err);
  if (auto err = two->stop())
    return fail("settling", err);
  return books.print();
}

} // namespace

int main(int argc, char** argv) {
  std::string node = "127.0.0.1:7700";
  CLI::App app{"Books on accounts in order, with two members of an ordered group."};
  app.add_option("--node", node, "The node, HOST:PORT")->envname("TROUPE_NODE")->capture_default_str();
  if (const auto end = troupe::examples::read_arguments(app, argc, argv))
    return *end;
  return run(node);
}
