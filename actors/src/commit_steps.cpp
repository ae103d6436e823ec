#include "commit_steps.hpp"

#include <algorithm>
#include <iterator>
#include <string>
#include <variant>

namespace troupe {

namespace {

/// In the order of entry_body.
constexpr std::string_view kinds[] = {"noop",   "append",      "settle",  "define",
                                      "trim",   "drop_queue",  "reset",   "redrive",
                                      "purge",  "fire",        "split",   "cancel",
                                      "evict",  "forget_keys", "begin",   "seal",
                                      "decide", "confirm",     "checked", "forget_transactions"};
static_assert(std::size(kinds) == std::variant_size_v<entry_body>);

} // namespace

commit_steps::commit_steps(const std::function<void(std::string_view)>& at_step,
                           std::span<const proposal> proposals)
    : at_step_(at_step) {
  if (!at_step_)
    return;
  for (const auto& p : proposals)
    if (const auto kind = kinds[p.body.index()]; std::ranges::find(kinds_, kind) == kinds_.end())
      kinds_.push_back(kind);
}

void commit_steps::say(std::string_view step) const {
  for (const auto kind : kinds_)
    at_step_(std::string{kind} + '.' + std::string{step});
}

} // namespace troupe
