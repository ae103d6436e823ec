#include "status_round.hpp"

#include <algorithm>
#include <memory>
#include <tuple>
#include <utility>

namespace troupe {

namespace {

constexpr std::size_t most_at_once = 64;

struct status_round {
  std::vector<subscription_actor> all;
  std::function<void(std::vector<subscription_status>)> done;
  std::vector<subscription_status> answers;
  std::size_t next = 0;
  std::size_t missing = 0;
};

void finish(status_round& round) {
  std::ranges::sort(round.answers, {}, [](const auto& s) { return std::tie(s.topic, s.number, s.priority); });
  round.done(std::move(round.answers));
}

void ask_next(group_impl::pointer self, const std::shared_ptr<status_round>& round) {
  if (round->next == round->all.size())
    return;
  const auto came = [self, round] {
    if (--round->missing == 0)
      finish(*round);
    else
      ask_next(self, round);
  };
  self->request(round->all[round->next++], group_queues::request_timeout, status_atom::value)
      .then(
          [round, came](const subscription_status& s) {
            round->answers.push_back(s);
            came();
          },
          [came](const caf::error&) { came(); });
}

} // namespace

void ask_all(group_impl::pointer self, std::vector<subscription_actor> all,
             std::function<void(std::vector<subscription_status>)> done) {
  const auto n = all.size();
  auto round = std::make_shared<status_round>(status_round{std::move(all), std::move(done), {}, 0, n});
  if (n == 0)
    return finish(*round);
  for (std::size_t i = 0; i < most_at_once; ++i)
    ask_next(self, round);
}

} // namespace troupe
