#include "reply_inbox.hpp"

#include "client_impl.hpp"
#include "outbox.hpp"

#include "troupe/batch.hpp"

#include <algorithm>

namespace troupe {

namespace {

constexpr auto answer_timeout = std::chrono::seconds{10};
constexpr milliseconds announce_pause{200};

void tell(const requester::callback& done, const result<message>& outcome) {
  const callback_mark mark;
  // A callback must not throw; if it does, the other callbacks must not suffer.
  try {
    done(outcome);
  } catch (...) {
  }
}

result<message> unpack(const reply_message& r) {
  const auto opened = batch_reader::open(r.header, r.data);
  if (!opened)
    return opened.error();
  if (opened->count() != 1)
    return error{errc::corrupt, "a reply holds " + std::to_string(opened->count()) + " messages",
                 "use the same version of troupe on both sides"};
  return opened->at(0).materialize();
}

} // namespace

reply_inbox_state::~reply_inbox_state() {
  if (!cfg_.board)
    return;
  cfg_.board->ended(ended_);
  for (const auto& done : cfg_.board->take_all())
    tell(done, ended_);
}

void reply_inbox_state::start(reply_inbox_config c) {
  cfg_ = std::move(c);
  self->send(cfg_.connection, attach_line{caf::actor_cast<caf::actor>(self)});
}

milliseconds reply_inbox_state::now() const { return steady_now(); }

void reply_inbox_state::line_came(const line_up& up) {
  directory_ = up.directory;
  session_ = up.session;
  announce();
}

void reply_inbox_state::announce() {
  if (!directory_)
    return;
  self->request(directory_, answer_timeout, expect_replies{cfg_.address, caf::actor_cast<caf::actor>(self)})
      .then([this](bool) { cfg_.board->known(); },
            [this, session = session_](const caf::error& why) {
              if (from_caf(why).code == errc::invalid_argument)
                return end(from_caf(why));
              if (directory_ && session == session_)
                self->delayed_send(self, announce_pause, inbox_again_atom::value);
            });
}

void reply_inbox_state::came(const reply_message& r) {
  if (directory_)
    self->send(directory_, replies_taken{cfg_.address, r.data.size});
  if (const auto done = cfg_.board->take(r.correlation))
    tell(*done, unpack(r));
}

void reply_inbox_state::tick(std::uint64_t epoch) {
  if (epoch != epoch_)
    return;
  armed_.reset();
  for (const auto& done : cfg_.board->take_late(now()))
    tell(done, error{errc::timeout, "no reply came in time; the request may be handled or not",
                     "check that somebody consumes the topic and replies, or allow more time"});
  arm();
}

void reply_inbox_state::arm() {
  const auto at = cfg_.board->next_deadline();
  if (!at || (armed_ && *armed_ <= *at))
    return;
  armed_ = at;
  self->delayed_send(self, std::max(*at - now(), milliseconds{0}), inbox_tick_atom::value, ++epoch_);
}

void reply_inbox_state::end(const error& why) {
  ended_ = why;
  self->quit();
}

caf::behavior reply_inbox(caf::stateful_actor<reply_inbox_state>* self, reply_inbox_config cfg) {
  self->set_default_handler(caf::drop);
  self->state.start(std::move(cfg));
  return {
      [self](const reply_message& r) { self->state.came(r); },
      [self](inbox_arm_atom) { self->state.arm(); },
      [self](inbox_tick_atom, std::uint64_t epoch) { self->state.tick(epoch); },
      [self](inbox_again_atom) { self->state.announce(); },
      [self](const line_up& up) { self->state.line_came(up); },
      [self](const line_down&) { self->state.line_went(); },
      [self](const line_closed& closed) { self->state.end(closed.why); },
      [self](inbox_stop_atom) { self->quit(); },
  };
}

} // namespace troupe
