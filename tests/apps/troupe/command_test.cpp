#include "command.hpp"
#include "temporary_directory.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <sstream>

namespace troupe::cli {

namespace {

using namespace std::chrono_literals;

class command : public testing::Test {
protected:
  result<int> run(const std::string& text, std::string_view input = {}, const received_message& m = {}) {
    return run_command({.command = text}, input, environment_of(m), stop_);
  }
  std::string path(const std::string& name) { return (place_.path() / name).string(); }
  std::string content(const std::string& name) {
    std::ifstream in(path(name), std::ios::binary);
    std::ostringstream all;
    all << in.rdbuf();
    return all.str();
  }
  test::temporary_directory place_;
  interrupt stop_;
};

} // namespace

TEST_F(command, its_exit_code_is_the_result) {
  EXPECT_EQ(run("exit 0").value(), 0);
  EXPECT_EQ(run("exit 65").value(), 65);
  EXPECT_EQ(run("kill -TERM $$").value(), 128 + SIGTERM);
  EXPECT_EQ(run("/no/such/program 2>/dev/null").value(), 127);
}

TEST_F(command, the_body_is_its_input_byte_for_byte) {
  std::string body;
  for (int i = 0; i < 3'000'000; ++i)
    body += static_cast<char>(i * 7);
  EXPECT_EQ(run("cat > " + path("copy"), body).value(), 0);
  EXPECT_TRUE(content("copy") == body);
}

TEST_F(command, one_that_does_not_read_its_input_is_fine) {
  EXPECT_EQ(run("exit 3", std::string(3'000'000, 'x')).value(), 3);
  EXPECT_EQ(run("exec <&-; exit 4", std::string(3'000'000, 'x')).value(), 4);
}

TEST_F(command, the_rest_of_the_message_is_in_its_environment) {
  received_message m;
  m.id = {shard_id(1), log_index(42), 7};
  m.topic = "orders";
  m.queue = 3;
  m.offset = queue_offset(99);
  m.attempt = 2;
  m.content.tag = "paid";
  m.content.keys = {"a", "b"};
  m.content.order_key = "o";
  m.content.properties = {{"to", "you; rm -rf /"}, {"not a name", "x"}, {"zero", std::string("\0", 1)}};
  ASSERT_EQ(run("env | grep ^TROUPE_ | grep -v ^TROUPE_NODE= | sort > " + path("env"), {}, m).value(), 0);
  auto text = content("env");
  for (const auto* line : {"TROUPE_ID=1-42-7\n", "TROUPE_TOPIC=orders\n", "TROUPE_QUEUE=3\n",
                           "TROUPE_OFFSET=99\n", "TROUPE_ATTEMPT=2\n", "TROUPE_TAG=paid\n",
                           "TROUPE_ORDER_KEY=o\n", "TROUPE_KEYS=a\n", "TROUPE_PROPERTY_to=you; rm -rf /\n"})
    EXPECT_THAT(text, testing::HasSubstr(line));
  EXPECT_THAT(text, testing::HasSubstr(R"("not a name":"x")"));
  EXPECT_THAT(text, testing::Not(testing::HasSubstr("TROUPE_PROPERTY_not")));
  EXPECT_THAT(text, testing::Not(testing::HasSubstr("TROUPE_PROPERTY_zero")));
}

TEST_F(command, what_it_prints_is_heard_line_by_line) {
  std::vector<std::string> lines;
  command_options options{.command =
                              "echo one; echo two >&2; head -c 20000 /dev/zero | tr '\\0' x; printf end"};
  options.hear = [&](std::string_view line) { lines.emplace_back(line); };
  EXPECT_EQ(run_command(options, {}, {}, stop_).value(), 0);
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_EQ(lines[0], "one");
  EXPECT_EQ(lines[1], "two");
  EXPECT_EQ(lines[2] + lines[3], std::string(20'000, 'x') + "end");
}

TEST_F(command, its_output_is_taken_byte_for_byte_and_its_errors_are_heard) {
  std::string taken, heard;
  command_options options{.command = "printf 'a\\nb'; echo oops >&2; head -c 100000 /dev/zero"};
  options.take = [&](std::string_view bytes) { taken += bytes; };
  options.hear = [&](std::string_view line) { heard += line; };
  EXPECT_EQ(run_command(options, {}, {}, stop_).value(), 0);
  EXPECT_EQ(taken, "a\nb" + std::string(100'000, '\0'));
  EXPECT_EQ(heard, "oops");
}

TEST_F(command, a_long_one_lets_us_do_something_meanwhile) {
  int calls = 0;
  command_options options{.command = "cat " + path("fifo"), .every = 5ms, .hear = [](std::string_view) {}};
  ASSERT_EQ(std::system(("mkfifo " + path("fifo")).c_str()), 0);
  // The command waits for a writer; the third call is it.
  options.meanwhile = [&] {
    if (++calls == 3)
      std::ofstream(path("fifo")) << "go";
  };
  EXPECT_EQ(run_command(options, {}, {}, stop_).value(), 0);
  EXPECT_GE(calls, 3);
}

TEST_F(command, the_first_signal_waits_for_it_and_the_second_ends_it) {
  command_options options{.command = "mkfifo " + path("never") + "; cat " + path("never"), .every = 5ms};
  int calls = 0;
  options.meanwhile = [&] {
    if (++calls <= 2)
      raise(SIGTERM);
  };
  auto ended = run_command(options, {}, {}, stop_);
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, errc::shutting_down);
}

TEST_F(command, an_environment_that_is_too_large_is_an_error_and_says_so) {
  received_message m;
  m.content.properties = {{"big", std::string(300'000, 'x')}};
  auto ended = run("exit 0", {}, m);
  ASSERT_FALSE(ended);
  EXPECT_THAT(ended.error().hint, testing::HasSubstr("environment"));
}

} // namespace troupe::cli
