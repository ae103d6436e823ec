#include "outcomes.hpp"

#include "troupe/dead_letter.hpp"

#include <algorithm>

namespace troupe {

settle_item settle_of(const leased_message& m, const outcome& said) {
  settle_item item;
  item.queue = m.delivery->queue;
  item.gen = m.delivery->gen;
  item.lease = m.delivery->lease;
  item.first = m.offset();
  item.count = 1;
  if (said.what == outcome::kind::ack)
    return item;
  item.action = said.what == outcome::kind::retry ? settle_action::retry : settle_action::dead;
  item.delay_ms =
      static_cast<std::uint32_t>(std::clamp<milliseconds::rep>(said.delay.count(), 0, UINT32_MAX));
  item.detail = dead_detail(said.why);
  return item;
}

settle_item give_back_of(const leased_message& m) {
  auto item = settle_of(m, outcome::retry());
  item.give_back = true;
  return item;
}

bool outcomes::add(const leased_message& m, const settle_item& item) {
  const auto& d = *m.delivery;
  if (d.stopped(m.position))
    return false;
  const bool stops = item.action == settle_action::retry;
  if (d.chains && stops)
    d.chains->failed(m.position);
  key_waits_ = key_waits_ || stops || !d.chains || d.chains->is_last(m.position);
  runs_.add(item);
  return true;
}

bool outcomes::add(const leased_message& m, const outcome& said) { return add(m, settle_of(m, said)); }

bool outcomes::give_back(const leased_message& m) { return add(m, give_back_of(m)); }

bool outcomes::add_or_skip(const leased_message& m, const std::optional<outcome>& said) {
  const bool added = add(m, said.value_or(outcome::ack()));
  skipped_ += added && !said ? 1 : 0;
  return added;
}

void outcomes::tell(inbox& to) { to.settle(runs_.take(), skipped_, key_waits_); }

} // namespace troupe
