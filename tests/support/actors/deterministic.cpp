#include "actors/deterministic.hpp"

namespace troupe::test {

namespace {

caf::scheduler::test_coordinator& scheduler_of(caf::actor_system& sys) {
  return dynamic_cast<caf::scheduler::test_coordinator&>(sys.scheduler());
}

} // namespace

deterministic::config::config() {
  set("scheduler.policy", caf::atom("testing"));
  add_wire_types(*this);
}

deterministic::deterministic()
    : sys_(std::make_unique<caf::actor_system>(cfg_)),
      self_(std::make_unique<caf::scoped_actor>(*sys_, true)) {
  scheduler_of(*sys_).clock().current_time += std::chrono::hours(1);
}

deterministic::~deterministic() {
  for (auto it = owned_.rbegin(); it != owned_.rend(); ++it)
    caf::anon_send_exit(*it, caf::exit_reason::user_shutdown);
  run();
  owned_.clear();
  self_.reset();
  // A test that failed in the middle may leave actors behind; it shall fail, not hang.
  sys_->await_actors_before_shutdown(false);
}

void deterministic::run() {
  while (scheduler_of(*sys_).try_run_once()) {
  }
}

void deterministic::advance(std::chrono::milliseconds step) {
  scheduler_of(*sys_).advance_time(step);
  run();
}

} // namespace troupe::test
