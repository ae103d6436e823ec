#include "troupe/catalog_pipeline.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace troupe {

namespace {

using testing::ElementsAre;
using testing::IsEmpty;

/// A pipeline whose answers and effects are written down as a trace.
struct catalog_pipeline_test : testing::Test {
  std::vector<std::string> trace;
  catalog_pipeline::limits limits;
  std::optional<catalog_pipeline> aut;

  void start(catalog_entry loaded = {}, catalog_ids last = {}) {
    aut.emplace(
        std::move(loaded), last,
        [this](const catalog_entry& entry, const catalog_removed& removed) {
          for (const auto& topic : entry.topics)
            trace.push_back("applied " + topic.name);
          for (const auto& topic : removed.topics)
            trace.push_back("removed " + topic.name);
          for (const auto& group : entry.groups)
            trace.push_back("applied group " + group.name);
        },
        limits);
  }
  void SetUp() override { start(); }

  catalog_pipeline::finish_function answer(const std::string& what) {
    return
        [this, what](const error& err) { trace.push_back(what + ": " + std::string{to_string(err.code)}); };
  }
  void create(const std::string& name) {
    aut->take(
        {topic_key(name)},
        [name](const catalog& has, const catalog_ids& last) { return has.create_topic(name, {}, last, {}); },
        answer("create " + name));
  }
  void remove(const std::string& name) {
    aut->take(
        {topic_key(name)}, [name](const catalog& has, const catalog_ids&) { return has.delete_topic(name); },
        answer("delete " + name));
  }
  void join(const std::string& group, const std::string& topic) {
    aut->take(
        {group_key(group), topic_key(topic)},
        [=](const catalog& has, const catalog_ids& last) {
          std::vector<wanted_subscription> wanted{{topic, "*"}};
          return has.join(group, wanted, {}, last, {});
        },
        answer("join " + group));
  }
  /// What the next entry creates, by name.
  std::vector<std::string> next_topics() {
    std::vector<std::string> names;
    if (auto entry = aut->next())
      for (const auto& topic : entry->topics)
        names.push_back(topic.name);
    return names;
  }
};

TEST_F(catalog_pipeline_test,
       changes_gathered_meanwhile_travel_in_one_entry_and_are_answered_when_it_is_durable) {
  create("a");
  EXPECT_THAT(next_topics(), ElementsAre("a"));
  create("b");
  create("c");
  EXPECT_FALSE(aut->ready());
  EXPECT_FALSE(aut->next());
  EXPECT_THAT(trace, IsEmpty());
  EXPECT_EQ(aut->definitions().topic("a"), nullptr);
  aut->committed({});
  EXPECT_THAT(trace, ElementsAre("applied a", "create a: none"));
  EXPECT_THAT(next_topics(), ElementsAre("b", "c"));
  aut->committed({});
  EXPECT_NE(aut->definitions().topic("c"), nullptr);
  EXPECT_EQ(aut->definitions().topic("c")->id, topic_id{3});
}

TEST_F(catalog_pipeline_test, of_two_creates_of_one_name_under_way_the_second_learns_that_it_exists) {
  create("a");
  create("a");
  EXPECT_THAT(trace, IsEmpty());
  EXPECT_THAT(next_topics(), ElementsAre("a"));
  aut->committed({});
  EXPECT_THAT(trace, ElementsAre("applied a", "create a: none", "create a: already_exists"));
}

TEST_F(catalog_pipeline_test, when_the_first_create_fails_the_second_gets_its_chance) {
  create("a");
  create("a");
  EXPECT_THAT(next_topics(), ElementsAre("a"));
  aut->committed({errc::no_space, "full"});
  EXPECT_THAT(trace, ElementsAre("create a: no_space"));
  EXPECT_THAT(next_topics(), ElementsAre("a"));
  aut->committed({});
  EXPECT_EQ(aut->definitions().topic("a")->id, topic_id{2});
}

TEST_F(catalog_pipeline_test, create_and_delete_of_one_name_are_decided_in_the_order_they_came) {
  create("a");
  remove("a");
  create("a");
  while (aut->next())
    aut->committed({});
  EXPECT_THAT(trace, ElementsAre("applied a", "create a: none", "removed a", "delete a: none", "applied a",
                                 "create a: none"));
}

TEST_F(catalog_pipeline_test, a_topic_is_not_deleted_under_a_join_that_is_under_way) {
  create("a");
  aut->next();
  aut->committed({});
  trace.clear();
  join("workers", "a");
  remove("a");
  aut->next();
  aut->committed({});
  EXPECT_THAT(trace, ElementsAre("applied group workers", "join workers: none"));
  aut->next();
  aut->committed({});
  EXPECT_THAT(trace, ElementsAre("applied group workers", "join workers: none", "removed a",
                                 "applied group workers", "delete a: none"));
  EXPECT_THAT(aut->definitions().group("workers")->subscriptions, IsEmpty());
}

TEST_F(catalog_pipeline_test, a_second_equal_join_needs_no_entry_of_its_own) {
  create("a");
  aut->next();
  aut->committed({});
  join("workers", "a");
  join("workers", "a");
  aut->next();
  aut->committed({});
  EXPECT_FALSE(aut->ready());
  EXPECT_THAT(trace, ElementsAre("applied a", "create a: none", "applied group workers", "join workers: none",
                                 "join workers: none"));
}

TEST_F(catalog_pipeline_test, beyond_the_limit_of_open_requests_the_answer_is_overloaded_at_once) {
  limits.open = 2;
  start();
  create("a");
  create("a");
  create("b");
  EXPECT_THAT(trace, ElementsAre("create b: overloaded"));
  aut->next();
  aut->committed({});
  create("b");
  EXPECT_TRUE(aut->ready());
}

TEST_F(catalog_pipeline_test, an_entry_holds_no_more_changes_and_bytes_than_allowed_but_at_least_one) {
  limits.changes = 2;
  start();
  for (auto name : {"a", "b", "c"})
    create(name);
  EXPECT_THAT(next_topics(), ElementsAre("a", "b"));
  aut->committed({});
  EXPECT_THAT(next_topics(), ElementsAre("c"));
  limits.bytes = 1;
  start();
  create("a");
  create("b");
  EXPECT_THAT(next_topics(), ElementsAre("a"));
}

TEST_F(catalog_pipeline_test, after_an_outcome_that_is_not_known_nothing_is_changed_any_more) {
  create("a");
  aut->next();
  aut->committed({errc::timeout, "no answer"});
  EXPECT_EQ(aut->broken().code, errc::storage_failed);
  create("a");
  remove("b");
  EXPECT_FALSE(aut->ready());
  EXPECT_THAT(trace, ElementsAre("create a: timeout", "create a: storage_failed", "delete b: not_found"));
}

TEST_F(catalog_pipeline_test, closing_answers_everything_once) {
  create("a");
  create("a");
  aut->next();
  create("b");
  aut->close({errc::shutting_down, "bye"});
  create("c");
  EXPECT_THAT(trace, testing::UnorderedElementsAre("create a: shutting_down", "create a: shutting_down",
                                                   "create b: shutting_down", "create c: shutting_down"));
  EXPECT_FALSE(aut->ready());
}

} // namespace

} // namespace troupe
