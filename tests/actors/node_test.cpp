#include "troupe/node.hpp"

#include "temporary_directory.hpp"
#include "troupe/wire_admin.hpp"

#include <caf/logger.hpp>
#include <caf/scoped_actor.hpp>

#include <atomic>
#include <condition_variable>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <mutex>
#include <thread>
#include <unistd.h>

namespace troupe::test {

namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

/// Real nodes in this process, each in a temporary directory.
struct node_test : testing::Test {
  temporary_directory scratch;

  node_config config() {
    node_config c;
    c.data = scratch / "data";
    return c;
  }
  static std::unique_ptr<node> start(node_config c) {
    auto started = node::start(std::move(c));
    EXPECT_TRUE(started) << to_string(started.error());
    return started ? std::move(*started) : nullptr;
  }
  static error refused(node_config c) {
    auto started = node::start(std::move(c));
    EXPECT_FALSE(started);
    return started ? error{} : started.error();
  }
  template <class Answer, class... Request> static result<Answer> ask(node& aut, Request... request) {
    result<Answer> answer{error{errc::internal, "no answer"}};
    {
      caf::scoped_actor self{aut.system()};
      self->request(aut.directory(), 10s, request...)
          .receive([&](Answer& a) { answer = std::move(a); },
                   [&](const caf::error& err) { answer = from_caf(err); });
    }
    // As every thread from outside has to; see node.cpp.
    caf::logger::set_current_actor_system(nullptr);
    return answer;
  }
};

TEST_F(node_test, an_embedded_node_listens_nowhere_and_answers_in_the_process) {
  auto aut = start(config());
  ASSERT_TRUE(aut);
  EXPECT_EQ(aut->address(), "");
  auto topic = ask<topic_status>(*aut, create_topic{"orders", {}});
  ASSERT_TRUE(topic) << to_string(topic.error());
  auto status = aut->status();
  ASSERT_TRUE(status) << to_string(status.error());
  EXPECT_EQ(status->topics, 1u);
  EXPECT_EQ(status->state, "running");
  EXPECT_EQ(aut->wait(0ms).code, errc::timeout);
  auto err = aut->stop();
  EXPECT_FALSE(err) << to_string(err);
  EXPECT_FALSE(aut->stop());
  EXPECT_EQ(aut->status().error().code, errc::shutting_down);
  EXPECT_FALSE(aut->directory());
}

TEST_F(node_test, may_be_asked_by_any_thread_while_it_stops) {
  auto aut = start(config());
  ASSERT_TRUE(aut);
  std::atomic<bool> over{false};
  std::vector<std::thread> askers;
  for (int i = 0; i < 4; ++i)
    askers.emplace_back([&] {
      while (!over) {
        aut->directory();
        if (auto s = aut->status(); !s && s.error().code == errc::shutting_down)
          return;
      }
    });
  auto err = aut->stop();
  over = true;
  for (auto& t : askers)
    t.join();
  EXPECT_FALSE(err) << to_string(err);
  EXPECT_FALSE(aut->directory());
}

TEST_F(node_test, what_it_answered_is_there_when_it_starts_again) {
  auto c = config();
  c.shards = 2;
  {
    auto aut = start(c);
    ASSERT_TRUE(aut && ask<topic_status>(*aut, create_topic{"orders", {}}));
  }
  c.shards = 0;
  auto aut = start(c);
  ASSERT_TRUE(aut);
  auto topics = ask<names>(*aut, list_topics_atom::value);
  ASSERT_TRUE(topics);
  EXPECT_EQ(topics->values, std::vector<std::string>{"orders"});
  EXPECT_EQ(aut->status()->shards.size(), 2u);
}

TEST_F(node_test, a_second_node_on_the_directory_is_refused_until_the_first_has_stopped) {
  auto first = start(config());
  auto err = refused(config());
  EXPECT_EQ(err.code, errc::in_use);
  EXPECT_THAT(err.reason, HasSubstr(std::to_string(::getpid())));
  EXPECT_EQ(verify_data(scratch / "data").error().code, errc::in_use);
  first.reset();
  EXPECT_TRUE(start(config()));
}

TEST_F(node_test, a_drain_that_a_client_asked_for_is_told_once_and_ends_the_wait) {
  std::mutex mutex;
  std::vector<error> told;
  auto c = config();
  c.on_end = [&](const error& err) {
    std::lock_guard guard{mutex};
    told.push_back(err);
  };
  auto aut = start(c);
  ASSERT_TRUE(aut);
  EXPECT_TRUE(ask<bool>(*aut, drain_atom::value));
  auto why = aut->wait(10s);
  EXPECT_FALSE(why) << to_string(why);
  EXPECT_EQ(ask<route>(*aut, route_request{"orders"}).error().code, errc::shutting_down);
  EXPECT_FALSE(aut->stop());
  std::lock_guard guard{mutex};
  EXPECT_EQ(told, std::vector<error>{error{}});
}

TEST_F(node_test, it_listens_on_a_free_port_and_refuses_a_taken_one) {
  auto c = config();
  c.host = "127.0.0.1";
  auto first = start(c);
  ASSERT_TRUE(first);
  EXPECT_GT(first->port(), 0);
  EXPECT_EQ(first->address(), "127.0.0.1:" + std::to_string(first->port()));
  c.data = scratch / "other";
  c.port = first->port();
  EXPECT_EQ(refused(c).code, errc::in_use);
  first.reset();
  auto second = start(c);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->port(), c.port);
}

TEST_F(node_test, off_loopback_only_with_tls_and_nothing_is_made_before_that_is_clear) {
  auto c = config();
  for (const std::string host : {"0.0.0.0", "::", "no.such.host.invalid"}) {
    c.host = host;
    EXPECT_EQ(refused(c).code, errc::invalid_argument) << host;
  }
  c.host = "127.0.0.1";
  c.tls_certificate = c.tls_key = c.tls_ca = scratch / "missing.pem";
  EXPECT_THAT(refused(c).reason, HasSubstr("missing.pem"));
  c.tls_key.clear();
  EXPECT_THAT(refused(c).reason, HasSubstr("2 of the three"));
  EXPECT_FALSE(std::filesystem::exists(c.data));
}

TEST_F(node_test, values_out_of_range_are_refused_with_the_range) {
  auto c = config();
  c.shards = 65;
  EXPECT_THAT(validate(c).reason, HasSubstr("1 to 64"));
  c = config();
  c.disk_budget = 1u << 20;
  EXPECT_THAT(validate(c).reason, HasSubstr("128MiB"));
  c = config();
  c.in_flight = 1;
  EXPECT_THAT(validate(c).reason, HasSubstr("16MiB"));
  c = config();
  c.name = std::string(256, 'n');
  EXPECT_THAT(validate(c).reason, HasSubstr("255"));
  c = config();
  c.data.clear();
  EXPECT_EQ(validate(c).code, errc::invalid_argument);
  EXPECT_FALSE(validate(config()));
}

TEST_F(node_test, a_budget_that_is_too_small_for_the_shards_that_exist_is_refused) {
  auto c = config();
  c.shards = 2;
  start(c);
  c.shards = 0;
  c.disk_budget = 128u << 20;
  EXPECT_THAT(refused(c).reason, HasSubstr("2 shard(s)"));
}

TEST_F(node_test, a_start_that_fails_leaves_the_directory_free) {
  start(config());
  auto shard = scratch / "data" / "shard-0" / "data.mdb";
  std::ofstream{shard, std::ios::trunc | std::ios::binary} << "this is no shard";
  auto err = refused(config());
  EXPECT_TRUE(err.code == errc::corrupt || err.code == errc::unknown_version) << to_string(err);
  std::filesystem::remove_all(scratch / "data");
  EXPECT_TRUE(start(config()));
}

TEST_F(node_test, verification_counts_what_it_read_and_finds_nothing_wrong_in_a_sound_directory) {
  {
    auto aut = start(config());
    ASSERT_TRUE(aut && ask<topic_status>(*aut, create_topic{"orders", {}}));
  }
  auto report = verify_data(scratch / "data");
  ASSERT_TRUE(report) << to_string(report.error());
  EXPECT_EQ(report->shards, 1);
  EXPECT_TRUE(report->findings.empty());
  EXPECT_EQ(verify_data(scratch / "none").error().code, errc::not_found);
}

} // namespace

} // namespace troupe::test
