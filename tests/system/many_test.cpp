#include "ledger.hpp"
#include "system_fixture.hpp"

#include "troupe/consumer.hpp"
#include "troupe/producer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>

namespace troupe::test {

TEST(many_test, ten_thousand_topics_are_made_listed_described_restarted_and_used) {
  constexpr int count = 10'000;
  temporary_directory dir;
  node_process node{dir / "data"};
  node.start();
  std::vector<std::string> names;
  for (int i = 0; i < count; ++i)
    names.push_back("topic-" + std::to_string(i));
  auto c = connect(node);
  const auto before = node.anonymous_memory();
  for (const auto& made : c.create_topics(names, {.queues = 4}))
    ASSERT_TRUE(made) << to_string(made.error());
  const auto memory = node.anonymous_memory() - before;
  std::cout << "an idle topic of 4 queues costs about " << memory / count << " bytes" << std::endl;
  EXPECT_LT(memory, 256u << 20);

  const auto expect_all_there = [&] {
    auto listed = must(c.list_topics());
    auto wanted = names;
    std::ranges::sort(listed);
    std::ranges::sort(wanted);
    EXPECT_EQ(listed, wanted);
    for (int i = 0; i < count; i += 499) {
      const auto info = must(c.describe_topic(names[static_cast<std::size_t>(i)]));
      EXPECT_EQ(info.options.queues, 4u);
      EXPECT_EQ(info.queues.size(), 4u);
    }
    EXPECT_EQ(must(c.node_status()).topics, static_cast<std::uint64_t>(count));
  };
  expect_all_there();
  node.kill();
  node.start();
  EXPECT_TRUE(eventually([&] { return c.node_status().has_value(); }));
  expect_all_there();

  for (int i = 0; i < 500; ++i) {
    const auto& name = names[static_cast<std::size_t>(i * 20)];
    auto to = must(producer::open(c, {.topic = name}));
    EXPECT_EQ(must(to.send(message{.body = name})).offset.value, 0u);
  }
  std::uint64_t messages = 0;
  for (int i = 0; i < 500; ++i)
    for (const auto& q : must(c.describe_topic(names[static_cast<std::size_t>(i * 20)])).queues)
      messages += q.next.value;
  EXPECT_EQ(messages, 500u);
  c.close();
  EXPECT_EQ(node.stop(), 0) << node.log();
  EXPECT_EQ(node.verify().status, 0);
}

TEST(many_test, a_thousand_members_of_one_group_share_its_messages) {
  constexpr std::size_t clients = 20;
  constexpr std::size_t members = 1000;
  // One member holds at most four, so that all get some.
  constexpr std::uint32_t each = 4;
  temporary_directory dir;
  node_process node{dir / "data"};
  node.start();
  auto c = connect(node);
  must(c.create_topic("work", {.queues = 8}));
  std::vector<client> lines;
  std::vector<pull_consumer> crew;
  for (std::size_t i = 0; i < members; ++i) {
    if (i % (members / clients) == 0)
      lines.push_back(connect(node));
    crew.push_back(must(pull_consumer::open(lines.back(), {.group = "crew",
                                                           .member = "member-" + std::to_string(i),
                                                           .topics = {{"work"}},
                                                           .max_messages = each})));
  }
  const auto group = must(c.describe_group("crew"));
  EXPECT_EQ(group.members.size(), members);
  EXPECT_EQ(must(c.node_status()).connections, clients + 1);

  auto to = must(producer::open(c, {.topic = "work"}));
  std::vector<message> all;
  for (std::uint64_t n = 0; n < members * each; ++n)
    all.push_back(to_message({0, n, static_cast<std::uint32_t>(n % 64), n / 64}, 50));
  for (const auto& answer : to.send(std::move(all)))
    must(answer);
  EXPECT_TRUE(eventually([&] {
    return std::ranges::all_of(crew, [&](const auto& m) { return m.statistics().received == each; });
  })) << "some members get nothing, or too little, or too much";

  std::set<label> seen;
  for (auto& m : crew) {
    for (std::size_t taken = 0; taken < each;) {
      const auto messages = must(m.fetch(each, 30s));
      ASSERT_FALSE(messages.empty());
      for (const auto& got : messages)
        EXPECT_TRUE(seen.insert(label_of(got.body())).second) << "two members got the same message";
      must(m.ack(messages));
      taken += messages.size();
    }
  }
  EXPECT_EQ(seen.size(), members * each);
  EXPECT_TRUE(eventually([&] { return all_settled(c, "crew"); }));

  // Most of them leave; the others go on.
  crew.erase(crew.begin() + static_cast<std::ptrdiff_t>(members / clients), crew.end());
  EXPECT_TRUE(eventually([&] { return must(c.describe_group("crew")).members.size() == crew.size(); }));
  must(to.send(message{.body = "0 100000 0 100000"}));
  EXPECT_TRUE(eventually([&] {
    return std::ranges::any_of(crew, [](const auto& m) { return m.statistics().received > each; });
  }));
}

} // namespace troupe::test
