#include "applier.hpp"
#include "producer_record.hpp"

namespace troupe {

void applier::apply_body(const evict_entry& e, outcome& out) {
  MDB_stat known{};
  check(mdb_stat(txn_.get(), tables_.producers, &known), "counting producers");
  std::uint64_t count = known.ms_entries;
  const auto before = hour_of(e.before);
  std::size_t gone = 0;
  lmdb_cursor rows(txn_, tables_.ages);
  for (bool more = rows.first(); more; more = rows.next()) {
    const auto age = age_of(rows.key());
    if (age.hour >= before && count <= e.keep)
      return;
    if (gone == rows_a_step) {
      out.answer.done = false;
      return;
    }
    require(txn_.erase(tables_.producers, key_of(age.queue, age.producer)), "looking for an old producer");
    rows.erase();
    out.answer.evicted = end_of_hour(age.hour);
    ++gone;
    --count;
  }
}

void applier::apply_body(const forget_keys_entry& e, outcome& out) {
  std::size_t gone = 0, bytes = 0;
  {
    lmdb_cursor rows(txn_, tables_.firsts);
    for (bool more = rows.seek(key_of(e.queue, first_place{})); more; more = rows.next()) {
      if (queue_of(rows.key()) != e.queue || first_place_of(rows.key()).time >= e.before)
        break;
      out.answer.done = gone < rows_a_step && bytes <= key_bytes_a_step;
      if (!out.answer.done)
        break;
      bytes += rows.value().size();
      rows.erase();
      ++gone;
    }
  }
  keys_.prune(txn_, tables_.firsts, e.queue);
}

std::size_t applier::erase_producers(queue_id queue, std::size_t limit) {
  std::size_t erased = 0;
  lmdb_cursor rows(txn_, tables_.producers);
  for (bool more = rows.seek(key_of(queue, producer_id{})); more && erased < limit; more = rows.next()) {
    if (queue_of(rows.key()) != queue)
      break;
    const auto hour = hour_of(producer_record(rows.value()).last_time());
    txn_.erase(tables_.ages, key_of(producer_age{hour, queue, producer_of(rows.key())}));
    rows.erase();
    ++erased;
  }
  return erased;
}

} // namespace troupe
