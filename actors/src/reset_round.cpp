#include "reset_round.hpp"

#include <algorithm>
#include <memory>
#include <tuple>
#include <utility>

namespace troupe {

namespace {

constexpr std::size_t most_at_once = 64;
/// Longer than a SUBSCRIPTION waits for its STORE.
constexpr auto request_timeout = std::chrono::seconds{40};

struct reset_round {
  reset_group request;
  std::vector<subscription_actor> all;
  caf::typed_response_promise<group_reset> promise;
  group_reset answer;
  caf::error failed;
  std::size_t next = 0;
  std::size_t missing = 0;
};

void finish(reset_round& round) {
  std::ranges::sort(round.answer.queues, {}, [](const auto& q) { return std::tie(q.number, q.priority); });
  if (round.failed)
    round.promise.deliver(round.failed);
  else
    round.promise.deliver(std::move(round.answer));
}

void reset_next(group_impl::pointer self, const std::shared_ptr<reset_round>& round) {
  if (round->next == round->all.size())
    return;
  const auto came = [self, round] {
    if (--round->missing == 0)
      finish(*round);
    else
      reset_next(self, round);
  };
  self->request(round->all[round->next++], request_timeout, round->request)
      .then(
          [round, came](const queue_reset& q) {
            round->answer.queues.push_back(q);
            came();
          },
          [round, came](const caf::error& err) {
            if (!round->failed)
              round->failed = err;
            came();
          });
}

} // namespace

void reset_all(group_impl::pointer self, std::vector<subscription_actor> all, const reset_group& r,
               caf::typed_response_promise<group_reset> promise) {
  const auto n = all.size();
  auto round =
      std::make_shared<reset_round>(reset_round{r, std::move(all), std::move(promise), {}, {}, 0, n});
  if (n == 0)
    return finish(*round);
  for (std::size_t i = 0; i < most_at_once; ++i)
    reset_next(self, round);
}

} // namespace troupe
