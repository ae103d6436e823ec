#pragma once

#include <caf/error.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

namespace troupe {

/// One question to each of many, a few at a time, and what is made of the answers.
template <class Asked, class Answer> struct question_round {
  std::vector<Asked> asked;
  std::chrono::seconds limit{10};
  std::size_t at_once = 64;
  std::function<void(const Asked&, Answer&)> add;
  /// Errors that make no difference: whose they are is left out.
  std::function<bool(const caf::error&)> ignores = [](const caf::error&) { return false; };
  /// All have answered or failed; with the first error that made a difference, or none.
  std::function<void(const caf::error&)> finish;

  caf::error failed = {};
  std::size_t next = 0;
  std::size_t missing = 0;
};

/// The actor to ask: overload it for what is more than a handle.
template <class Handle> const Handle& actor_of(const Handle& asked) { return asked; }

template <class Self, class Asked, class Answer, class... Question>
void ask_next(Self self, const std::shared_ptr<question_round<Asked, Answer>>& round,
              const Question&... question) {
  if (round->next == round->asked.size())
    return;
  const auto& asked = round->asked[round->next++];
  const auto came = [=] {
    if (--round->missing == 0)
      round->finish(round->failed);
    else
      ask_next(self, round, question...);
  };
  self->request(actor_of(asked), round->limit, question...)
      .then(
          [round, came, &asked](Answer& a) {
            round->add(asked, a);
            came();
          },
          [round, came](const caf::error& err) {
            if (!round->failed && !round->ignores(err))
              round->failed = err;
            came();
          });
}

/// For the actor `self`, in whose thread it goes on; finish is called before this returns when there is
/// nobody to ask.
template <class Self, class Asked, class Answer, class... Question>
void ask_each(Self self, question_round<Asked, Answer> round, const Question&... question) {
  round.missing = round.asked.size();
  if (round.missing == 0)
    return round.finish({});
  const auto shared = std::make_shared<question_round<Asked, Answer>>(std::move(round));
  for (std::size_t i = 0; i < shared->at_once; ++i)
    ask_next(self, shared, question...);
}

} // namespace troupe
