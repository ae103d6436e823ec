#include "ledger.hpp"
#include "system_fixture.hpp"

#include "troupe/consumer.hpp"
#include "troupe/producer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

namespace troupe::test {

namespace {

constexpr std::uint64_t batches = 20;
constexpr std::uint64_t per_batch = 10;
constexpr const char* marker = "the byte to be hit is in HERE";

/// Flips a bit in each place where the file has this text; how many there were. (A page that is no longer in
/// use may hold a copy.)
std::size_t flip(const std::filesystem::path& file, const std::string& text) {
  std::string bytes = [&] {
    std::ifstream in{file, std::ios::binary};
    std::ostringstream all;
    all << in.rdbuf();
    return all.str();
  }();
  std::fstream out{file, std::ios::binary | std::ios::in | std::ios::out};
  std::size_t count = 0;
  for (auto at = bytes.find(text); at != std::string::npos; at = bytes.find(text, at + 1), ++count) {
    out.seekp(static_cast<std::streamoff>(at));
    out.put(static_cast<char>(text[0] ^ 0x10));
  }
  out.close();
  if (!out)
    throw std::runtime_error("cannot write " + file.string());
  return count;
}

std::uint64_t batch_of(const label& what) { return what.serial / per_batch; }

} // namespace

TEST(damage_test, a_flipped_bit_is_named_and_costs_at_most_its_client_batch) {
  temporary_directory dir;
  node_process node{dir / "data"};
  node.start();
  std::map<std::uint64_t, receipt> told;
  constexpr std::uint64_t hit = 7 * per_batch + 3;
  {
    auto c = connect(node);
    must(c.create_topic("orders", {.queues = 1}));
    auto to = must(producer::open(c, {.topic = "orders"}));
    for (std::uint64_t b = 0; b < batches; ++b) {
      std::vector<message> batch;
      for (std::uint64_t i = b * per_batch; i < (b + 1) * per_batch; ++i) {
        batch.push_back(to_message({0, i, 0, i}, 300));
        if (i == hit)
          batch.back().body += marker;
      }
      const auto answers = to.send(std::move(batch));
      for (std::uint64_t i = 0; i < per_batch; ++i)
        told[b * per_batch + i] = must(answers[i]);
    }
  }
  ASSERT_EQ(node.stop(), 0) << node.log();
  ASSERT_EQ(node.verify().status, 0);
  ASSERT_GE(flip(dir / "data" / "shard-0" / "data.mdb", marker), 1u);

  // Verified: one place, named, within the client batch.
  const auto& where = told[hit];
  const auto verified = node.verify();
  EXPECT_EQ(verified.status, 1) << verified.err;
  EXPECT_EQ(std::ranges::count(verified.out, '\n'), 2) << verified.out;
  const auto name = "shard 0, log index " + std::to_string(where.id.index.value) + ", queue ";
  const auto at = verified.out.find(name);
  ASSERT_NE(at, std::string::npos) << verified.out << "does not name " << name;
  const auto open = verified.out.find("offsets [", at);
  ASSERT_NE(open, std::string::npos) << verified.out;
  std::istringstream range{verified.out.substr(open + 9)};
  std::uint64_t first = 0, next = 0;
  char comma = 0;
  ASSERT_TRUE(range >> first >> comma >> next) << verified.out;
  EXPECT_LE(first, where.offset.value);
  EXPECT_GT(next, where.offset.value);
  EXPECT_GE(first, told[7 * per_batch].offset.value) << "more than the client batch is lost";
  EXPECT_LE(next, told[8 * per_batch - 1].offset.value + 1) << "more than the client batch is lost";

  // Read: everything else is delivered, the group gets past it, and the node says what it passed over.
  node.start();
  auto c = connect(node);
  auto from = must(pull_consumer::open(c, {.group = "readers", .topics = {{"orders"}}}));
  std::set<std::uint64_t> read;
  const auto expected = batches * per_batch - (next - first);
  while (read.size() < expected) {
    const auto messages = must(from.fetch(1000, 30s));
    ASSERT_FALSE(messages.empty()) << "only " << read.size() << " of " << expected << " messages come";
    for (const auto& m : messages) {
      const auto what = label_of(m.body());
      EXPECT_TRUE(m.offset().value < first || m.offset().value >= next) << what.serial;
      EXPECT_EQ(m.offset(), told[what.serial].offset);
      EXPECT_TRUE(read.insert(what.serial).second);
    }
    must(from.ack(messages));
  }
  must(from.flush());
  for (std::uint64_t i = 0; i < batches * per_batch; ++i)
    EXPECT_TRUE(read.contains(i) || batch_of({0, i}) == batch_of({0, hit})) << i;
  EXPECT_TRUE(eventually([&] { return all_settled(c, "readers"); })) << "the group waits for what is damaged";
  EXPECT_NE(node.log().find(name), std::string::npos) << node.log();

  // Asked for by its id; and its neighbours.
  const auto damaged = c.get(where.id);
  ASSERT_FALSE(damaged);
  EXPECT_EQ(damaged.error().code, errc::corrupt) << to_string(damaged.error());
  EXPECT_NE(damaged.error().reason.find(name), std::string::npos) << damaged.error().reason;
  EXPECT_EQ(label_of(must(c.get(told[6 * per_batch].id)).content.body).serial, 6 * per_batch);

  // Publishing to the same queue goes on.
  auto to = must(producer::open(c, {.topic = "orders"}));
  EXPECT_EQ(must(to.send(message{.body = "after"})).offset.value, batches * per_batch);
  must(to.close());
  must(from.close());
  EXPECT_EQ(node.stop(), 0) << node.log();
}

} // namespace troupe::test
