#include "broadcast_round.hpp"

#include "messaging.hpp"
#include "question_round.hpp"
#include "subscription_round.hpp"

#include <caf/sec.hpp>

#include <algorithm>
#include <map>
#include <memory>
#include <tuple>
#include <utility>

namespace troupe {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t most_at_once = 32;
/// Longer than a GROUP waits for its SUBSCRIPTIONs.
constexpr auto describe_timeout = 10s;
constexpr auto reset_timeout = 60s;

/// It was removed while it was asked.
bool is_gone(const caf::error& err) {
  return err == caf::sec::request_receiver_down || err == caf::exit_reason::user_shutdown;
}

template <class Answer>
question_round<broadcast_member, Answer> round_of(std::vector<broadcast_member> members,
                                                  std::chrono::seconds limit) {
  return {.asked = std::move(members), .limit = limit, .at_once = most_at_once, .ignores = is_gone};
}

using by_queue = std::map<std::tuple<std::string, std::uint32_t, std::uint8_t>, subscription_status>;

void add(by_queue& all, subscription_status q) {
  const auto [at, first] = all.try_emplace({q.topic, q.number, q.priority}, q);
  if (first)
    return;
  auto& sum = at->second;
  sum.floor = std::min(sum.floor, q.floor);
  sum.next = std::max(sum.next, q.next);
  sum.lag_ms = std::max(sum.lag_ms, q.lag_ms);
  sum.unsettled = std::max(sum.unsettled, q.unsettled);
  sum.expired = std::max(sum.expired, q.expired);
  sum.leased += q.leased;
  sum.estimated = sum.estimated || q.estimated;
}

member_status describe(const broadcast_member& m, const group_status& s) {
  member_status result{m.name, {}, to_unix_ms(m.seen)};
  if (!s.members.empty()) {
    result.node = s.members.front().node;
    result.since = s.members.front().since;
  }
  for (const auto& q : s.queues)
    result.lag += q.unsettled;
  return result;
}

} // namespace

void describe_members(catalog_self::pointer self, std::vector<broadcast_member> members, group_status blank,
                      caf::typed_response_promise<group_status> promise, std::function<void()> done) {
  struct sum {
    group_status answer;
    by_queue queues;
  };
  const auto all = std::make_shared<sum>(sum{std::move(blank), {}});
  auto round = round_of<group_status>(std::move(members), describe_timeout);
  round.add = [all](const broadcast_member& m, group_status& s) {
    all->answer.members.push_back(describe(m, s));
    for (auto& q : s.queues)
      add(all->queues, std::move(q));
  };
  round.finish = [all, promise, done = std::move(done)](const caf::error& failed) mutable {
    done();
    if (failed)
      return static_cast<void>(promise.deliver(failed));
    std::ranges::sort(all->answer.members, {}, &member_status::name);
    for (auto& [key, q] : all->queues)
      all->answer.queues.push_back(std::move(q));
    promise.deliver(std::move(all->answer));
  };
  ask_each(self, std::move(round), status_atom::value);
}

void reset_members(catalog_self::pointer self, std::vector<broadcast_member> members, const reset_group& r,
                   caf::typed_response_promise<group_reset> promise, std::function<void()> done) {
  const auto all = std::make_shared<group_reset>();
  const auto done_of = std::make_shared<std::pair<std::size_t, std::size_t>>(0, members.size());
  auto round = round_of<group_reset>(std::move(members), reset_timeout);
  round.add = [all, done_of](const broadcast_member& m, group_reset& rows) {
    ++done_of->first;
    for (auto& q : rows.queues) {
      q.member = m.name;
      all->queues.push_back(std::move(q));
    }
  };
  round.finish = [all, done_of, promise, done = std::move(done)](const caf::error& failed) mutable {
    done();
    if (failed)
      return static_cast<void>(
          promise.deliver(partly_reset(failed, done_of->first, done_of->second, "members")));
    std::ranges::sort(all->queues, {},
                      [](const auto& q) { return std::tie(q.member, q.number, q.priority); });
    promise.deliver(std::move(*all));
  };
  ask_each(self, std::move(round), r);
}

} // namespace troupe
