#include "client_fixture.hpp"

#include "troupe/requester.hpp"

#include "reply_board.hpp"

namespace troupe::test {
namespace {

/// Requests over a topic, for a node in this process and for one behind a socket.
class requester_test : public Client {
protected:
  requester ask_over(const std::string& topic) {
    auto r = requester::open(*c, {.topic = topic});
    if (!r)
      throw std::runtime_error(to_string(r.error()));
    return std::move(*r);
  }
  consumer answering(const std::string& topic, consumer::handler h) {
    auto started = consumer::start(*c, {.group = "workers", .topics = {{topic}}}, 2, std::move(h));
    if (!started)
      throw std::runtime_error(to_string(started.error()));
    return std::move(*started);
  }
  /// Replies with the body of the request, twice over.
  outcome echo(const leased_message& m) {
    message answer = text(std::string{m.body()} + std::string{m.body()});
    answer.tag = "echo";
    const auto failed = reply(*c, m, answer);
    return failed ? outcome::retry(10ms, to_string(failed)) : outcome::ack();
  }
};

/// A client of a node in its own process ends with it.
class remote_requester_test : public requester_test {};

} // namespace

INSTANTIATE_TEST_SUITE_P(node, remote_requester_test, testing::Values(place::remote),
                         [](const auto&) { return "behind_a_socket"; });
INSTANTIATE_TEST_SUITE_P(node, requester_test, testing::Values(place::embedded, place::remote),
                         [](const auto& info) {
                           return info.param == place::embedded ? "in_this_process" : "behind_a_socket";
                         });

TEST_P(requester_test, gets_the_reply_to_its_own_request_of_many) {
  topic("prices");
  auto worker = answering("prices", [this](const leased_message& m) { return echo(m); });
  auto aut = ask_over("prices");
  const auto one = aut.request(text("7"), 20s);
  ASSERT_TRUE(one) << to_string(one.error());
  EXPECT_EQ(one->body, "77");
  EXPECT_EQ(one->tag, "echo");
  counter answered;
  std::atomic<int> wrong{0};
  for (int i = 0; i < 1000; ++i)
    aut.request_async(text(std::to_string(i)), 30s, [&, i](const result<message>& r) {
      wrong += !r || r->body != std::to_string(i) + std::to_string(i);
      answered.add();
    });
  ASSERT_TRUE(answered.reaches(1000));
  EXPECT_EQ(wrong, 0);
}

TEST_P(requester_test, hears_in_time_that_nobody_replied_and_what_comes_later_is_dropped) {
  topic("prices", 1);
  auto aut = ask_over("prices");
  const auto late = aut.request(text("a"), 20ms);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, errc::timeout);
  auto from = pull("workers", "prices");
  auto waiting = std::async(std::launch::async, [&] { return aut.request(text("b"), 30s); });
  std::vector<leased_message> got;
  while (got.empty() || got.back().body() != "b") { // "a" has expired, or comes first
    auto some = fetch(from, 1);
    ASSERT_FALSE(some.empty());
    got.insert(got.end(), some.begin(), some.end());
  }
  for (const auto& m : got)
    EXPECT_FALSE(reply(*c, m, text("re: " + std::string{m.body()})));
  EXPECT_FALSE(reply(*c, got.back(), text("again")));
  const auto answer = waiting.get();
  ASSERT_TRUE(answer) << to_string(answer.error());
  EXPECT_EQ(answer->body, "re: b") << "the first reply counts";
}

TEST_P(requester_test, a_reply_to_who_is_gone_or_never_asked_is_refused) {
  topic("prices", 1);
  auto from = pull("workers", "prices");
  auto plain = open("prices");
  ASSERT_TRUE(plain.send(text("no request")));
  const auto not_asked = fetch(from, 1);
  ASSERT_EQ(not_asked.size(), 1u);
  EXPECT_EQ(reply(*c, not_asked[0], text("x")).code, errc::invalid_argument);
  EXPECT_EQ(reply(*c, leased_message{}, text("x")).code, errc::invalid_argument);
  std::vector<leased_message> got;
  {
    auto gone = ask_over("prices");
    counter failed;
    gone.request_async(text("hello?"), 60s, [&](const result<message>& r) {
      EXPECT_EQ(r.error().code, errc::shutting_down);
      failed.add();
    });
    got = fetch(from, 1);
    ASSERT_EQ(got.size(), 1u);
    EXPECT_EQ(reply(*c, got[0], text("")).code, errc::invalid_argument) << "a body cannot be empty";
    EXPECT_FALSE(gone.close());
    EXPECT_TRUE(failed.reaches(1)) << "what waits is told";
    EXPECT_EQ(gone.request(text("x"), 1s).error().code, errc::shutting_down);
  }
  error refused;
  for (int i = 0; i < 1000 && refused.code != errc::not_found; ++i)
    refused = reply(*c, got[0], text("too late")); // until the node heard of its end
  EXPECT_EQ(refused.code, errc::not_found);
}

TEST_P(requester_test, refuses_what_makes_no_sense) {
  topic("prices");
  EXPECT_EQ(requester::open(*c, {.topic = "nothing"}).error().code, errc::not_found);
  auto aut = ask_over("prices");
  EXPECT_EQ(aut.request(text("x"), 0ms).error().code, errc::invalid_argument);
  auto mine = text("x");
  mine.properties = {{"CORRELATION_ID", "1"}};
  EXPECT_EQ(aut.request(mine, 1s).error().code, errc::invalid_argument);
  EXPECT_EQ(aut.request(text(""), 1s).error().code, errc::invalid_argument) << "what the producer refuses";
}

TEST_P(remote_requester_test, goes_on_when_the_node_comes_back) {
  topic("prices");
  auto worker = answering("prices", [this](const leased_message& m) { return echo(m); });
  auto aut = ask_over("prices");
  ASSERT_TRUE(aut.request(text("1"), 20s));
  broker.reset();
  start_node();
  const auto after = aut.request(text("2"), 60s);
  ASSERT_TRUE(after) << to_string(after.error());
  EXPECT_EQ(after->body, "22");
}

TEST(reply_board, gives_each_request_out_once_and_late_ones_in_order_of_their_deadlines) {
  reply_board aut;
  std::string told;
  const auto says = [&](const char* text) { return [&told, text](const result<message>&) { told += text; }; };
  const error late{errc::timeout, "late", {}};
  const auto a = aut.add(says("a"), 30ms);
  const auto b = aut.add(says("b"), 10ms);
  const auto d = aut.add(says("d"), 10ms);
  ASSERT_TRUE(a && b && d);
  EXPECT_EQ(aut.next_deadline(), 10ms);
  EXPECT_TRUE(aut.take(*b));
  EXPECT_FALSE(aut.take(*b));
  EXPECT_TRUE(aut.take_late(9ms).empty());
  for (const auto& done : aut.take_late(30ms))
    done(late);
  EXPECT_EQ(told, "da");
  EXPECT_FALSE(aut.next_deadline());
  for (std::size_t i = 0; i < requester::most_waiting; ++i)
    ASSERT_TRUE(aut.add(says("."), 50ms));
  EXPECT_FALSE(aut.add(says("."), 50ms)) << "too many wait";
  EXPECT_EQ(aut.take_all().size(), requester::most_waiting);
}

} // namespace troupe::test
