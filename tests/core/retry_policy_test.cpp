#include "troupe/retry_policy.hpp"

#include "troupe/units.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

namespace troupe {
namespace {

using namespace std::chrono_literals;

std::string text_of(const std::vector<milliseconds>& pauses) {
  std::string text;
  for (auto p : pauses)
    text += (text.empty() ? "" : " ") + format_duration(p);
  return text;
}

milliseconds decided(const retry_schedule& s, std::uint16_t failures, std::uint64_t offset = 0) {
  const auto d = scheduled_retry{s}.decide({queue_id{3}, queue_offset{offset}, failures});
  EXPECT_TRUE(d.again);
  return d.delay;
}

retry_schedule read(std::string_view text) {
  auto s = parse_retry(text);
  EXPECT_TRUE(s) << to_string(s.error());
  return s ? *s : retry_schedule{};
}

TEST(retry_policy, has_the_16_steps_of_rocketmq_by_default) {
  EXPECT_EQ(text_of(pauses_of({})), "10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h");
  EXPECT_EQ(read("default"), retry_schedule{});
  EXPECT_FALSE(validate(retry_schedule{}));
}

TEST(retry_policy, goes_through_the_steps_of_a_list_and_repeats_the_last) {
  const auto s = read("10ms,30s,1m");
  EXPECT_EQ(decided(s, 1), 10ms);
  EXPECT_EQ(decided(s, 2), 30s);
  EXPECT_EQ(decided(s, 3), 1min);
  EXPECT_EQ(decided(s, 4), 1min);
  EXPECT_EQ(decided(s, 65535), 1min);
  EXPECT_EQ(retry_schedule::fixed(2s), read("2s"));
}

TEST(retry_policy, grows_by_its_factor_up_to_its_maximum) {
  const auto s = read("exponential:1s,2,10s");
  EXPECT_EQ(text_of(pauses_of(s)), "1s 2s 4s 8s 10s");
  EXPECT_EQ(decided(s, 65535), 10s);
  EXPECT_EQ(text_of(pauses_of(read("exponential:100ms,1.5,400ms"))), "100ms 150ms 225ms 337ms 400ms");
}

TEST(retry_policy, reaches_its_maximum_also_from_the_shortest_pause_with_the_smallest_factor) {
  const auto s = read("exponential:10ms,1.1,1d");
  EXPECT_FALSE(validate(s));
  EXPECT_EQ(decided(s, 2), 11ms);
  EXPECT_EQ(decided(s, 65535), 24h);
  EXPECT_EQ(decided(read("exponential:10ms,100,1d"), 65535), 24h) << "without overflow";
  EXPECT_EQ(pauses_of(s).size(), retry_schedule::most_steps);
}

TEST(retry_policy, never_pauses_longer_or_shorter_than_its_jitter_says_and_not_alike) {
  const auto s = read("10s~20%");
  std::set<milliseconds> seen;
  for (std::uint64_t offset = 0; offset < 1000; ++offset) {
    const auto pause = decided(s, 1, offset);
    EXPECT_GE(pause, 8s);
    EXPECT_LE(pause, 12s);
    seen.insert(pause);
  }
  EXPECT_GT(seen.size(), 500u) << "of 4001 that are possible";
  EXPECT_LT(*seen.begin(), 8500ms);
  EXPECT_GT(*seen.rbegin(), 11500ms);
}

TEST(retry_policy, decides_alike_whenever_it_is_asked_and_differently_for_each_failure_and_queue) {
  const scheduled_retry policy{read("1h~50%")};
  const failed_message m{queue_id{3}, queue_offset{7}, 2};
  EXPECT_EQ(policy.decide(m), policy.decide(m));
  EXPECT_EQ(policy.decide(m), scheduled_retry{read("1h~50%")}.decide(m));
  EXPECT_NE(policy.decide(m), policy.decide({m.queue, m.offset, 3}));
  EXPECT_NE(policy.decide(m), policy.decide({queue_id{4}, m.offset, 2}));
}

TEST(retry_policy, spreads_messages_only_with_jitter) {
  EXPECT_FALSE(scheduled_retry{read("10s")}.spreads());
  EXPECT_TRUE(scheduled_retry{read("10s~1%")}.spreads());
}

TEST(retry_policy, is_written_as_it_is_read) {
  for (const auto* text : {"10s,30s,1m,2m,3m,4m,5m,6m,7m,8m,9m,10m,20m,30m,1h,2h", "250ms", "10s,30s~20%",
                           "exponential:1s,2,10m", "exponential:250ms,1.5,1h~5%", "exponential:1s,1.25,1d",
                           "exponential:1s,1.2,1d", "exponential:1s,2.05,1d"})
    EXPECT_EQ(format_retry(read(text)), text);
  EXPECT_EQ(format_retry(read("60s,90s~0%")), "1m,90s");
}

TEST(retry_policy, that_cannot_be_read_is_refused_and_says_why) {
  for (const auto& [text, why] :
       std::vector<std::pair<std::string, std::string>>{{"", "''"},
                                                        {"soon", "soon"},
                                                        {"10", "10"},
                                                        {"10s,", "''"},
                                                        {"10s,,1m", "''"},
                                                        {"-1s", "-1s"},
                                                        {"10s;30s", "10s;30s"},
                                                        {"10s~", "~20%"},
                                                        {"10s~20", "~20%"},
                                                        {"10s~-1%", "~20%"},
                                                        {"10s~1.5%", "~20%"},
                                                        {"10s~101%", "~20%"},
                                                        {"10s~300%", "~20%"},
                                                        {"exponential:", "followed by"},
                                                        {"exponential:1s,2", "followed by"},
                                                        {"exponential:1s,2,3m,4", "followed by"},
                                                        {"exponential:1s,two,3m", "'two'"},
                                                        {"exponential:1s,1.234,3m", "'1.234'"},
                                                        {"exponential:1s,1.,3m", "'1.'"},
                                                        {"exponential:1s,-2,3m", "'-2'"},
                                                        {"exponential:1s,4294967297,3m", "'4294967297'"},
                                                        {"exponential:x,2,3m", "'x'"},
                                                        {"exponential:1s,2,x", "'x'"}}) {
    auto s = parse_retry(text);
    ASSERT_FALSE(s) << text;
    EXPECT_EQ(s.error().code, errc::invalid_argument);
    EXPECT_NE(s.error().reason.find(why), std::string::npos) << text << ": " << s.error().reason;
    EXPECT_NE(s.error().hint.find("10s,30s,1m"), std::string::npos);
  }
}

TEST(retry_policy, cannot_be_a_list_and_grow_at_the_same_time) {
  const std::vector<milliseconds> steps{1s};
  EXPECT_FALSE(validate({.steps = steps}));
  for (const auto& both : {retry_schedule{.steps = steps, .initial = 1s},
                           {.steps = steps, .factor = 200},
                           {.steps = steps, .maximum = 1h},
                           {.steps = steps, .initial = milliseconds{-1}}})
    EXPECT_NE(validate(both).reason.find("both a list"), std::string::npos);
}

TEST(retry_policy, out_of_its_limits_is_refused_and_says_which) {
  const auto steps = [](std::size_t n) { return retry_schedule{.steps = std::vector<milliseconds>(n, 1s)}; };
  EXPECT_FALSE(validate(steps(64)));
  EXPECT_NE(validate(steps(65)).reason.find("at most 64"), std::string::npos);
  EXPECT_FALSE(validate(read("10ms,24h~50%")));
  for (const auto& [text, why] : std::vector<std::pair<std::string, std::string>>{
           {"10s,9ms", "9ms"},
           {"25h", "25h"},
           {"0", "0s"},
           {"10s~51%", "at most 50%"},
           {"exponential:1ms,2,1m", "first pause"},
           {"exponential:1s,2,25h", "longest pause"},
           {"exponential:10s,2,1s", "shorter than its first"},
           {"exponential:1s,1,1m", "factor of the retry policy is 1;"},
           {"exponential:1s,1.09,1m", "1.09"},
           {"exponential:1s,100.01,1m", "100.01"}}) {
    const auto err = validate(read(text));
    EXPECT_EQ(err.code, errc::invalid_argument) << text;
    EXPECT_NE(err.reason.find(why), std::string::npos) << text << ": " << err.reason;
    EXPECT_FALSE(err.hint.empty()) << text << ": what to do is not said";
  }
}

} // namespace
} // namespace troupe
