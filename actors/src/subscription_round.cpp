#include "subscription_round.hpp"

#include "question_round.hpp"

#include <algorithm>
#include <memory>
#include <tuple>
#include <utility>

namespace troupe {

namespace {

/// Longer than a SUBSCRIPTION waits for its STORE.
constexpr auto reset_timeout = std::chrono::seconds{40};

} // namespace

void ask_all(group_impl::pointer self, std::vector<subscription_actor> all,
             std::function<void(std::vector<subscription_status>)> done) {
  const auto answers = std::make_shared<std::vector<subscription_status>>();
  question_round<subscription_actor, subscription_status> round{.asked = std::move(all),
                                                                .limit = group_queues::request_timeout};
  round.add = [answers](const auto&, subscription_status& s) { answers->push_back(std::move(s)); };
  round.ignores = [](const caf::error&) { return true; };
  round.finish = [answers, done = std::move(done)](const caf::error&) {
    std::ranges::sort(*answers, {}, [](const auto& s) { return std::tie(s.topic, s.number, s.priority); });
    done(std::move(*answers));
  };
  ask_each(self, std::move(round), status_atom::value);
}

caf::error partly_reset(const caf::error& failed, std::size_t done, std::size_t all, const char* of_what) {
  auto why = from_caf(failed);
  why.reason += "; " + std::to_string(done) + " of " + std::to_string(all) + ' ' + of_what + " were reset";
  if (done > 0)
    why.hint = "ask for the same again: what was reset goes on from there, and is reset once more";
  return to_caf(why);
}

void reset_all(group_impl::pointer self, std::vector<subscription_actor> all, const reset_group& r,
               caf::typed_response_promise<group_reset> promise) {
  const auto answer = std::make_shared<group_reset>();
  const auto count = all.size();
  question_round<subscription_actor, queue_reset> round{.asked = std::move(all), .limit = reset_timeout};
  round.add = [answer](const auto&, queue_reset& q) { answer->queues.push_back(std::move(q)); };
  round.finish = [answer, promise, count](const caf::error& failed) mutable {
    if (failed)
      return static_cast<void>(promise.deliver(partly_reset(failed, answer->queues.size(), count, "queues")));
    std::ranges::sort(answer->queues, {}, [](const auto& q) { return std::tie(q.number, q.priority); });
    promise.deliver(std::move(*answer));
  };
  ask_each(self, std::move(round), r);
}

} // namespace troupe
