#include "retention.hpp"

#include "messaging.hpp"

#include "troupe/units.hpp"

#include <caf/actor_system.hpp>
#include <caf/spawn_options.hpp>

#include <algorithm>
#include <vector>

namespace troupe {

namespace {

using namespace std::chrono_literals;

constexpr auto store_timeout = 60s;

milliseconds monotonic(caf::actor_clock::time_point t) {
  return std::chrono::duration_cast<milliseconds>(t.time_since_epoch());
}

} // namespace

void retention_state::init(retention_config cfg) {
  cfg_ = std::move(cfg);
  guard_.emplace(cfg_.now(), monotonic(self_->clock().now()));
}

void retention_state::rule(const retention_rule& r) {
  if (!from_here(self_))
    return;
  for (auto q : r.queues) {
    if (r.removed)
      schedule_.remove(q);
    else
      schedule_.keep(q, {r.age, r.bytes, r.keys});
  }
  arm_next();
}

void retention_state::appended(const appended_queues& a) {
  if (!from_here(self_))
    return;
  const auto now = cfg_.now();
  for (auto q : a.queues)
    schedule_.appended(q, now);
  arm_next();
}

void retention_state::work(std::uint64_t arming) {
  if (!from_here(self_) || arming != arming_)
    return;
  armed_for_.reset();
  judge_clock();
  const auto now = cfg_.now();
  for (std::size_t n = 0; n < looks_a_turn && busy_.size() < max_proposals; ++n) {
    const auto w = schedule_.next(now);
    if (!w)
      break;
    look(*w);
  }
  arm_next();
}

/// One work message at a time: a later date than the one it is for can wait until it came.
void retention_state::arm_next() {
  if (stopped_ || busy_.size() >= max_proposals)
    return;
  const auto now = cfg_.now();
  auto due = schedule_.next_due();
  if (!due && !age_counts_)
    due = now + longest_wait; // only to see whether the clock is right again
  if (!due || (armed_for_ && *armed_for_ <= *due))
    return;
  armed_for_ = due;
  if (*due <= now)
    self_->send(self_, retention_work_atom::value, ++arming_);
  else
    self_->delayed_send(self_, std::min<milliseconds>(*due - now, longest_wait), retention_work_atom::value,
                        ++arming_);
}

void retention_state::judge_clock() {
  const bool trusted = guard_->trusts(cfg_.now(), monotonic(self_->clock().now()));
  if (trusted == std::exchange(age_counts_, trusted))
    return;
  if (trusted)
    schedule_.look_at_all();
  log(cfg_.log,
      {.level = trusted ? log_level::info : log_level::warning,
       .component = name,
       .event = trusted ? "clock_trusted" : "clock_not_trusted",
       .text = trusted
                   ? "the wall clock is right again; messages come of age as before"
                   : "the wall clock was set: until it is right again, or the node is restarted, no message "
                     "expires or is removed for its age",
       .fields = {{"off", format_duration(guard_->off())}}});
}

void retention_state::look(const work_item& w) {
  if (busy_.contains(w.queue))
    return;
  if (w.remove)
    look_to_remove(w);
  else
    look_to_keep(w);
}

void retention_state::look_to_keep(const work_item& w) {
  const auto extent = cfg_.data->extent(w.queue);
  if (!extent)
    return failed(w.queue, extent.error());
  auto limits = w.limits;
  if (!age_counts_)
    limits.age = 0ms;
  const auto now = cfg_.now();
  retained_queue queue{extent->first, extent->next, extent->bytes, extent->oldest, {}};
  if (const auto d = decide_by_extent(limits, queue, now))
    return look_to_keys(w, d->due);
  const auto found = cfg_.data->oldest_rows(w.queue, rows_a_step);
  if (!found)
    return failed(w.queue, found.error());
  std::vector<retained_row> rows;
  rows.reserve(found->size());
  for (const auto& r : *found)
    rows.push_back({r.next, r.last_time, r.bytes});
  queue.rows = rows;
  const auto d = decide(limits, queue, now);
  if (d.trim_to == extent->first)
    return look_to_keys(w, d.due);
  propose(w.queue, trim_entry{w.queue, d.trim_to},
          [this, q = w.queue, from = extent->first](const applied& a) { trimmed(q, from, a); });
}

/// Nothing is to be trimmed; `due` is when something may be.
void retention_state::look_to_keys(const work_item& w, std::optional<timestamp> due) {
  const auto oldest = cfg_.data->oldest_keys(w.queue);
  if (!oldest)
    return failed(w.queue, oldest.error());
  if (!*oldest)
    return schedule_.look_at(w.queue, due);
  const auto over = **oldest + w.limits.keys;
  const auto now = cfg_.now();
  if (over > now || (w.limits.keys > 0ms && !age_counts_))
    return schedule_.look_at(w.queue, std::min(due.value_or(over), over));
  propose(w.queue, forget_keys_entry{w.queue, now - w.limits.keys + 1ms},
          [this, q = w.queue](const applied&) { schedule_.look(q); });
}

void retention_state::look_to_remove(const work_item& w) {
  if (emptied_.erase(w.queue) > 0) {
    const auto extent = cfg_.data->extent(w.queue);
    if (extent && extent->next == queue_offset{} && extent->delayed == 0)
      return schedule_.forget(w.queue);
  }
  propose(w.queue, drop_queue_entry{w.queue, group_id{}},
          [this, q = w.queue](const applied& a) { dropped(q, a); });
}

template <class OnApplied>
void retention_state::propose(queue_id queue, entry_body body, OnApplied on_applied) {
  busy_.insert(queue);
  self_->request(cfg_.store, store_timeout, propose_request{std::move(body)})
      .then(
          [this, queue, on_applied](const applied& a) {
            busy_.erase(queue);
            on_applied(a);
            arm_next();
          },
          [this, queue](const caf::error& err) {
            busy_.erase(queue);
            failed(queue, from_caf(err));
            arm_next();
          });
}

void retention_state::trimmed(queue_id queue, queue_offset before, const applied& a) {
  if (a.first <= before)
    return failed(queue, {errc::internal, "a trim removed nothing", {}});
  schedule_.look(queue);
}

void retention_state::dropped(queue_id queue, const applied& a) {
  if (!a.done)
    return schedule_.look(queue);
  emptied_.insert(queue);
  schedule_.look_at(queue, cfg_.now() + second_look);
}

void retention_state::failed(queue_id queue, const error& why) {
  stopped_ = stopped_ || why.code == errc::shutting_down || why.code == errc::storage_failed;
  if (stopped_)
    return;
  log(cfg_.log, {.level = log_level::warning,
                 .component = name,
                 .event = "trim_failed",
                 .text = "a queue could not be trimmed and is tried again: " + to_string(why),
                 .fields = {{"queue", std::to_string(queue.value)}}});
  schedule_.look_at(queue, cfg_.now() + pause_after_failure);
}

retention_impl::behavior_type retention(retention_impl::stateful_pointer<retention_state> self,
                                        retention_config cfg) {
  ignore_strangers(self);
  self->state.init(std::move(cfg));
  return {
      [self](const retention_rule& r) { self->state.rule(r); },
      [self](const appended_queues& a) { self->state.appended(a); },
      [self](retention_work_atom, std::uint64_t arming) { self->state.work(arming); },
  };
}

retention_actor spawn_retention(caf::actor_system& sys, std::shared_ptr<shard> data, store_actor store,
                                std::function<timestamp()> now, log_sink log) {
  return sys.spawn<caf::detached>(
      retention, retention_config{std::move(data), std::move(store), std::move(now), std::move(log)});
}

} // namespace troupe
