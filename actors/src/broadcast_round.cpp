#include "broadcast_round.hpp"

#include "messaging.hpp"

#include <caf/sec.hpp>

#include <algorithm>
#include <iterator>
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

/// One question to each member, and what is made of the answers.
template <class Answer> struct member_round {
  std::vector<broadcast_member> members;
  std::function<void(const broadcast_member&, Answer&)> add;
  std::function<void(const caf::error&)> finish;
  caf::error failed;
  std::size_t next = 0;
  std::size_t missing = 0;
};

/// It was removed while it was asked.
bool is_gone(const caf::error& err) {
  return err == caf::sec::request_receiver_down || err == caf::exit_reason::user_shutdown;
}

template <class Answer, class... Question>
void ask_next(catalog_self::pointer self, const std::shared_ptr<member_round<Answer>>& round,
              std::chrono::seconds limit, const Question&... question) {
  if (round->next == round->members.size())
    return;
  const auto& asked = round->members[round->next++];
  const auto came = [=] {
    if (--round->missing == 0)
      round->finish(round->failed);
    else
      ask_next(self, round, limit, question...);
  };
  self->request(asked.group, limit, question...)
      .then(
          [round, came, &asked](Answer& a) {
            round->add(asked, a);
            came();
          },
          [round, came](const caf::error& err) {
            if (!round->failed && !is_gone(err))
              round->failed = err;
            came();
          });
}

template <class Answer, class... Question>
void ask_each(catalog_self::pointer self, member_round<Answer> round, std::chrono::seconds limit,
              const Question&... question) {
  round.missing = round.members.size();
  if (round.missing == 0)
    return round.finish({});
  const auto shared = std::make_shared<member_round<Answer>>(std::move(round));
  for (std::size_t i = 0; i < most_at_once; ++i)
    ask_next(self, shared, limit, question...);
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
  member_round<group_status> round{.members = std::move(members)};
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
  ask_each(self, std::move(round), describe_timeout, status_atom::value);
}

void reset_members(catalog_self::pointer self, std::vector<broadcast_member> members, const reset_group& r,
                   caf::typed_response_promise<group_reset> promise, std::function<void()> done) {
  const auto all = std::make_shared<group_reset>();
  member_round<group_reset> round{.members = std::move(members)};
  round.add = [all](const broadcast_member& m, group_reset& rows) {
    for (auto& q : rows.queues) {
      q.member = m.name;
      all->queues.push_back(std::move(q));
    }
  };
  round.finish = [all, promise, done = std::move(done)](const caf::error& failed) mutable {
    done();
    if (failed)
      return static_cast<void>(promise.deliver(failed));
    std::ranges::sort(all->queues, {},
                      [](const auto& q) { return std::tie(q.member, q.number, q.priority); });
    promise.deliver(std::move(*all));
  };
  ask_each(self, std::move(round), reset_timeout, r);
}

} // namespace troupe
