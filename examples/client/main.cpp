// A program that talks to a node: publishes without waiting, and handles what comes on two threads.
#include "troupe/consumer.hpp"
#include "troupe/producer.hpp"

#include <iostream>
#include <semaphore>

int main(int argc, char** argv) {
  auto client = troupe::client::connect({.address = argc > 1 ? argv[1] : "127.0.0.1:7700"});
  if (!client) {
    std::cerr << to_string(client.error()) << '\n'; // says what to do
    return 1;
  }
  client->create_topic("orders");
  std::counting_semaphore<> handled{0};
  auto consumer = troupe::consumer::start(
      *client, {.group = "billing", .topics = {{"orders"}}}, 2, [&](const troupe::leased_message&) {
        handled.release();
        return troupe::outcome::ack(); // or retry(), reject(); an exception is a retry, too
      });
  auto producer = troupe::producer::open(*client, {.topic = "orders"});
  for (int i = 0; i < 100; ++i)
    producer->send_async(
        {.body = "order " + std::to_string(i), .order_key = "customer " + std::to_string(i % 7)},
        [](const troupe::result<troupe::receipt>& r) {
          if (!r)
            std::cerr << to_string(r.error()) << '\n';
        });
  for (int i = 0; i < 100; ++i)
    handled.acquire();
  std::cout << "handled 100 orders\n";
  return consumer->stop() ? 1 : 0;
}
