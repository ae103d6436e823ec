#pragma once

#include "troupe/shared_subscription.hpp"

#include "judged_view.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace troupe::test {

using namespace std::chrono_literals;

inline constexpr auto start = from_unix_ms(1'700'000'000'000);
inline constexpr generation gen{3};
inline constexpr std::uint64_t ann = 1, bob = 2;

inline std::string trace(const std::vector<leased_run>& runs) {
  std::string out;
  for (const auto& r : runs)
    out += std::to_string(r.first.value) + "-" + std::to_string(r.next.value) + "x" +
           std::to_string(r.attempts) + " ";
  return out;
}

/// "0-5 done", "5-6 retry2@1000" with due times relative to `start`.
inline std::string trace(const std::vector<progress>& runs) {
  std::string out;
  for (const auto& r : runs) {
    out += std::to_string(r.first.value) + "-" + std::to_string(r.next.value);
    if (r.what == progress::outcome::retry)
      out += " retry" + std::to_string(r.attempts) + "@" + std::to_string((r.due - start).count());
    else if (r.what == progress::outcome::dead)
      out += " dead" + std::to_string(r.attempts) + " " + std::string(to_string(r.reason)) + " '" + r.detail +
             "'";
    else
      out += r.what == progress::outcome::done      ? " done"
             : r.what == progress::outcome::expired ? " expired"
                                                    : " skipped";
    out += "; ";
  }
  return out;
}

struct subscription_test : testing::Test {
  subscription_limits limits;
  std::shared_ptr<const retry_policy> policy = std::make_shared<scheduled_retry>(retry_schedule::fixed(1s));
  shared_subscription aut{limits, policy};
  timestamp now = start;
  lease_id lease;

  void SetUp() override {
    aut.restore({gen, queue_offset{0}, {}, {}});
    aut.extent(queue_offset{0}, queue_offset{100}, now);
  }
  /// Delivers from one batch, as the actor does.
  std::string deliver(std::uint64_t member, std::uint64_t base, std::uint32_t count,
                      std::uint32_t most = 1000, const judged_view::passes& pass = {}) {
    std::vector<leased_run> runs;
    judged_view judged{pass};
    lease = aut.begin(member, now);
    aut.take(queue_offset{base}, count, most, judged.view(), runs);
    EXPECT_EQ(aut.commit(), !runs.empty());
    return trace(runs);
  }
  std::optional<queue_offset> plan(std::uint64_t member = ann) {
    const auto p = aut.plan(member, now);
    return p ? std::optional{p->from} : std::nullopt;
  }
  std::uint64_t settle(settle_wish wish, std::uint64_t first, std::uint32_t count, milliseconds delay = 0ms,
                       const std::string& detail = {}) {
    return aut.settle({wish, gen, lease, queue_offset{first}, count, delay, detail}, now).refused;
  }
  std::string written() { return trace(aut.take_progress(1000)); }
  std::string released() {
    std::string out;
    for (const auto& r : aut.take_releases())
      out += std::to_string(r.member) + ":" + std::to_string(r.messages) + " ";
    return out;
  }
};

} // namespace troupe::test
