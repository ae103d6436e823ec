#include "system_fixture.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

/// The examples do what their READMEs say.
namespace troupe::test {

namespace {

using testing::HasSubstr;

class examples_test : public testing::Test {
protected:
  void SetUp() override { node_.start(); }
  static finished example(const std::string& name, std::vector<std::string> arguments) {
    const auto program = std::filesystem::path(TROUPE_CLI).parent_path() / ("example_" + name);
    return run(program.string(), std::move(arguments), {}, 120s);
  }
  finished example(const std::string& name) { return example(name, {"--node", node_.address()}); }

  temporary_directory dir_;
  node_process node_{dir_ / "data", {"--transaction-check-after", "200ms"}};
};

} // namespace

TEST_F(examples_test, wrong_usage_ends_with_2) {
  for (const auto* name : {"audit", "broadcast_group", "exactly_once", "inventory", "ordered_group",
                           "packages", "retry_and_dead_letters", "transactions"}) {
    EXPECT_EQ(example(name, {"127.0.0.1:1"}).status, 2) << name;
    EXPECT_EQ(example(name, {"--help"}).status, 0) << name;
  }
}

TEST_F(examples_test, ordered_group_books_every_account_in_order) {
  const auto said = example("ordered_group");
  EXPECT_EQ(said.status, 0) << said.err;
  for (int account = 0; account < 7; ++account)
    EXPECT_THAT(said.out, HasSubstr("account " + std::to_string(account) + ": 50 bookings\n"));
  EXPECT_THAT(said.out, HasSubstr("35 failed once; every account in order"));
}

TEST_F(examples_test, retry_and_dead_letters_ships_the_lamp_in_the_end) {
  const auto said = example("retry_and_dead_letters");
  EXPECT_EQ(said.status, 0) << said.err;
  for (const auto* line : {"shipped chair at attempt 1\n", "shipped table at attempt 1\n",
                           "dead after 3 attempts (attempts): no such article: lamp\n",
                           "dead after 1 attempts (rejected): the order is unreadable\n",
                           "shipped lamp at attempt 1\n", "1 dead letter left\n"})
    EXPECT_THAT(said.out, HasSubstr(line));
}

TEST_F(examples_test, transactions_packs_what_was_sold_and_nothing_else) {
  const auto said = example("transactions");
  EXPECT_EQ(said.status, 0) << said.err;
  for (const auto* line :
       {"chair is committed\n", "lamp is rolled_back\n", "table is prepared\n", "asked about table: sold\n",
        "the warehouse packs chair\n", "the warehouse packs table\n"})
    EXPECT_THAT(said.out, HasSubstr(line));
  EXPECT_THAT(said.out, testing::Not(HasSubstr("packs lamp")));
}

TEST_F(examples_test, broadcast_group_tells_every_cache_every_price) {
  const auto said = example("broadcast_group");
  EXPECT_EQ(said.status, 0) << said.err;
  for (const auto* line :
       {"north has 0 prices to learn\n", "south has 0 prices to learn\n", "west has 3 prices to learn\n",
        "north: chair=20 lamp=20 table=20\n", "south: chair=20 lamp=20 table=20\n",
        "west: chair=20 lamp=20 table=20\n", "east: chair=20 lamp=20 table=20\n"})
    EXPECT_THAT(said.out, HasSubstr(line));
}

} // namespace troupe::test
