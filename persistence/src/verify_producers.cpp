#include "complaint.hpp"
#include "producer_record.hpp"
#include "verifier.hpp"

namespace troupe {

void verifier::check_producers() {
  lmdb_cursor rows(txn_, env_.db().producers);
  for (bool more = rows.first(); more; more = rows.next()) {
    const auto why = complaint([&] {
      const auto queue = queue_of(rows.key());
      const producer_record record(rows.value());
      const auto verdicts = record.verdicts();
      const auto next = next_of(queue);
      bool sane = record.last_time() <= state_.time;
      const stored_verdict* older = nullptr;
      for (const auto& v : verdicts) {
        sane = sane && v.index <= state_.applied && v.base.value + v.count <= next.value;
        sane =
            sane && (!older || (v.index >= older->index && v.base.value >= older->base.value + older->count));
        older = &v;
      }
      const producer_age age{hour_of(record.last_time()), queue, producer_of(rows.key())};
      if (!txn_.get(env_.db().ages, key_of(age)))
        report(verdicts.back().index, queue,
               "producer " + std::to_string(age.producer.value) + " does not stand in `ages` under its hour");
      if (!sane)
        report(verdicts.back().index, queue,
               "what is known of producer " + std::to_string(producer_of(rows.key()).value) +
                   " contradicts the queue");
    });
    if (!why.empty())
      report({}, queue_of(rows.key()), why);
  }
}

void verifier::check_ages() {
  lmdb_cursor rows(txn_, env_.db().ages);
  for (bool more = rows.first(); more; more = rows.next()) {
    const auto why = complaint([&] {
      const auto age = age_of(rows.key());
      const auto value = txn_.get(env_.db().producers, key_of(age.queue, age.producer));
      if (!value || !rows.value().empty() || hour_of(producer_record(*value).last_time()) != age.hour)
        report({}, age.queue,
               "`ages` knows producer " + std::to_string(age.producer.value) + " otherwise than `producers`");
    });
    if (!why.empty())
      report({}, {}, why);
  }
}

} // namespace troupe
